"""From settings to the options of a process. Settings pass by their names; tables of the file become rules and rows."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec
from pydantic import SecretStr

from llm_metrics_proxy.analytics.filters import RULED, in_fields
from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.config.budgets import BudgetTable
from llm_metrics_proxy.config.prices import PriceTable
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded, settings_table
from llm_metrics_proxy.config.store_access import store_password
from llm_metrics_proxy.config.table import values_of
from llm_metrics_proxy.config.watch import AlertTable, SloTable
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.pricing import ALWAYS, FOR_EVER, PriceRow
from llm_metrics_proxy.pricing.public import provider_ids
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.secret_file import secret_path
from llm_metrics_proxy.proxy.options import BackendOptions, ProxyOptions
from llm_metrics_proxy.telemetry import OtlpOptions
from llm_metrics_proxy.watch.rules import About, AlertRule, BudgetRule, SloRule

KILL_GRACE_S: Final = 5.0  # a worker that has drained still closes its journal
S = TypeVar("S", bound=msgspec.Struct)


def by_name(kind: type[S], source: object, **others: Any) -> S:
    """A struct whose fields are attributes of ``source``, except ``others``."""
    return kind(**{name: getattr(source, name) for name in kind.__struct_fields__ if name not in others}, **others)


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def proxy_options(
    loaded: Loaded, *, backend: str, listen_fds: list[int], worker_index: int, scoreboard_fd: int | None
) -> ProxyOptions:
    """What one worker starts with."""
    settings = loaded.settings
    own: dict[str, Any] = {
        "backend": backend,
        "backends": backend_options(loaded),
        "listen_fds": listen_fds,
        "secret_file": str(secret_path(settings).absolute()),
        "worker_index": worker_index,
        "scoreboard_fd": scoreboard_fd,
        "health_token": _secret(settings.metrics_token),
    }
    return ProxyOptions(**(values_of(settings) | own))


def backend_options(loaded: Loaded) -> list[BackendOptions]:
    """The tables ``[[backends]]``, each with its key."""
    return [
        by_name(BackendOptions, table, api_key=_secret(loaded.api_keys.get(table.name)))
        for table in loaded.settings.backends
    ]


def metrics_options(
    loaded: Loaded,
    *,
    backend: str,
    listen_fds: list[int],
    scoreboard_fd: int | None,
    proxy_url: str = "",
    simulated: bool = False,
) -> MetricsOptions:
    """What the metrics process starts with. Raises ``SettingsError``."""
    settings = loaded.settings
    return MetricsOptions(
        listen_fds=listen_fds,
        scoreboard_fd=scoreboard_fd,
        found_backend=backend,
        proxy_url=proxy_url,
        simulated=simulated,
        backends=backend_options(loaded),
        metrics_token=_secret(settings.metrics_token),
        store_password=store_password(settings),
        settings=settings_table(loaded),
        otlp=otlp_options(settings),
        tokens=read_tokens(loaded),
        **rules(settings),
        **values_of(settings),
    )


def read_tokens(loaded: Loaded) -> list[ReadToken]:
    """The tables ``[[tokens]]``, each with the digest of its token: processes never have the tokens."""
    return [
        ReadToken(name=table.name, sha256=loaded.token_digests[table.name], conditions=table.conditions())
        for table in loaded.settings.tokens
    ]


def otlp_options(settings: Settings) -> OtlpOptions | None:
    """Where telemetry is sent; none: nowhere."""
    if settings.otlp_endpoint is None or not (settings.otlp_traces or settings.otlp_metrics or settings.otlp_logs):
        return None
    pairs = [pair.partition("=") for pair in (_secret(settings.otlp_headers) or "").split(",")]
    return OtlpOptions(
        endpoint=settings.otlp_endpoint,
        headers={name.strip().lower(): value.strip() for name, _, value in pairs if name},
        traces=settings.otlp_traces,
        metrics=settings.otlp_metrics,
        logs=settings.otlp_logs,
        metrics_interval_s=settings.otlp_metrics_interval_s,
        model_limit=settings.prometheus_model_limit,
        version=APP_VERSION,
        host=settings.host_name,
    )


def rules(settings: Settings) -> dict[str, Any]:
    """The other tables of the file, by the fields of ``MetricsOptions``. Raises ``SettingsError``."""
    return {
        "prices": price_rows(settings.prices),
        "slos": slo_rules(settings.slos),
        "alerts": alert_rules(settings.alerts),
        "budgets": budget_rules(settings.budgets),
    }


def about(table: SloTable | AlertTable) -> About:
    """Which requests a rule is about."""
    return About(**in_fields(table.conditions(), RULED))


def slo_rules(tables: Sequence[SloTable]) -> list[SloRule]:
    """Objectives as the watcher has them."""
    return [by_name(SloRule, table, window_s=table.window, about=about(table)) for table in tables]


def alert_rules(tables: Sequence[AlertTable]) -> list[AlertRule]:
    """Alerts as the watcher has them."""
    return [
        by_name(
            AlertRule,
            table,
            window_s=table.window,
            for_s=table.for_duration,
            resolve_s=table.resolve_duration,
            about=about(table),
        )
        for table in tables
    ]


def budget_rules(tables: Sequence[BudgetTable]) -> list[BudgetRule]:
    """Budgets as the watcher has them."""
    return [
        by_name(
            BudgetRule,
            table,
            limit=table.limit[0],
            unit=table.limit[1],
            levels=tuple(percent / 100 for percent in table.warn),
            about=about(table),
        )
        for table in tables
    ]


def price_rows(tables: Sequence[PriceTable]) -> list[PriceRow]:
    """The user's prices as the pricer has them. Raises ``SettingsError`` for an unknown provider."""
    if any(table.provider for table in tables):
        known = provider_ids()
        problems = [
            f"prices[{index}].provider = {table.provider!r} (model {table.model}): genai-prices knows no such one, "
            f"only {', '.join(sorted(known))}"
            for index, table in enumerate(tables)
            if table.provider is not None and table.provider not in known
        ]
        if problems:
            raise SettingsError(problems)
    return [
        by_name(PriceRow, table, from_=table.valid_from or ALWAYS, until=table.valid_until or FOR_EVER)
        for table in tables
    ]
