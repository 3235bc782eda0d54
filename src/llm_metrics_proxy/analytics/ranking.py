"""From parts to rows: which series are shown, in which order, and what their numbers are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.analytics.calendar import weekdays_from
from llm_metrics_proxy.analytics.dimensions import BIN_EDGES, Dimension, dimension, has_order
from llm_metrics_proxy.analytics.measures import Measure, measure
from llm_metrics_proxy.analytics.period import ALL, Period, Series
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import GONE, NEW, Key, Measured, ResultRow
from llm_metrics_proxy.analytics.source import Aggregates, QueryPlan, SourceResult
from llm_metrics_proxy.errors import QueryError

BELOW_BINS: Final = "<0"
MAX_ROWS_IN_TIME: Final = 50_000
_NUMBERS: Final = {"number", "bin", "flag"}


class GroupOrder(NamedTuple):
    """``name`` is a metric or a dimension of the query; empty: the keys as they come."""

    name: str
    descending: bool


def order_of(query: Query) -> GroupOrder:
    """By the first metric, largest first, unless the query names an order or all dimensions have one of their own."""
    name = (query.order or "").removeprefix("-")
    if name and name != "time":
        return GroupOrder(name, query.order != name)
    ordered = [dimension(one) for one in query.group_by if one != "time"]
    if all(has_order(one) for one in ordered):
        return GroupOrder("", False)
    return GroupOrder(query.metrics[0], True)


def rows_of(query: Query, current: Period, previous: Period | None, ranking: SourceResult | None) -> list[ResultRow]:
    """All rows in order. With ``time`` among the dimensions, the order is that of time, and of series within one.

    Raises ``QueryError`` if they are too many.
    """
    totals = {series: current.whole(series) for series in current.parts}
    if ranking is not None:
        totals = dict(ranking.groups)
    if not current.names:
        totals.setdefault((), current.whole(()))  # one row, or one per bucket, even of nothing
    gone = [] if previous is None else [series for series in previous.parts if series not in totals]
    week = weekdays_from(query.week_start)
    ranked = [
        *_ranked(totals, current, order_of(query), week),
        *_ranked(dict.fromkeys(gone), current, GroupOrder("", False), week),
    ]
    kept, rest = ranked[: query.limit], ranked[query.limit :]
    shown = [(series, [series]) for series in kept]
    if rest:
        shown.append(((None,) * len(current.names), rest))
    if len(shown) * len(current.times) > MAX_ROWS_IN_TIME:
        raise QueryError(
            "limit",
            f"{len(shown)} groups in {len(current.times)} buckets are too many rows (over {MAX_ROWS_IN_TIME}); lower "
            "limit, or ask for a longer bucket or a shorter range",
        )
    measures = [measure(name) for name in query.metrics]
    rows = [
        ResultRow(
            key=_shown_key(current.plan, series, time),
            values=_values(measures, current, previous, members, time),
            merged=len(members) if members is rest else 0,
            partial=True if time is not None and time >= 0 and current.plan.buckets[time].partial else msgspec.UNSET,
            presence=_presence(current, previous, members, time),
        )
        for time in _times(query, current)
        for series, members in shown
        if time is not None or any(None in current.parts.get(one, {}) for one in members)
    ]
    by_value = order_of(query)
    if query.group_by == ("time",) and by_value.name in query.metrics and query.order is not None:
        values = [row.values[by_value.name].value for row in rows]
        return [rows[place] for place in sorted(range(len(rows)), key=lambda at: _by_number(values[at], by_value))]
    return rows


def _presence(
    current: Period, previous: Period | None, members: Sequence[Series], time: int | None
) -> str | msgspec.UnsetType:
    """Of groups; whether a bucket has records says how it went, not whether there is such a bucket."""
    if previous is None or not current.names:
        return msgspec.UNSET
    now, before = (one.part(members, time).count("requests") for one in (current, previous))
    return msgspec.UNSET if bool(now) == bool(before) else NEW if now else GONE


def _times(query: Query, period: Period) -> Iterable[int | None]:
    """Buckets in order, then what has no time."""
    times = period.times[::-1] if query.order == "-time" else period.times
    return times if "time" not in query.group_by else (*times, None)


def _ranked(
    totals: Mapping[Series, Aggregates | None], period: Period, order: GroupOrder, week: Sequence[int]
) -> list[Series]:
    dimensions = [dimension(name) for name in period.names]
    by_key = sorted(totals, key=lambda series: _by_key(series, dimensions, week))
    if order.name in period.names:
        place = period.names.index(order.name)
        return sorted(
            by_key,
            key=lambda series: _by_key(series[place : place + 1], dimensions[place : place + 1], week),
            reverse=order.descending,
        )
    if not order.name:
        return by_key
    asked = measure(order.name)
    values = {
        series: asked.value(total, period.seconds([series], ALL))[0] if total is not None else None
        for series, total in totals.items()
    }
    return sorted(by_key, key=lambda series: _by_number(values[series], order))


def _by_number(value: float | None, order: GroupOrder) -> tuple[bool, float]:
    """What is missing comes last, whichever way the order goes."""
    return value is None, 0 if value is None else -value if order.descending else value


def _by_key(series: Series, dimensions: Sequence[Dimension], week: Sequence[int]) -> list[tuple[bool, int, Any]]:
    """Numbers by size, days as weeks have them, bands by length, words by letters; what is missing comes last."""
    return [
        (value is None, week.index(value) if value in week else -1, "")
        if one.name == "weekday"
        else (value is None, one.order.index(value) if value in one.order else 0, "" if value is None else value)
        if one.kind not in _NUMBERS
        else (value is None, -1 if value is None else value, "")
        for value, one in zip(series, dimensions, strict=True)
    ]


def _shown_key(plan: QueryPlan, series: Series, time: int | None) -> dict[str, Key]:
    values = iter(series)
    return {
        name: _shown_time(plan, time) if name == "time" else _shown(dimension(name), next(values))
        for name in plan.group_by
    }


def _shown_time(plan: QueryPlan, time: int | None) -> str | None:
    return None if time is None else f"{plan.buckets[time].start.replace(tzinfo=None).isoformat()}Z"


def _shown(one: Dimension, value: Any) -> Key:
    if value is None:
        return None
    if one.kind == "bin":
        return BELOW_BINS if value < 0 else BIN_EDGES[value]
    return bool(value) if one.kind == "flag" else value


def _values(
    measures: Sequence[Measure], current: Period, previous: Period | None, members: Sequence[Series], time: int | None
) -> dict[str, Measured]:
    part, seconds = current.part(members, time), current.seconds(members, time)
    found: dict[str, Measured] = {}
    for one in measures:
        value, n = one.value(part, seconds)
        possible = one.out_of(part)
        coverage = n / possible if possible else None
        if previous is None:
            found[one.name] = Measured(value=value, n=n, coverage=coverage)
            continue
        before, before_n = one.value(previous.part(members, time), previous.seconds(members, time))
        change = None if value is None or not before else (value - before) / abs(before)
        found[one.name] = Measured(
            value=value, n=n, coverage=coverage, previous=before, previous_n=before_n, change=change
        )
    return found
