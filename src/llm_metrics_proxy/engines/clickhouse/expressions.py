"""What is asked of one record, as ClickHouse's expressions: values, keys of dimensions, and whether objectives are met.

Numbers and words are written into the statement: a question can have thousands of them, more than a URL has room for.
``literal`` is the only way in for a word.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.dimensions import BAND_NAMES, BANDS, BIN_EDGES, Dimension, dimension
from llm_metrics_proxy.analytics.filters import aware
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.engines.clickhouse.table import NO_HOST, NO_TIME, NO_TIME_SQL
from llm_metrics_proxy.record import READABLE, UsageSource

AT_US: Final = "toUnixTimestamp64Micro(timestamp)"
HAS_TIME: Final = f"timestamp > {NO_TIME_SQL}"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME: Final = datetime.fromisoformat(f"{NO_TIME}Z")
_US: Final = timedelta(microseconds=1)
_COUNTED_ELSEWHERE: Final = f"usage_source = '{UsageSource.REPEATED}'"
_MOST_OPEN_MS: Final = 10**12  # thirty years: a sum of two times stays a whole number
OPEN_US: Final = (
    f"if({HAS_TIME} AND response_time_ms BETWEEN 0 AND {_MOST_OPEN_MS}, "
    "greatest(toInt64(response_time_ms * 1000 + 0.5), 1), NULL)"
)


class KeyOfRecord(NamedTuple):
    """A key of groups. ``reading``: what was answered -> the key, where that is another value."""

    sql: str
    reading: Mapping[Any, Any] | None = None

    def read(self, value: Any) -> Any:
        """The key that ``source.ResultGroup`` has."""
        return value if self.reading is None or value is None else self.reading[value]


def literal(text: str) -> str:
    """A word as ClickHouse writes it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """A column's name: some are words of SQL."""
    return f"`{name}`"


def unix_us(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    return (aware(moment) - _EPOCH) // _US


def time_literal(moment: datetime) -> str:
    """A moment to compare the column ``timestamp`` with; before the calendar of DateTime64, its first moment."""
    return f"fromUnixTimestamp64Micro(toInt64({max(unix_us(moment), unix_us(_NO_TIME))}), 'UTC')"


def expression(column: Column) -> str:
    """The value of one record; NULL where it is missing, or another record counts it."""
    name = quoted(column.name)
    if column.over is not None:
        value, known = (expression(READABLE[each]) for each in (column.over.value, column.over.known))
        counted = f"ifNull({value}, 0)" if column.over.counts_missing else value
        said = f"ifNull({known} = {literal(column.over.word)}, 0)" if column.over.word else f"isNotNull({known})"
        most = f" AND {known} <= ifNull({quoted(column.over.at_most)}, 0)" if column.over.at_most else ""
        return f"if({said}{most}, {counted}, NULL)"
    if column.name == "host":
        return f"nullIf(host, '{NO_HOST}')"
    return f"if({_COUNTED_ELSEWHERE}, NULL, {name})" if column.counts_once else name


def search(value: str, edges: Sequence[int], results: Sequence[str]) -> str:
    """``results[k]``, where k of the ascending ``edges`` are at or below ``value``: a binary tree of ``if``."""
    if not edges:
        return results[0]
    middle = len(edges) // 2
    below = search(value, edges[:middle], results[: middle + 1])
    above = search(value, edges[middle + 1 :], results[middle + 1 :])
    return f"if({value} < {edges[middle]}, {below}, {above})"


NOTHING: Final = "CAST(NULL, 'Nullable(Int64)')"


def key_in(plan: QueryPlan, name: str) -> KeyOfRecord:
    """The key of one record in any dimension of a plan; NULL where the record has no such value."""
    if name in _IN_TIME:
        return KeyOfRecord(_IN_TIME[name](plan))
    return _FAMILIES[(one := dimension(name)).family](one)


def _column(one: Dimension) -> KeyOfRecord:
    return KeyOfRecord(expression(READABLE[one.column or ""]))


def _sorted_into(one: Dimension, edges: Sequence[float], results: Sequence[Any]) -> KeyOfRecord:
    """``roundDown`` finds the edge at or below a value in one step, however many there are."""
    value = f"toFloat64({expression(READABLE[one.column or ''])})"
    below, *at = (float(edge) for edge in (edges[0] - 1, *edges))
    sql = f"if({value} < {at[0]!r}, {below!r}, roundDown({value}, {at!r}))"
    return KeyOfRecord(sql, dict(zip((below, *at), results, strict=True)))


def _tag(one: Dimension) -> KeyOfRecord:
    all_tags, start = "concat(',', tags, ',')", literal(f",{one.tag}=")
    at = f"position({all_tags}, {start})"
    rest = f"substring({all_tags}, {at} + {len(f',{one.tag}='.encode())})"
    return KeyOfRecord(f"if({at} > 0, substring({rest}, 1, position({rest}, ',') - 1), NULL)")


_FAMILIES: Final[Mapping[str, Callable[[Dimension], KeyOfRecord]]] = {
    "column": _column,
    "band": lambda one: _sorted_into(one, BANDS, BAND_NAMES),
    "bin": lambda one: _sorted_into(one, BIN_EDGES, range(-1, len(BIN_EDGES))),
    "tag": _tag,
}


class _EvenBuckets(NamedTuple):
    """Neighbouring pieces of time of one width whose buckets follow each other."""

    begin: int
    end: int
    width: int
    bucket: int

    @property
    def sql(self) -> str:
        """The index of the bucket."""
        if self.end - self.begin == self.width:
            return f"toInt64({self.bucket})"
        return f"toInt64({self.bucket} + intDiv({AT_US} - ({self.begin}), {self.width}))"


def _runs(plan: QueryPlan) -> list[_EvenBuckets]:
    """All buckets of a plan. Most are of one width, so that arithmetic finds theirs: ClickHouse calculates every branch
    of an ``if``, for every record."""
    found: list[_EvenBuckets] = []
    spans = sorted(
        (unix_us(begin), unix_us(end), index)
        for index, bucket in enumerate(plan.buckets)
        for begin, end in bucket.spans
    )
    for begin, end, index in spans:
        last = found[-1] if found else None
        count = (last.end - last.begin) // last.width if last else 0
        if last and (last.end, last.width, last.bucket + count) == (begin, end - begin, index):
            found[-1] = last._replace(end=end)
        else:
            found.append(_EvenBuckets(begin, end, end - begin, index))
    return found


def _bucket(plan: QueryPlan) -> str:
    edges: list[int] = []
    results = [NOTHING]
    for run in _runs(plan):
        if edges and edges[-1] == run.begin:
            results[-1] = run.sql
        else:
            edges.append(run.begin)
            results.append(run.sql)
        edges.append(run.end)
        results.append(NOTHING)
    return search(AT_US, edges, results)


def _local_s(plan: QueryPlan) -> str:
    """Unix seconds and the offset that holds then."""
    cut = plan.segments
    edges = [unix_us(segment.start) for segment in cut] + [unix_us(cut[-1].end)] if cut else []
    offsets = [f"toInt64({round(segment.offset.total_seconds())})" for segment in cut]
    offset = search(AT_US, edges, [NOTHING, *offsets, *([NOTHING] if cut else [])])
    return f"(intDiv({AT_US}, 1000000) + {offset})"


_IN_TIME: Final[Mapping[str, Callable[[QueryPlan], str]]] = {
    "time": _bucket,
    "hour_of_day": lambda plan: f"intDiv({_local_s(plan)}, 3600) % 24",
    "weekday": lambda plan: f"(intDiv({_local_s(plan)}, 86400) + 3) % 7 + 1",  # counted from a Thursday
}


def is_good(slos: Sequence[Slo]) -> str:
    """Whether a record succeeded and meets every objective."""
    conditions = (f"{expression(READABLE[slo.column])} {slo.comparison} {slo.limit!r}" for slo in slos)
    return " AND ".join(["success = 1", *conditions])
