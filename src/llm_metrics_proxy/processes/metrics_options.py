"""What the metrics process starts with: one line of JSON on its standard input. Later lines are reloads."""

from typing import Final

from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.config.values import SettingValues
from llm_metrics_proxy.pricing import PriceRow
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.telemetry import OtlpOptions
from llm_metrics_proxy.watch.rules import AlertRule, BudgetRule, SloRule

METRICS: Final = "metrics"  # the name of the process


class MetricsOptions(SettingValues, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting by its name, and this process's own. A reload takes new prices, rules and tokens from here."""

    listen_fds: list[int]  # listening sockets that the process inherited
    scoreboard_fd: int | None  # none: it runs without workers
    found_backend: str  # the single one that was named, found or simulated; empty: none is known, or there are several
    proxy_url: str = ""  # where clients reach the proxy, as far as this machine knows; empty: not known
    simulated: bool = False  # the single backend is the simulated one of `demo`
    backends: list[BackendOptions]
    metrics_token: str | None
    store_password: str
    settings: list[dict[str, str]]  # as people may see them: name, group, value, origin, meaning
    otlp: OtlpOptions | None
    prices: list[PriceRow]
    slos: list[SloRule]
    alerts: list[AlertRule]
    budgets: list[BudgetRule]
    tokens: list[ReadToken]
