"""Costs: months of the caller's zone, a plain projection, and the same work side by side; all as DuckDB has it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from llm_metrics_proxy.analytics.costs import Costs, CostsQuery, month_of, read_costs
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.requests import MAX_LIMIT, list_requests
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import Database
from tests.browser.test_costs import write

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("costs")
    write(folder / "metrics.db", NOW, days=60, each=6)
    database = Database(folder)
    yield database
    database.close()


def asked(database: Database, **query: Any) -> Costs:
    return read_costs(database.records.sources(), CostsQuery(**query), NOW)


@pytest.fixture(scope="module")
def witness(database: Database) -> duckdb.DuckDBPyConnection:
    """The exported records."""
    names = ("timestamp", "model", "cost_usd", "cost_source", "total_tokens", "prompt_tokens", "cached_tokens",
             "cache_savings_usd", "session_id", "cache_miss_reason", "cache_missed_tokens")  # fmt: skip
    rows, cursor = [], None
    while True:
        page = list_requests(database.records, RequestFilter(), limit=MAX_LIMIT, cursor=cursor)
        rows += [tuple(item[name] for name in names) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    connection = duckdb.connect()
    connection.execute("SET timezone = 'Europe/Berlin'")
    columns = ", ".join(
        f"{name} {'DOUBLE' if name.endswith('_usd') else 'BIGINT' if name.endswith('tokens') else 'VARCHAR'}"
        for name in names
    )
    connection.execute(f"CREATE TABLE records ({columns})")
    connection.executemany(f"INSERT INTO records VALUES ({', '.join('?' * len(names))})", rows)
    return connection


def test_months_and_the_month_to_date_equal_what_duckdb_says(
    database: Database, witness: duckdb.DuckDBPyConnection
) -> None:
    found = asked(database, timezone="Europe/Berlin")
    wanted = dict(
        witness.execute(
            "SELECT strftime(timestamp::TIMESTAMPTZ, '%Y-%m'), sum(cost_usd) FROM records GROUP BY 1"
        ).fetchall()
    )
    ours = {
        f"{month.start.astimezone(BERLIN):%Y-%m}": month.values["cost_usd"].value
        for month in found.months
        if month.values["requests"].value
    }
    assert ours == pytest.approx(wanted)
    assert len(found.months) == 12
    assert found.month == found.months[-1]
    assert found.month.start == datetime(2026, 10, 31, 23, tzinfo=UTC)  # midnight in Berlin
    assert found.start == found.month.start


def test_the_same_work_on_each_model_equals_what_duckdb_says(
    database: Database, witness: duckdb.DuckDBPyConnection
) -> None:
    found = asked(database, filter=RequestFilter(start=NOW - timedelta(days=90), end=NOW))
    rows = witness.execute(
        "SELECT model, avg(cost_usd), 1e6 * sum(cost_usd) / sum(total_tokens), "
        "sum(cost_usd) / count(DISTINCT session_id), sum(cost_usd) FILTER (cost_source = 'own_hardware'), "
        "sum(cached_tokens) / sum(prompt_tokens) FILTER (cached_tokens IS NOT NULL), sum(cache_savings_usd) "
        "FROM records GROUP BY model ORDER BY sum(cost_usd) DESC"
    ).fetchall()
    names = ("cost_per_request_usd", "cost_per_mtok_usd", "cost_per_session_usd", "estimated_cost_usd",
             "cache_hit_ratio", "cache_savings_usd")  # fmt: skip
    assert len(rows) == 3
    for ours, (model, *wanted) in zip(found.rows, rows, strict=True):
        assert ours.key == {"model": model}
        assert [ours.values[name].value for name in names] == pytest.approx(wanted)
        assert ours.values["cost_per_1000_requests_usd"].value == pytest.approx(1000 * wanted[0])


def test_misses_are_told_by_the_servers_reason(database: Database, witness: duckdb.DuckDBPyConnection) -> None:
    found = asked(database, filter=RequestFilter(start=NOW - timedelta(days=90), end=NOW))
    wanted = witness.execute(
        "SELECT cache_miss_reason, count(*), sum(cache_missed_tokens) FROM records "
        "WHERE cache_miss_reason IS NOT NULL GROUP BY 1"
    ).fetchall()
    assert [
        (row.key["cache_miss_reason"], row.values["requests"].value, row.values["cache_missed_tokens"].value)
        for row in found.misses
    ] == wanted


def test_the_projection_is_what_was_spent_and_for_the_rest_the_mean_of_seven_days(
    database: Database, witness: duckdb.DuckDBPyConnection
) -> None:
    found = asked(database)
    between = "SELECT sum(cost_usd) FROM records WHERE timestamp >= ? AND timestamp < ?"

    def spent(start: datetime) -> float:
        (value,) = witness.execute(between, [start.strftime("%Y-%m-%dT%H:%M:%S"), "2026-11-20T12"]).fetchall()[0]
        return float(value)

    left_days = 10.5  # of November
    week = spent(NOW - timedelta(days=7))
    assert found.projection.basis_days == 7
    assert found.projection.cost_usd == pytest.approx(spent(datetime(2026, 11, 1, tzinfo=UTC)) + week / 7 * left_days)


def test_of_less_than_a_day_there_is_no_projection(tmp_path: Path) -> None:
    write(tmp_path / "metrics.db", NOW, days=1, each=9)
    database = Database(tmp_path)
    projection = asked(database).projection
    database.close()
    assert (projection.cost_usd, projection.basis_days < 1) == (None, True)


def test_without_records_all_is_unknown_and_nothing_is_0(tmp_path: Path) -> None:
    database = Database(tmp_path)
    found = asked(database)
    database.close()
    assert found.projection.cost_usd is found.month.values["cost_usd"].value is None
    assert (found.rows, found.misses) == ([], [])


@pytest.mark.parametrize("wrong", [{"timezone": "Mars"}, {"by": ("modle",)}, {"limit": 0}])
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QueryError):
        CostsQuery(**wrong)


def test_a_month_begins_with_the_zone_s_own_midnight() -> None:
    assert month_of(datetime(2026, 3, 31, 22, 30, tzinfo=UTC), BERLIN) == datetime(2026, 3, 31, 22, tzinfo=UTC)
    assert month_of(datetime(2026, 1, 5, tzinfo=UTC), BERLIN, -1) == datetime(2025, 11, 30, 23, tzinfo=UTC)
    assert month_of(datetime(2026, 12, 5, tzinfo=UTC), ZoneInfo("UTC"), 1) == datetime(2027, 1, 1, tzinfo=UTC)
