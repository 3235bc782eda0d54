"""How many requests of a long window were good, measured again and again without reading them again.

Whether a request met an SLO is not rolled up, because anybody sets objectives. So its watcher keeps, in memory, how
many there were and how many were good in each hour, and adds what was stored since, which is found by arrival. Only
the two pieces of the window that are not whole hours are read each time. Whenever stored records change, so does their
epoch (``records.Records.epoch``), and everything is counted again.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec.structs import replace

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.calendar import TimeBucket
from llm_metrics_proxy.analytics.filters import RequestFilter, aware
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.analytics.source import Needs, QueryPlan, SourceResult

_HOUR: Final = timedelta(hours=1)
_GOOD: Final = Needs(counts=frozenset({"good"}))


class GoodCount(NamedTuple):
    """Requests, and those of them that completed and meet every SLO."""

    requests: int = 0
    good: int = 0

    def plus(self, other: "GoodCount") -> "GoodCount":
        """Of both."""
        return GoodCount(self.requests + other.requests, self.good + other.good)


class _Kept:
    """Whole hours from ``since`` to ``until``, over the records up to ``cursor``."""

    def __init__(self, epoch: int, since: datetime) -> None:
        self.epoch, self.since, self.until, self.cursor = epoch, since, since, Arrivals()
        self.hours: dict[datetime, GoodCount] = {}


class GoodHours:
    """For one thread: one watcher's memory of its objectives."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._kept: dict[tuple[RequestFilter, tuple[Slo, ...]], _Kept] = {}

    def measure(self, selection: RequestFilter, slos: tuple[Slo, ...]) -> GoodCount:
        """Over the selection's range, which has a start and an end. Raises ``StoreError``."""
        assert selection.start is not None
        assert selection.end is not None
        start, end = aware(selection.start), aware(selection.end)
        timeless: RequestFilter = replace(selection, start=None, end=None)
        with self._records.moment() as now:
            first, last = _next_hour(start), _hour_of(end)
            if (kept_from := now.kept_from()) is not None:  # of pruned days, what is left
                first = max(first, kept_from)
            if first >= last:
                return _total(now, [_plan(timeless, slos, start, end)])
            edges = [_plan(timeless, slos, start, first), _plan(timeless, slos, last, end)]
            kept = self._followed(now, (timeless, slos), first, last)
            found = _total(now, edges)
        for hour, counted in kept.hours.items():
            if first <= hour < last:
                found = found.plus(counted)
        return found

    def _followed(
        self, now: Records, key: tuple[RequestFilter, tuple[Slo, ...]], first: datetime, last: datetime
    ) -> _Kept:
        epoch, newest = now.epoch(), now.newest()
        kept = self._kept.get(key)
        if kept is None or kept.epoch != epoch or kept.since > first or kept.cursor.is_ahead_of(newest):
            kept = _Kept(epoch, first)
        self._kept[key] = kept
        plans = []
        if newest.is_ahead_of(kept.cursor):  # what came since, in hours that were counted before
            plans.append(_plan(*key, first, kept.until, ArrivalRange(kept.cursor, newest)))
        # what comes meanwhile, where that is seen, is counted next time
        plans.append(_plan(*key, max(first, kept.until), last, ArrivalRange(Arrivals(), newest)))
        for plan, result in _read(now, plans):
            for (place,), group in result.groups:
                hour = plan.buckets[place].start
                counted = GoodCount(group.count("requests"), group.count("good"))
                kept.hours[hour] = kept.hours.get(hour, GoodCount()).plus(counted)
        kept.since, kept.until, kept.cursor = first, max(kept.until, last), newest
        kept.hours = {hour: counted for hour, counted in kept.hours.items() if hour >= first}
        return kept


def _plan(
    timeless: RequestFilter,
    slos: tuple[Slo, ...],
    start: datetime,
    end: datetime,
    arrived: ArrivalRange | None = None,
) -> QueryPlan | None:
    """Of the records that began in a piece of time, those of a range by hour; ``None`` if there is no time in it."""
    if start >= end:
        return None
    hours = (end - start) // _HOUR if arrived is not None else 0
    starts = (start + number * _HOUR for number in range(hours))
    return QueryPlan(
        filter=replace(timeless, start=start, end=end),
        group_by=("time",) if hours else (),
        needs=_GOOD,
        buckets=tuple(TimeBucket(hour, ((hour, hour + _HOUR),)) for hour in starts),
        slos=slos,
        arrived=arrived,
        by_version=False,
    )


def _read(now: Records, plans: Iterable[QueryPlan | None]) -> Iterable[tuple[QueryPlan, SourceResult]]:
    asked = [plan for plan in plans if plan is not None]
    return zip(asked, now.sources()[-1].read(asked), strict=True) if asked else ()


def _total(now: Records, plans: Iterable[QueryPlan | None]) -> GoodCount:
    groups = [group for _, result in _read(now, plans) for _, group in result.groups]
    return GoodCount(*(sum(group.count(name) for group in groups) for name in ("requests", "good")))


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _next_hour(moment: datetime) -> datetime:
    floor = _hour_of(moment)
    return floor if floor == moment else floor + _HOUR
