"""Buckets of time as clocks on the wall show them, in any zone, and what SQL needs to sort records into them.

The range is cut into segments of constant offset from UTC. Within a segment local time is UTC plus the offset, so
buckets are arithmetic there. A day, week or month is all time whose local date lies in it: 23 or 25 hours where clocks
change, none for a date that a zone skipped. Hours and shorter are elapsed time: an hour that clocks show twice is two.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from llm_metrics_proxy.errors import QueryError

MAX_BUCKETS: Final = 2000
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
_MONDAY_S: Final = 4 * DAY_S  # 5 January 1970: weeks begin on Mondays, and all that is shorter divides it
AUTO_BUCKETS: Final = 200  # as many as a chart has room for
_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)  # room to add offsets and months
_LONGEST_STEP: Final = timedelta(days=60)  # shorter than summer or winter time
_SAMPLES: Final = 30_000


class Segment(NamedTuple):
    """From ``start`` to before ``end`` (UTC, aware), local time is UTC + ``offset``."""

    start: datetime
    end: datetime
    offset: timedelta


class TimeBucket(NamedTuple):
    """One bucket. ``start`` is its first moment, which may lie before the range; ``spans`` are all its times within
    the range, in order: one, except a day whose first minutes a zone lived twice. All UTC, aware. ``partial``: some of
    its time lies outside the range, or has not come yet."""

    start: datetime
    spans: tuple[tuple[datetime, datetime], ...]
    partial: bool = False

    @property
    def seconds(self) -> float:
        """Its length within the range."""
        return sum((end - start).total_seconds() for start, end in self.spans)


def segments(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[Segment, ...]:
    """The range, cut where the zone's offset changes. Years 1 and 9999 are left out."""
    start, end = max(start, _FIRST), min(end, _LAST)
    found: list[Segment] = []
    step = min(max(_DAY, (end - start) / _SAMPLES), _LONGEST_STEP)
    began, offset, at = start, _offset(start, zone), start
    while at < end:
        following = min(at + step, end)
        later = _offset(following, zone)
        if later != offset:
            change = _change(at, following, zone)
            if change > began:
                found.append(Segment(began, change, offset))
            began, offset = change, _offset(change, zone)
            following = change
        at = following
    if began < end:
        found.append(Segment(began, end, offset))
    return tuple(found)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first moment with another offset than ``before`` has; zones change at whole seconds."""
    offset = _offset(before, zone)
    low, high = int(before.timestamp()), -int(-after.timestamp() // 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(_unix(middle), zone) == offset else (low, middle)
    return _unix(high)


def _unix(seconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


class BucketKind(NamedTuple):
    """How to divide local time. ``elapsed``: a repeated hour is two, and not one twice as long."""

    about: timedelta  # the usual length
    floor: Callable[[datetime], datetime]
    following: Callable[[datetime], datetime]
    elapsed: bool


def _every(minutes: int) -> BucketKind:
    width = timedelta(minutes=minutes)
    return BucketKind(width, lambda local: local - (local - _midnight(local)) % width, lambda at: at + width, True)


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _first_of_week(first: int) -> Callable[[datetime], datetime]:
    """``first``: the day on which weeks begin, 0 for Monday."""
    return lambda local: _midnight(local) - timedelta(days=(local.weekday() - first) % 7)


def _first_of_month(local: datetime) -> datetime:
    return _midnight(local).replace(day=1)


BUCKETS: Final = {
    "minute": _every(1),
    "5m": _every(5),
    "15m": _every(15),
    "hour": _every(60),
    "day": BucketKind(_DAY, _midnight, lambda at: at + _DAY, False),
    "week": BucketKind(7 * _DAY, _first_of_week(0), lambda at: at + 7 * _DAY, False),
    "month": BucketKind(30 * _DAY, _first_of_month, lambda at: _first_of_month(at + 32 * _DAY), False),
}

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def weekdays_from(week_start: str) -> tuple[int, ...]:
    """The days of a week, 1 for Monday to 7, in the order in which they come where weeks begin on that day."""
    first = WEEKDAYS.index(week_start)
    return tuple((first + day) % 7 + 1 for day in range(7))


def shortest_bucket(start: datetime, end: datetime) -> str:
    """The shortest kind with which about ``AUTO_BUCKETS`` cover the range; months, if all are too short."""
    return next((name for name, kind in BUCKETS.items() if (end - start) / kind.about <= AUTO_BUCKETS), "month")


def buckets(
    start: datetime, end: datetime, name: str, zone: ZoneInfo, *, week_start: str = WEEKDAYS[0], now: datetime = _LAST
) -> tuple[TimeBucket, ...]:
    """Every bucket of the range in order; what ends behind ``now`` is partial, too. Raises ``QueryError`` if there are
    more than ``MAX_BUCKETS``."""
    kind = BUCKETS[name]
    if name == "week":
        kind = kind._replace(floor=_first_of_week(WEEKDAYS.index(week_start)))
    if (end - start) / kind.about > MAX_BUCKETS - 2:  # less than a whole one at either end
        longer = [other for other, one in BUCKETS.items() if (end - start) / one.about <= MAX_BUCKETS - 2]
        advice = f"ask for a shorter range or for bucket={longer[0]}" if longer else "ask for a shorter range"
        raise QueryError("bucket", f"the range has more than {MAX_BUCKETS} buckets of this length ({name}); {advice}")
    found: dict[tuple[datetime, timedelta | None], list[tuple[datetime, datetime]]] = {}
    # enough to see where the first bucket begins, and the last one ends
    around = kind.about if kind.elapsed else kind.about + 2 * _DAY
    for segment in segments(max(start, _FIRST) - around, min(end, _LAST) + around, zone):
        for label, piece in _pieces(segment, kind):
            spans = found.setdefault((label, segment.offset if kind.elapsed else None), [])
            joins = spans and spans[-1][1] == piece[0]
            spans.append((spans.pop()[0], piece[1]) if joins else piece)
    until = min(end, now)
    clipped = (
        TimeBucket(spans[0][0], tuple(_within(spans, start, end)), spans[0][0] < start or until < spans[-1][1])
        for spans in found.values()
    )
    return tuple(sorted(bucket for bucket in clipped if bucket.spans))


def floor_s(unix_s: int, width_s: int) -> int:
    """When the bucket of a fixed width begins that has this second."""
    return (unix_s - _MONDAY_S) // width_s * width_s + _MONDAY_S


def fixed_buckets(width_s: int, start: datetime, end: datetime) -> tuple[TimeBucket, ...]:
    """Buckets of that many seconds of UTC that cover the range, clipped to it; seven times as long where they would be
    too many."""
    while (end - start).total_seconds() / width_s > MAX_BUCKETS:
        width_s *= 7
    first, last = (int((moment - _EPOCH).total_seconds()) for moment in (start, end))
    width = timedelta(seconds=width_s)
    begins = (_unix(second) for second in range(floor_s(first, width_s), last + 1, width_s))
    clipped = ((one, max(one, start), one + width if end - one > width else end) for one in begins)
    return tuple(TimeBucket(begin, ((low, high),)) for begin, low, high in clipped if low < high)


def _pieces(segment: Segment, kind: BucketKind) -> Iterator[tuple[datetime, tuple[datetime, datetime]]]:
    """Labels of local time in a segment, each with the time in UTC that it has there."""
    label = kind.floor(segment.start.replace(tzinfo=None) + segment.offset)
    at = segment.start
    while at < segment.end:
        following = kind.following(label)
        until = min((following - segment.offset).replace(tzinfo=UTC), segment.end)
        yield label, (at, until)
        label, at = following, until


def _within(
    spans: list[tuple[datetime, datetime]], start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    for begin, until in spans:
        if max(begin, start) < min(until, end):
            yield max(begin, start), min(until, end)


def seconds_by_hour(start: datetime, end: datetime, cut: tuple[Segment, ...]) -> dict[tuple[int, int], float]:
    """Seconds of a range by hour of day (0 to 23) and weekday (1 to 7) of local time."""
    found: defaultdict[tuple[int, int], float] = defaultdict(float)
    for segment in cut:
        at, until = (max(start, segment.start), min(end, segment.end))
        weeks = max((until - at) // (7 * _DAY), 0)
        if weeks:
            for cell in product(range(24), range(1, 8)):
                found[cell] += weeks * 3600.0
            at += weeks * 7 * _DAY
        while at < until:
            local = at.replace(tzinfo=None) + segment.offset
            next_hour = local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            then = min(at + (next_hour - local), until)
            found[local.hour, local.isoweekday()] += (then - at).total_seconds()
            at = then
    return found


def first_moment(midnight: datetime, zone: ZoneInfo) -> datetime:
    """When a local date begins (given as its naive midnight): later than midnight where clocks skip that."""
    about = (midnight - _offset(midnight.replace(tzinfo=UTC), zone)).replace(tzinfo=UTC)
    for segment in segments(about - 2 * _DAY, about + 2 * _DAY, zone):
        moment = max((midnight - segment.offset).replace(tzinfo=UTC), segment.start)
        if moment < segment.end:
            return moment
    return about


def period_before(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """Where the period of the same length begins that ends at ``start``.

    Whole months of local time are preceded by as many months, whole days and weeks by as many days; they may differ in
    seconds. Everything else is preceded by as many seconds.
    """
    first, last = (_midnight(moment.astimezone(zone).replace(tzinfo=None)) for moment in (start, end))
    whole = first_moment(first, zone) == start and first_moment(last, zone) == end
    if whole and first.day == last.day == 1:
        months = (first.year - last.year) * 12 + first.month - last.month + first.year * 12 + first.month - 1
        return first_moment(first.replace(year=months // 12, month=months % 12 + 1), zone)
    return first_moment(first - (last - first), zone) if whole else start - (end - start)
