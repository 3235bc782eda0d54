"""From settings to processes: folders, the secret, listening sockets, and one ``ChildSpec`` per process."""

import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from pydantic import SecretStr

from llm_metrics_proxy import listening
from llm_metrics_proxy.config.backends import BackendTable
from llm_metrics_proxy.config.prices import PriceTable
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded, shown
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.config.watch import AlertTable, SloTable
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.errors import LlmMetricsProxyError, SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.ownership import make_folder
from llm_metrics_proxy.pricing import ALWAYS, FOR_EVER, PriceRow
from llm_metrics_proxy.pricing.public import provider_ids
from llm_metrics_proxy.processes import secret_file
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.reload_options import ReloadTold, fixed_settings
from llm_metrics_proxy.proxy.options import BackendOptions, ProxyOptions
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.supervisor import ChildSpec, Plan, Reload
from llm_metrics_proxy.telemetry import OtlpOptions
from llm_metrics_proxy.watch.rules import About, AlertRule, SloRule

# Workers first, so that nothing new arrives; then the metrics process, which stores what they left. The simulated
# server answers the workers' open requests, so it goes last.
_WORKERS, _METRICS, _DEMO = 0, 1, 2
METRICS: Final = "metrics"  # the name of that process
_KILL_GRACE_S: Final = 5.0  # a worker that has drained still closes its journal
# It stores for 5 s at most; killed later, it loses nothing: the journal is read on at the next start.
_LAST_INGESTION_S: Final = 30.0
_DEMO_STOP_S: Final = 5.0
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 -- shown to people, not bound

# Fields of ProxyOptions that are no setting: they describe one process, not what a person wants.
PROCESS_FIELDS: Final = (
    "backend",
    "backends",
    "listen_fds",
    "journal_dir",
    "secret_file",
    "worker_index",
    "scoreboard_fd",
    "health_token",
)

log = logging.getLogger(__name__)


class Listeners(NamedTuple):
    """One group of listening sockets per process, and the URL that people are told."""

    groups: list[list[socket.socket]]
    url: str

    @property
    def fds(self) -> list[int]:
        """Every descriptor once."""
        return sorted({member.fileno() for group in self.groups for member in group})


def listen_for_clients(settings: Settings) -> Listeners:
    """The workers' sockets. Raises ``PortInUseError`` or ``LlmMetricsProxyError``."""
    groups = listening.listen(settings.host, settings.port, sockets=settings.workers)
    return Listeners(groups, _url(settings.host, groups))


def listen_for_readers(settings: Settings) -> Listeners:
    """The metrics process's sockets; errors as for ``listen_for_clients``."""
    groups = listening.listen(settings.metrics_host, settings.metrics_port, flag="--metrics-port")
    return Listeners(groups, _url(settings.metrics_host, groups))


def listen_for_demo() -> Listeners:
    """The simulated server's socket: loopback, a port that the kernel chooses."""
    groups = listening.listen("127.0.0.1", 0)
    return Listeners(groups, _url("127.0.0.1", groups))


def prepare_folders(settings: Settings) -> None:
    """Make the folders and the secret that the processes expect. Raises ``LlmMetricsProxyError``."""
    for folder in (settings.data_dir, settings.db_path.parent, settings.journal_dir):
        try:
            make_folder(folder)
        except OSError as error:
            raise LlmMetricsProxyError(f"folder {folder}: cannot be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise LlmMetricsProxyError(f"folder {folder}: cannot be written to by this user")
    warning = secret_file.ensure(secret_path(settings))
    if warning:
        log.warning("%s", warning)


def secret_path(settings: Settings) -> Path:
    """Where the key of ``api_key_id`` is kept."""
    return settings.data_dir / secret_file.FILE_NAME


def proxy_options(
    settings: Settings,
    *,
    backend: str,
    listen_fds: list[int],
    worker_index: int,
    scoreboard_fd: int | None,
    api_keys: Mapping[str, SecretStr] | None = None,
) -> ProxyOptions:
    """What one worker is told. ``api_keys``: of the settings' backends, by name."""
    shared = {name: getattr(settings, name) for name in ProxyOptions.__struct_fields__ if name not in PROCESS_FIELDS}
    return ProxyOptions(
        backend=backend,
        backends=[_backend_options(table, api_keys or {}) for table in settings.backends],
        listen_fds=listen_fds,
        journal_dir=str(settings.journal_dir.absolute()),
        secret_file=str(secret_path(settings).absolute()),
        worker_index=worker_index,
        scoreboard_fd=scoreboard_fd,
        health_token=None if settings.metrics_token is None else settings.metrics_token.get_secret_value(),
        **shared,
    )


def _backend_options(table: BackendTable, api_keys: Mapping[str, SecretStr]) -> BackendOptions:
    shared = {name: getattr(table, name) for name in BackendOptions.__struct_fields__ if name != "api_key"}
    key = api_keys.get(table.name)
    return BackendOptions(api_key=None if key is None else key.get_secret_value(), **shared)


def worker_specs(
    settings: Settings,
    backend: str,
    clients: Listeners,
    scoreboard: Scoreboard,
    api_keys: Mapping[str, SecretStr] | None = None,
) -> list[ChildSpec]:
    """One process per worker, each with sockets of its own."""
    specs = []
    for index, group in enumerate(clients.groups):
        fds = [member.fileno() for member in group]
        options = proxy_options(
            settings,
            backend=backend,
            listen_fds=fds,
            worker_index=index,
            scoreboard_fd=scoreboard.fd,
            api_keys=api_keys,
        )
        specs.append(
            ChildSpec(
                name=f"worker-{index}",
                argv=_module("llm_metrics_proxy.proxy"),
                options_json=_line(options),
                fds=[*fds, scoreboard.fd],
                stop_group=_WORKERS,
                stop_timeout_s=settings.drain_timeout_s + _KILL_GRACE_S,
                slot=index,
            )
        )
    return specs


def metrics_spec(loaded: Loaded, readers: Listeners, scoreboard: Scoreboard | None) -> ChildSpec:
    """The metrics process. ``scoreboard`` is ``None`` when no workers run beside it."""
    settings = loaded.settings
    fds = [member.fileno() for group in readers.groups for member in group]
    options = MetricsOptions(
        db_path=str(settings.db_path.absolute()),
        journal_dir=str(settings.journal_dir.absolute()),
        listen_fds=fds,
        backup_dir=str(settings.backup_dir.absolute()),
        backup_keep=settings.backup_keep,
        auto_migrate=settings.auto_migrate,
        migration_batch_lock_ms=settings.migration_batch_lock_ms,
        migration_pause_ms=settings.migration_pause_ms,
        migration_window=settings.migration_window,
        retention_days=settings.retention_days,
        retention_max_bytes=settings.retention_max_bytes,
        scoreboard_fd=None if scoreboard is None else scoreboard.fd,
        metrics_host=settings.metrics_host,
        allowed_hosts=settings.allowed_hosts,
        metrics_token=settings.metrics_token.get_secret_value() if settings.metrics_token else None,
        trusted_proxies=settings.trusted_proxies,
        metrics_nice=settings.metrics_nice,
        ingest_batch_rows=settings.ingest_batch_rows,
        ingest_interval_ms=settings.ingest_interval_ms,
        prometheus_model_limit=settings.prometheus_model_limit,
        settings=settings_table(loaded),
        otlp=otlp_options(settings),
        watch_interval_s=settings.watch_interval_s,
        **reloaded_by_metrics(settings),
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
    return ChildSpec(
        name=METRICS,
        argv=_module("llm_metrics_proxy.processes.metrics_process"),
        options_json=_line(options),
        fds=fds if scoreboard is None else [*fds, scoreboard.fd],
        stop_group=_METRICS,
        stop_timeout_s=_LAST_INGESTION_S,
        without_it=(
            f"requests are still served, and their records wait in {settings.journal_dir}; there are no metrics until "
            "the cause is removed and this program is started again"
        ),
    )


def settings_table(loaded: Loaded) -> list[dict[str, str]]:
    """Every setting as it may be shown: secrets are hidden here, before another process hears of them."""
    return [
        {
            "name": name,
            "group": row.group,
            "value": shown(row, getattr(loaded.settings, name)).strip("'"),
            "origin": loaded.origins[name],
            "meaning": row.meaning,
        }
        for name, row in rows().items()
    ]


def otlp_options(settings: Settings) -> OtlpOptions | None:
    """Where telemetry is sent; none: nowhere."""
    if settings.otlp_endpoint is None or not (settings.otlp_traces or settings.otlp_metrics):
        return None
    given = settings.otlp_headers.get_secret_value().split(",") if settings.otlp_headers else []
    headers = {name.strip().lower(): value.strip() for name, _, value in (pair.partition("=") for pair in given)}
    return OtlpOptions(
        endpoint=settings.otlp_endpoint,
        headers=headers,
        traces=settings.otlp_traces,
        metrics=settings.otlp_metrics,
        metrics_interval_s=settings.otlp_metrics_interval_s,
        model_limit=settings.prometheus_model_limit,
        version=APP_VERSION,
    )


def reloaded_by_metrics(settings: Settings) -> dict[str, Any]:
    """What a reload changes in the metrics process. Raises ``SettingsError``."""
    return {
        "prices": price_rows(settings.prices),
        "public_prices": settings.public_prices,
        "slos": slo_rules(settings.slos),
        "alerts": alert_rules(settings.alerts),
    }


def slo_rules(tables: Sequence[SloTable]) -> list[SloRule]:
    """Objectives as the watcher has them."""
    return [
        SloRule(
            name=table.name,
            require=table.require,
            objective=table.objective,
            window_s=table.window,
            about=_about(table),
        )
        for table in tables
    ]


def alert_rules(tables: Sequence[AlertTable]) -> list[AlertRule]:
    """Alerts as the watcher has them."""
    shared = ("name", "metric", "op", "threshold", "require", "min_requests", "webhook")
    return [
        AlertRule(
            window_s=table.window,
            for_s=table.for_duration,
            resolve_s=table.resolve_duration,
            about=_about(table),
            **{name: getattr(table, name) for name in shared},
        )
        for table in tables
    ]


def _about(table: SloTable | AlertTable) -> About:
    return About(**{name: getattr(table, name) for name in About.__struct_fields__})


def price_rows(tables: Sequence[PriceTable]) -> list[PriceRow]:
    """The user's prices as the pricer has them. Raises ``SettingsError`` for a provider that nobody knows."""
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
    return [_price_row(table) for table in tables]


def _price_row(table: PriceTable) -> PriceRow:
    shared = {name: getattr(table, name) for name in PriceTable.model_fields if not name.startswith("valid_")}
    return PriceRow(from_=table.valid_from or ALWAYS, until=table.valid_until or FOR_EVER, **shared)


def demo_spec(demo: Listeners, *, traffic_to: str | None) -> ChildSpec:
    """The simulated server; with ``traffic_to``, simulated clients of that proxy too."""
    fd = demo.fds[0]
    return ChildSpec(
        name="demo",
        argv=_module("llm_metrics_proxy.demo"),
        options_json=_line(DemoOptions(listen_fd=fd, traffic_to=traffic_to)),
        fds=[fd],
        stop_group=_DEMO,
        stop_timeout_s=_DEMO_STOP_S,
        without_it="requests are answered with errors",
    )


def reload_plan(loaded: Loaded, children: Sequence[ChildSpec]) -> Reload | None:
    """How workers and the metrics process are told of settings that are read again; ``None`` where no file was named,
    so that nothing can have changed."""
    if loaded.config_file is None:
        return None
    told = ReloadTold(
        flags=dict(loaded.flags),
        config_file=str(loaded.config_file),
        fixed=fixed_settings(loaded.settings),
        log_level=loaded.settings.log_level,
        log_format=loaded.settings.log_format,
    )
    return Reload(
        argv=_module("llm_metrics_proxy.processes.reload"),
        told_json=_line(told),
        children=[child.name for child in children],
    )


def assemble(
    settings: Settings,
    children: list[ChildSpec],
    listeners: Sequence[Listeners],
    scoreboard: Scoreboard | None,
    reload: Reload | None = None,
) -> Plan:
    """Everything the supervisor is told. Its own copies of the sockets live as long as it serves."""
    return Plan(
        children=children,
        listen_fds=sorted({fd for each in listeners for fd in each.fds}),
        scoreboard_fd=None if scoreboard is None else scoreboard.fd,
        log_level=settings.log_level,
        log_format=settings.log_format,
        reload=reload,
    )


def _module(name: str) -> list[str]:
    # -P: a file json.py in the folder where somebody starts the proxy must not become part of it.
    return [sys.executable, "-P", "-m", name]


def _line(options: msgspec.Struct) -> str:
    return msgspec.json.encode(options).decode()


def _url(host: str, groups: list[list[socket.socket]]) -> str:
    shown = _WILDCARDS.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{groups[0][0].getsockname()[1]}"
