"""What a source read of one period, by series: a series is a group without its time, and has a part per bucket."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, Final

from llm_metrics_proxy.analytics.calendar import seconds_by_hour
from llm_metrics_proxy.analytics.source import Aggregates, ColumnStats, QueryPlan, SourceResult

Series = tuple[Any, ...]
ALL: Final = -1  # instead of a bucket, hour or weekday: all of them


class _Nothing:
    """The ``Aggregates`` of no records, and its ``ColumnStats``."""

    n: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None

    def count(self, name: str) -> int:  # noqa: ARG002
        """None of anything."""
        return 0

    def moments(self, column: str) -> ColumnStats:  # noqa: ARG002
        """Of no values."""
        return self

    def quantile(self, fraction: float) -> float | None:  # noqa: ARG002
        """Of no values."""
        return None

    def peak(self) -> int | None:
        """Nobody looked."""
        return None

    def merged(self, other: Any) -> Any:
        """The other."""
        return other


NOTHING: Final[Aggregates] = _Nothing()


def together(partials: Iterable[Aggregates]) -> Aggregates:
    """Several groups as one; of none, ``NOTHING``."""
    found = list(partials)
    return reduce(lambda one, other: one.merged(other), found[1:], found[0]) if found else NOTHING


class Period:
    """The parts of one plan. Times are indexes of its buckets; ``None``: no time."""

    def __init__(self, plan: QueryPlan, reading: SourceResult) -> None:
        self.plan = plan
        self._place = plan.group_by.index("time") if "time" in plan.group_by else None
        self._in_time = [
            [*self.names].index(name) if name in self.names else None for name in ("hour_of_day", "weekday")
        ]
        parts: defaultdict[Series, dict[int | None, Aggregates]] = defaultdict(dict)
        for key, partial in reading.groups:
            series, time = self._split(key)
            parts[series][time] = partial
        self.parts: Mapping[Series, Mapping[int | None, Aggregates]] = dict(parts)
        self._seconds = self._durations()

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions of a series."""
        return tuple(name for name in self.plan.group_by if name != "time")

    @property
    def times(self) -> tuple[int, ...]:
        """What every series has a part for, even an empty one."""
        return (ALL,) if self._place is None else tuple(range(len(self.plan.buckets)))

    def _split(self, key: tuple[Any, ...]) -> tuple[Series, int | None]:
        if self._place is None:
            return key, ALL
        return key[: self._place] + key[self._place + 1 :], key[self._place]

    def part(self, series: Iterable[Series], time: int | None) -> Aggregates:
        """Of one or several series together at one time."""
        found = (self.parts.get(one, {}).get(time) for one in series)
        return together(partial for partial in found if partial is not None)

    def whole(self, series: Series) -> Aggregates:
        """Of a series at all its times."""
        return together(self.parts.get(series, {}).values())

    def seconds(self, series: Iterable[Series], time: int | None) -> float:
        """How long the time is that series are about: a bucket, of it hours of the day or weekdays if grouped by."""
        hours = {tuple(ALL if place is None else one[place] for place in self._in_time) for one in series}
        return sum(self._seconds.get((time, hour, weekday), 0.0) for hour, weekday in hours)

    def _durations(self) -> Mapping[tuple[int | None, int | None, int | None], float]:
        start, end = self.plan.start, self.plan.end
        if start is None or end is None:
            return {}
        spans = [(ALL, start, end)]
        spans += [(time, *span) for time, bucket in enumerate(self.plan.buckets) for span in bucket.spans]
        found: defaultdict[tuple[int | None, int | None, int | None], float] = defaultdict(float)
        by_hour, by_weekday = (place is not None for place in self._in_time)
        for time, begin, until in spans:
            if not by_hour and not by_weekday:
                found[time, ALL, ALL] += (until - begin).total_seconds()
                continue
            for (hour, weekday), seconds in seconds_by_hour(begin, until, self.plan.segments).items():
                found[time, hour if by_hour else ALL, weekday if by_weekday else ALL] += seconds
        return dict(found)
