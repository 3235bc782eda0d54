"""What is watched, as frozen values: they travel as JSON from the settings to the metrics process. Pure."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.analytics.filters import RULED, value_type
from llm_metrics_proxy.analytics.slos import COMPARISONS, COMPLETED

_Conditions: Any = msgspec.defstruct(
    "_Conditions",
    [
        *((name, value_type(column) | None, None) for name, column in RULED.items()),
        ("where", tuple[Condition, ...], ()),
    ],
    frozen=True,
    kw_only=True,
)


class About(_Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):  # type: ignore[misc,call-arg]
    """Which requests a rule is about; ``None``: every one."""


class SloRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``objective``: the share of requests, 0 to 1, that has to be as ``require`` says, over ``window_s``."""

    name: str
    require: str = COMPLETED
    objective: float
    window_s: int
    about: About = About()


class BudgetRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So much of ``unit`` (USD or tokens) in each ``per`` (day, week or month), of all requests that it is about or for
    each value of the dimension ``each``. It warns at ``levels``, 1 being all of it, and never blocks."""

    name: str
    limit: float
    unit: str
    per: str
    each: str | None = None
    timezone: str = "UTC"
    week_begins: str = "monday"
    levels: tuple[float, ...] = (0.5, 0.8, 1.0)
    warn_projected: bool = True
    webhook: str | None = None
    about: About = About()


class AlertRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something is wrong while ``metric`` over ``window_s`` compares so with ``threshold``; with ``against`` previous,
    while its change does, which is (value - value before) / |value before| of the window of the same length before."""

    name: str
    metric: str
    op: str
    threshold: float
    window_s: int
    require: str | None = None  # for the metric goodput
    against: str | None = None
    for_s: int = 0
    resolve_s: int = 0
    min_requests: int = 1
    webhook: str | None = None
    about: About = About()

    def holds(self, value: float | None, n: int) -> bool:
        """Is something wrong? Not where nothing, or too little, is known."""
        return value is not None and n >= self.min_requests and COMPARISONS[self.op](value, self.threshold)


def shown_webhook(url: str | None) -> str | None:
    """An address without path and query, which can be secret."""
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/…"
