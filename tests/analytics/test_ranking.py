from datetime import timedelta
from typing import Any

import pytest

from llm_metrics_proxy.analytics import ranking
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import NOON, Database, a_record

HOUR = timedelta(hours=1)
THREE_HOURS = RequestFilter(start=NOON, end=NOON + 3 * HOUR)


@pytest.fixture
def asked(database: Database) -> Any:
    """Four models: a has most requests, b the slowest, c both its requests late, and one that is not named."""
    database.add(
        *(a_record(number, model="a", response_time_ms=100.0, total_tokens=10) for number in range(6)),
        *(a_record(3600 + number, model="b", response_time_ms=9000.0, total_tokens=None) for number in range(3)),
        *(a_record(7200 + number, model="c", response_time_ms=500.0, total_tokens=1) for number in range(2)),
        a_record(0, model=None, response_time_ms=None, total_tokens=5),
    )

    def ask_it(**shape: Any) -> Result:
        return ask([RecordsSource(database.reader)], Query(**{"filter": THREE_HOURS, **shape}), NOON + 3 * HOUR)

    return ask_it


def models(result: Result) -> list[Any]:
    return [row.key["model"] if not row.merged else row.merged for row in result.rows]


@pytest.mark.parametrize(
    ("metrics", "order", "expected"),
    [
        (("requests",), None, ["a", "b", "c", None]),
        (("requests",), "requests", [None, "c", "b", "a"]),
        (("response_time_ms.p50", "requests"), None, ["b", "c", "a", None]),  # what is missing is last
        (("response_time_ms.p50",), "response_time_ms.p50", ["a", "c", "b", None]),
        (("requests", "total_tokens"), "-total_tokens", ["a", None, "c", "b"]),
        (("requests",), "model", ["a", "b", "c", None]),
        (("requests",), "-model", [None, "c", "b", "a"]),
    ],
)
def test_groups_come_in_the_order_asked_for(
    asked: Any, metrics: tuple[str, ...], order: str | None, expected: list[Any]
) -> None:
    assert models(asked(metrics=metrics, group_by=("model",), order=order)) == expected


def test_what_the_limit_leaves_out_is_one_row_of_what_adds_up(asked: Any) -> None:
    metrics = (
        "requests",
        "success_rate",
        "total_tokens",
        "response_time_ms.max",
        "response_time_ms.p50",
        "concurrency_max",
    )
    result = asked(metrics=metrics, group_by=("model",), limit=1)
    assert models(result) == ["a", 3]
    others = {name: (one.value, one.n) for name, one in result.rows[1].values.items()}
    assert others == {
        "requests": (6, 6),
        "success_rate": (1.0, 6),
        "total_tokens": (7, 3),
        "response_time_ms.max": (9000.0, 5),
        "response_time_ms.p50": (None, 5),  # a percentile of all is none of percentiles
        "concurrency_max": (None, 5),
    }
    assert result.rows[1].key == {"model": None}


def test_in_time_the_limit_keeps_whole_series_and_every_bucket(asked: Any) -> None:
    result = asked(group_by=("time", "model"), bucket="hour", limit=2)
    assert [(row.key["time"], row.merged or row.key["model"], row.values["requests"].value) for row in result.rows] == [
        ("2026-03-01T12:00:00Z", "a", 6),
        ("2026-03-01T12:00:00Z", "b", 0),
        ("2026-03-01T12:00:00Z", 2, 1),
        ("2026-03-01T13:00:00Z", "a", 0),
        ("2026-03-01T13:00:00Z", "b", 3),
        ("2026-03-01T13:00:00Z", 2, 0),
        ("2026-03-01T14:00:00Z", "a", 0),
        ("2026-03-01T14:00:00Z", "b", 0),
        ("2026-03-01T14:00:00Z", 2, 2),
    ]


def test_series_can_be_ordered_by_a_percentile_of_all_their_time(asked: Any) -> None:
    result = asked(metrics=("response_time_ms.p50",), group_by=("time", "model"), bucket="hour", limit=2)
    assert models(result)[:3] == ["b", "c", 2]


def test_time_can_run_backwards_and_buckets_can_be_ordered_by_value(asked: Any) -> None:
    backwards = asked(group_by=("time",), bucket="hour", order="-time")
    assert [row.values["requests"].value for row in backwards.rows] == [2, 3, 7]
    smallest = asked(group_by=("time",), bucket="hour", order="requests")
    assert [row.values["requests"].value for row in smallest.rows] == [2, 3, 7]
    largest = asked(group_by=("time",), bucket="hour", order="-requests")
    assert [row.values["requests"].value for row in largest.rows] == [7, 3, 2]


def test_what_has_an_order_of_its_own_comes_in_it(asked: Any) -> None:
    hours = asked(group_by=("hour_of_day",))
    assert [row.key["hour_of_day"] for row in hours.rows] == [12, 13, 14]
    bins = asked(group_by=("bin:response_time_ms",))
    assert [row.key["bin:response_time_ms"] for row in bins.rows] == [100.0, 500.0, 7000.0, None]


def test_buckets_of_nothing_have_no_request_and_nothing_else(asked: Any) -> None:
    empty = RequestFilter(start=NOON - 2 * HOUR, end=NOON)
    result = asked(metrics=("requests", "success_rate", "total_tokens", "response_time_ms.p50"), group_by=("time",),
                   bucket="hour", filter=empty)  # fmt: skip
    for row in result.rows:
        assert [one.value for one in row.values.values()] == [0, None, None, None]
        assert {one.coverage for one in row.values.values()} == {None}
    assert len(result.rows) == 2
    assert asked(group_by=("model",), filter=empty).rows == []
    assert [row.values["requests"].value for row in asked(filter=empty).rows] == [0]


def test_more_rows_than_anybody_reads_are_refused(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MAX_ROWS_IN_TIME", 11)
    with pytest.raises(QueryError, match=r"4 groups in 3 buckets are too many rows .*lower limit"):
        asked(group_by=("time", "model"), bucket="hour")


def test_a_model_that_is_gone_stands_last_with_what_it_was(asked: Any) -> None:
    now = RequestFilter(start=NOON + 2 * HOUR, end=NOON + 3 * HOUR)
    result = asked(group_by=("model",), filter=now, compare=True)
    assert [
        (row.key["model"], row.values["requests"].value, row.values["requests"].previous) for row in result.rows
    ] == [
        ("c", 2, 0),
        ("b", 0, 3),
    ]
