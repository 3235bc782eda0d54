from typing import Any

import pytest
from semver import Version

from llm_metrics_proxy.analytics.versions import (
    VERSION_HISTORY,
    precedes,
    records_by_version,
)
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.analytics.database import Database, a_record


def test_versions_are_counted_and_ordered_as_versions_not_as_text(database: Database) -> None:
    for version in ("10.0.0", "2.0.0", "1.0.0-rc.1", "1.0.0", "unknown", ""):
        database.add(a_record(), app_version=version)
    database.add(a_record(), app_version="2.0.0")
    assert list(records_by_version(database.records).items()) == [
        ("", 1),
        ("unknown", 1),
        ("1.0.0-rc.1", 1),
        ("1.0.0", 1),
        ("2.0.0", 2),
        ("10.0.0", 1),
    ]


def test_an_empty_database_has_no_versions(database: Database) -> None:
    assert records_by_version(database.records) == {}


def test_the_history_rises_and_covers_the_meaning_of_the_current_major_version() -> None:
    versions = [Version.parse(note.version) for note in VERSION_HISTORY]
    assert versions == sorted(set(versions))
    assert versions[-1].major == Version.parse(APP_VERSION).major
    assert all(note.changes and note.tokens_per_second for note in VERSION_HISTORY)


def test_the_history_names_the_versions_that_migrate() -> None:
    assert [note.version for note in VERSION_HISTORY if note.migrates] == [one.version for one in MIGRATIONS]
    assert all(note.breaking_changes for note in VERSION_HISTORY if note.migrates)


@pytest.mark.parametrize(
    "stamp",
    [None, "", "1.0.0", "1.99.99", "2.0.0-rc.1", "2.0.0", "2.0.0+build", "2.1.0", "10.0.0", " 2.0.0 ", "v2.0.0", "2.0",
     "\u0662.0.0", "2.0.0\n", "9" * 5000 + ".0.0", 2, 2.0, b"2.0.0", float("inf")],
)  # fmt: skip
def test_the_api_and_the_engine_agree_on_what_is_older(stamp: Any) -> None:
    assert precedes(stamp, MIGRATIONS[-1].version) == is_older(stamp, MIGRATIONS[-1].version)
