"""The source of long ranges: sums and sketches by the hour that the server keeps, and records at the range's two edges.

A range is cut into whole hours of UTC and what is left of the hours at its ends. States of aggregates by hour and words
come from a projection (see ``projections``) for the first, from records for the others, and are merged.

Read by name, a projection cannot share a snapshot with the table: whole hours, edges and the plans of one question may
differ by records that arrive, are repriced or are deleted while it is answered. No record is counted twice.

The projection is read by its name. Left to choose one itself, the server compares every question with all of them,
which takes longer than to read any (2.6 ms against 300 ms on a busy machine).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from llm_metrics_proxy.analytics.dimensions import IN_TIME, dimension
from llm_metrics_proxy.analytics.exact import MAX_GROUPS
from llm_metrics_proxy.analytics.filters import RequestFilter, aware
from llm_metrics_proxy.analytics.source import QueryPlan, SourceResult
from llm_metrics_proxy.engines.clickhouse.aggregates import SCALE
from llm_metrics_proxy.engines.clickhouse.conditions import where
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.expressions import literal, quoted, time_literal
from llm_metrics_proxy.engines.clickhouse.projections import (
    HOUR,
    HOUR_US,
    LEVELS,
    PROJECTIONS,
    RELATIVE_ERROR,
    Projection,
    merged,
    sketch,
    state,
)
from llm_metrics_proxy.engines.clickhouse.source import about
from llm_metrics_proxy.engines.clickhouse.statement import results, statement
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.record import APP_VERSION_COLUMN

_HOUR: Final = timedelta(hours=1)
WORTH_FROM: Final = 1_000_000  # records: fewer are read as quickly, and are exact (measured: docs/topics/clickhouse.md)
# The server takes a projection that is read by name for its table, and would look for the table's columns in it (26.9).
_APART: Final = ", enable_shared_storage_snapshot_in_query = 0"
_KEPT_COUNTS: Final = frozenset({"succeeded", "failed", "errors"})


class HourlySource:
    """``source.Source`` over the projections of ``completion_requests``."""

    name = "both"
    relative_error = RELATIVE_ERROR
    us_per_record = 0.0

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stored: dict[str, dict[str, str]] = {}

    def can_answer(self, plan: QueryPlan) -> bool:
        """Whether a projection has it all, for every part of the table."""
        return _why_not(plan) is None and self._connection.cluster is None and self._is_whole(_projection(plan))

    def _is_whole(self, projection: Projection) -> bool:
        """A table that was made without it has parts that lack it, until they are merged."""
        parts = "FROM system.{} WHERE active AND database = currentDatabase() AND table = '{}'"
        sql = (
            f"SELECT (SELECT sum(rows) {parts.format('parts', TABLE)}), "
            f"(SELECT sum(parent_rows) {parts.format('projection_parts', TABLE)} AND name = '{projection.name}')"
        )
        ((records, summed),) = self._connection.query(sql)
        return bool(records == summed)

    def is_worth_it(self, plan: QueryPlan) -> bool:
        """Whether the range has many records."""
        return about(self._connection, plan) >= WORTH_FROM

    def describe(self, plan: QueryPlan) -> str:
        """Which projection, or why none."""
        return _why_not(plan) or f"{_projection(plan).name}: kept by ClickHouse by the hour; records at the edges"

    def span(self) -> None:
        """It has no record that the source of records has not."""

    def read(self, plans: Sequence[QueryPlan]) -> list[SourceResult]:
        """One statement for all. Raises ``StoreError``, and ``QueryError`` if a plan has over ``MAX_GROUPS``."""
        sql = statement(plans, MAX_GROUPS, lambda: _OfHours(self._table), settings=_APART)
        return results(plans, self._connection.text(sql))

    def _table(self, projection: Projection) -> tuple[str, dict[str, str]]:
        """A projection as FROM takes it, and under which names it has its columns: the server writes them in its own
        way, in the order in which they were asked for."""
        name = f"mergeTreeProjection({literal(self._connection.address.database)}, {TABLE}, {projection.name})"
        if projection.name not in self._stored:
            there = [row[0] for row in self._connection.query(f"DESCRIBE {name}")]
            self._stored[projection.name] = dict(zip(projection.columns, map(quoted, there), strict=True))
        return name, self._stored[projection.name]


def _columns(plan: QueryPlan) -> set[str]:
    """Columns of words that the plan groups or filters by."""
    grouped = {dimension(name).column or "" for name in plan.group_by if name not in IN_TIME}
    return grouped | {one.column.name for one in plan.filter.conditions}


def _projections(plan: QueryPlan) -> list[Projection]:
    needed = _columns(plan) - {APP_VERSION_COLUMN}
    columns = {column for column, _ in plan.needs.quantiles}
    return [
        one for one in PROJECTIONS
        if needed <= set(one.keys) and plan.needs.moments <= set(one.fields) and columns <= set(one.sketched)
    ]  # fmt: skip


def _projection(plan: QueryPlan) -> Projection:
    return _projections(plan)[0]


def _why_not(plan: QueryPlan) -> str | None:
    """The first reason, for people."""
    if plan.arrived is not None or plan.needs.peak or not plan.needs.counts <= _KEPT_COUNTS or plan.slos:
        return "arrivals, most requests open at once and objectives are known of records alone"
    if any(dimension(name).family not in ("column", "time") for name in plan.group_by):
        return "tags, bands and bins are known of records alone"
    if not {fraction for _, fraction in plan.needs.quantiles} <= set(LEVELS):
        return f"sketches know the percentiles {', '.join(f'p{100 * level:g}' for level in LEVELS)}"
    if not _projections(plan):
        return "no sums are kept by these dimensions and filters together"
    if len(_pieces(plan)) == 0:
        return "the range has no whole hour"
    if any(_is_within_an_hour(edge) and edge not in (plan.start, plan.end) for edge in _edges(plan)):
        return "its buckets or the zone's hours do not begin with hours of UTC"
    return None


def _edges(plan: QueryPlan) -> set[datetime]:
    """Where keys in time change."""
    spans = [span for bucket in plan.buckets for span in bucket.spans] if "time" in plan.group_by else []
    cut = plan.segments if {"hour_of_day", "weekday"} & set(plan.group_by) else ()
    # of a zone like Nepal's, hours begin within those of UTC
    local = {segment.start + segment.offset for segment in cut if segment.offset % _HOUR}
    return {edge for span in spans for edge in span} | {segment.start for segment in cut} | local


def _is_within_an_hour(edge: datetime) -> bool:
    return bool(edge.minute or edge.second or edge.microsecond)


class _OfHours:
    """States of aggregates by hour, merged."""

    def __init__(self, table: Callable[[Projection], tuple[str, dict[str, str]]]) -> None:
        self._table = table
        self._names: dict[str, str] = {}  # of the states, by the aggregate

    def aggregate(self, sql: str) -> str:
        """Of all states of an aggregate, its value."""
        function = sql.partition("(")[0]
        return f"{function}Merge({self._named(sql)})"

    def percentiles(self, fractions: Sequence[float], value: str) -> str:
        """Those asked for, out of all that are kept."""
        places = ", ".join(str(LEVELS.index(fraction) + 1) for fraction in fractions)
        return f"arrayMap(each -> {merged(self._named(sketch(value)))}[each] / {SCALE}, [{places}])"

    def _named(self, sql: str) -> str:
        return self._names.setdefault(sql, f"a{len(self._names)}")

    def source(self, plan: QueryPlan) -> str:
        """A table of states, in which ``timestamp`` is the hour, or the range's start within it."""
        selection: RequestFilter = replace(plan.filter, start=None, end=None)
        keys = sorted(_columns(plan) | {APP_VERSION_COLUMN})
        kept, stored = self._table(_projection(plan))
        shown = [*map(quoted, keys)]
        states = [f"{stored[sql]} AS {name}" for sql, name in self._names.items()]
        found = []
        for at, conditions, is_whole in _pieces(plan):
            if is_whole:
                columns = ", ".join([f"{stored[HOUR]} AS hour", *shown, *states])
                hours = f"SELECT {columns} FROM {kept}{where(selection, *conditions)}"  # noqa: S608 -- names are ours
            else:
                made = [f"{state(sql)} AS {name}" for sql, name in self._names.items()]
                columns = ", ".join([f"{HOUR} AS hour", *shown, *made])
                by = ", ".join(["hour", *shown])
                hours = f"SELECT {columns} FROM {TABLE}{where(selection, *conditions)} GROUP BY {by}"  # noqa: S608
            found.append(f"SELECT {at} AS timestamp, * FROM ({hours})")  # noqa: S608
        return f"({' UNION ALL '.join(found)})"


def _pieces(plan: QueryPlan) -> list[tuple[str, list[str], bool]]:
    """Whole hours and edges of a range that has any: which time stands for each hour, and which records they are."""
    start, end = (None if moment is None else aware(moment) for moment in (plan.filter.start, plan.filter.end))
    first = None if start is None else _floor(start) + (_HOUR if _floor(start) < start else timedelta())
    last = None if end is None else _floor(end)
    hour = f"fromUnixTimestamp64Micro(toInt64(hour * {HOUR_US}), 'UTC')"
    if start is None and plan.start is not None:  # of an open range, buckets begin with the oldest record
        hour = f"if(hour = {_number(plan.start)}, {time_literal(plan.start)}, {hour})"
    if first is not None and last is not None and first >= last:
        return []
    whole = [] if first is None else [f"{quoted(HOUR)} >= {_number(first)}"]
    whole += [] if last is None else [f"{quoted(HOUR)} < {_number(last)}"]
    whole += [f"{quoted(HOUR)} > {_NO_TIME_HOUR}"] if whole and first is None else []
    pieces = [(hour, whole, True)]
    for begin, until, is_edge in ((start, first, start != first), (last, end, last != end)):
        if begin is not None and until is not None and is_edge:
            conditions = [f"timestamp >= {time_literal(begin)}", f"timestamp < {time_literal(until)}"]
            pieces.append((time_literal(begin), conditions, False))
    return pieces


_NO_TIME_HOUR: Final = -613_608  # of ``NO_TIME``


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _number(hour: datetime) -> int:
    return int(hour.timestamp()) // 3600
