"""What it costs: this month so far and at its end, the last twelve months, and the same work on several models.

The projection is plain: what the month has cost so far, and for what is left of it the mean of the last seven days, in
which every weekday is once. With records of fewer days it is the mean of those; with less than one there is none.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.calendar import first_moment
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.query import Query, check_timezone
from llm_metrics_proxy.analytics.result import Measured, ResultRow
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.analytics.sources import whole_span
from llm_metrics_proxy.metrics_service import APP_VERSION

BASIS_DAYS: Final = 7
MONTHS: Final = 12
_DAY: Final = timedelta(days=1)
SUMS: Final = (
    "requests", "cost_usd", "estimated_cost_usd", "total_tokens", "cost_per_request_usd", "cost_per_1000_requests_usd",
    "cost_per_mtok_usd", "cache_hit_ratio", "cache_savings_usd", "cached_tokens", "cache_write_tokens",
    "cache_prompt_tokens", "backend_busy_ms",
)  # fmt: skip
_PER_SESSION: Final = "cost_per_session_usd"  # of records alone: apart, so that roll-ups answer the rest
_MISSES: Final = ("requests", "cache_missed_tokens")


class CostProjection(msgspec.Struct, frozen=True, kw_only=True):
    """What the month will have cost, if the rest of it is like the days that this rests on."""

    cost_usd: float | None  # null: the records of less than a day say nothing
    basis_start: datetime | None
    basis_days: float  # up to 7


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month of the caller's time zone; the last one is not over."""

    start: datetime
    end: datetime
    values: dict[str, Measured]


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Each number says over how many records it is (``n``), and which share of them that is (``coverage``).

    ``estimated_cost_usd`` is the part of ``cost_usd`` that comes from a price of the user's own machine.
    """

    app_version: str
    filter: RequestFilter
    timezone: str
    month: Month  # up to now
    projection: CostProjection
    months: list[Month]  # the oldest first; this one is the last
    start: datetime  # of ``total``, ``rows`` and ``misses``
    end: datetime
    by: tuple[str, ...]
    total: dict[str, Measured]
    rows: list[ResultRow]  # the dearest first
    misses: list[ResultRow]  # by the server's reason; only records that have one
    history: History | None = None  # older records that are not counted here yet; null: none is missing


class CostsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """``filter``: its range is that of the rows; without a start, it is this month. Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    by: tuple[str, ...] = ("model",)
    timezone: str = "UTC"
    limit: int = 50

    def __post_init__(self) -> None:
        check_timezone(self.timezone)
        Query(group_by=self.by, limit=self.limit, filter=self.filter)


def read_costs(sources: Sequence[Source], query: CostsQuery, now: datetime) -> Costs:
    """``now`` is aware. Raises ``QueryError`` and ``StoreError``."""
    zone = ZoneInfo(query.timezone)
    start = query.filter.start or month_of(now, zone)
    end = query.filter.end or max(now, start + timedelta(microseconds=1))
    asked = msgspec.structs.replace(query.filter, start=start, end=end)
    months = _months(sources, query, now, zone)
    return Costs(
        app_version=APP_VERSION,
        filter=query.filter,
        timezone=query.timezone,
        month=months[-1],
        projection=_projection(sources, query, now, months[-1]),
        months=months,
        start=start,
        end=end,
        by=query.by,
        total=_total(sources, asked, (*SUMS,), now) | _total(sources, asked, (_PER_SESSION,), now),
        rows=_rows(sources, query, asked, now),
        misses=_misses(sources, asked, now),
    )


def month_of(moment: datetime, zone: ZoneInfo, after: int = 0) -> datetime:
    """When the month began in that zone, or the one so many months after it."""
    local = moment.astimezone(zone)
    years, month = divmod(local.month - 1 + after, 12)
    midnight = datetime(local.year + years, month + 1, 1)
    return first_moment(midnight, zone).astimezone(UTC)


def _months(sources: Sequence[Source], query: CostsQuery, now: datetime, zone: ZoneInfo) -> list[Month]:
    starts = [month_of(now, zone, -back) for back in range(MONTHS - 1, -1, -1)]
    end = max(now, starts[-1] + timedelta(microseconds=1))
    chosen = msgspec.structs.replace(query.filter, start=starts[0], end=end)
    result = ask(
        sources,
        Query(metrics=SUMS, group_by=("time",), filter=chosen, bucket="month", timezone=query.timezone),
        now,
    )
    ends = [*starts[1:], end]
    return [
        Month(start=begin, end=until, values=row.values)
        for begin, until, row in zip(starts, ends, result.rows, strict=True)
    ]


class MonthSoFar(NamedTuple):
    """The month that is not over."""

    month: Month
    projection: CostProjection


def month_so_far(sources: Sequence[Source], query: CostsQuery, now: datetime) -> MonthSoFar:
    """As ``read_costs``, of this month alone. Raises ``QueryError`` and ``StoreError``."""
    month = _months(sources, query, now, ZoneInfo(query.timezone))[-1]
    return MonthSoFar(month, _projection(sources, query, now, month))


def _projection(sources: Sequence[Source], query: CostsQuery, now: datetime, month: Month) -> CostProjection:
    span = whole_span(sources)
    if span is None:
        return CostProjection(cost_usd=None, basis_start=None, basis_days=0.0)
    start = max(now - BASIS_DAYS * _DAY, span[0])
    days = max((now - start) / _DAY, 0.0)
    so_far = month.values["cost_usd"].value
    if days < 1:
        return CostProjection(cost_usd=None, basis_start=start, basis_days=days)
    basis = _total(sources, msgspec.structs.replace(query.filter, start=start, end=now), ("cost_usd",), now)
    recent = basis["cost_usd"].value
    if recent is None:
        return CostProjection(cost_usd=None, basis_start=start, basis_days=days)
    left = (month_of(now, ZoneInfo(query.timezone), 1) - now) / _DAY
    return CostProjection(cost_usd=(so_far or 0.0) + recent / days * left, basis_start=start, basis_days=days)


def _total(
    sources: Sequence[Source], chosen: RequestFilter, metrics: tuple[str, ...], now: datetime
) -> dict[str, Measured]:
    return ask(sources, Query(metrics=metrics, filter=chosen), now).rows[0].values


def _rows(sources: Sequence[Source], query: CostsQuery, chosen: RequestFilter, now: datetime) -> list[ResultRow]:
    """The sums, and beside them the cost of a session where a row is one group."""
    shape = {"group_by": query.by, "filter": chosen, "limit": query.limit}
    rows = ask(sources, Query(metrics=SUMS, order="-cost_usd", **shape), now).rows  # type: ignore[arg-type]
    # As many groups as there may be: its order is another one.
    every = {**shape, "limit": 10_000}
    sessions = ask(sources, Query(metrics=(_PER_SESSION,), **every), now).rows  # type: ignore[arg-type]
    found = {tuple(row.key.values()): row.values for row in sessions if not row.merged}
    unknown = {_PER_SESSION: Measured(value=None, n=0, coverage=None)}
    return [
        msgspec.structs.replace(
            row,
            values=row.values | (unknown if row.merged else found.get(tuple(row.key.values()), unknown)),
        )
        for row in rows
    ]


def _misses(sources: Sequence[Source], chosen: RequestFilter, now: datetime) -> list[ResultRow]:
    query = Query(metrics=_MISSES, group_by=("cache_miss_reason",), filter=chosen, limit=50)
    return [row for row in ask(sources, query, now).rows if row.key["cache_miss_reason"] is not None]
