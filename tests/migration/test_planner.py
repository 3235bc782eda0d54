"""The plan tells what the run then does, and looking leaves no trace."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from llm_metrics_proxy.errors import ForeignDatabaseError, MigrationRefusedError, NewerDatabaseError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import ColumnChange, Ended
from llm_metrics_proxy.migration.plan import MigrationPlan
from llm_metrics_proxy.migration.planner import plan
from llm_metrics_proxy.migration.preview import Figures, MetricChange
from llm_metrics_proxy.safe_migrations import MIGRATIONS, migrate_to_version_2_0_0
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests import legacy
from tests.migration.chain import CHAIN
from tests.migration.databases import execute, options

MAX = 1.7976931348623157e308


def planned(path: Path, **more: Any) -> MigrationPlan:
    """The plan; whatever it is, nothing on the disk is other than before."""
    before = legacy.side_files(path)
    names = sorted(each.name for each in path.parent.iterdir())
    found = plan(path, backup_dir=path.parent / "backups", **{"migrations": MIGRATIONS, **more})
    after = legacy.side_files(path)
    assert {name: data for name, data in after.items() if not name.endswith("-shm")} == {
        name: data for name, data in before.items() if not name.endswith("-shm")
    }
    assert sorted(each.name for each in path.parent.iterdir()) == names
    assert msgspec.json.decode(msgspec.json.encode(found), type=MigrationPlan) == found
    return found


def shown(found: MigrationPlan, name: str = "tokens_per_second") -> MetricChange:
    """One metric of the table before and after."""
    (metric,) = (metric for metric in found.metrics if metric.metric == name)
    return metric


def gaps(found: MigrationPlan) -> dict[str, int]:
    """Records that a step cannot recompute, by reason, over all steps."""
    return dict(sum((Counter({gap.reason: gap.records for gap in step.gaps}) for step in found.steps), Counter()))


def percentile(values: Sequence[float], fraction: float) -> float:
    """Linear interpolation, written apart from SQLite's."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def figures(values: Sequence[Any]) -> tuple[Any, ...]:
    """n, mean, p50, p95, left out: the slow way, rounded."""
    numbers = [float(value) for value in values if isinstance(value, int | float) and abs(value) <= MAX]
    left_out = sum(value is not None for value in values) - len(numbers)
    if not numbers:
        return (0, None, None, None, left_out)
    return rounded(
        (len(numbers), math.fsum(numbers) / len(numbers), *(percentile(numbers, f) for f in (0.5, 0.95)), left_out)
    )


def rounded(values: Figures | Sequence[Any]) -> tuple[Any, ...]:
    values = msgspec.structs.astuple(values) if isinstance(values, Figures) else values
    return tuple(float(f"{value:.10g}") if isinstance(value, float) else value for value in values)


def by_model(path: Path, column: str = "tokens_per_second") -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for model, value in execute(path, f"SELECT model, {column} FROM completion_requests"):
        found.setdefault(model, []).append(value)
    return found


@pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
@pytest.mark.parametrize("layout", legacy.LAYOUTS)
def test_the_plan_says_what_the_run_does_and_leaves_no_trace(tmp_path: Path, layout: str, journal_mode: str) -> None:
    path = legacy.make(tmp_path / "metrics.db", layout, 200, journal_mode=journal_mode)
    found = planned(path)
    assert (found.nothing_to_do, found.refusal, found.found, found.records) == (False, None, "legacy", 200)
    assert found.faults == ()
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    assert [step.version for step in found.steps] == [migration.version for migration in MIGRATIONS]
    assert (found.records, found.sample_records) == (result.run.records_changed, 200)
    assert (gaps(found), found.unfit) == (result.run.gaps, result.run.unfit)
    assert sum(stamp.records for stamp in found.stamps) == 200
    assert planned(path).nothing_to_do


def test_odd_records_are_counted_as_the_run_counts_them(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0 without types", legacy.ODD_ROWS)
    before = by_model(path)
    found = planned(path)
    metric = shown(found)
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.records_changed) == (Ended.DONE, found.records)
    assert (gaps(found), found.unfit) == (result.run.gaps, result.run.unfit)
    assert found.unfit["total_tokens"] > 0
    assert found.steps[-1].records == len(legacy.ODD_ROWS)
    assert found.sample_records == len(legacy.ODD_ROWS)
    after = by_model(path)
    for comparison in metric.by_model:
        assert rounded(comparison.before) == figures(before[comparison.model])
        assert rounded(comparison.after) == figures(after[comparison.model])
    assert rounded(metric.overall.before) == figures([value for values in before.values() for value in values])
    assert metric.overall.before.left_out > 10, "infinities, text and bytes stood there"
    assert (metric.overall.after.left_out, metric.overall.records) == (0, found.sample_records)


def test_the_table_is_by_model_the_most_frequent_first(tmp_path: Path) -> None:
    row = {"response_time_ms": 2000.0, "total_tokens": 100, "tokens_per_second": 80.0, "timestamp": "2025-01-01"}
    rows = [
        *({**row, "model": "b"},) * 3,
        {**row, "model": None},
        *({**row, "model": "a", "tokens_per_second": None},) * 2,
    ]
    metric = shown(planned(legacy.make(tmp_path / "metrics.db", "1.1", rows)))
    assert (metric.metric, metric.unit) == ("tokens_per_second", "tokens/s")
    assert [(each.model, each.records, each.before.n, each.after.n) for each in metric.by_model] == [
        ("b", 3, 3, 3),
        ("a", 2, 0, 2),
        (None, 1, 1, 1),
    ]
    assert metric.by_model[0].before == Figures(3, 80.0, 80.0, 80.0, 0)
    assert metric.by_model[0].after == Figures(3, 50.0, 50.0, 50.0, 0)
    assert metric.by_model[1].before == Figures(0, None, None, None, 0)


def test_times_to_first_token_are_shown_with_and_without_those_that_were_response_times(tmp_path: Path) -> None:
    row = {"response_time_ms": 2000.0, "timestamp": "2025-01-01", "success": 1, "completion_tokens": 101}
    streamed = {**row, "is_streaming": 1, "time_to_first_token_ms": 100.0, "time_to_last_token_ms": 1100.0}
    whole = {**row, "is_streaming": 0, "time_to_first_token_ms": 2000.0, "time_to_last_token_ms": 2000.0}
    rows = [*({**streamed, "model": "a"},) * 3, {**whole, "model": "a"}, {**whole, "model": "b"}]
    found = planned(legacy.make(tmp_path / "metrics.db", "1.1", rows))
    first = shown(found, "time_to_first_token_ms")
    assert [each.model for each in first.by_model] == ["a", "b"]
    assert first.overall.before == Figures(5, 860.0, 100.0, 2000.0, 0)
    assert first.overall.after == first.by_model[0].after == Figures(3, 100.0, 100.0, 100.0, 0)
    assert first.by_model[1].after == Figures(0, None, None, None, 0)
    for name, value in (("time_per_output_token_ms", 10.0), ("output_tokens_per_second", 100.0)):
        metric = shown(found, name)
        assert (metric.unit, metric.overall.before.n) == ("ms" if name.endswith("_ms") else "tokens/s", 0)
        assert metric.overall.after == Figures(3, value, value, value, 0)
    (step,) = (step for step in found.steps if step.version == "4.0.0")
    changes = [change for change in step.changes if change.startswith("time_to_first_token_ms")]
    assert len(changes) == 1
    assert changes[0].endswith("the value as it was stays in time_to_first_token_ms_original")


def test_the_sample_is_spread_evenly_over_the_records(tmp_path: Path) -> None:
    row = {"response_time_ms": 2000.0, "total_tokens": 100, "timestamp": "2025-01-01"}
    rows = [{**row, "id": index * index, "model": f"tenth {index // 100}"} for index in range(1, 1000)]
    path = legacy.make(tmp_path / "metrics.db", "1.1", rows)
    found = planned(path, sample_records=100)
    assert found.steps[0].records == 999
    assert 60 <= found.sample_records <= 140
    metric = shown(found)
    assert len(metric.by_model) == 10
    assert {each.records for each in metric.by_model} <= set(range(3, 20))


def test_a_database_of_ours_that_is_up_to_date_needs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    assert planned(path).nothing_to_do
    path.touch()
    assert planned(path).nothing_to_do
    store = SqliteStore(path)
    assert planned(path).nothing_to_do, "and while it is open"
    store.close()
    found = planned(path)
    assert (found.nothing_to_do, found.steps, found.disk, found.metrics) == (True, (), None, ())


def test_records_of_a_newer_version_are_named_and_refused(tmp_path: Path) -> None:
    rows = [{"timestamp": "2025-01-01", "app_version": stamp} for stamp in ("1.0.0", "10.0.0", "10.0.0", "", None)]
    found = planned(legacy.make(tmp_path / "metrics.db", "2.0", rows))
    assert found.refusal is not None
    assert "10.0.0" in found.refusal
    assert APP_VERSION in found.refusal
    assert {(each.stamp, each.standing, each.records) for each in found.stamps} == {
        ("(none)", "unreadable", 1),
        ("", "unreadable", 1),
        ("1.0.0", "older", 1),
        ("10.0.0", "newer", 2),
    }
    assert (found.steps, found.disk) == ((), None)


def test_files_that_are_not_ours_raise(tmp_path: Path) -> None:
    execute(tmp_path / "other.db", "CREATE TABLE songs (title)")
    with pytest.raises(ForeignDatabaseError, match="songs"):
        planned(tmp_path / "other.db")
    with pytest.raises(NewerDatabaseError):
        planned(legacy.make(tmp_path / "newer.db", schema_version=4))


def test_what_a_killed_program_left_is_read_and_stays(tmp_path: Path) -> None:
    for shm in (True, False):
        path = legacy.make(tmp_path / f"wal {shm}.db", "1.1", 50)
        legacy.leave_wal(path, "UPDATE completion_requests SET model = 'in the log'", shm=shm)
        assert [each.model for each in planned(path).metrics[0].by_model] == ["in the log"]
    path = legacy.make(tmp_path / "hot.db", "1.1", 500)
    legacy.leave_hot_journal(path)
    assert planned(path).records == 500


def test_a_wrong_formula_shows_in_the_plan(tmp_path: Path) -> None:
    good = migrate_to_version_2_0_0()
    wrong = good._replace(changes=(ColumnChange("tokens_per_second", "42.0"), *good.changes[1:]), distrusted="0")
    path = legacy.make(tmp_path / "metrics.db", "1.1", 50)
    faults = planned(path, migrations=(wrong,)).faults
    assert {fault.check for fault in faults} == {"oracle"}
    assert "tokens_per_second is 42.0" in faults[0].message
    crashing = good._replace(
        changes=(ColumnChange("tokens_per_second", "abs(-9223372036854775808)"), *good.changes[1:])
    )
    faults = planned(path, migrations=(crashing._replace(distrusted="0"),)).faults
    assert [fault.check for fault in faults] == ["formula"]


def test_a_chain_tells_what_each_step_takes_and_leaves(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", 100)
    found = planned(path, migrations=CHAIN, app_version="4.0.0")
    assert [step.version for step in found.steps] == ["2.0.0", "3.0.0", "4.0.0"]
    assert [step.records for step in found.steps] == [50, 100, 100]  # others are stamped 2.0.0, and held against it
    assert {stamp.standing for stamp in found.stamps} == {"older"}
    result = engine.migrate(path, options(path), migrations=CHAIN, app_version="4.0.0")
    assert result.run is not None
    assert gaps(found) == result.run.gaps


def test_an_interrupted_run_shows_what_is_left(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", 100)
    assert engine.migrate(path, options(path, max_seconds=0), migrations=MIGRATIONS).ended is Ended.STOPPED
    found = planned(path)
    assert found.unfinished is not None
    assert (found.found, found.records, found.steps[0].records, found.faults) == ("ours", 100, 100, ())
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert planned(path).nothing_to_do


def test_the_disk_is_measured_where_the_files_will_be(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", 1000)
    disk = planned(path).disk
    assert disk is not None
    assert disk.backup_bytes == path.stat().st_size
    assert (
        disk.database.needed_bytes
        == disk.backups.needed_bytes
        == (disk.backup_bytes + disk.grows_bytes + disk.wal_bytes + disk.rollups_bytes + disk.reserve_bytes)
    ), "both on one file system"
    assert disk.database.enough == (disk.database.needed_bytes <= disk.database.free_bytes)
    assert (tmp_path / "backups").exists() is False


def test_text_that_is_no_unicode_and_other_encodings_are_read(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "utf16.db", "1.1", 20, encoding="UTF-16le")
    assert {each.model for each in planned(path).metrics[0].by_model} == {"llama3:8b", "mistral", "qwen2.5-coder"}
    path = legacy.make(tmp_path / "broken.db", "1.1", 20)
    execute(path, "UPDATE completion_requests SET model = CAST(x'ff41' AS TEXT), finish_reason = CAST(x'c3' AS TEXT)")
    assert [each.model for each in planned(path).metrics[0].by_model] == ["\ufffdA"]


@pytest.mark.parametrize("rule", ["half AS (total_tokens / 2), model TEXT", "model TEXT UNIQUE"])
def test_rules_of_an_older_table_stand_in_nobodys_way(tmp_path: Path, rule: str) -> None:
    path = tmp_path / "metrics.db"
    execute(
        path,
        "CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT, total_tokens INTEGER CHECK "
        f"(total_tokens > 0), response_time_ms REAL, {rule}, tokens_per_second); "
        "INSERT INTO completion_requests (timestamp, total_tokens, response_time_ms, model) "
        "VALUES ('2025-01-01', 7, 7.0, 'a'), ('2025-01-01', 8, 4.0, 'b')",
    )
    assert shown(planned(path)).overall.after == Figures(2, 1500.0, 1500.0, 1950.0, 0)


def test_what_a_run_would_refuse_the_plan_refuses(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", 2)
    execute(path, "CREATE TABLE rollups (theirs)")
    words, refused = "a table rollups of another program", planned(path)
    assert words in (refused.refusal or "")
    assert (refused.steps, refused.metrics) == ((), ())
    with pytest.raises(MigrationRefusedError, match=words):
        engine.migrate(path, options(path), migrations=MIGRATIONS)


def test_text_that_is_no_unicode_is_migrated_as_the_plan_says(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", 20)
    broken = "CAST(x'ff' AS TEXT)"
    execute(path, f"UPDATE completion_requests SET timestamp = {broken}, model = {broken} WHERE id IN (3, 4)")
    execute(path, f"UPDATE completion_requests SET app_version = {broken} WHERE id = 4")
    found = planned(path)
    assert (found.faults, found.records, found.sample_records) == ((), 20, 20)
    assert sum(stamp.records for stamp in found.stamps if stamp.standing == "unreadable") == 1
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.records_changed) == (Ended.DONE, 20)
    assert gaps(found) == result.run.gaps


def test_what_another_program_has_open_is_read_as_it_is_at_that_moment(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", 30, journal_mode="WAL")
    writer = apsw.Connection(str(path))
    try:
        legacy.insert_rows(writer, "1.1", 10)
        writer.execute("BEGIN IMMEDIATE")
        legacy.insert_rows(writer, "1.1", 5)
        assert planned(path).records == 40, "what is committed, the log included"
        writer.execute("COMMIT")
        assert planned(path).records == 45
    finally:
        writer.close()
