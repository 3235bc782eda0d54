"""What root makes beside other people's files is theirs, and a lock that may only be read locks all the same."""

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.ownership import follow, give_back, make_folder, open_lock
from llm_metrics_proxy.processes import secret_file
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.journal_parts import an_ended_record
from tests.migration.databases import execute
from tests.migration.faults.ordinary_user import obey_permissions

NOBODY = 65534


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder that everybody can reach; where this is root, it belongs to somebody else."""
    with tempfile.TemporaryDirectory(prefix="theirs-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder


def owner(path: Path) -> int:
    return path.lstat().st_uid


def as_an_ordinary_user(work: Callable[[], object]) -> object:
    """What ``work`` gives or raises where permissions count, whoever runs the tests."""
    ended: list[object] = []

    def work_there() -> None:
        obey_permissions()
        try:
            ended.append(work())
        except OSError as error:
            ended.append(error)

    thread = threading.Thread(target=work_there)
    thread.start()
    thread.join()
    return ended[0]


def test_what_is_made_belongs_to_the_owner_of_its_folder(theirs: Path) -> None:
    made = make_folder(theirs / "a" / "b")
    assert made == [theirs / "a", theirs / "a" / "b"]
    (theirs / "file").touch()
    follow(theirs / "file", theirs)
    os.close(open_lock(theirs / "lock", theirs))
    assert {owner(path) for path in theirs.rglob("*")} == {owner(theirs)}
    assert make_folder(theirs / "a" / "b") == []


def test_a_lock_has_the_owner_and_the_mode_of_its_database(theirs: Path) -> None:
    database = theirs / "metrics.db"
    database.touch()
    database.chmod(0o660)
    follow(database, theirs)
    os.close(open_lock(theirs / "lock", database))
    assert stat.S_IMODE((theirs / "lock").stat().st_mode) == 0o660
    assert owner(theirs / "lock") == owner(database)


def test_a_lock_that_may_only_be_read_locks_all_the_same(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("root's")
    lock.chmod(0o444)
    first = as_an_ordinary_user(lambda: open_lock(lock, tmp_path))
    assert isinstance(first, int)
    fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second = os.open(lock, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(first)
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(second)
    lock.chmod(0)
    assert isinstance(as_an_ordinary_user(lambda: open_lock(lock, tmp_path)), PermissionError)


def test_no_link_is_followed_and_nothing_is_given_away_that_others_can_have_put_there(theirs: Path) -> None:
    secret = theirs / "secret"
    secret.touch()
    (theirs / "lock").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        open_lock(theirs / "lock", theirs)
    (theirs / "second-name").hardlink_to(secret)
    descriptor = os.open(theirs / "second-name", os.O_RDWR)
    give_back(descriptor, theirs)
    os.close(descriptor)
    assert owner(secret) == os.geteuid()
    (theirs / "second-name").unlink()
    descriptor = os.open(secret, os.O_RDWR)
    give_back(descriptor, theirs)
    os.close(descriptor)
    assert owner(secret) == owner(theirs)


def test_a_folder_that_is_a_file_is_told_as_the_system_does(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


_AS_THE_OWNER = """
import os, sys
from llm_metrics_proxy.cli.app import run
data, warm, user, *verbs = sys.argv[1:]
for words in verbs:  # so that all there is to import has been, which this user may not be allowed to read
    run([*words.split(), "--data-dir", warm])
pid = os.fork()
if not pid:
    if os.geteuid() != int(user):
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    for words in verbs:
        if run([*words.split(), "--data-dir", data]):
            os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
_OF_ROOT = (
    "doctor", "migrate status", "migrate plan", "migrate run", "migrate verify", "migrate history",
    "migrate notices --dismiss", "requests", "summary", "errors", "query --by model", "backup create", "backup list",
    "backup verify", "reprice --since 1970-01-01", "migrate undo", "migrate run",
)  # fmt: skip


@pytest.mark.system
def test_after_every_verb_of_root_the_owner_can_go_on(theirs: Path, tmp_path: Path) -> None:
    """Run by anybody else, it is that user's own verbs that leave nothing in the way."""
    data = theirs / "data"
    make_folder(data)
    database = legacy.make(data / "metrics.db", "1.1", 300)
    follow(database, data)
    database.chmod(0o640)
    for words in _OF_ROOT:
        assert run([*words.split(), "--data-dir", str(data)]) in ((0, 1) if words == "doctor" else (0,)), words
        assert not _foreign(theirs), words
    execute(database, "DELETE FROM completion_requests WHERE arrival < 200")
    backups = sorted(path.name for path in (data / "backups").glob("*.db"))
    for words in ("compact", "compact --no-backup", f"backup restore {backups[-1]}"):
        assert run([*words.split(), "--data-dir", str(data)]) == 0, words
        assert not _foreign(theirs), words
    assert not [path for path in data.rglob("metrics*") if path.is_file() and path.stat().st_mode & 0o007]
    shutil.copytree(data, tmp_path / "warm")
    verbs = ("backup create", "migrate run", "migrate undo", "migrate run", "reprice --since 1970-01-01", "compact")
    arguments = [str(data), str(tmp_path / "warm"), str(owner(theirs)), *verbs]
    ran = subprocess.run([sys.executable, "-c", _AS_THE_OWNER, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.system
def test_a_journal_and_a_store_of_root_are_gone_on_with_by_their_owner(theirs: Path) -> None:
    writer = JournalWriter(theirs / "data" / "journal", "00c0ffee")
    writer.closed(an_ended_record(1))
    writer.flush()
    store = SqliteStore(theirs / "data" / "metrics.db")
    ingestor = Ingestor(store, theirs / "data" / "journal", CounterBook(10))
    assert ingestor.step() == 1
    secret_file.ensure(theirs / "data" / secret_file.FILE_NAME)
    names = {path.name for path in theirs.rglob("*")}
    assert {
        "metrics.db",
        "metrics.db-wal",
        "metrics.db-shm",
        "reader.claim",
        "00c0ffee.lock",
        "api_key_secret",
    } <= names
    assert not _foreign(theirs)
    writer.close()
    ingestor.stop(drain=False)
    store.close()


def _foreign(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if owner(path) != owner(folder)]
