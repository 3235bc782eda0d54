"""A budget as two queries over the records of its period, and the answer as a report.

The projection is what was used, and the rest of the period at the rate of late: of the last third of a period's length
(8 hours, 56 hours, 10 days), which may begin before the period does. So the first day of a month does not forecast from
one hour.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.calendar import BUCKETS, first_moment
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.watch.budget_states import Spending
from llm_metrics_proxy.watch.rules import About, BudgetRule, shown_webhook

METRICS: Final = {"USD": "cost_usd", "tokens": "total_tokens"}
MOST_VALUES: Final = 200  # of a budget for each: those that used most
_RECENT: Final = {"day": timedelta(hours=8), "week": timedelta(hours=56), "month": timedelta(days=10)}
_SHIFT: Final = {"monday": timedelta(0), "sunday": timedelta(days=1), "saturday": timedelta(days=2)}


class BudgetStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How one budget stands. ``value``: of the dimension that the budget is for each of; null: requests without one."""

    value: str | None
    spent: float
    spent_ratio: float  # of the budget
    projected: float  # by the end of the period, at the rate of late
    projected_ratio: float
    requests: int
    counted: int  # of them, those whose cost or tokens are known
    state: str  # ok; near: a level was reached; projected: will be passed; over: passed


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """One budget, measured."""

    name: str
    limit: float
    unit: str
    per: str
    each: str | None
    timezone: str
    levels: tuple[float, ...]
    filter: About
    webhook: str | None  # whose host only is shown
    period_start: str | None = None  # null: not measured yet, since this process started
    period_end: str | None = None
    standings: list[BudgetStanding] = []  # those that used most first; of a budget for all, one
    measured_at: str | None = None
    error: str | None = None  # why it could not be measured last time
    waiting: int = 0  # messages that its receiver has not taken yet
    last_delivery_error: str | None = None


def unmeasured(rule: BudgetRule) -> BudgetReport:
    """A report without numbers."""
    return BudgetReport(
        name=rule.name,
        limit=rule.limit,
        unit=rule.unit,
        per=rule.per,
        each=rule.each,
        timezone=rule.timezone,
        levels=rule.levels,
        filter=rule.about,
        webhook=shown_webhook(rule.webhook),
    )


def period_of(rule: BudgetRule, now: datetime) -> tuple[datetime, datetime]:
    """From when to before when the period lasts in which ``now`` (aware) is; in UTC."""
    zone, kind = ZoneInfo(rule.timezone), BUCKETS[rule.per]
    local = now.astimezone(zone).replace(tzinfo=None)
    shift = _SHIFT[rule.week_begins] if rule.per == "week" else timedelta(0)
    first = kind.floor(local + shift)
    start, end = (first_moment(midnight - shift, zone) for midnight in (first, kind.following(first)))
    if now >= end:  # clocks went back over midnight: the date of before once more, in the period that has begun
        following = kind.following(kind.following(first))
        return end, first_moment(following - shift, zone)
    return start, end


class _Used(NamedTuple):
    amount: float = 0.0
    requests: int = 0
    counted: int = 0


def measure_budget(
    sources: Sequence[Source], rule: BudgetRule, now: datetime
) -> tuple[BudgetReport, Mapping[str | None, Spending]]:
    """How it stands, and what the state machine needs of each value. Raises ``StoreError`` and ``QueryError``."""
    start, end = period_of(rule, now)
    recent = _RECENT[rule.per]
    used = _used(sources, rule, start, now)
    lately = _used(sources, rule, now - recent, now)
    left, length_s = (end - now).total_seconds(), (end - start).total_seconds()
    spending = {}
    for value, one in used.items():
        rate = lately.get(value, _Used()).amount / recent.total_seconds()
        spending[value] = Spending(start.timestamp(), length_s, one.amount, one.amount + rate * left)
    report = msgspec.structs.replace(
        unmeasured(rule),
        period_start=_shown(start),
        period_end=_shown(end),
        standings=[_standing(rule, value, one, spending[value].projected) for value, one in used.items()],
        measured_at=_shown(now),
    )
    return report, spending


def _used(sources: Sequence[Source], rule: BudgetRule, start: datetime, now: datetime) -> dict[str | None, _Used]:
    metric = METRICS[rule.unit]
    end = now + timedelta(microseconds=1)
    asked = Query(
        metrics=(metric, "requests"),
        group_by=() if rule.each is None else (rule.each,),
        filter=RequestFilter(start=start, end=end, **msgspec.structs.asdict(rule.about)),
        order=f"-{metric}",
        limit=MOST_VALUES,
    )
    found: dict[str | None, _Used] = {} if rule.each is not None else {None: _Used()}
    for row in ask(sources, asked, now).rows:
        if row.merged or not (requests := row.values["requests"].value):
            continue
        value = None if rule.each is None else row.key[rule.each]
        measured = row.values[metric]
        found[None if value is None else str(value)] = _Used(measured.value or 0.0, int(requests), measured.n)
    return found


def _standing(rule: BudgetRule, value: str | None, used: _Used, projected: float) -> BudgetStanding:
    if used.amount >= rule.limit:
        state = "over"
    elif projected > rule.limit:
        state = "projected"
    else:
        state = "near" if used.amount >= rule.levels[0] * rule.limit else "ok"
    return BudgetStanding(
        value=value,
        spent=used.amount,
        spent_ratio=used.amount / rule.limit,
        projected=projected,
        projected_ratio=projected / rule.limit,
        requests=used.requests,
        counted=used.counted,
        state=state,
    )


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
