from semver import Version

from llm_metrics_proxy.analytics.versions import VERSION_HISTORY, records_by_version
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import Database, a_record


def test_versions_are_counted_and_ordered_as_versions_not_as_text(database: Database) -> None:
    for version in ("10.0.0", "2.0.0", "1.0.0-rc.1", "1.0.0", "unknown", ""):
        database.add(a_record(), app_version=version)
    database.add(a_record(), app_version="2.0.0")
    assert list(records_by_version(database.reader).items()) == [
        ("", 1),
        ("unknown", 1),
        ("1.0.0-rc.1", 1),
        ("1.0.0", 1),
        ("2.0.0", 2),
        ("10.0.0", 1),
    ]


def test_an_empty_database_has_no_versions(database: Database) -> None:
    assert records_by_version(database.reader) == {}


def test_the_history_rises_and_covers_the_meaning_of_the_current_major_version() -> None:
    versions = [Version.parse(note.version) for note in VERSION_HISTORY]
    assert versions == sorted(set(versions))
    assert versions[-1].major == Version.parse(APP_VERSION).major
    assert all(note.changes and note.tokens_per_second for note in VERSION_HISTORY)
