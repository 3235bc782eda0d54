"""When the oldest and the newest record of a group began, where roll-ups answer.

Roll-ups do not keep these times. They show on which day a group has its first and its last records; the times are read
from the records of that day.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from llm_metrics_proxy.analytics.calendar import DAY_S, HOUR_S, TimeBucket, fixed_buckets
from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.source import Needs, QueryPlan, SourceResult
from llm_metrics_proxy.engines.sqlite.conditions import TABLE, Clause, where
from llm_metrics_proxy.engines.sqlite.expressions import key_of
from llm_metrics_proxy.engines.sqlite.times import unix_s
from llm_metrics_proxy.storage.base import Snapshot

_ERROR: Final = "newest_error"
_MOST_DAYS_BY_HOUR: Final = 14
Key = tuple[Any, ...]
Read = Callable[[QueryPlan], SourceResult | None]
Range = tuple[datetime, datetime]


def by_day(plan: QueryPlan, within: Range) -> QueryPlan:
    """On which days of a range each group of the plan has records."""
    return _in(plan, fixed_buckets(DAY_S, *within))


def _in(plan: QueryPlan, buckets: tuple[TimeBucket, ...]) -> QueryPlan:
    needs = Needs(counts=frozenset({"errors"}) if _ERROR in plan.needs.times else frozenset())
    return replace(plan, group_by=("time", *plan.group_by), needs=needs, buckets=buckets, adds_up_with=())


def times_of(
    now: Snapshot, plan: QueryPlan, within: Range, kept_before_s: int, ask: Read
) -> dict[Key, dict[str, Any]] | None:
    """``SourceResult.times`` of a plan; ``None``: ``ask`` does not know the days. Records of days that began before
    ``kept_before_s`` were deleted."""
    days = by_day(plan, within)
    result = ask(days)
    if result is None:
        return None
    found: dict[Key, list[TimeBucket]] = {}
    for place, key in _in_order(plan, result):
        found.setdefault(key, []).append(days.buckets[place])
    last = found if not plan.group_by else _by_hour(plan, ask, found)
    return {key: _times(now, _asking_for(plan, key), of_key, last[key], kept_before_s) for key, of_key in found.items()}


def _in_order(plan: QueryPlan, result: SourceResult) -> list[tuple[int, Key]]:
    """Buckets that have records, and the groups that those are of."""
    name = "errors" if _ERROR in plan.needs.times else "requests"
    places = [(key[0], key[1:]) for key, group in result.groups if key[0] is not None and group.count(name)]
    return sorted(places, key=lambda one: one[0])


def _by_hour(plan: QueryPlan, ask: Read, days: dict[Key, list[TimeBucket]]) -> dict[Key, list[TimeBucket]]:
    """The last hour of each group instead of its last day: a day may have millions of records."""
    last = {key: of_key[-1] for key, of_key in days.items()}
    found = {key: [day] for key, day in last.items()}
    starts = {day.start: day for day in last.values()}
    if len(starts) > _MOST_DAYS_BY_HOUR:
        return found
    hours = tuple(hour for start in sorted(starts) for hour in fixed_buckets(HOUR_S, *starts[start].spans[0]))
    result = ask(_in(plan, hours))
    for place, key in _in_order(plan, result) if result is not None else ():
        if key in last and hours[place].start >= last[key].start:
            found[key] = [hours[place]]
    return found


class _Wanted(NamedTuple):
    """Which times, of which records."""

    times: frozenset[str]
    clause: Clause


def _asking_for(plan: QueryPlan, key: Key) -> _Wanted:
    clause = where(plan.filter)
    for name, value in zip(plan.group_by, key, strict=True):
        one = key_of(name)
        clause = clause.also(f"{one.sql} IS ?", *one.parameters, value)
    return _Wanted(plan.needs.times, clause.also("error_category NOT NULL") if _ERROR in plan.needs.times else clause)


def _times(
    now: Snapshot, wanted: _Wanted, days: Sequence[TimeBucket], last: Sequence[TimeBucket], kept_before_s: int
) -> dict[str, Any]:
    """Of one group, which has records on these days; of days whose records were deleted, the first or last second."""
    found: dict[str, Any] = {}
    begins_s, last_begins_s = (int(day.start.timestamp()) for day in (days[0], days[-1]))
    ends_s = int(days[-1].spans[-1][1].timestamp())
    if wanted.times & {"oldest", "first_s"} and (oldest := _extreme(now, "min", wanted.clause, days)) is not None:
        found |= {"oldest": oldest, "first_s": begins_s if begins_s < kept_before_s else unix_s(oldest)}
    newest = _extreme(now, "max", wanted.clause, last[::-1]) if wanted.times - {"oldest", "first_s"} else None
    if newest is not None:
        last_s = ends_s - 1 if last_begins_s < kept_before_s else unix_s(newest)
        found |= {"newest": newest, _ERROR: newest, "last_s": last_s}
    return found


def _extreme(now: Snapshot, which: str, clause: Clause, buckets: Iterable[TimeBucket]) -> str | None:
    """The time in the first of the buckets that still has records."""
    for bucket in buckets:
        start, end = bucket.spans[0][0], bucket.spans[-1][1]
        within = clause.also("timestamp >= ? AND timestamp < ?", stored_time(start), stored_time(end))
        sql = f"SELECT {which}(timestamp) FROM {TABLE}{within.sql}"  # noqa: S608 -- names are ours
        ((found,),) = now.query(sql, within.parameters)
        if found is not None:
            return str(found)
    return None
