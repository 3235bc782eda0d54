"""What ``doctor`` finds about migrations and backups, in real files."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.cli import migration_checks as checks
from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy

NEWEST = MIGRATIONS[-1].version


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder with a database of 1.x."""
    (tmp_path / "data").mkdir()
    legacy.make(tmp_path / "data" / "metrics.db", "1.1", 50)
    return Settings(data_dir=tmp_path / "data")


def changed(settings: Settings, **values: Any) -> Settings:
    return Settings(data_dir=settings.data_dir, **values)


def options(settings: Settings, **values: Any) -> Options:
    return Options(backup_dir=settings.backup_dir, **values)


def test_where_there_is_no_database_none_is_due_and_none_is_made(tmp_path: Path) -> None:
    fresh = Settings(data_dir=tmp_path / "data")
    assert checks.migrations(fresh).status is CheckStatus.OK
    assert checks.backups(fresh).status is CheckStatus.OK
    assert list(tmp_path.iterdir()) == []


def test_an_old_database_is_named_and_left_as_it_is(settings: Settings) -> None:
    before = settings.db_path.read_bytes()
    finding = checks.migrations(settings)
    assert finding.status is CheckStatus.OK
    assert "is of an older version, with 50 records to be carried over; the next start does it" in finding.found
    refused = checks.migrations(changed(settings, auto_migrate=False))
    assert (refused.status, "auto_migrate is false" in refused.found) == (CheckStatus.FAILED, True)
    assert "migrate run" in refused.advice
    assert settings.db_path.read_bytes() == before
    assert [path.name for path in settings.data_dir.iterdir()] == ["metrics.db"]


def test_too_little_room_is_told_before_it_is_needed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1024**2, "total": 1024**3}))
    finding = checks.migrations(settings)
    assert finding.status is CheckStatus.FAILED
    assert "where 1.0 MB are free" in finding.found


def test_what_ran_and_what_was_taken_back_is_told(settings: Settings) -> None:
    engine.migrate(settings.db_path, options(settings), migrations=MIGRATIONS)
    done = checks.migrations(settings)
    assert (done.status, f"the last one, to {NEWEST}, is done" in done.found) == (CheckStatus.OK, True)
    assert "completion_requests_before_5_0_0 stays beside for an undo" in done.found
    backups = checks.backups(settings)
    assert (backups.status, f"{settings.backup_dir}: 1 (" in backups.found) == (CheckStatus.OK, True)
    engine.undo(settings.db_path, options(settings), migrations=MIGRATIONS)
    undone = checks.migrations(settings)
    assert (undone.status, "new records wait in the journal" in undone.found) == (CheckStatus.WARNING, True)
    assert "a person took the last migration back" in undone.found
    with migration_lock(settings.db_path):
        assert "is migrating just now" in checks.migrations(settings).found


def test_a_migration_that_did_not_end_is_told(settings: Settings) -> None:
    engine.migrate(settings.db_path, options(settings, max_seconds=0.0), migrations=MIGRATIONS)
    assert "migration 1 has not ended (migrating): 0 of 50 older records" in checks.migrations(settings).found


def test_a_migration_that_failed_is_told_with_what_is_missing(settings: Settings) -> None:
    right = MIGRATIONS[0]
    wrong = right._replace(oracle=lambda *inputs: (-1.0, *right.oracle(*inputs)[1:]))
    migrations = (wrong, *MIGRATIONS[1:])
    assert engine.migrate(settings.db_path, options(settings), migrations=migrations).ended is Ended.ROLLED_BACK
    finding = checks.migrations(settings)
    assert finding.status is CheckStatus.WARNING
    assert "was taken back by its own verification (oracle: " in finding.found
    assert "50 older records are in no answer, unchanged in completion_requests_before_5_0_0" in finding.found


def test_an_edited_migration_is_told(settings: Settings) -> None:
    engine.migrate(settings.db_path, options(settings), migrations=MIGRATIONS)
    connection = apsw.Connection(str(settings.db_path))
    connection.execute("""UPDATE migration_runs SET checksums = '{"2.0.0": "another"}'""")
    connection.close()
    finding = checks.migrations(settings)
    assert finding.status is CheckStatus.WARNING
    assert "the migration to 2.0.0 is no longer the code that was applied" in finding.found


def test_records_of_a_newer_version_are_a_failure(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", 5)
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE completion_requests SET app_version = '9.0.0' WHERE id = 2")
    connection.close()
    finding = checks.migrations(Settings(data_dir=tmp_path))
    assert (finding.status, "9.0.0" in finding.found) == (CheckStatus.FAILED, True)


def test_a_database_of_this_version_needs_nothing(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "metrics.db").close()
    assert checks.migrations(Settings(data_dir=tmp_path)).found == "none was needed"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 seconds"), (59, "59 seconds"), (180, "3 minutes"), (7200, "2 hours"), (1e6, "11 days")],
)
def test_an_age_is_told_in_a_unit_that_fits(seconds: float, words: str) -> None:
    assert checks._age(seconds) == words
