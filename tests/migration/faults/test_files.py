"""Files and folders that are not to be written: refused with a reason, and left as they are to the bit."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from tests.legacy import leave_hot_journal, leave_wal, side_files
from tests.migration.faults.oracle import judge, rows_of
from tests.migration.faults.templates import execute, old_file, our_file
from tests.migration.faults.trials import FINISHED, Trials

pytestmark = pytest.mark.system

Spoil = Callable[[Path], object]

_REFUSED = ("ForeignDatabaseError", "NewerDatabaseError")


def _overwrite(offset: int, data: bytes) -> Spoil:
    def spoil(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return spoil


def _flip_every_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for page in range(1, len(content) // 4096):
        content[4096 * page : 4096 * page + 64] = bytes(64)
    path.write_bytes(content)


def _cut(share: float) -> Spoil:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def _sql(statements: str) -> Spoil:
    return lambda path: execute(path, statements)


_SPOILT: dict[str, tuple[str, Spoil]] = {
    "no magic": ("old", _overwrite(0, b"This is a text")),
    "only a text": ("old", lambda path: path.write_text("no database at all\n" * 400)),
    "random bytes behind the header": ("old", _flip_every_page),
    "cut in a page": ("old", _cut(0.6)),
    "cut after the header": ("old", lambda path: os.truncate(path, 100)),
    "cut in the header": ("old", lambda path: os.truncate(path, 50)),
    "ours, cut": ("ours", _cut(0.5)),
    "ours, its pages lost": ("ours", _flip_every_page),
    "another program's": ("foreign", lambda path: None),
    "schema_version 4": ("old", _sql("INSERT INTO schema_version (version) VALUES (4)")),
    "an old file with a newer record": (
        "old",
        _sql("UPDATE completion_requests SET app_version = '10.0.0' WHERE id = 9"),
    ),
    "ours with a newer record": ("ours", _sql("UPDATE completion_requests SET app_version = '10.0.0' WHERE rowid = 9")),
    "ours with a newer step": (
        "ours",
        _sql("INSERT INTO schema_steps VALUES (99, 'future', 'x', '2030-01-01', '9.0.0')"),
    ),
}


@pytest.mark.parametrize("name", _SPOILT)
@pytest.mark.parametrize("job", ["migrate", "undo"])
def test_what_is_damaged_foreign_or_newer_is_refused_and_stays_as_it_is(trials: Trials, name: str, job: str) -> None:
    kind, spoil = _SPOILT[name]
    folder = trials.folder()
    path = folder / "metrics.db"
    if kind == "foreign":
        execute(path, "CREATE TABLE bookmarks (id INTEGER PRIMARY KEY, url TEXT)")
        execute(path, "INSERT INTO bookmarks (url) VALUES ('x')")
    else:
        (old_file if kind == "old" else our_file)(folder)
    shutil.rmtree(folder / "look", ignore_errors=True)
    spoil(path)
    content, names = path.read_bytes(), {each.name for each in folder.iterdir()}
    ending = trials.nursery.run(job, path=path)
    assert ending.ended in _REFUSED or (job == "undo" and ending.ended == "MigrationRefusedError"), ending
    assert str(path) in ending.answer["message"], "the message says which file"
    assert path.read_bytes() == content
    left = {each.name for each in folder.iterdir()}
    assert left <= names | ({"metrics.db.migration-lock"} if job == "undo" else set()), "something was left beside it"


@pytest.mark.parametrize("left", ["a WAL", "a WAL without its index", "a hot journal", "a lone empty journal"])
def test_what_a_killed_program_left_beside_an_old_file_belongs_to_it(trials: Trials, left: str) -> None:
    path, before = old_file(trials.folder())
    if left == "a hot journal":
        leave_hot_journal(path)
    elif left == "a lone empty journal":
        path.with_name(f"{path.name}-journal").touch()
    else:
        leave_wal(path, "UPDATE completion_requests SET model = 'in the log' WHERE id = 5", shm="without" not in left)
        before = dict(rows_of(path))
        assert before[5]["model"] == "in the log"
    assert trials.finishes(before, path).ended == "done"


@pytest.mark.parametrize("kind", ["old", "ours"])
@pytest.mark.parametrize("guard", ["file", "folder", "both", "backups"])
def test_what_may_not_be_written_is_refused_with_a_reason_and_stays_as_it_is(
    trials: Trials, kind: str, guard: str
) -> None:
    path, before = (old_file if kind == "old" else our_file)(trials.folder())
    folder, backups = path.parent, path.parent / "backups"
    backups.mkdir()
    content = path.read_bytes()
    path.chmod(0o400 if guard in ("file", "both") else 0o600)
    backups.chmod(0o500 if guard == "backups" else 0o700)
    folder.chmod(0o500 if guard in ("folder", "both") else 0o700)
    try:
        ending = trials.nursery.run("migrate", path=path, obeys_permissions=True)
    finally:
        folder.chmod(0o755)
        backups.chmod(0o755)
        path.chmod(0o644)
    assert ending.ended in ("MigrationRefusedError", "StoreError", "BackupError"), ending
    assert str(folder) in ending.answer["message"], ending
    assert path.read_bytes() == content
    allowed = ["", ".migration-lock", *(["-wal", "-shm"] if kind == "ours" else [])]  # a reader of WAL makes them
    assert set(side_files(path)) <= {f"{path.name}{suffix}" for suffix in allowed}
    print(f"\n{kind}, {guard}: {ending.ended}: {ending.answer['message']}", end="")
    trials.finishes(before, path)


def test_a_zero_byte_file_and_no_file_are_a_fresh_start(trials: Trials) -> None:
    for make in (Path.touch, lambda path: None):
        path = trials.folder() / "metrics.db"
        make(path)
        assert trials.nursery.run("migrate", path=path).ended == "nothing_to_do"
        assert not path.exists() or path.stat().st_size == 0


def test_ours_without_records_has_nothing_to_do(trials: Trials) -> None:
    path, before = our_file(trials.folder(), records=0)
    assert trials.nursery.run("migrate", path=path).ended in FINISHED
    judge(before, path)
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
    connection.close()
