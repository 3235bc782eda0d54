"""Backups of real databases: while they are written, as killed programs left them, and as others made them."""

import json
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.errors import BackupError, ForeignDatabaseError
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage import backup_copy
from llm_metrics_proxy.storage.backup import Backup
from tests import legacy
from tests.migration.databases import content, execute


def back_up(source: Path, **more: Any) -> Backup:
    return backups.create(source, source.parent / "backups", reason="migration", app_version="2.1.0", **more)


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def make(path: Path, script: str) -> Path:
    connection = apsw.Connection(str(path))
    list(connection.execute(script))
    connection.close()
    return path


RECORDS = (
    "CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, app_version TEXT, value); "
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
    "INSERT INTO completion_requests SELECT i, '1.0.0', i / 2.0 FROM n;"
)


@pytest.mark.parametrize("layout", legacy.LAYOUTS)
def test_every_old_database_is_kept_value_by_value(tmp_path: Path, layout: str) -> None:
    source = tmp_path / "metrics.db"
    legacy.make(source, layout, 50)
    made = back_up(source)
    kept = backups.path_of(tmp_path / "backups", made.name)
    everything = "SELECT * FROM completion_requests ORDER BY 1, 2"
    assert execute(kept, everything) == execute(source, everything)
    assert (made.records, sum(made.records_by_version.values())) == (50, 50)
    assert backups.verify(tmp_path / "backups", made.name) == made
    assert names(tmp_path / "backups") == {".lock", made.name, f"{made.name}.json"}


@pytest.mark.parametrize(("leave", "value"), [(legacy.leave_wal, "newest"), (legacy.leave_hot_journal, "older")])
def test_what_a_killed_program_left_beside_the_file_belongs_to_it(tmp_path: Path, leave: Any, value: str) -> None:
    source = tmp_path / "metrics.db"
    legacy.make(source, "2.0", 40)
    execute(source, "UPDATE completion_requests SET model = 'older'")
    leave(source, "UPDATE completion_requests SET model = 'newest'")
    assert len(legacy.side_files(source)) >= 1
    made = back_up(source)
    kept = backups.path_of(tmp_path / "backups", made.name)
    assert execute(kept, "SELECT DISTINCT model FROM completion_requests") == [(value,)]
    assert content(kept) == content(source)
    assert execute(kept, "PRAGMA journal_mode") == [("delete",)]


@pytest.mark.parametrize("pragma", ["page_size = 512", "page_size = 65536", "encoding = 'UTF-16le'"])
def test_pages_and_encodings_of_others_are_kept(tmp_path: Path, pragma: str) -> None:
    made = back_up(make(tmp_path / "a.db", f"PRAGMA {pragma}; {RECORDS}"))
    assert backups.verify(tmp_path / "backups", made.name).records == 300


def test_odd_schemas_are_kept(tmp_path: Path) -> None:
    source = make(
        tmp_path / "a.db",
        'CREATE TABLE completion_requests (rowid TEXT, oid TEXT, app_version, "a""b" TEXT COLLATE NOCASE); '
        "INSERT INTO completion_requests VALUES (1, 2, NULL, 'A'), (x'00', 9e999, CAST(x'ff' AS TEXT), 1), "
        "(1, 1, 7, 'é');"
        "CREATE TABLE other (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO other VALUES (1, 2), (3, 4);"
        "CREATE VIEW broken AS SELECT * FROM nowhere;",
    )
    made = back_up(source)
    assert made.records_by_version == {"(none)": 1, "7": 1, "b'\\xff'": 1}
    assert backups.verify(tmp_path / "backups", made.name) == made


def test_a_table_that_hides_its_row_numbers_is_counted(tmp_path: Path) -> None:
    source = make(
        tmp_path / "a.db",
        "CREATE TABLE completion_requests (rowid, oid, _rowid_, x); "
        "INSERT INTO completion_requests VALUES (1, 2, 3, 4)",
    )
    assert back_up(source).records_by_version == {"(none)": 1}


def test_rows_at_the_ends_of_the_numbers_are_compared(tmp_path: Path) -> None:
    ends = "(-9223372036854775808, '1.0.0', 1), (9223372036854775807, '1.0.0', 2), (0, '1.0.0', -0.0)"
    source = make(tmp_path / "a.db", f"{RECORDS} INSERT INTO completion_requests VALUES {ends}")
    assert back_up(source).records == 303


def test_a_database_without_records_of_ours_is_kept(tmp_path: Path) -> None:
    made = back_up(make(tmp_path / "a.db", "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)"))
    assert (made.records, made.records_by_version) == (None, {})
    assert backups.verify(tmp_path / "backups", made.name) == made


def test_a_backup_is_one_moment_of_a_database_that_is_written(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", f"PRAGMA journal_mode = WAL; {RECORDS}")
    writer = apsw.Connection(str(source))

    def write(_done: int, _total: int) -> None:
        writer.execute("UPDATE completion_requests SET value = 'changed'")
        writer.execute("INSERT INTO completion_requests VALUES (NULL, '2.0.0', 1)")

    made = back_up(source, report=write)
    writer.close()
    assert (made.records, made.records_by_version) == (300, {"1.0.0": 300})
    kept = backups.path_of(tmp_path / "backups", made.name)
    assert execute(kept, "SELECT count(*) FROM completion_requests WHERE value = 'changed'") == [(0,)]
    assert execute(source, "SELECT count(*) FROM completion_requests WHERE value = 'changed'") == [(300,)]


def test_one_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(BackupError, match="was stopped"):
        back_up(make(tmp_path / "a.db", RECORDS), report=lambda _done, _total: stop.set(), stop=stop)
    assert names(tmp_path / "backups") == {".lock"}
    assert names(tmp_path) == {"a.db", "backups"}


def change_copies(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Every copy is another one as soon as it has been written."""
    write = backup_copy._write

    def write_another(reading: apsw.Connection, writing: apsw.Connection, *more: Any) -> None:
        write(reading, writing, *more)
        writing.execute(change)

    monkeypatch.setattr(backup_copy, "_write", write_another)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "UPDATE completion_requests SET value = 1 WHERE id = 2",
            "Of 300 rows .* the copy holds 299 as they are",
        ),
        ("UPDATE completion_requests SET app_version = NULL WHERE id > 297", "holds 297 as they are"),
        ("DELETE FROM completion_requests WHERE id = 9", "has 299 rows of 300"),
        ("CREATE INDEX more ON completion_requests (value)", "another schema"),
        ("DROP TABLE completion_requests", "another schema"),
    ],
)
def test_a_copy_that_differs_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, told: str) -> None:
    source = make(tmp_path / "a.db", RECORDS)  # value of record 2 is 1.0
    change_copies(monkeypatch, change)
    with pytest.raises(BackupError, match=told):
        back_up(source)
    assert names(tmp_path / "backups") == {".lock"}


@pytest.mark.parametrize("damage", ["no database", "cut", "page"])
def test_a_damaged_database_is_not_called_a_backup(tmp_path: Path, damage: str) -> None:
    source = make(tmp_path / "a.db", RECORDS)
    content = bytearray(source.read_bytes())
    if damage == "no database":
        content[:16] = b"not a database!!"
    elif damage == "cut":
        del content[4096:]
    else:
        content[4096:8192] = os.urandom(4096)
    source.write_bytes(content)
    with pytest.raises(BackupError, match="Nothing was changed"):
        back_up(source)
    assert names(tmp_path / "backups") == {".lock"}
    assert source.read_bytes() == content


def test_without_room_nothing_begins(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", RECORDS)
    os.truncate(source, 8 << 40)  # sparse: it takes no room by itself
    with pytest.raises(BackupError, match=r"needs 8,796,1.* bytes .* are free") as caught:
        back_up(source)
    assert caught.value.exit_code == 3
    assert names(tmp_path) == {"a.db"}


def test_leftovers_of_killed_programs_are_removed_and_other_files_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    left = "a-20260101T000000Z"
    others = {"mine.db", "my.txt", "other.db.json", "film.mkv.partial"}
    leftovers = {f"{left}.db.partial", f"{left}.db.partial-journal", f"{left}-2.db.json", f"{left}-3.db.json.partial"}
    for name in others | leftovers:
        (folder / name).write_text("{}")
    made = back_up(make(tmp_path / "a.db", RECORDS))
    assert names(folder) == {".lock", *others, made.name, f"{made.name}.json"}
    assert backups.listing(folder) == [made]


def test_two_at_once_take_turns(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", RECORDS)
    made: list[Backup] = []
    threads = [threading.Thread(target=lambda: made.append(back_up(source))) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.name for each in made}) == 4
    assert sorted(each.name for each in backups.listing(tmp_path / "backups")) == sorted(each.name for each in made)
    for each in made:
        backups.verify(tmp_path / "backups", each.name)


def test_the_newest_of_each_database_are_kept_and_those_that_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    other = back_up(make(tmp_path / "other.db", RECORDS))
    source = make(tmp_path / "a.db", RECORDS)
    made = [back_up(source) for _each in range(4)]
    assert [each.name for each in backups.listing(folder)] == [each.name for each in (*reversed(made), other)]
    assert backups.prune(folder, 2, spare=[made[0].name]) == [made[1].name]
    assert {each.name for each in backups.listing(folder)} == {other.name, *(made[index].name for index in (0, 2, 3))}
    assert len(names(folder)) == 2 * 4 + 1


def change_bytes(folder: Path, made: Backup) -> None:
    path = folder / made.name
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def cut(folder: Path, made: Backup) -> None:
    os.truncate(folder / made.name, made.bytes - 1)


def lie(folder: Path, made: Backup) -> None:
    description = folder / f"{made.name}.json"
    told = json.loads(description.read_bytes())
    description.write_text(json.dumps({**told, "records_by_version": {"1.0.0": 299, "2.0.0": 1}}))


def forget(folder: Path, made: Backup) -> None:
    (folder / f"{made.name}.json").write_text("{")


def remove(folder: Path, made: Backup) -> None:
    (folder / made.name).unlink()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (change_bytes, "SHA-256"),
        (cut, "bytes and had"),
        (lie, r"holds 300 records \(1.0.0: 300\), and held 300 records \(1.0.0: 299, 2.0.0: 1\)"),
        (forget, "no description"),
        (remove, "has no backup"),
    ],
)
def test_verification_says_what_differs(tmp_path: Path, harm: Any, told: str) -> None:
    made = back_up(make(tmp_path / "a.db", RECORDS))
    harm(tmp_path / "backups", made)
    with pytest.raises(BackupError, match=told):
        backups.verify(tmp_path / "backups", made.name)


@pytest.mark.parametrize("name", ["", ".", "..", "../a.db", "/etc/passwd", "sub/a.db"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupError, match="is not the name of a backup"):
        backups.verify(tmp_path, name)


def test_verification_leaves_no_trace(tmp_path: Path) -> None:
    made = back_up(make(tmp_path / "a.db", f"PRAGMA journal_mode = WAL; {RECORDS}"))
    before = {each.name: each.read_bytes() for each in (tmp_path / "backups").iterdir()}
    told: list[tuple[int, int]] = []
    backups.verify(tmp_path / "backups", made.name, report=lambda *bytes_: told.append(bytes_))
    assert told[-1] == (made.bytes, made.bytes)
    assert {each.name: each.read_bytes() for each in (tmp_path / "backups").iterdir()} == before


def test_the_folder_may_be_copied_away(tmp_path: Path) -> None:
    made = back_up(make(tmp_path / "a.db", RECORDS))
    shutil.copytree(tmp_path / "backups", tmp_path / "elsewhere")
    assert backups.verify(tmp_path / "elsewhere", made.name) == made


def test_a_log_whose_database_was_emptied_is_not_deleted_by_a_backup(tmp_path: Path) -> None:
    source = legacy.leave_wal(legacy.make(tmp_path / "a.db"), "UPDATE completion_requests SET model = 'newest'")
    source.write_bytes(b"")
    before = legacy.side_files(source)
    with pytest.raises(ForeignDatabaseError, match="Opening it would delete them"):
        back_up(source)
    assert legacy.side_files(source) == before


def test_a_backup_is_no_more_readable_than_the_database(tmp_path: Path) -> None:
    source = make(tmp_path / "a.db", RECORDS)
    source.chmod(0o600)
    made = back_up(source)
    assert stat.S_IMODE((tmp_path / "backups" / made.name).stat().st_mode) == 0o600


def test_the_newest_is_known_though_the_clock_was_set_back(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    source = make(tmp_path / "a.db", RECORDS)
    before = [back_up(source) for _each in range(2)]
    for each in before:  # as if they had been made before the clock was set back
        description = folder / f"{each.name}.json"
        told = json.loads(description.read_bytes())
        description.write_text(json.dumps({**told, "made_at": "2099-01-01T00:00:00.000000Z"}))
    made = back_up(source)
    assert backups.listing(folder)[0] == made
    assert made.name not in backups.prune(folder, 1)


def test_databases_of_one_name_in_two_folders_do_not_displace_each_others_backups(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        source = make(tmp_path / place / "metrics.db", RECORDS)
        for _each in range(2):
            backups.create(source, folder, reason="migration", app_version="2.1.0")
    assert len(backups.prune(folder, 1)) == 2
    assert {Path(each.source).parent.name for each in backups.listing(folder)} == {"one", "two"}


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("(id TEXT PRIMARY KEY, value) WITHOUT ROWID", "UPDATE completion_requests SET value = 1 WHERE id = 'b'"),
        ("(id INTEGER PRIMARY KEY, value ANY) STRICT", "UPDATE completion_requests SET value = 1 WHERE value = 1.0"),
        ("(id INTEGER PRIMARY KEY, value REAL) STRICT", "UPDATE completion_requests SET value = NULL WHERE value = 1"),
        ("(id INTEGER PRIMARY KEY, value TEXT COLLATE NOCASE)", "UPDATE completion_requests SET value = '1.0 '"),
    ],
)
def test_every_kind_of_table_is_compared_by_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, change: str
) -> None:
    ids = "'a'), ('b'" if "TEXT PRIMARY" in table else "1), (2"
    script = (
        f"CREATE TABLE completion_requests {table}; INSERT INTO completion_requests (id) VALUES ({ids}); "
        "UPDATE completion_requests SET value = 1.0 WHERE id IN (2, 'b')"
    )
    source = make(tmp_path / "a.db", script)
    assert back_up(source).records == 2
    change_copies(monkeypatch, change)
    with pytest.raises(BackupError, match=r"Of 2 rows .* the copy holds [01] as they are"):
        back_up(source)


def test_what_a_person_asked_for_is_not_removed_and_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    source = make(tmp_path / "metrics.db", RECORDS)
    by_hand = backups.create(source, folder, reason="manual", app_version="2.1.0")
    made = [backups.create(source, folder, reason="migration", app_version="2.1.0") for _ in range(3)]
    assert backups.prune(folder, 2) == [made[0].name]
    assert {each.name for each in backups.listing(folder)} == {by_hand.name, made[1].name, made[2].name}
