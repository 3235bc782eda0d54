from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.source import Needs
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import NOON

HOUR = timedelta(hours=1)
FACTS = PlanningContext((NOON - 5 * HOUR, NOON - HOUR), NOON)


def test_an_open_range_is_from_the_oldest_record_to_now() -> None:
    current = plan(Query(), FACTS).current
    assert (current.start, current.end) == (NOON - 5 * HOUR, NOON)
    assert current.filter == RequestFilter()  # records without a readable time count too


def test_a_record_of_the_future_is_within_an_open_range() -> None:
    current = plan(Query(), PlanningContext((NOON, NOON + HOUR), NOON)).current
    assert current.end == NOON + HOUR


def test_an_empty_database_has_no_range_and_one_that_is_asked_for_has() -> None:
    empty = PlanningContext(None, NOON)
    assert plan(Query(group_by=("time",)), empty).current.start is None
    current = plan(Query(group_by=("time",), filter=RequestFilter(start=NOON - HOUR), bucket="15m"), empty).current
    assert (current.start, current.end, len(current.buckets)) == (NOON - HOUR, NOON, 4)


def test_a_start_in_the_future_gives_an_empty_range() -> None:
    current = plan(Query(filter=RequestFilter(start=NOON + HOUR)), FACTS).current
    assert current.start == current.end == NOON + HOUR


def test_a_naive_time_is_utc() -> None:
    naive = RequestFilter(start=datetime(2026, 3, 1, 9), end=datetime(2026, 3, 1, 10))
    assert plan(Query(filter=naive), FACTS).current.start == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_a_bucket_is_chosen_where_none_is_named() -> None:
    assert plan(Query(group_by=("time",)), FACTS).query.bucket == "5m"
    assert plan(Query(group_by=("time",), bucket="hour"), FACTS).query.bucket == "hour"
    assert plan(Query(), FACTS).query.bucket is None


def test_only_what_is_asked_for_is_cut() -> None:
    assert plan(Query(group_by=("model",)), FACTS).current.buckets == ()
    assert plan(Query(group_by=("time",)), FACTS).current.segments == ()
    assert len(plan(Query(group_by=("weekday",)), FACTS).current.segments) == 1


def test_a_range_of_millennia_is_too_long_to_tell_hours_in() -> None:
    ever = RequestFilter(start=datetime(1, 1, 1, tzinfo=UTC), end=datetime(9999, 1, 1, tzinfo=UTC))
    with pytest.raises(QueryError, match="use a shorter one") as error:
        plan(Query(group_by=("hour_of_day",), filter=ever, timezone="Europe/Berlin"), FACTS)
    assert error.value.parameter == "end"
    until_now = replace(ever, end=NOON)
    assert (
        len(plan(Query(group_by=("weekday",), filter=until_now, timezone="Europe/Berlin"), FACTS).current.segments)
        < 300
    )


def test_all_metrics_needs_are_collected() -> None:
    query = Query(metrics=("success_rate", "response_time_ms.p95", "total_tokens", "concurrency_max"))
    assert plan(query, FACTS).current.needs == Needs(
        counts=frozenset({"succeeded", "failed"}),
        moments=frozenset({"response_time_ms", "total_tokens"}),
        quantiles=frozenset({("response_time_ms", 0.95)}),
        peak=True,
    )


def test_the_period_before_is_planned_alike() -> None:
    asked = RequestFilter(start=NOON - 2 * HOUR, end=NOON, model="a")
    planned = plan(Query(filter=asked, compare=True, group_by=("time",), bucket="15m"), FACTS)
    assert planned.previous is not None
    assert planned.previous.filter == replace(asked, start=NOON - 4 * HOUR, end=NOON - 2 * HOUR)
    assert len(planned.previous.buckets) == len(planned.current.buckets) == 8
    assert planned.previous.needs == planned.current.needs
    assert planned.plans == (planned.current, planned.previous)


def test_before_the_calendar_there_is_no_period() -> None:
    asked = RequestFilter(start=datetime(1, 1, 3, tzinfo=UTC), end=NOON)
    with pytest.raises(QueryError, match="the period before would begin before the calendar does"):
        plan(Query(filter=asked, compare=True), FACTS)


def test_at_the_end_of_the_calendar_the_end_is_to_blame() -> None:
    asked = RequestFilter(start=datetime(9999, 12, 30, tzinfo=UTC), end=datetime(9999, 12, 31, tzinfo=UTC))
    with pytest.raises(QueryError, match="the range ends where the calendar does") as raised:
        plan(Query(filter=asked, compare=True), FACTS)
    assert raised.value.parameter == "end"


def test_only_an_order_that_times_cannot_tell_is_asked_for_apart() -> None:
    by_both = Query(metrics=("requests", "response_time_ms.p95"), group_by=("time", "model"))
    assert plan(by_both, FACTS).ranking is None
    ranking = plan(replace(by_both, order="-response_time_ms.p95"), FACTS).ranking
    assert ranking is not None
    assert ranking.group_by == ("model",)
    assert plan(replace(by_both, order="model"), FACTS).ranking is None
    assert plan(Query(metrics=("response_time_ms.p95",), group_by=("model",)), FACTS).ranking is None
