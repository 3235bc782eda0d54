"""The answer to a query, as a frozen value in the shape in which JSON has it."""

from datetime import datetime

import msgspec

from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.query import Query

Key = str | int | float | bool | None


class ResultColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One dimension or metric of the answer. ``unit`` is empty for words, shares and flags."""

    name: str
    kind: str  # dimension or metric
    unit: str
    meaning: str


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number. ``previous`` and ``change`` are there only if the query compares periods."""

    value: float | None  # null: no record has it
    n: int  # records it rests on
    coverage: float | None  # n / records of this row; null if there are none
    previous: float | msgspec.UnsetType | None = msgspec.UNSET
    previous_n: int | msgspec.UnsetType = msgspec.UNSET  # records that ``previous`` rests on
    change: float | msgspec.UnsetType | None = msgspec.UNSET  # (value - previous) / |previous|


NEW, GONE = "new", "gone"


class ResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group. ``merged``: how many groups beyond the limit are in this row, and its key is null except
    time; 0 for a single group. What else there is to know of a row is there only where it is so."""

    key: dict[str, Key]
    values: dict[str, Measured]
    merged: int = 0
    partial: bool | msgspec.UnsetType = msgspec.UNSET  # true: part of the bucket lies outside the range, or ahead
    # Of a comparison: `new`, a group without records in the period before, or `gone`, one without any in this one.
    presence: str | msgspec.UnsetType = msgspec.UNSET


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All numbers from one snapshot. Missing is ``None``, never 0."""

    app_version: str  # whose formulas and definitions these numbers follow
    query: Query
    start: datetime | None  # the range, in UTC; null where nothing is stored and the query has no bound
    end: datetime | None
    previous_start: datetime | None  # the period before ends where this one starts; null unless compared
    timezone: str
    bucket: str | None
    source: str  # records, rollups or both
    relative_error: float  # of percentiles; 0: exact
    records: int  # selected
    columns: list[ResultColumn]
    rows: list[ResultRow]
    pruned_before: datetime | None = None  # of the range up to here, most records were deleted and are not in it
    history: History | None = None  # older records that are not counted here yet; null: none is missing
