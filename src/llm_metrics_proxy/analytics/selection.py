"""Answers of a fixed shape from roll-ups: plans over what a filter selects, and where in time that lies.

Such an answer is put together from several readings, all of one snapshot. What roll-ups do not know, single records
and their times, is then looked for in the one day or hour that is known to have it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.structs import replace

from llm_metrics_proxy.analytics.answering import pruned_before, source_for, whole_span
from llm_metrics_proxy.analytics.calendar import MAX_BUCKETS, TimeBucket
from llm_metrics_proxy.analytics.filters import RequestFilter, aware, stored_time, where
from llm_metrics_proxy.analytics.rows import read
from llm_metrics_proxy.analytics.source import Needs, QueryPlan, Source
from llm_metrics_proxy.analytics.sources import sources_of
from llm_metrics_proxy.analytics.versions import by_name, counted_by_version
from llm_metrics_proxy.storage.base import Reader, Snapshot, SqlValue

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
MONDAY_S: Final = 4 * DAY_S  # 5 January 1970: weeks begin on Mondays, and all that is shorter divides it
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TABLE: Final = "completion_requests"


def plan_of(
    selection: RequestFilter,
    group_by: tuple[str, ...] = (),
    needs: Needs = Needs(),  # noqa: B008 -- frozen
    buckets: tuple[TimeBucket, ...] = (),
) -> QueryPlan:
    """The selection by those dimensions."""
    return QueryPlan(
        filter=selection, start=selection.start, end=selection.end, group_by=group_by, needs=needs, buckets=buckets
    )


def better_than_records(reader: Reader, plans: Sequence[QueryPlan]) -> Source | None:
    """The source that answers all of it without going through the records selected; ``None``: there is none now.

    Raises ``StoreError``.
    """
    sources = sources_of(reader)
    source = source_for(sources, plans)
    return None if source is sources[-1] else source


def lacks_before(reader: Reader, selection: RequestFilter) -> datetime | None:
    """Until when records of the selection were deleted, for an answer of records alone. Raises ``StoreError``."""
    sources = sources_of(reader)
    start = selection.start if selection.start is not None else _EPOCH
    return pruned_before(sources, sources[-1], [plan_of(replace(selection, start=start))])


def records_by_version(reader: Reader) -> dict[str, int]:
    """Records in the database by app_version, oldest version first; what is no version comes before all.

    Roll-ups know it, unless they tell of pruned records too. Raises ``StoreError``.
    """
    everything = plan_of(RequestFilter())
    source = better_than_records(reader, [everything])
    if source is None or source.span() is not None:
        return counted_by_version(reader)
    (reading,) = source.read([everything])
    return by_name(reading.versions)


def range_of(reader: Reader, selection: RequestFilter) -> tuple[datetime, datetime] | None:
    """What is stored within the filter's range, to the second. Raises ``StoreError``."""
    span = whole_span(sources_of(reader))
    if span is None:
        return None
    start = span[0] if selection.start is None else max(span[0], aware(selection.start))
    end = span[1] + timedelta(seconds=1)
    end = end if selection.end is None else min(end, aware(selection.end))
    return (start, end) if start < end else None


def floor(unix_s: int, width_s: int) -> int:
    """Where the bucket of that length begins that has the moment."""
    return (unix_s - MONDAY_S) // width_s * width_s + MONDAY_S


def every(width_s: int, start: datetime, end: datetime) -> tuple[TimeBucket, ...]:
    """Buckets of so many seconds of UTC that cover the range, clipped to it; of days, weeks when they are too many."""
    while (end - start).total_seconds() / width_s > MAX_BUCKETS:
        width_s *= 7
    first, last = (int((moment - _EPOCH).total_seconds()) for moment in (start, end))
    begins = [moment_of(second) for second in range(floor(first, width_s), last + 1, width_s)]
    width = timedelta(seconds=width_s)
    return tuple(
        TimeBucket(begin, ((max(begin, start), min(begin + width, end)),))
        for begin in begins
        if max(begin, start) < min(begin + width, end)
    )


def moment_of(unix_s: int) -> datetime:
    """In UTC."""
    return _EPOCH + timedelta(seconds=unix_s)


def unix_of(stamp: str) -> int:
    """Whole seconds of a time as it is stored."""
    return int(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp())


def extreme(
    reader: Reader | Snapshot,
    which: str,
    selection: RequestFilter,
    buckets: Iterable[TimeBucket],
    *conditions: tuple[str, SqlValue],
) -> str | None:
    """The oldest (``min``) or newest (``max``) time of the records selected in the first of the buckets that still has
    records; ``None``: none has. ``conditions`` have one placeholder each. Raises ``StoreError``.
    """
    for bucket in buckets:
        (start, end) = bucket.spans[0][0], bucket.spans[-1][1]
        clause = where(selection).also("timestamp >= ? AND timestamp < ?", stored_time(start), stored_time(end))
        for condition, value in conditions:
            clause = clause.also(condition, value)
        sql = f"SELECT {which}(timestamp) FROM {_TABLE}{clause.sql}"  # noqa: S608 -- ours
        ((found,),) = read(reader, sql, clause.parameters, columns=1)
        if found is not None:
            return str(found)
    return None
