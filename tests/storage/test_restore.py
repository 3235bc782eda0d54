"""A backup in the place of a database: whole, refused where it must be, and nothing of the old one lost."""

import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import apsw
import pytest
from semver import Version

from llm_metrics_proxy.errors import BackupError, MigrationRefusedError, NewerDatabaseError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage import durable
from llm_metrics_proxy.storage import restore as restoring
from llm_metrics_proxy.storage.backup import Backup
from llm_metrics_proxy.storage.restore import Restored, restore
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.migration.databases import content, execute
from tests.storage.test_backup import RECORDS, back_up, make, names

MARK = "UPDATE completion_requests SET value = 'newer'"
DISTINCT = "SELECT DISTINCT value FROM completion_requests"


def put_back(made: Backup, target: Path, *, app_version: str = APP_VERSION) -> Restored:
    folder = target.parent / "backups"
    return restore(folder, made.name, target, app_version=app_version, lock=migration_lock(target))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "metrics.db", RECORDS)


@pytest.mark.parametrize("mode", ["WAL", "DELETE", "TRUNCATE", "PERSIST"])
def test_the_database_is_what_it_was_and_what_it_was_before_is_kept(path: Path, mode: str) -> None:
    before, made = content(path), back_up(path)
    execute(path, f"PRAGMA journal_mode = {mode}")
    execute(path, MARK)
    done = put_back(made, path)
    assert content(path) == before
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]
    assert (done.name, done.moved_aside) == (made.name, None)
    assert done.safety_backup is not None
    safety = backups.verify(path.parent / "backups", done.safety_backup)
    assert (safety.reason, safety.records) == ("before_restore", 300)
    assert execute(path.parent / "backups" / safety.name, DISTINCT) == [("newer",)]
    assert names(path.parent) == {"metrics.db", "metrics.db.migration-lock", "backups"}
    put_back(safety, path)
    assert execute(path, DISTINCT) == [("newer",)]


@pytest.mark.parametrize(("leave", "value"), [(legacy.leave_wal, "newest"), (legacy.leave_hot_journal, "newer")])
def test_side_files_that_a_killed_program_left_go_into_the_safety_backup(path: Path, leave: Any, value: str) -> None:
    before, made = content(path), back_up(path)
    execute(path, MARK)
    leave(path, "UPDATE completion_requests SET value = 'newest'")
    done = put_back(made, path)
    assert content(path) == before
    assert names(path.parent) == {"metrics.db", "metrics.db.migration-lock", "backups"}
    assert execute(path.parent / "backups" / str(done.safety_backup), DISTINCT) == [(value,)]


def test_a_target_that_does_not_exist_is_made(path: Path, tmp_path: Path) -> None:
    made = back_up(path)
    target = tmp_path / "deep" / "below" / "new.db"
    done = restore(
        tmp_path / "backups", made.name, target, app_version=APP_VERSION, lock=nullcontext()
    )  # fmt: skip
    assert (done.safety_backup, done.moved_aside) == (None, None)
    assert content(target) == content(path)
    assert names(target.parent) == {"new.db"}


def test_stray_side_files_are_kept_and_not_applied(path: Path) -> None:
    before, made = content(path), back_up(path)
    legacy.leave_wal(path, MARK)
    path.unlink()
    wal = path.with_name("metrics.db-wal").read_bytes()
    done = put_back(made, path)
    assert content(path) == before
    assert (path.parent / f"{done.moved_aside}-wal").read_bytes() == wal


@pytest.mark.parametrize("damage", ["text", "cut", "page", "header"])
def test_a_damaged_database_is_moved_aside_as_it_is(path: Path, damage: str) -> None:
    before, made = content(path), back_up(path)
    data = bytearray(path.read_bytes())
    if damage == "text":
        data[:] = b"this is no database"
    elif damage == "cut":
        del data[len(data) // 8192 * 4096 :]
    elif damage == "page":
        data[4096:8192] = bytes(range(256)) * 16
    else:
        data[16:100] = b"\xff" * 84
    path.write_bytes(data)
    done = put_back(made, path)
    assert content(path) == before
    assert done.moved_aside is not None
    assert (path.parent / done.moved_aside).read_bytes() == data
    assert done.safety_backup is None
    path.write_bytes(data)
    again = put_back(made, path)
    assert len({done.moved_aside, again.moved_aside, None}) == 3


def test_an_empty_file_is_replaced_and_not_kept(path: Path) -> None:
    before, made = content(path), back_up(path)
    path.write_bytes(b"")
    done = put_back(made, path)
    assert (done.safety_backup, done.moved_aside) == (None, None)
    assert content(path) == before


def test_a_database_without_tables_is_not_backed_up(path: Path) -> None:
    made = back_up(path)
    path.unlink()
    make(path, "CREATE TABLE x (y); DROP TABLE x")
    done = put_back(made, path)
    assert (done.safety_backup, done.moved_aside) == (None, None)


_OPEN = """
import sys, apsw
connection = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY if sys.argv[2] == "read" else 6)
connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
print(connection.execute("PRAGMA journal_mode").fetchall(), flush=True)
sys.stdin.read()
connection.close()
"""


@pytest.mark.system
@pytest.mark.parametrize("way", ["read", "write"])
def test_one_that_another_process_has_open_is_refused(path: Path, way: str) -> None:
    made = back_up(path)
    execute(path, "PRAGMA journal_mode = WAL")
    execute(path, MARK)
    with subprocess.Popen(
        [sys.executable, "-c", _OPEN, str(path), way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert "wal" in other.stdout.readline()
        with pytest.raises(MigrationRefusedError, match="Stop `serve` or `metrics`"):
            put_back(made, path)
        assert execute(path, DISTINCT) == [("newer",)]
        assert len(backups.listing(path.parent / "backups")) == 1
        other.communicate("")
    put_back(made, path)
    assert execute(path, "SELECT count(DISTINCT value) FROM completion_requests") == [(300,)]


_WAIT = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(60000)
print("waits", flush=True)
try:
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("UPDATE completion_requests SET value = 'lost'").fetchall()
    print("written")
except apsw.NotADBError:
    print("no database")
"""


def test_what_waited_for_the_old_file_does_not_write_to_the_new_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, made = content(path), back_up(path)
    execute(path, MARK)
    waiting: list[subprocess.Popen[str]] = []
    copied = durable.sha256_of

    def begin_to_wait(file: Path, report: Any = None) -> str:
        if file.name.endswith(".restoring"):
            other = subprocess.Popen([sys.executable, "-c", _WAIT, str(path)], stdout=subprocess.PIPE, text=True)
            assert other.stdout
            assert other.stdout.readline() == "waits\n"
            waiting.append(other)
        return copied(file, report)

    monkeypatch.setattr(restoring, "sha256_of", begin_to_wait)
    put_back(made, path)
    (other,) = waiting
    assert other.communicate(timeout=120)[0] == "no database\n"
    assert content(path) == before


def test_a_migration_that_runs_is_left_alone(path: Path) -> None:
    made = back_up(path)
    with migration_lock(path), pytest.raises(MigrationRefusedError, match=r"holds metrics\.db\.migration-lock"):
        put_back(made, path)


NEXT = Version.parse(APP_VERSION).bump_patch()
NEWER_STEP = (
    "CREATE TABLE schema_steps (number INTEGER PRIMARY KEY, name, checksum, applied_at, app_version);"
    "INSERT INTO schema_steps VALUES (9001, 'later', '', '', '10.0.0');"
)


@pytest.mark.parametrize(
    "script",
    [
        f"{RECORDS} UPDATE completion_requests SET app_version = '10.0.0' WHERE id = 7",
        f"{RECORDS} UPDATE completion_requests SET app_version = '{NEXT}-rc.1' WHERE id = 7",
        f"{RECORDS} {NEWER_STEP}",
        f"{RECORDS} CREATE TABLE schema_version (version); INSERT INTO schema_version VALUES (4)",
    ],
)
def test_a_backup_of_a_newer_program_is_refused(path: Path, script: str) -> None:
    newer = back_up(make(path.with_name("newer.db"), script))
    before = path.read_bytes()
    with pytest.raises(NewerDatabaseError, match=f"{re.escape(APP_VERSION)}.*nothing was changed"):
        put_back(newer, path)
    assert path.read_bytes() == before
    assert len(backups.listing(path.parent / "backups")) == 1


def test_stamps_that_are_no_newer_are_restored(path: Path) -> None:
    execute(path, f"UPDATE completion_requests SET app_version = '{APP_VERSION}+build.7' WHERE id = 7")
    execute(path, "UPDATE completion_requests SET app_version = 'v99' WHERE id = 8")
    assert put_back(back_up(path), path).records == 300


def test_a_damaged_backup_is_refused(path: Path) -> None:
    made = back_up(path)
    file = path.parent / "backups" / made.name
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    before = path.read_bytes()
    with pytest.raises(BackupError, match="SHA-256"):
        put_back(made, path)
    assert path.read_bytes() == before


def test_a_link_leads_to_the_file_that_is_replaced_and_its_rights_stay(path: Path, tmp_path: Path) -> None:
    made = back_up(path)
    path.chmod(0o600)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    execute(path, MARK)
    restore(tmp_path / "backups", made.name, link, app_version=APP_VERSION, lock=migration_lock(link))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert execute(path, "SELECT count(DISTINCT value) FROM completion_requests") == [(300,)]


def test_another_name_of_the_old_file_keeps_it(path: Path) -> None:
    made = back_up(path)
    execute(path, MARK)
    twin = path.with_name("twin.db")
    twin.hardlink_to(path)
    put_back(made, path)
    assert execute(twin, DISTINCT) == [("newer",)]


def test_a_database_of_ours_is_used_on(path: Path) -> None:
    path.unlink()
    store = SqliteStore(path)
    store.close()
    made = back_up(path)
    put_back(made, path)
    store = SqliteStore(path)
    store.close()
    assert execute(path, "PRAGMA journal_mode") == [("wal",)]
    assert apsw.Connection(str(path)).execute("SELECT count(*) FROM schema_steps").fetchall() != [(0,)]
