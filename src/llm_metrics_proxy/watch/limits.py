"""Windows of servers' limits as reports: what is left, how fast it is used, whether it lasts, what records say."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import MAX_ROWS, Query
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.quotas import LimitWindow, Outlook, Used, look_ahead
from llm_metrics_proxy.quotas.outlook import LimitVerdict, recent_since
from llm_metrics_proxy.watch.rules import AlertRule

MOST_ASKED: Final = 20  # windows of which records are asked, those with least left first
LEFT: Final = "limit_left_ratio"
EARLY: Final = "limit_runs_out_early_s"
LIMIT_METRICS: Final = (LEFT, EARLY)
Windows = Callable[[float], Iterable[LimitWindow]]  # of servers' limits, those current at a moment (Unix seconds)


class LimitSample(msgspec.Struct, frozen=True, kw_only=True):
    """What was left at a moment."""

    at: str
    left_ratio: float | None
    left: int | None


class PastWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window that is over: the most that was used of it, as far as servers said."""

    began_at: str | None
    resets_at: str | None
    used_ratio: float | None


class LimitReport(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of one server, for one key, as last heard of."""

    backend: str
    api_key_id: str  # empty: no key
    limit: str  # requests, tokens; primary or secondary of a subscription
    left: int | None  # requests or tokens
    left_ratio: float | None  # 0 to 1
    window_s: float | None  # of a subscription
    measured_at: str
    resets_at: str | None
    began_at: str | None = None  # of a subscription's window
    is_over: bool = False  # it has begun anew since, and nobody said what is left
    verdict: str = LimitVerdict.UNKNOWN  # unknown, idle, lasts, runs_out, used_up
    text: str = ""  # the verdict for people
    burn_ratio_per_h: float | None = None  # share of the whole window that an hour uses, at the rate of late
    burn_from: str | None = None  # samples or records
    runs_out_at: str | None = None
    early_s: float | None = None  # so long before it begins anew it runs out; below 0: it would last longer
    left_at_reset_ratio: float | None = None
    requests: int | None = None  # since it began, by this server and key, as records say
    tokens: int | None = None
    cost_usd: float | None = None
    samples: list[LimitSample] = []
    past: list[PastWindow] = []  # the oldest first


def report_limits(sources: Sequence[Source], windows: Iterable[Sequence[LimitWindow]], now: float) -> list[LimitReport]:
    """Every limit that is current, and subscriptions' that are over, with what records say of those with least left.

    ``windows``: of each limit, the oldest first. Raises ``StoreError``.
    """
    found = [each for each in windows if each[-1].window_s is not None or each[-1].newest.is_current(now)]
    current = [each[-1] for each in found if each[-1].newest.is_current(now) and each[-1].began_at is not None]
    current.sort(key=lambda window: 1.0 if window.newest.left_ratio is None else window.newest.left_ratio)
    used = {id(window): _used(sources, window, now) for window in current[:MOST_ASKED]}
    return [_report(each, now, used.get(id(each[-1]))) for each in found]


class _LimitRecords(msgspec.Struct, frozen=True):
    requests: int
    tokens: int
    cost_usd: float | None
    recent_tokens: int


def _used(sources: Sequence[Source], window: LimitWindow, now: float) -> _LimitRecords | None:
    """What records say was used of it."""
    began, since = window.began_at, recent_since(window, now)
    if began is None or since is None or not began < now:
        return None
    requests, tokens, cost = _sums(sources, window, began, now)
    _, recent, _ = _sums(sources, window, min(since, now - 0.001), now)
    return _LimitRecords(requests, tokens, cost, recent)


def _sums(sources: Sequence[Source], window: LimitWindow, start: float, now: float) -> tuple[int, int, float | None]:
    """Requests, tokens and US dollars of its server and key."""
    key = {"api_key_id": window.api_key_id} if window.api_key_id else {}
    query = Query(
        metrics=("requests", "total_tokens", "cost_usd"),
        group_by=("backend_name", "backend", *(() if key else ("api_key_id",))),
        filter=RequestFilter(start=_moment(start), end=_moment(now + 0.001), **key),
        limit=MAX_ROWS,
    )
    requests, tokens, costs = 0, 0, []
    for row in ask(sources, query, _moment(now)).rows:
        server = row.key["backend_name"] or row.key["backend"] or ""
        if row.merged or server != window.backend or (not key and row.key["api_key_id"]):
            continue
        requests += int(row.values["requests"].value or 0)
        tokens += int(row.values["total_tokens"].value or 0)
        if (cost := row.values["cost_usd"].value) is not None:
            costs.append(cost)
    return requests, tokens, sum(costs) if costs else None


def _report(windows: Sequence[LimitWindow], now: float, records: _LimitRecords | None) -> LimitReport:
    window = windows[-1]
    newest, is_over = window.newest, not window.newest.is_current(now)
    outlook = Outlook(text="It has begun anew, and no request has said since what is left.")
    if not is_over:
        used = None if records is None else Used(records.tokens, records.recent_tokens)
        outlook = look_ahead(window, now, used)
    past = windows if is_over else windows[:-1]
    return LimitReport(
        backend=window.backend,
        api_key_id=window.api_key_id,
        limit=window.limit,
        left=None if is_over else newest.left,
        left_ratio=None if is_over else newest.left_ratio,
        window_s=window.window_s,
        measured_at=_text(newest.measured_at),
        resets_at=_optional(window.resets_at),
        began_at=_optional(window.began_at),
        is_over=is_over,
        verdict=outlook.verdict,
        text=outlook.text,
        burn_ratio_per_h=outlook.burn_ratio_per_h,
        burn_from=outlook.burn_from,
        runs_out_at=_optional(outlook.runs_out_at),
        early_s=outlook.early_s,
        left_at_reset_ratio=outlook.left_at_reset_ratio,
        requests=None if records is None else records.requests,
        tokens=None if records is None else records.tokens,
        cost_usd=None if records is None else records.cost_usd,
        samples=[]
        if is_over or window.window_s is None
        else [LimitSample(at=_text(one.at), left_ratio=one.left_ratio, left=one.left) for one in window.samples],
        past=[
            PastWindow(began_at=_optional(one.began_at), resets_at=_optional(one.resets_at), used_ratio=one.used_ratio)
            for one in past
            if one.window_s is not None
        ],
    )


def measure_limit(rule: AlertRule, windows: Windows, now: float) -> tuple[float | None, int]:
    """Of the windows that a rule is about: the least share left, or the longest time by which one runs out too early;
    and how many windows say so. ``windows`` are those current at a moment."""
    conditions = RequestFilter(**msgspec.structs.asdict(rule.about)).conditions
    chosen = [
        window
        for window in windows(now)
        if all(one.admits(window.backend if one.name == "backend_name" else window.api_key_id) for one in conditions)
    ]
    if rule.metric == LEFT:
        left = [window.newest.left_ratio for window in chosen if window.newest.left_ratio is not None]
        return (min(left) if left else None), len(left)
    early = [one for window in chosen if (one := early_s(window, now)) is not None]
    return (max(early) if early else None), len(early)


def early_s(window: LimitWindow, now: float) -> float | None:
    """How long before it begins anew a window runs out, or has run out; ``None``: that is not known, or nothing is
    used."""
    outlook = look_ahead(window, now)
    if outlook.verdict == LimitVerdict.USED_UP and window.resets_at is not None:
        return window.resets_at - now
    return outlook.early_s


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def _text(unix_s: float) -> str:
    return _moment(unix_s).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _optional(unix_s: float | None) -> str | None:
    return None if unix_s is None else _text(unix_s)
