"""What is asked of one record, as SQLite's expressions: keys of dimensions, and whether objectives are met."""

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.analytics.dimensions import BAND_NAMES, BANDS, BIN_EDGES, Dimension, dimension
from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.engines.sqlite.conditions import Clause
from llm_metrics_proxy.record import READABLE
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.expressions import expression, is_there

_MOST_OPEN_MS: Final = 10**12  # thirty years: a sum of two times stays a whole number
_ROUNDED_US: Final = "CAST(round(response_time_ms * 1000) AS INTEGER)"
OPEN_US: Final = f"iif(response_time_ms BETWEEN 0 AND {_MOST_OPEN_MS}, max({_ROUNDED_US}, 1), NULL)"
BEGAN_US: Final = "unixepoch(timestamp) * 1000000 + CAST(substr(timestamp, 21, 6) AS INTEGER)"


def search(value: str, edges: Sequence[SqlValue], results: Sequence[int | str | None]) -> Clause:
    """``results[k]``, where k of the ascending ``edges`` are at or below ``value``.

    A binary tree of CASE: 2,000 edges cost eleven comparisons per record, where a joined table of them would be gone
    through for every record.
    """
    if not edges:
        (only,) = results
        return Clause("NULL" if only is None else repr(only))
    middle = len(edges) // 2
    below = search(value, edges[:middle], results[: middle + 1])
    above = search(value, edges[middle + 1 :], results[middle + 1 :])
    sql = f"CASE WHEN {value} < ? THEN {below.sql} ELSE {above.sql} END"
    return Clause(sql, (edges[middle], *below.parameters, *above.parameters))


def key_of(name: str) -> Clause:
    """The key of one record in a dimension that is not in time; NULL where the record has no such value."""
    return _FAMILIES[(one := dimension(name)).family](one)


def _column(one: Dimension) -> Clause:
    return Clause(expression(READABLE[one.column or ""]))


def _sorted_into(one: Dimension, edges: Sequence[SqlValue], results: Sequence[int | str]) -> Clause:
    column = READABLE[one.column or ""]
    value, there = column.name, is_there(column)
    if column.over is not None:
        value = f"({expression(column)})"
        there = f"{value} NOT NULL"
    found = search(value, edges, results)
    return Clause(f"iif({there}, {found.sql}, NULL)", found.parameters)


def _tag(one: Dimension) -> Clause:
    all_tags = "(',' || tags || ',')"
    start = f"instr({all_tags}, ',' || ? || '=')"
    rest = f"substr({all_tags}, {start} + length(?) + 2)"
    sql = f"iif({start} > 0, (SELECT substr(rest, 1, instr(rest, ',') - 1) FROM (SELECT {rest} AS rest)), NULL)"  # noqa: S608
    return Clause(sql, (one.tag,) * 3)


_FAMILIES: Final = {
    "column": _column,
    "band": lambda one: _sorted_into(one, BANDS, BAND_NAMES),
    "bin": lambda one: _sorted_into(one, BIN_EDGES, range(-1, len(BIN_EDGES))),
    "tag": _tag,
}


def key_in(plan: QueryPlan, name: str) -> Clause:
    """The key of one record in any dimension of a plan."""
    return {"time": _bucket, "hour_of_day": _hour, "weekday": _weekday}.get(name, lambda _: key_of(name))(plan)


def _bucket(plan: QueryPlan) -> Clause:
    """Found by comparing the stored text with boundaries, so that no time is parsed."""
    pieces = sorted((*span, index) for index, bucket in enumerate(plan.buckets) for span in bucket.spans)
    edges = [stored_time(begin) for begin, _, _ in pieces] + [stored_time(pieces[-1][1])] if pieces else []
    return search("timestamp", edges, [None, *(index for *_, index in pieces), *([None] if pieces else [])])


def _hour(plan: QueryPlan) -> Clause:
    local_s = _local_s(plan)
    return Clause(f"{local_s.sql} / 3600 % 24", local_s.parameters)


def _weekday(plan: QueryPlan) -> Clause:
    local_s = _local_s(plan)  # counted from a Thursday
    return Clause(f"({local_s.sql} / 86400 + 3) % 7 + 1", local_s.parameters)


def _local_s(plan: QueryPlan) -> Clause:
    """Unix seconds and the offset that holds then."""
    cut = plan.segments
    edges = [stored_time(segment.start) for segment in cut] + [stored_time(cut[-1].end)] if cut else []
    offsets = [round(segment.offset.total_seconds()) for segment in cut]
    offset = search("timestamp", edges, [None, *offsets, *([None] if cut else [])])
    return Clause(f"(unixepoch(timestamp) + {offset.sql})", offset.parameters)


def is_good(slos: Sequence[Slo]) -> Clause:
    """Whether a record succeeded and meets every objective."""
    conditions = (f"{expression(READABLE[slo.column])} {slo.comparison} ?" for slo in slos)
    return Clause(" AND ".join(["success = 1", *conditions]), tuple(slo.limit for slo in slos))
