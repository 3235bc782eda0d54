"""A report as a frozen value: what its JSON is, and all that its other forms are made of."""

from typing import Any

import msgspec

from llm_metrics_proxy.analytics import Errors, RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.sessions import SessionRow


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the whole range, and the same of the period before.

    ``change`` is (value - previous) / |previous|; ``better`` says which way is an improvement: up, down or neither.
    """

    name: str  # the metric, as /api/v1/query knows it
    label: str
    unit: str
    value: float | None  # none: no record has it
    n: int  # records it rests on
    coverage: float | None  # n / records selected
    previous: float | None
    change: float | None
    better: str


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of time; ``values`` are in the order of the chart's series."""

    start: str
    requests: int
    values: list[float | None]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Something over time. ``kind``: stacked (values add up) or lines."""

    name: str
    title: str
    kind: str
    unit: str
    series: list[str]
    points: list[Point]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a group; ``change`` against the period before, if there is one."""

    value: float | None
    n: int
    previous_n: int | None  # records of the period before
    change: float | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table. ``merged``: how many groups are in it, those that the table had no room for; groups of
    the period before that are gone now are among them."""

    key: str | None
    merged: int
    share: float | None  # of all requests selected
    cells: list[Cell]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The busiest values of one dimension; ``metrics`` and ``units`` are those of the cells."""

    dimension: str
    title: str
    metrics: list[str]
    units: list[str]
    groups: list[Group]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that is no noise. ``kind``: change, or shift where only the traffic is another one."""

    text: str
    good: bool
    kind: str
    n: int
    n_before: int


class Moves(msgspec.Struct, frozen=True, kw_only=True):
    """What changed since the period before; where nothing did, ``text`` says so."""

    text: str
    told: list[Told]


class CostOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """What the month that is not over costs; ``projected_usd`` is none where less than a day is known."""

    month: str
    so_far_usd: float
    n: int  # records with a cost
    projected_usd: float | None
    basis_days: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Missing is ``None``, never 0. Times are ISO 8601 in UTC; charts are bucketed by the calendar of ``timezone``."""

    app_version: str  # whose formulas and definitions these numbers follow
    generated_at: str
    start: str
    end: str
    previous_start: str | None  # the period before ends where this one starts
    timezone: str
    bucket: str | None
    filter: RequestFilter
    records: int
    source: str  # records, rollups or both
    relative_error: float  # of percentiles; 0: exact
    pruned_before: str | None = None  # most records from before were deleted: errors and the slowest lack them
    history: History | None = None  # older records that are not counted here yet; null: none is missing
    summary: list[str]  # in sentences
    changes: Moves
    projection: CostOutlook | None
    sessions: list[SessionRow]  # those that used most tokens, whole, also what lies outside of the range
    figures: list[Figure]
    charts: list[Chart]
    tables: list[Table]
    errors: Errors
    slowest: list[dict[str, Any]]  # as /api/v1/requests shows records
