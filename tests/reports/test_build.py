from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw
import duckdb
import pytest

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.engines.sqlite import rollup_range
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export import ExportQuery, export
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.reports import rendered
from llm_metrics_proxy.reports.build import ReportQuery, available, settled
from llm_metrics_proxy.reports.model import Report
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.carried import CarriedCounts, write_carried
from llm_metrics_proxy.storage.retention import prune_some
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from tests.analytics.database import NOON, Database, a_record
from tests.reports.traffic import HOSTILE, NOW, hostile, report_of, two_weeks


def values(report: Report) -> dict[str, tuple[float | None, int, float | None]]:
    return {one.name: (one.value, one.n, one.previous) for one in report.figures}


def test_without_a_start_it_is_about_the_last_week_up_to_now(database: Database) -> None:
    two_weeks(database)
    report = report_of(database)
    assert (report.start, report.end) == ("2026-03-01T12:00:00.000000Z", "2026-03-08T12:00:00.000000Z")
    assert report.previous_start == "2026-02-22T12:00:00.000000Z"
    assert (report.records, report.bucket, report.app_version) == (168, "hour", APP_VERSION)


def test_figures_stand_beside_those_of_the_period_before(database: Database) -> None:
    two_weeks(database)
    found = values(report_of(database))
    assert found["requests"] == (168, 168, 168)
    assert found["success_rate"] == (156 / 168, 168, 1.0)
    assert found["prompt_tokens"] == (1560, 156, 1680)
    assert found["time_to_first_token_ms.p95"] == (120.0, 156, 120.0)


def test_the_figures_are_those_that_another_database_calculates_from_the_export(database: Database) -> None:
    two_weeks(database)
    chosen = RequestFilter(start=NOON, end=NOW)
    path = database.path.with_suffix(".parquet")
    path.write_bytes(
        b"".join(piece.data for piece in export(database.records, ExportQuery(format="parquet", filter=chosen)))
    )
    relation = duckdb.sql(
        "SELECT count(*), avg(success::INT), quantile_cont(response_time_ms, 0.5), "
        "quantile_cont(response_time_ms, 0.95), "
        f"sum(completion_tokens)::BIGINT FROM '{path}'"
    )
    assert relation is not None
    found = values(report_of(database))
    names = ("requests", "success_rate", "response_time_ms.p50", "response_time_ms.p95", "completion_tokens")
    (witness,) = relation.fetchall()
    assert [found[name][0] for name in names] == pytest.approx(list(witness))


def test_outcomes_over_time_add_up_to_all_requests(database: Database) -> None:
    two_weeks(database)
    chart = report_of(database).charts[0]
    assert chart.series == ["completed", "upstream_error"]
    assert len(chart.points) == 168
    assert [sum(values) for values in zip(*(point.values for point in chart.points), strict=True)] == [156, 12]
    assert all(sum(value or 0 for value in point.values) == point.requests for point in chart.points)


def test_charts_are_cut_by_the_calendar_of_the_zone(database: Database) -> None:
    database.add(*(a_record(number * 86_400) for number in range(-400, 0)))
    report = report_of(database, NOON, timezone="Asia/Kolkata", filter={"start": NOON - timedelta(days=400)})
    assert report.bucket == "week"
    assert all(point.start.endswith("18:30:00Z") for point in report.charts[0].points)


def test_what_nobody_has_makes_no_chart_and_no_table(database: Database) -> None:
    database.add(
        a_record(3600, time_to_first_token_ms=None, prompt_tokens=None, completion_tokens=None, total_tokens=None)
    )
    report = report_of(database)
    assert [chart.name for chart in report.charts] == ["outcomes", "response_time"]
    assert [table.dimension for table in report.tables] == ["model"]


def test_the_busiest_come_first_and_the_others_are_one_line(database: Database) -> None:
    two_weeks(database)
    tables = {table.dimension: table for table in report_of(database).tables}
    models = tables["model"]
    assert [(group.key, group.share) for group in models.groups] == [("llama3.1:8b", 0.75), ("qwen", 0.25)]
    assert models.groups[0].cells[models.metrics.index("requests")].value == 126
    users = tables["user"].groups
    assert len(users) == 9
    assert (users[-1].key, users[-1].merged, users[-1].share) == (
        None,
        5,
        4 / 12,
    )  # with those of the week before, that named no user


def test_errors_come_with_what_to_do_and_the_slowest_come_first(database: Database) -> None:
    two_weeks(database)
    report = report_of(database)
    assert (report.errors.errors, report.errors.types[0].type) == (12, "overloaded")
    assert report.errors.types[0].advice
    times = [one["response_time_ms"] for one in report.slowest]
    assert times == [1167.0 - number for number in range(10)]


def test_history_that_is_not_carried_over_yet_is_told(database: Database) -> None:
    database.add(a_record(0))
    assert report_of(database).history is None
    with closing(apsw.Connection(str(database.path))) as connection:
        write_carried(connection, CarriedCounts(250, 1000, "2026-02-01T00:00:00.000000Z"))
    history = report_of(database).history
    assert history is not None
    assert (history.carried, history.records, history.complete_from) == (250, 1000, "2026-02-01T00:00:00.000000Z")


def test_a_filter_holds_for_every_part(database: Database) -> None:
    two_weeks(database)
    report = report_of(database, filter={"model": "qwen"})
    assert report.records == 42
    assert report.errors.requests == 42
    assert {one["model"] for one in report.slowest} == {"qwen"}
    assert sum(point.requests for point in report.charts[0].points) == 42


def test_an_empty_database_makes_a_report_all_the_same(database: Database) -> None:
    report = report_of(database)
    assert (report.records, report.slowest, report.tables, report.errors.errors) == (0, [], [], 0)
    assert values(report)["requests"][0] == 0
    assert values(report)["response_time_ms.p50"] == (None, 0, None)


def test_whatever_strangers_wrote_it_can_be_made(database: Database) -> None:
    hostile(database)
    report = report_of(database)
    assert report.records == len(HOSTILE)
    assert {group.key for table in report.tables for group in table.groups} & set(HOSTILE)


def test_a_range_that_cannot_be_is_refused() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with pytest.raises(QueryError, match="start must be before the end of the report"):
        settled(RequestFilter(start=now), now)
    with pytest.raises(QueryError, match="before the calendar does"):
        settled(RequestFilter(end=datetime(1, 1, 2, tzinfo=UTC)), now)
    with pytest.raises(QueryError, match="IANA"):
        ReportQuery(timezone="Mars/Olympus")


def test_metrics_that_this_version_lacks_are_left_out() -> None:
    assert available(["requests", "no_such_metric.p50", "success_rate"]) == ("requests", "success_rate")


def test_after_pruning_all_parts_of_a_report_still_count_the_same_requests(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 0)
    two_weeks(database)
    whole_days = {"start": datetime(2026, 3, 1, tzinfo=UTC)}
    before = report_of(database, filter=dict(whole_days))
    connection = apsw.Connection(str(database.path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with connection:
        add(connection, gather(connection, read_state(connection), 10_000))
    with connection:
        assert prune_some(connection, int(datetime(2026, 3, 5, tzinfo=UTC).timestamp()), 10_000)
    connection.close()
    after = report_of(database, filter=dict(whole_days))
    assert (before.pruned_before, after.pruned_before) == (None, "2026-03-05T00:00:00.000000Z")
    assert after.records == before.records
    for table in after.tables:
        assert sum(group.cells[0].n for group in table.groups) == after.records, table.title
    assert values(after)["requests"] == values(before)["requests"]
    assert "concurrency_max" not in values(after)  # what is left says nothing of it
    assert len(after.slowest) <= len(before.slowest)
    for form in ("html", "md"):
        assert "deleted by the retention" in rendered(after, form).decode()
        assert "deleted by the retention" not in rendered(before, form).decode()


def test_a_long_range_is_answered_by_roll_ups_but_for_what_only_records_know(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 0)
    two_weeks(database)
    connection = apsw.Connection(str(database.path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with connection:
        add(connection, gather(connection, read_state(connection), 10_000))
    connection.close()
    asked: list[tuple[str, ...]] = []
    read = RecordsSource.read

    def told(self: RecordsSource, plans: Any) -> Any:
        asked.extend(tuple(sorted(plan.needs.moments)) for plan in plans)
        return read(self, plans)

    monkeypatch.setattr(RecordsSource, "read", told)
    report = report_of(database)
    assert report.source == "both"
    # What changed is tested against noise, for which records are read; it has a bound of time of its own.
    moved = ("cost_usd", "output_tokens_per_second", "response_time_ms", "time_to_first_token_ms")
    others = [one for one in asked if one != moved]
    assert others == [("response_time_ms",)] * 2  # the peak of concurrency, of both periods
