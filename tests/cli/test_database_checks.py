"""What ``doctor`` finds in and around the database, with real files."""

import errno
import os
import re
import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.cli import database_checks as checks
from llm_metrics_proxy.cli.finding import CheckStatus, Finding
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import IngestBatch, Loss, SegmentPosition
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.journal_parts import WORKER, FaultyDisk, an_ended_record
from tests.migration.faults.ordinary_user import obey_permissions


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "port": 0, "metrics_port": 0, **values})


def test_a_database_shows_its_ledger_and_versions(store: SqliteStore, tmp_path: Path) -> None:
    finding = checks.database(settings(tmp_path))
    assert finding.status is CheckStatus.OK
    assert f"schema steps 15 one_table (by {APP_VERSION})" in finding.found
    assert f"records by version {APP_VERSION}: 3" in finding.found
    assert store.path.exists()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    finding = checks.database(settings(tmp_path))
    assert finding.status is CheckStatus.OK
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_an_older_program_is_no_fault(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "m.db", "1.1", 5)
    finding = checks.database(settings(tmp_path, db_path=path))
    assert (finding.status, "written by an older version" in finding.found) == (CheckStatus.OK, True)


def test_a_file_that_is_no_database_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(b"something else entirely")
    finding = checks.database(settings(tmp_path, db_path=path))
    assert finding.status is CheckStatus.FAILED
    assert "is not a SQLite database" in finding.found


def test_the_log_and_the_other_side_files_are_part_of_the_size(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    store = SqliteStore(path)
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE filling (value)")
    connection.execute("INSERT INTO filling VALUES (zeroblob(5 * 1024 * 1024))")
    found = checks.database(settings(tmp_path, db_path=path)).found
    connection.close()
    store.close()
    assert re.search(r"5\.\d MiB of log", found)
    assert "of shared memory" in found
    assert f"{path}: 5." in found, "all of it together"


@pytest.mark.parametrize("denied", ["m.db", "m.db-wal", "m.db.migration-lock", "folder"])
def test_a_database_that_this_user_may_not_write_is_a_failure(tmp_path: Path, denied: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "m.db"
    SqliteStore(path).close()
    legacy.leave_wal(path, "CREATE TABLE filling (value)")
    (folder / "m.db.migration-lock").touch()
    chosen = settings(tmp_path, db_path=path)
    whole: list[Finding] = []

    def look() -> None:
        obey_permissions()
        whole.append(checks.database(chosen))
        target = folder if denied == "folder" else folder / denied
        target.chmod(0o500 if denied == "folder" else 0 if "lock" in denied else 0o400)
        whole.append(checks.database(chosen))
        target.chmod(0o700)

    looking = threading.Thread(target=look)
    looking.start()
    looking.join()
    before, after = whole
    assert before.status is CheckStatus.OK, before
    assert after.status is CheckStatus.FAILED
    assert f"{folder if denied == 'folder' else folder / denied} cannot be" in after.found
    assert "let this user write" in after.advice


def test_side_files_of_another_user_than_the_database_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.db"
    SqliteStore(path).close()
    (tmp_path / "m.db.migration-lock").touch()
    stat = Path.stat

    def as_if_given_away(self: Path, **options: bool) -> os.stat_result:
        """The database is another user's: only root could really give it away."""
        found = stat(self, **options)
        values = list(found[:10])
        values[4] = 65534 if self == path else values[4]
        return os.stat_result(values)

    monkeypatch.setattr(Path, "stat", as_if_given_away)
    finding = checks.database(settings(tmp_path, db_path=path))
    assert finding.status is CheckStatus.WARNING
    assert "m.db.migration-lock belong to another user" in finding.found
    assert finding.advice.startswith("chown 65534 ")


def test_room_that_could_be_given_back_is_named_with_the_verb_that_does(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE filling (value)")
    connection.execute("INSERT INTO filling VALUES (zeroblob(20 * 1024 * 1024))")
    connection.execute("DROP TABLE filling")
    connection.close()
    finding = checks.database(settings(tmp_path, db_path=path))
    assert "of which 20.0 MiB are free for new records" in finding.found
    assert "`llm-metrics-proxy compact`" in finding.advice


def test_losses_are_told_whether_they_are_stored_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(tmp_path)
    assert checks.losses(chosen).status is CheckStatus.OK
    store = SqliteStore(chosen.db_path)
    lost = Loss(40, 1_800_000_000_000, 1_800_000_060_000, "Read-only file system")
    store.append(IngestBatch(positions=[SegmentPosition("aa", 1, 1, done=True)], losses=[("aa", lost)]))
    store.append(IngestBatch(positions=[SegmentPosition("aa", 1, 1, done=True)], losses=[("aa", lost)]))
    store.close()
    writer = JournalWriter(chosen.journal_dir, WORKER, unix_ms=lambda: 1_900_000_000_000)
    writer.closed(an_ended_record(1))
    writer.flush()
    disk = FaultyDisk(monkeypatch)
    disk.free_bytes = 0
    writer.opened(an_ended_record(2))
    writer.closed(an_ended_record(2))
    writer.close()
    finding = checks.losses(chosen)
    assert finding.status is CheckStatus.WARNING
    assert finding.found.startswith("41 requests were served without a record, between 2027-01-15T08:00:00Z and 2030-")
    assert finding.found.endswith(f"because: {os.strerror(errno.ENOSPC)}")
