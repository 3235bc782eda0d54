"""What ``doctor`` finds in and around the database, with real files."""

from pathlib import Path
from typing import Any

from llm_metrics_proxy.cli import database_checks as checks
from llm_metrics_proxy.cli.finding import Status
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "port": 0, "metrics_port": 0, **values})


def test_a_database_shows_its_ledger_and_versions(store: SqliteStore, tmp_path: Path) -> None:
    finding = checks.database(settings(tmp_path))
    assert finding.status is Status.OK
    assert f"schema steps 1 first (by {APP_VERSION})" in finding.found
    assert f"records by version {APP_VERSION}: 3" in finding.found
    assert store.path.exists()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    finding = checks.database(settings(tmp_path))
    assert finding.status is Status.OK
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_an_older_program_is_no_fault(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "m.db", "1.1", 5)
    finding = checks.database(settings(tmp_path, db_path=path))
    assert (finding.status, "written by an older version" in finding.found) == (Status.OK, True)


def test_a_file_that_is_no_database_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(b"something else entirely")
    finding = checks.database(settings(tmp_path, db_path=path))
    assert finding.status is Status.FAILED
    assert "is not a SQLite database" in finding.found
