"""A rule as a query over the records of its window, and the answer as a report."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.slos import COMPLETED, parse_slo
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.quotas import LimitWindow
from llm_metrics_proxy.watch.limits import LIMIT_METRICS, Windows, measure_limit
from llm_metrics_proxy.watch.rules import About, AlertRule, SloRule
from llm_metrics_proxy.watch.states import AlertPhase

BURN_WINDOW_S: Final = 3600


def no_windows(_: float) -> Iterable[LimitWindow]:
    """Where no server says what is left."""
    return ()


class SloReport(msgspec.Struct, frozen=True, kw_only=True):
    """One objective, measured. What rests on no record is null."""

    name: str
    require: str
    objective: float
    window_s: int
    filter: About
    requests: int = 0
    good_ratio: float | None = None
    met: bool | None = None
    error_budget_left: float | None = None  # 1: nothing used; 0: all of it; below 0: more than all
    burn_rate_1h: float | None = None  # 1: at this pace the budget lasts exactly one window
    measured_at: str | None = None  # null: not yet, since this process started
    error: str | None = None  # why it could not be measured last time


class AlertReport(msgspec.Struct, frozen=True, kw_only=True):
    """One alert as it is now."""

    name: str
    metric: str
    op: str
    threshold: float
    window_s: int
    for_s: int
    resolve_s: int
    filter: About
    against: str | None  # previous: threshold and value are changes, -0.3 is a fall by 30 %
    webhook: str | None  # whose host only is shown
    phase: str = AlertPhase.OK
    since: str | None = None  # when the phase began
    value: float | None = None  # as last measured
    n: int = 0  # records it rests on
    measured_at: str | None = None
    error: str | None = None  # why it could not be measured last time
    waiting: int = 0  # messages that its receiver has not taken yet
    last_delivery_error: str | None = None


def unmeasured(rule: SloRule) -> SloReport:
    """A report without numbers."""
    return SloReport(
        name=rule.name, require=rule.require, objective=rule.objective, window_s=rule.window_s, filter=rule.about
    )


def measure_slo(sources: Sequence[Source], hours: GoodHours, rule: SloRule, now: datetime) -> SloReport:
    """Over its window, and over the last hour for the burn rate. Raises ``StoreError`` and ``QueryError``."""
    good, requests = _good(sources, hours, rule, rule.window_s, now)
    recent, _ = _good(sources, hours, rule, min(BURN_WINDOW_S, rule.window_s), now)
    allowed = 1 - rule.objective
    return msgspec.structs.replace(
        unmeasured(rule),
        requests=requests,
        good_ratio=good,
        met=None if good is None else good >= rule.objective,
        error_budget_left=None if good is None else 1 - (1 - good) / allowed,
        burn_rate_1h=None if recent is None else (1 - recent) / allowed,
        measured_at=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def measure_alert(
    sources: Sequence[Source], hours: GoodHours, rule: AlertRule, now: datetime, windows: Windows = no_windows
) -> tuple[float | None, int]:
    """The metric's value, or its change against the window before, and how many records or windows it rests on, of two
    windows the fewer. Raises ``StoreError`` and ``QueryError``."""
    if rule.metric in LIMIT_METRICS:
        return measure_limit(rule, windows, now.timestamp())
    value, n = _over_window(sources, hours, rule, now)
    if rule.against is None:
        return value, n
    before, n_before = _over_window(sources, hours, rule, now - timedelta(seconds=rule.window_s))
    change = None if value is None or not before else (value - before) / abs(before)
    return change, min(n, n_before)


def _over_window(
    sources: Sequence[Source], hours: GoodHours, rule: AlertRule, now: datetime
) -> tuple[float | None, int]:
    selection = _filter(rule.about, rule.window_s, now)
    if rule.metric == "goodput" and rule.require is not None:
        return _share(hours, selection, rule.require)
    return _one(sources, Query(metrics=(rule.metric,), filter=selection), rule.metric, now)


def _good(
    sources: Sequence[Source], hours: GoodHours, rule: SloRule, window_s: int, now: datetime
) -> tuple[float | None, int]:
    selection = _filter(rule.about, window_s, now)
    if rule.require != COMPLETED:
        return _share(hours, selection, rule.require)
    return _one(sources, Query(metrics=("success_rate",), filter=selection), "success_rate", now)


def _share(hours: GoodHours, selection: RequestFilter, require: str) -> tuple[float | None, int]:
    """``goodput``, from memory where possible."""
    requests, good = hours.measure(selection, (parse_slo(require),))
    return (good / requests if requests else None), requests


def _one(sources: Sequence[Source], query: Query, metric: str, now: datetime) -> tuple[float | None, int]:
    rows = ask(sources, query, now).rows
    if not rows:
        return None, 0
    measured = rows[0].values[metric]
    return measured.value, measured.n


def _filter(about: About, window_s: int, now: datetime) -> RequestFilter:
    start = now - timedelta(seconds=window_s)
    return RequestFilter(start=start, end=now + timedelta(microseconds=1), **msgspec.structs.asdict(about))
