"""What the plan says of the errors' types is what the run then makes of them, in real files."""

from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.planner import plan
from llm_metrics_proxy.migration.retyping import MOST_ROWS, Retyped, count_types
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.safe_migrations import MIGRATIONS, migrate_to_version_2_0_0, migrate_to_version_3_0_0
from tests import legacy
from tests.migration.databases import execute, options

TYPED = "CASE WHEN typeof(error_type) = 'text' THEN CAST(error_type AS BLOB) END"
NUMBERED = [
    name for name in legacy.LAYOUTS if name not in {"text id", "without rowid", "no id"}
]  # ids stay as they are
FAILURES: list[tuple[Any, ...]] = [
    ("rate_limit_error", 429, "Rate limit reached"),
    ("rate_limit_error", 429, "You exceeded your current quota, please check your plan and billing details"),
    ("timeout", None, "first byte timed out"),
    (None, 503, None),
    (None, None, None),
    (b"bytes", 500, None),
    ("no such [word] as 日本", None, None),
]


def planned(path: Path, version: str = "3.0.0") -> tuple[Retyped, ...]:
    (step,) = [
        step
        for step in plan(path, backup_dir=path.parent / "backups", migrations=MIGRATIONS).steps
        if step.version == version
    ]
    return step.types


def with_failures(path: Path) -> Path:
    """Some of the records fail, in words of several servers."""
    for record_id, failure in enumerate(FAILURES * 3, start=20):
        execute(
            path,
            "UPDATE completion_requests SET success = 0, error_type = ?, status_code = ?, error_message = ? "
            "WHERE id = ?",
            (*failure, record_id),
        )
    return path


def types(path: Path, columns: str) -> dict[int, Any]:
    return {row[0]: row[1:] for row in execute(path, f"SELECT id, {columns} FROM completion_requests")}


@pytest.mark.parametrize("layout", NUMBERED)
def test_the_plan_counts_what_the_run_then_makes_of_each_type(tmp_path: Path, layout: str) -> None:
    path = with_failures(legacy.make(tmp_path / "metrics.db", layout, 200))
    found = planned(path)
    before = types(path, TYPED)
    engine.migrate(path, options(path), migrations=MIGRATIONS)
    after = types(path, "error_category, error_type")
    expected = Counter((before[key][0], *after[key]) for key in before if before[key][0] or after[key][1])
    assert {(row.before and row.before.encode(), row.category, row.type): row.records for row in found} == expected
    assert [row.records for row in found] == sorted((row.records for row in found), reverse=True)
    assert ("limit", "quota", 3) in [(row.category, row.type, row.records) for row in found]
    assert ("unknown", "unknown") in [(row.category, row.type) for row in found if row.before is None]


def test_a_migrated_file_has_no_step_and_one_without_errors_no_types(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", 200)
    execute(path, "UPDATE completion_requests SET success = 1, error_type = NULL, status_code = 200")
    assert planned(path) == ()
    engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert plan(path, backup_dir=tmp_path / "backups", migrations=MIGRATIONS).steps == ()


def test_a_migration_that_sets_no_types_tells_none(tmp_path: Path) -> None:
    path = with_failures(legacy.make(tmp_path / "metrics.db", "2.0", 200))
    assert planned(path, "2.0.0") == ()
    connection = apsw.Connection(str(path))
    try:
        assert count_types(connection, migrate_to_version_2_0_0(), "1", ALL_COLUMNS) == ()
    finally:
        connection.close()


def test_text_that_is_no_unicode_and_a_flood_of_words_are_survived(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", 1500)
    execute(path, "UPDATE completion_requests SET success = 0, error_type = 'word ' || id")
    execute(path, "UPDATE completion_requests SET error_type = CAST(x'ff41' AS TEXT) WHERE id < 5")
    connection = apsw.Connection(str(path))
    try:
        found = count_types(connection, migrate_to_version_3_0_0(), "1", ALL_COLUMNS)
    finally:
        connection.close()
    assert len(found) == MOST_ROWS
    assert (found[0].before, found[0].records) == ("\N{REPLACEMENT CHARACTER}A", 4)
