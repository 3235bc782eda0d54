"""How often what went wrong: rows of counts, whether records or roll-ups gave them.

From roll-ups, what is counted is of one snapshot; the times of the oldest and newest record, and of the newest error of
each type, are looked up after it, in the day or hour that is known to have it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.calendar import TimeBucket
from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.analytics.selection import (
    DAY_S,
    HOUR_S,
    better_than_records,
    every,
    extreme,
    floor,
    plan_of,
    range_of,
    unix_of,
)
from llm_metrics_proxy.analytics.source import Needs, Source, SourceResult
from llm_metrics_proxy.storage.base import Reader

MAX_GROUPS: Final = 100  # clients choose models: an answer stays small whatever they choose
MAX_BUCKETS: Final = 61  # an hour by the minute, wherever in a minute it begins
WIDTHS_S: Final = (
    *(n * 60 for n in (1, 5, 10, 30)),
    *(n * HOUR_S for n in (1, 3, 6, 12)),
    *(n * DAY_S for n in (1, 7, 28)),
)  # what is longer still gets a multiple of the last
TOTAL: Final = "total"
UNCLASSIFIED: Final = "unclassified"
_CUBE: Final = ("model", "backend_name", "backend", "error_category", "error_type", "error_phase")
_MOST_DAYS_BY_HOUR: Final = 14


class Row(NamedTuple):
    """One group: what it is a group by, its key, requests, and ``n`` errors among them."""

    kind: str
    key: Any
    second_key: Any
    requests: int
    n: int
    oldest: str | None
    newest: str | None


class Counted(NamedTuple):
    """``span``: Unix seconds of the oldest and newest record; ``errors_by_day``: (category, type) -> n by day, newest
    first, where that is known of all records."""

    rows: Sequence[Row]
    span: tuple[int, int] | None
    width_s: int | None
    source: str = "records"
    pruned_before: datetime | None = None
    errors_by_day: Sequence[tuple[TimeBucket, dict[tuple[Any, Any], int]]] = ()

    def days_with(self, least: int, *, is_limited: bool) -> str | None:
        """From when on there are so many errors, or so many of a server's limits; ``None``: not known."""
        found = 0
        for day, by_type in self.errors_by_day:
            found += sum(n for key, n in by_type.items() if not is_limited or (key[0] == "limit" and key[1] != "quota"))
            if found >= least:
                return stored_time(day.start)
        return None


def width_for(oldest_s: int, newest_s: int) -> int:
    """The shortest width in seconds with which at most ``MAX_BUCKETS`` cover the range."""
    for width_s in WIDTHS_S:
        if (floor(newest_s, width_s) - floor(oldest_s, width_s)) // width_s < MAX_BUCKETS:
            return width_s
    longest_s = WIDTHS_S[-1]
    return longest_s * -(-(newest_s - oldest_s) // (longest_s * (MAX_BUCKETS - 1)))


def counted_by_rollups(reader: Reader, selection: RequestFilter) -> Counted | None:
    """``None``: roll-ups do not know it, or records are as fast. Raises ``StoreError``."""
    within = range_of(reader, selection)
    if within is None:
        return None
    days = every(DAY_S, *within)
    cube = plan_of(selection, _CUBE, Needs(counts=frozenset({"failed"})))
    by_day = plan_of(selection, ("time", "error_category", "error_type"), buckets=days)
    source = better_than_records(reader, [cube, by_day])
    if source is None:
        return None
    (reading,) = source.read([by_day])
    with_records = sorted({group.key[0] for group in reading.groups if group.key[0] is not None})
    oldest = extreme(reader, "min", selection, (days[place] for place in with_records))
    newest = extreme(reader, "max", selection, (days[place] for place in reversed(with_records)))
    if oldest is None or newest is None:
        return None
    first = days[with_records[0]]
    begins_s = unix_of(oldest)
    if begins_s >= first.spans[0][1].timestamp():  # its records were pruned
        begins_s = int(first.start.timestamp())
    span = (begins_s, unix_of(newest))
    width_s = width_for(*span)
    buckets = every(width_s, *within)
    by_bucket = plan_of(selection, ("time", "error_category"), buckets=buckets)
    whole, reading, in_time = source.read([cube, by_day, by_bucket])
    per_day = _by_day(reading, days)
    latest = _newest_by_type(reader, source, selection, per_day)
    rows = [*_rows(whole, oldest, newest, latest), *_bucket_rows(in_time, buckets, width_s)]
    return Counted(rows, span, width_s, source.name, None, per_day)


def _by_day(reading: SourceResult, days: Sequence[TimeBucket]) -> list[tuple[TimeBucket, dict[tuple[Any, Any], int]]]:
    """Errors only, the newest day first."""
    found: dict[int, dict[tuple[Any, Any], int]] = {}
    for group in reading.groups:
        place, category, kind = group.key
        if place is not None and category is not None:
            found.setdefault(place, {})[category, kind] = group.partial.count("requests")
    return [(days[place], found[place]) for place in sorted(found, reverse=True)]


def _newest_by_type(
    reader: Reader,
    source: Source,
    selection: RequestFilter,
    per_day: Sequence[tuple[TimeBucket, dict[tuple[Any, Any], int]]],
) -> dict[tuple[Any, Any], str]:
    """The time of the newest error of each type, as far as records are left."""
    last: dict[tuple[Any, Any], TimeBucket] = {}
    for day, by_type in per_day:
        for key in by_type:
            last.setdefault(key, day)
    found = {}
    for key, bucket in _by_hour(source, selection, last).items():
        conditions = (("error_category = ?", key[0]), ("error_type IS ?", key[1]))
        newest = extreme(reader, "max", selection, (bucket,), *conditions)
        if newest is not None:
            found[key] = newest
    return found


def _by_hour(
    source: Source, selection: RequestFilter, last: dict[tuple[Any, Any], TimeBucket]
) -> dict[tuple[Any, Any], TimeBucket]:
    """The last hour of each instead of the last day: a day may have millions of records."""
    days = {bucket.start: bucket for bucket in last.values()}
    if len(days) > _MOST_DAYS_BY_HOUR:
        return last
    hours = tuple(hour for start in sorted(days) for hour in every(HOUR_S, *days[start].spans[0]))
    (reading,) = source.read([plan_of(selection, ("time", "error_category", "error_type"), buckets=hours)])
    found = dict(last)
    for group in sorted(
        (group for group in reading.groups if group.key[0] is not None), key=lambda group: group.key[0]
    ):
        place, *key = group.key
        if (key[0], key[1]) in last and hours[place].start >= last[key[0], key[1]].start:
            found[key[0], key[1]] = hours[place]
    return found


def _rows(reading: SourceResult, oldest: str, newest: str, latest: dict[tuple[Any, Any], str]) -> Iterable[Row]:
    """Everything but what is by time."""
    groups = [(dict(zip(_CUBE, group.key, strict=True)), group.partial) for group in reading.groups]
    requests = sum(partial.count("requests") for _, partial in groups)
    errors = sum(partial.count("requests") for key, partial in groups if key["error_category"] is not None)
    failed = sum(partial.count("failed") for key, partial in groups if key["error_category"] is None)
    yield Row(TOTAL, None, None, requests, errors, oldest, newest)
    yield Row(UNCLASSIFIED, None, None, requests, failed, None, None)
    for version, n in reading.versions:
        yield Row("app_version", version, None, n, 0, None, None)
    for kind, names, all_of_them in (
        ("type", ("error_category", "error_type"), False),
        ("phase", ("error_phase",), False),
        ("model", ("model",), True),
        ("backend", ("backend_name", "backend"), True),
    ):
        counts: dict[tuple[Any, ...], list[int]] = {}
        for key, partial in groups:
            is_error = key["error_category"] is not None
            if is_error or all_of_them:
                of_key = counts.setdefault(tuple(key[name] for name in names), [0, 0])
                of_key[0] += partial.count("requests")
                of_key[1] += partial.count("requests") if is_error else 0
        most = sorted(counts.items(), key=lambda one: -one[1][1])
        for found, (asked, n) in most if not all_of_them else [one for one in most if one[1][1]][:MAX_GROUPS]:
            first, second = (*found, None)[:2]
            yield Row(kind, first, second, asked, n, None, latest.get((first, second)) if kind == "type" else None)


def _bucket_rows(reading: SourceResult, buckets: Sequence[TimeBucket], width_s: int) -> Iterable[Row]:
    counts: dict[int, list[int]] = {}
    for group in reading.groups:
        place, category = group.key
        if place is None:
            continue
        start = floor(int(buckets[place].start.timestamp()), width_s)
        of_bucket = counts.setdefault(start, [0, 0])
        of_bucket[0] += group.partial.count("requests")
        of_bucket[1] += group.partial.count("requests") if category is not None else 0
    for start, (requests, n) in counts.items():
        yield Row("bucket", start, None, requests, n, None, None)
