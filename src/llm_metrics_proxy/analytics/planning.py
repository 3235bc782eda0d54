"""From a query to plans: small steps, each a pure function that settles one thing.

What a query leaves open (where the range ends, how long a bucket is) is settled here, from the span of the records and
the time given. The period before is planned by the same steps.
"""

from collections.abc import Callable
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from llm_metrics_proxy.analytics.calendar import buckets, period_before, segments, shortest_bucket
from llm_metrics_proxy.analytics.filters import RequestFilter, aware
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.source import Needs, Plan
from llm_metrics_proxy.errors import QueryError

MAX_SEGMENTS: Final = 2000  # of constant offset: some thousand years, and far below SQLite's number of parameters


class Facts(msgspec.Struct, frozen=True):
    """What planning has to know beside the query: the span of what is stored, and the time it is."""

    span: tuple[datetime, datetime] | None
    now: datetime


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """``query`` with its bucket settled. ``ranking``: the groups without their times, where only records can tell
    their order: a percentile of all is none of percentiles."""

    query: Query
    current: Plan
    previous: Plan | None = None
    ranking: Plan | None = None

    @property
    def plans(self) -> tuple[Plan, ...]:
        """All, in the order of the fields."""
        return tuple(plan for plan in (self.current, self.previous, self.ranking) if plan is not None)


def resolve_range(plan: Plan, _: Query, facts: Facts) -> Plan:
    """An open start is the oldest record, an open end is now, or the newest record where a clock was ahead."""
    start, end = plan.filter.start, plan.filter.end
    if facts.span is not None:
        oldest, newest = facts.span
        start = oldest if start is None else start
        end = max(newest, facts.now) if end is None else end
    if start is None:
        return plan
    start = aware(start)
    return replace(plan, start=start, end=max(start, aware(facts.now if end is None else end)))


def cut_buckets(plan: Plan, query: Query, _: Facts) -> Plan:
    """The buckets of the dimension ``time``."""
    if "time" not in plan.group_by or plan.start is None or plan.end is None or query.bucket is None:
        return plan
    return replace(plan, buckets=buckets(plan.start, plan.end, query.bucket, ZoneInfo(query.timezone)))


def cut_segments(plan: Plan, query: Query, _: Facts) -> Plan:
    """Where hours and weekdays count from. Raises ``QueryError``."""
    if not {"hour_of_day", "weekday"} & set(plan.group_by) or plan.start is None or plan.end is None:
        return plan
    found = segments(plan.start, plan.end, ZoneInfo(query.timezone))
    if len(found) > MAX_SEGMENTS:
        raise QueryError("end", "clocks change too often in so long a range to tell its hours; ask for a shorter one")
    return replace(plan, segments=found)


def collect_needs(plan: Plan, query: Query, _: Facts) -> Plan:
    """What all metrics together have to know of a group."""
    return replace(plan, needs=reduce(or_, (measure(name).needs for name in query.metrics), plan.needs))


STEPS: Final[tuple[Callable[[Plan, Query, Facts], Plan], ...]] = (
    resolve_range,
    cut_buckets,
    cut_segments,
    collect_needs,
)


def _settled(selection: RequestFilter, group_by: tuple[str, ...], query: Query, facts: Facts) -> Plan:
    plan = Plan(filter=selection, start=None, end=None, group_by=group_by, needs=Needs(), slos=query.slos)
    return reduce(lambda plan, step: step(plan, query, facts), STEPS, plan)


def choose_bucket(query: Query, facts: Facts) -> Query:
    """Where the query names none: one that suits the range."""
    if "time" not in query.group_by or query.bucket is not None:
        return query
    whole = resolve_range(_settled(query.filter, (), query, facts), query, facts)
    if whole.start is None or whole.end is None:
        return replace(query, bucket="hour")
    return replace(query, bucket=shortest_bucket(whole.start, whole.end))


def previous_filter(current: Plan, query: Query) -> RequestFilter:
    """The same conditions for the period before. Raises ``QueryError`` if there is none."""
    assert current.start is not None
    assert current.end is not None
    try:
        before = period_before(current.start, current.end, ZoneInfo(query.timezone))
        return replace(current.filter, start=before, end=current.start)
    except (OverflowError, ValueError) as error:
        raise QueryError("start", "the period before would begin before the calendar does") from error


def ranks_by_records(query: Query) -> bool:
    """Whether the order of groups in time cannot be had from their times."""
    if "time" not in query.group_by or len(query.group_by) == 1:
        return False
    name = (query.order or query.metrics[0]).removeprefix("-")
    return name in query.metrics and bool(measure(name).needs.quantiles or measure(name).needs.peak)


def plan(query: Query, facts: Facts) -> Planned:
    """Settle everything. Raises ``QueryError``."""
    query = choose_bucket(query, facts)
    current = _settled(query.filter, query.group_by, query, facts)
    previous = ranking = None
    if query.compare and current.start is not None and current.end is not None and current.start < current.end:
        previous = _settled(previous_filter(current, query), query.group_by, query, facts)
    if ranks_by_records(query):
        groups = tuple(name for name in query.group_by if name != "time")
        ranking = _settled(query.filter, groups, query, facts)
    return Planned(query=query, current=current, previous=previous, ranking=ranking)
