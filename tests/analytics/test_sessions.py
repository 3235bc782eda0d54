"""Sessions over a real database; their sums are DuckDB's over the export."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from msgspec.structs import replace

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import SESSION_ORDERS, SessionList
from llm_metrics_proxy.analytics.sessions import LIVE_S, SessionRow, SessionsQuery, list_sessions, session_row
from llm_metrics_proxy.engines.sqlite import sessions as statements
from llm_metrics_proxy.engines.sqlite.records import SqliteRecords
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export.stream import ExportQuery, export
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.browser.records import write
from tests.browser.session_records import runs
from tests.engines.sqlite.watching import Watching

END: Final = datetime(2026, 3, 2, 12, tzinfo=UTC)
# In SQL that was written apart from ours.
ORACLE: Final = """
SELECT session_id, count(*) AS requests, count(error_category) AS errors,
    epoch_us(min(timestamp)) AS first_us, epoch_us(max(timestamp)) AS last_us,
    max(epoch_us(timestamp) + greatest(round(coalesce(response_time_ms, 0) * 1000)::BIGINT, 1)) AS ended_us,
    sum(prompt_tokens)::BIGINT AS prompt_tokens, sum(completion_tokens)::BIGINT AS completion_tokens,
    sum(total_tokens)::BIGINT AS total_tokens, sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(cached_tokens) FILTER (cached_tokens <= prompt_tokens)
        / sum(prompt_tokens) FILTER (cached_tokens <= prompt_tokens) AS cache_hit_ratio,
    sum(cost_usd) AS cost_usd, count(cost_usd) AS cost_requests,
    count(DISTINCT coalesce(agent_id, '-')) AS agents, list_sort(list_distinct(list(model))) AS models,
    arg_min(app, timestamp) AS app, arg_min("user", timestamp) AS "user"
FROM records WHERE session_id IS NOT NULL AND usage_source <> 'repeated'
GROUP BY session_id ORDER BY session_id
"""


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Database]:
    write(tmp_path / "metrics.db", runs(25, END))
    opened = Database(tmp_path)
    yield opened
    opened.close()


def exported(database: Database, folder: Path) -> duckdb.DuckDBPyConnection:
    file = folder / "all.parquet"
    file.write_bytes(b"".join(piece.data for piece in export(database.records, ExportQuery(format="parquet"))))
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    connection.execute(f"CREATE TABLE records AS SELECT * FROM read_parquet('{file}')")
    return connection


def all_of(database: Database, query: SessionsQuery, now: datetime = END) -> list[SessionRow]:
    rows: list[SessionRow] = []
    while True:
        page = list_sessions(database.records, query, now)
        rows += page.items
        if page.next_cursor is None:
            return rows
        query = replace(query, cursor=page.next_cursor)


def test_every_sum_is_duckdbs_over_the_export(day: Database, tmp_path: Path) -> None:
    found = {row.session_id: row for row in all_of(day, SessionsQuery(limit=7))}
    oracle = exported(day, tmp_path).execute(ORACLE)
    assert oracle.description is not None
    names = [column[0] for column in oracle.description]
    theirs = [dict(zip(names, row, strict=True)) for row in oracle.fetchall()]
    assert len(theirs) == len(found) == 28
    for row in theirs:
        ours = found[row["session_id"]]
        for name in ("requests", "errors", "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens",
                     "agents", "app", "user", "cost_requests"):  # fmt: skip
            assert getattr(ours, name) == row[name], name
        assert ours.cost_usd == pytest.approx(row["cost_usd"], abs=1e-9)
        assert ours.cache_hit_ratio == pytest.approx(row["cache_hit_ratio"])
        assert list(ours.models) == row["models"]
        assert ours.duration_ms == (row["ended_us"] - row["first_us"]) / 1000


@pytest.mark.parametrize("order", SESSION_ORDERS)
def test_any_order_has_every_session_once_and_missing_values_last(database: Database, order: str) -> None:
    for number in range(30):
        known = {"cached_tokens": number % 4 * 3, "app": f"app {number % 3}", "user": "u"} if number % 5 else {}
        told: dict[str, Any] = {"cost_usd": number / 7} if number % 5 else {}
        record = a_record(number, session_id=f"s{number % 12}", model=f"m{number % 5}", **known)
        database.append([a_row(record, **told)])
    for direction in ("", "-"):
        rows = all_of(database, SessionsQuery(order=f"{direction}{order}", limit=5))
        assert sorted(row.session_id for row in rows) == sorted(f"s{number}" for number in range(12))
        field = len if order == "models" else None
        values = [getattr(row, order) for row in rows]
        known_values = [field(value) if field else value for value in values if value is not None]
        assert known_values == sorted(known_values, reverse=direction == "-")
        assert values[len(known_values) :] == [None] * (len(rows) - len(known_values))


def test_a_session_with_one_selected_request_is_shown_whole(database: Database) -> None:
    database.add(*(a_record(hour * 3600, session_id="long", model="ab"[hour % 2]) for hour in range(6)))
    database.add(a_record(0, session_id="short"), a_record(3 * 3600))
    for selection in (
        RequestFilter(start=NOON + timedelta(hours=3), end=NOON + timedelta(hours=4)),
        RequestFilter(model="b"),
        RequestFilter(session_id="long", model="a"),
    ):
        (row,) = all_of(database, SessionsQuery(filter=selection))
        assert (row.session_id, row.requests, row.total_tokens) == ("long", 6, 666)
    idle = RequestFilter(start=NOON + timedelta(minutes=5), end=NOON + timedelta(minutes=50))
    assert all_of(database, SessionsQuery(filter=idle)) == []


RANGES: Final = [
    RequestFilter(start=start, end=end)
    for start in (None, NOON + timedelta(hours=2), NOON + timedelta(hours=90))
    for end in (None, NOON + timedelta(hours=3), NOON + timedelta(hours=99))
    if start is None or end is None or start < end
]


@pytest.mark.parametrize("selection", RANGES)
def test_both_ways_to_find_the_sessions_of_a_range_find_the_same(database: Database, selection: RequestFilter) -> None:
    database.add(*(a_record(hour * 3600, session_id=f"s{hour % 17}") for hour in range(0, 120, 3)))
    asked = SessionList(selection, "requests", True, None, 100)
    both = [statements.order(asked, whole_pass=way) for way in (True, False)]
    walked, looked_up = (database.reader.query(one.sql, one.parameters) for one in both)
    assert walked == looked_up


@pytest.mark.parametrize("order", [one for one in SESSION_ORDERS if one not in ("app", "user")])
def test_no_record_is_read_to_sort_sessions_nor_is_any_sorted(database: Database, order: str) -> None:
    watching = Watching(database.reader)
    SqliteRecords(watching).sessions(SessionList(RequestFilter(), order, True, None, 10))
    plan = watching.plans()[-1]
    assert "COVERING INDEX records_by_session" in plan
    assert "GROUP BY" not in plan


def test_a_session_is_live_for_five_minutes_after_its_last_answer(database: Database) -> None:
    database.add(a_record(0, session_id="s"))
    ended = NOON + timedelta(milliseconds=1125)
    for after_s, live in ((0, True), (LIVE_S - 1, True), (LIVE_S, False), (LIVE_S + 1, False)):
        row = session_row(database.records, "s", ended + timedelta(seconds=after_s))
        assert row is not None
        assert row.is_live is live


def test_tokens_that_another_record_counts_are_in_no_sum(database: Database) -> None:
    database.add(a_record(0, session_id="s"), a_record(1, session_id="s", usage_source="repeated"))
    row = session_row(database.records, "s", END)
    assert row is not None
    assert (row.requests, row.total_tokens) == (2, 111)


HOSTILE: Final = ("..", "a/b", "'; DROP TABLE completion_requests --", "%", "日本 語", "\\", '"', "🦙" * 64, "x" * 256)


@pytest.mark.parametrize("order", ["total_tokens", "-app", "-last_request"])
def test_ids_may_hold_anything(database: Database, order: str) -> None:
    database.add(*(a_record(number, session_id=name, app=name) for number, name in enumerate(HOSTILE)))
    assert {row.session_id for row in all_of(database, SessionsQuery(order=order, limit=2))} == set(HOSTILE)
    for name in HOSTILE:
        row = session_row(database.records, name, END)
        assert row is not None
        assert (row.session_id, row.requests) == (name, 1)


@pytest.mark.parametrize(
    ("made", "parameter"),
    [
        (lambda: SessionsQuery(order="tokens"), "order"),
        (lambda: SessionsQuery(order="--requests"), "order"),
        (lambda: SessionsQuery(limit=0), "limit"),
        (lambda: SessionsQuery(limit=201), "limit"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(made: Callable[[], Any], parameter: str) -> None:
    with pytest.raises(QueryError) as refused:
        made()
    assert refused.value.parameter == parameter


def test_a_cursor_that_is_none_or_of_another_order_is_refused(database: Database) -> None:
    database.add(*(a_record(number, session_id=f"s{number}") for number in range(3)))
    cursor = list_sessions(database.records, SessionsQuery(limit=1), END).next_cursor
    assert cursor is not None
    for wrong in ("", "x", cursor[:-1], cursor[1:], "é", "AAAA"):
        with pytest.raises(QueryError, match="not a cursor"):
            list_sessions(database.records, SessionsQuery(cursor=wrong), END)
    with pytest.raises(QueryError, match="belongs to the order '-total_tokens'"):
        list_sessions(database.records, SessionsQuery(cursor=cursor, order="requests"), END)
