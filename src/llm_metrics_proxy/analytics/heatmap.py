"""One metric over two dimensions, as a matrix."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.calendar import WEEKDAYS, weekdays_from
from llm_metrics_proxy.analytics.dimensions import dimension, has_order
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.query import MAX_ROWS, Query
from llm_metrics_proxy.analytics.result import Key, Measured, ResultColumn, ResultRow
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.errors import QueryError

MAX_LINES: Final = 200


class HeatmapQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``limit``: how many words, such as models, an axis shows, those with most requests. Raises
    ``QueryError``."""

    metric: str = "requests"
    x: str = "hour_of_day"
    y: str = "weekday"
    filter: RequestFilter = RequestFilter()
    bucket: str | None = None
    timezone: str = "UTC"
    limit: int = 20
    slos: tuple[Slo, ...] = ()
    week_start: str = WEEKDAYS[0]

    def __post_init__(self) -> None:
        for parameter in ("x", "y"):
            dimension(getattr(self, parameter), parameter)
        if self.x == self.y:
            raise QueryError("y", f"x and y are both {self.x[:64]}; they must differ")
        if not 1 <= self.limit <= MAX_LINES:
            raise QueryError("limit", f"limit must be from 1 to {MAX_LINES}; it is {self.limit}")
        self.as_query()

    def _groups(self) -> int:
        """The limit of groups: in time, those of the other axis; otherwise all, which are few enough."""
        if "time" not in (self.x, self.y):
            return MAX_ROWS
        other = dimension(self.y if self.x == "time" else self.x)
        return MAX_LINES if has_order(other) else self.limit

    def as_query(self) -> Query:
        """The query behind it."""
        return Query(
            metrics=tuple(dict.fromkeys((self.metric, "requests"))),
            group_by=(self.y, self.x),
            filter=self.filter,
            bucket=self.bucket,
            timezone=self.timezone,
            order="-requests",
            limit=self._groups(),
            slos=self.slos,
            week_start=self.week_start,
        )


class Heatmap(msgspec.Struct, frozen=True, kw_only=True):
    """``cells[i][j]`` is of ``y[i]`` and ``x[j]``; ``None`` where there is no record."""

    app_version: str
    query: HeatmapQuery
    start: datetime | None
    end: datetime | None
    bucket: str | None
    source: str  # records, rollups or both
    relative_error: float  # of percentiles; 0: exact
    records: int  # selected
    left_out: int  # records in no cell, as the limit left no room for their line
    history: History | None = None  # older records that are not counted here yet; null: none is missing
    columns: list[ResultColumn]  # y, x, metric
    x: list[Key]
    y: list[Key]
    cells: list[list[Measured | None]]
    pruned_before: datetime | None = None  # of the range up to here, most records were deleted and are not in it


def map_heat(sources: Sequence[Source], query: HeatmapQuery, now: datetime) -> Heatmap:
    """Raises ``QueryError`` and ``StoreError``."""
    result = ask(sources, query.as_query(), now)
    rows = [row for row in result.rows if not row.merged]
    x, y = (_axis(name, rows, query) for name in (query.x, query.y))
    of = {(row.key[query.y], row.key[query.x]): row.values for row in rows if row.values["requests"].n}
    shown = [(at_y, at_x) for at_y in y for at_x in x if (at_y, at_x) in of]
    return Heatmap(
        app_version=result.app_version,
        query=query,
        start=result.start,
        end=result.end,
        bucket=result.bucket,
        source=result.source,
        relative_error=result.relative_error,
        records=result.records,
        left_out=result.records - sum(of[key]["requests"].n for key in shown),
        columns=result.columns[:3],
        x=x,
        y=y,
        cells=[[of[at_y, at_x][query.metric] if (at_y, at_x) in of else None for at_x in x] for at_y in y],
        pruned_before=result.pruned_before,
    )


def _whole_axis(name: str, week_start: str) -> Sequence[Key]:
    """Every value of it, if those are known beforehand."""
    return {"hour_of_day": tuple(range(24)), "weekday": weekdays_from(week_start)}.get(name, ())


def _axis(name: str, rows: Sequence[ResultRow], query: HeatmapQuery) -> list[Key]:
    """All values if they have an order, otherwise the most frequent; missing values come last."""
    found: Counter[Key] = Counter()
    for row in rows:
        found[row.key[name]] += row.values["requests"].n
    one = dimension(name)
    if has_order(one):
        missing = [key for key in found if key is None]
        values = sorted((key for key in found if key is not None), key=lambda key: _place(key, one.order))
        return [*(_whole_axis(name, query.week_start) or values), *missing]
    by_count = sorted(found.items(), key=lambda each: (-each[1], each[0] is None, str(each[0])))
    return [key for key, _ in by_count[: query.limit]]


def _place(key: Key, order: Sequence[str]) -> tuple[float, str]:
    if isinstance(key, str):
        return (order.index(key) if key in order else -1), key  # "<0" before all bins; times by their text
    return float(key or 0), ""
