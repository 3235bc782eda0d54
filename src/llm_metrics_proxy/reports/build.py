"""The questions of a report, and the one value that their answers make.

They come from several queries, each with its own snapshot, over one range with a fixed end. A request that began in
the range and is stored while the report is made can be in a later answer and not in an earlier one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

import msgspec
from msgspec.structs import replace

from llm_metrics_proxy.analytics import ErrorsQuery, RequestFilter, read_errors
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.changes import ChangesQuery, what_changed
from llm_metrics_proxy.analytics.costs import CostsQuery, month_so_far
from llm_metrics_proxy.analytics.filters import aware, stored_time
from llm_metrics_proxy.analytics.headings import as_title
from llm_metrics_proxy.analytics.history import with_history
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.query import Query, check_timezone
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.result import Measured, Result, ResultRow
from llm_metrics_proxy.analytics.sessions import SessionsQuery, list_sessions
from llm_metrics_proxy.analytics.slowest import slowest
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.reports.contents import CHARTS, COLUMNS, FIGURES, TABLES
from llm_metrics_proxy.reports.model import Cell, Chart, CostOutlook, Figure, Group, Moves, Point, Report, Table, Told
from llm_metrics_proxy.reports.sentences import sentences

DEFAULT_DAYS: Final = 7
TABLE_ROWS: Final = 8
OUTCOMES_SHOWN: Final = 8  # as many as the taxonomy has
SLOWEST: Final = 10
EXAMPLES: Final = 5
SESSIONS: Final = 5
CHANGES: Final = 5


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, and by which calendar. Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        check_timezone(self.timezone)


def available(names: Sequence[str]) -> tuple[str, ...]:
    """Those metrics that this version has."""
    found = []
    for name in names:
        try:
            measure(name)
        except QueryError:
            continue
        found.append(name)
    return tuple(found)


def settled(selection: RequestFilter, now: datetime) -> RequestFilter:
    """The range of a report has two ends: without a start, the last seven days. Raises ``QueryError``."""
    end = now if selection.end is None else aware(selection.end)
    try:
        start = end - timedelta(days=DEFAULT_DAYS) if selection.start is None else aware(selection.start)
    except OverflowError as error:
        raise QueryError("end", "the week before that end would begin before the calendar does") from error
    if start >= end:
        raise QueryError("start", "start must be before the end of the report, which is now unless it is given")
    return replace(selection, start=start, end=end)


def build(records: Records, query: ReportQuery, now: datetime) -> Report:
    """``now`` is aware. Raises ``QueryError`` and ``StoreError``."""
    selection = settled(query.filter, now)
    sources = records.sources()

    def asked(metrics: Sequence[str], *group_by: str, limit: int = 100, compare: bool = False) -> Result:
        one = Query(
            metrics=available(metrics),
            group_by=group_by,
            filter=selection,
            timezone=query.timezone,
            limit=limit,
            compare=compare,
        )
        return ask(sources, one, now)

    names = available([name for name, *_ in FIGURES])
    peaks = [name for name in names if measure(name).needs.peak]
    totals = asked([name for name in names if name not in peaks], compare=True)
    of_records = asked(
        ["requests", *peaks], compare=True
    )  # apart: all else comes from roll-ups where the range is long
    over_time = asked(["requests", *(name for *_, series in CHARTS for name in series.values())], "time")
    by_outcome = asked(["requests"], "time", "outcome", limit=OUTCOMES_SHOWN)
    tables = [
        _table(
            title,
            asked(COLUMNS, dimension, limit=TABLE_ROWS, compare=True),
            totals.records,
        )
        for dimension, title in TABLES
    ]
    assert selection.start is not None
    assert selection.end is not None
    report = Report(
        app_version=APP_VERSION,
        generated_at=stored_time(now.astimezone(UTC)),
        start=stored_time(selection.start),
        end=stored_time(selection.end),
        previous_start=None if totals.previous_start is None else stored_time(totals.previous_start),
        timezone=query.timezone,
        bucket=over_time.bucket,
        filter=selection,
        records=totals.records,
        source=totals.source,
        relative_error=max(totals.relative_error, over_time.relative_error),
        pruned_before=None if of_records.pruned_before is None else stored_time(of_records.pruned_before),
        summary=[],
        changes=_changes(records, selection, query.timezone, now),
        projection=None if query.filter.end is not None else _projected(sources, selection, query.timezone, now),
        sessions=list_sessions(records, SessionsQuery(filter=selection, limit=SESSIONS), now).items,
        figures=_figures([totals] if of_records.pruned_before is not None else [totals, of_records]),
        charts=[_outcomes(by_outcome), *_charts(over_time)],
        tables=[table for table in tables if any(group.key is not None for group in table.groups)],
        errors=read_errors(records, ErrorsQuery(filter=selection, examples=EXAMPLES)),
        slowest=slowest(records, selection, SLOWEST),
    )
    return with_history(replace(report, summary=sentences(report)), records)


def _changes(records: Records, selection: RequestFilter, timezone: str, now: datetime) -> Moves:
    """What moved more than by chance since the period before."""
    found = what_changed(records, ChangesQuery(filter=selection, timezone=timezone, limit=CHANGES), now, monotonic)
    told = [Told(text=one.text, good=one.good, kind=one.kind, n=one.n, n_before=one.n_before) for one in found.changes]
    return Moves(text=found.text, told=told)


def _projected(sources: Sequence[Source], selection: RequestFilter, timezone: str, now: datetime) -> CostOutlook | None:
    """Of the month that is not over; none where nothing has a price."""
    found = month_so_far(sources, CostsQuery(filter=selection, timezone=timezone), now)
    so_far = found.month.values["cost_usd"]
    if so_far.value is None:
        return None
    return CostOutlook(
        month=found.month.start.strftime("%B"),
        so_far_usd=so_far.value,
        n=so_far.n,
        projected_usd=found.projection.cost_usd,
        basis_days=found.projection.basis_days,
    )


def _known(value: float | msgspec.UnsetType | None) -> float | None:
    return None if isinstance(value, msgspec.UnsetType) else value


def _figures(results: Sequence[Result]) -> list[Figure]:
    """In the order of the table, each from the first result that has it."""
    values = {name: one for result in reversed(results) for name, one in result.rows[0].values.items()}
    units = {column.name: column.unit for result in results for column in result.columns}
    return [
        Figure(
            name=name,
            label=as_title(name),
            unit=units[name],
            value=values[name].value,
            n=values[name].n,
            coverage=values[name].coverage,
            previous=_known(values[name].previous),
            change=_known(values[name].change),
            better=better,
        )
        for name, better in FIGURES
        if name in values
    ]


def _charts(over_time: Result) -> list[Chart]:
    """Those of which anything is known."""
    rows = [row for row in over_time.rows if row.key["time"] is not None]
    units = {column.name: column.unit for column in over_time.columns}
    charts = []
    for name, title, kind, series in CHARTS:
        there = {label: metric for label, metric in series.items() if metric in units}
        points = [_point(row, [row.values[metric].value for metric in there.values()]) for row in rows]
        if any(value is not None for point in points for value in point.values):
            unit = units[next(iter(there.values()))]
            charts.append(Chart(name=name, title=title, kind=kind, unit=unit, series=list(there), points=points))
    return charts


def _point(row: ResultRow, values: list[float | None]) -> Point:
    return Point(start=str(row.key["time"]), requests=row.values["requests"].n, values=values)


def _outcomes(by_outcome: Result) -> Chart:
    """Requests over time, by how they ended; successful ones first, so that errors are on top of them."""
    counts: dict[str, dict[str, int]] = {}
    for row in by_outcome.rows:
        if row.key["time"] is not None:
            word = "others" if row.merged else "(none)" if row.key["outcome"] is None else str(row.key["outcome"])
            counts.setdefault(str(row.key["time"]), {})[word] = row.values["requests"].n
    totals: dict[str, int] = {}
    for bucket in counts.values():
        for word, n in bucket.items():
            totals[word] = totals.get(word, 0) + n
    series = sorted((word for word, n in totals.items() if n), key=lambda word: (word != "completed", -totals[word]))
    points = [
        Point(start=start, requests=sum(found.values()), values=[float(found.get(word, 0)) for word in series])
        for start, found in counts.items()
    ]
    return Chart(
        name="outcomes", title="Requests by outcome", kind="stacked", unit="requests", series=series, points=points
    )


def _table(title: str, result: Result, records: int) -> Table:
    metrics = [column for column in result.columns if column.kind == "metric"]
    (dimension,) = result.query.group_by
    groups = [
        Group(
            key=None if row.key[dimension] is None else str(row.key[dimension]),
            merged=row.merged,
            share=row.values["requests"].n / records if records else None,
            cells=[_cell(row.values[metric.name]) for metric in metrics],
        )
        for row in result.rows
        if row.values["requests"].n
    ]
    return Table(
        dimension=dimension,
        title=title,
        metrics=[metric.name for metric in metrics],
        units=[metric.unit for metric in metrics],
        groups=groups,
    )


def _cell(measured: Measured) -> Cell:
    before = measured.previous_n
    return Cell(
        value=measured.value,
        n=measured.n,
        previous_n=None if isinstance(before, msgspec.UnsetType) else before,
        change=_known(measured.change),
    )
