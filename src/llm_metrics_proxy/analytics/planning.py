"""From a query to plans: small steps, each a pure function that settles one thing.

What a query leaves open (where the range ends, how long a bucket is) is settled here, from the span of the records and
the time given. The period before is planned by the same steps.
"""

from collections.abc import Callable
from datetime import UTC, datetime
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
from llm_metrics_proxy.analytics.source import Needs, QueryPlan
from llm_metrics_proxy.errors import QueryError

MAX_SEGMENTS: Final = 2000  # of constant offset: some thousand years, and far below SQLite's number of parameters


class PlanningContext(msgspec.Struct, frozen=True):
    """What planning needs besides the query: the span of the stored records, and the time."""

    span: tuple[datetime, datetime] | None
    now: datetime


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """``query`` with its bucket settled. ``ranking``: the groups without their times, if only records know
    their order: a percentile of all does not follow from percentiles of parts."""

    query: Query
    current: QueryPlan
    previous: QueryPlan | None = None
    ranking: QueryPlan | None = None

    @property
    def plans(self) -> tuple[QueryPlan, ...]:
        """All, in the order of the fields."""
        return tuple(plan for plan in (self.current, self.previous, self.ranking) if plan is not None)


def resolve_range(plan: QueryPlan, _: Query, context: PlanningContext) -> QueryPlan:
    """An open start is the oldest record, an open end is now, or the newest record where a clock was ahead."""
    start, end = plan.filter.start, plan.filter.end
    if context.span is not None:
        oldest, newest = context.span
        start = oldest if start is None else start
        end = max(newest, context.now) if end is None else end
    if start is None:
        return plan
    start = aware(start)
    return replace(plan, start=start, end=max(start, aware(context.now if end is None else end)))


def cut_buckets(plan: QueryPlan, query: Query, context: PlanningContext) -> QueryPlan:
    """The buckets of the dimension ``time``."""
    if "time" not in plan.group_by or plan.start is None or plan.end is None or query.bucket is None:
        return plan
    zone, now = ZoneInfo(query.timezone), aware(context.now)
    found = buckets(plan.start, plan.end, query.bucket, zone, week_start=query.week_start, now=now)
    return replace(plan, buckets=found)


def cut_segments(plan: QueryPlan, query: Query, _: PlanningContext) -> QueryPlan:
    """Where hours and weekdays count from. Raises ``QueryError``."""
    if not {"hour_of_day", "weekday"} & set(plan.group_by) or plan.start is None or plan.end is None:
        return plan
    found = segments(plan.start, plan.end, ZoneInfo(query.timezone))
    if len(found) > MAX_SEGMENTS:
        raise QueryError("end", "clocks change too often in this range to determine its hours; use a shorter one")
    return replace(plan, segments=found)


def collect_needs(plan: QueryPlan, query: Query, _: PlanningContext) -> QueryPlan:
    """What all metrics together have to know of a group."""
    return replace(plan, needs=reduce(or_, (measure(name).needs for name in query.metrics), plan.needs))


_FIRST: Final = datetime.min.replace(tzinfo=UTC)
STEPS: Final[tuple[Callable[[QueryPlan, Query, PlanningContext], QueryPlan], ...]] = (
    resolve_range,
    cut_buckets,
    cut_segments,
    collect_needs,
)


def _settled(selection: RequestFilter, group_by: tuple[str, ...], query: Query, context: PlanningContext) -> QueryPlan:
    plan = QueryPlan(filter=selection, start=None, end=None, group_by=group_by, needs=Needs(), slos=query.slos)
    return reduce(lambda plan, step: step(plan, query, context), STEPS, plan)


def choose_bucket(query: Query, context: PlanningContext) -> Query:
    """Where the query names none: one that suits the range."""
    if "time" not in query.group_by or query.bucket is not None:
        return query
    whole = resolve_range(_settled(query.filter, (), query, context), query, context)
    if whole.start is None or whole.end is None:
        return replace(query, bucket="hour")
    return replace(query, bucket=shortest_bucket(whole.start, whole.end))


def previous_filter(current: QueryPlan, query: Query) -> RequestFilter:
    """The same conditions for the period before. Raises ``QueryError`` if there is none."""
    assert current.start is not None
    assert current.end is not None
    try:
        before = period_before(current.start, current.end, ZoneInfo(query.timezone))
        return replace(current.filter, start=before, end=current.start)
    except (OverflowError, ValueError) as error:
        if current.start - _FIRST >= current.end - current.start:
            raise QueryError("end", "the range ends where the calendar does: to compare, let it end sooner") from error
        raise QueryError("start", "the period before would begin before the calendar does") from error


def ranks_by_records(query: Query) -> bool:
    """Whether the order of groups in time does not follow from their times."""
    if "time" not in query.group_by or len(query.group_by) == 1:
        return False
    name = (query.order or query.metrics[0]).removeprefix("-")
    return name in query.metrics and bool(measure(name).needs.quantiles or measure(name).needs.peak)


def plan(query: Query, context: PlanningContext) -> Planned:
    """Settle everything. Raises ``QueryError``."""
    query = choose_bucket(query, context)
    current = _settled(query.filter, query.group_by, query, context)
    previous = ranking = None
    if query.compare and current.start is not None and current.end is not None and current.start < current.end:
        previous = _settled(previous_filter(current, query), query.group_by, query, context)
    if ranks_by_records(query):
        groups = tuple(name for name in query.group_by if name != "time")
        ranking = _settled(query.filter, groups, query, context)
    return Planned(query=query, current=current, previous=previous, ranking=ranking)
