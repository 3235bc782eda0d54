"""What the metrics process is told when it starts: one line of JSON on its standard input. Later lines reload it."""

from typing import Final

import msgspec

from llm_metrics_proxy.pricing import PriceRow
from llm_metrics_proxy.telemetry import OtlpOptions
from llm_metrics_proxy.watch.rules import AlertRule, SloRule

# What it takes from a later line; all else stays.
RELOADED_BY_METRICS: Final = ("prices", "public_prices", "slos", "alerts")


class MetricsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Plain values, already validated by ``config``; ``docs/settings.md`` explains every one."""

    db_path: str
    journal_dir: str
    listen_fds: list[int]  # listening sockets that the process inherited
    backup_dir: str
    backup_keep: int = 3
    auto_migrate: bool = True
    migration_batch_lock_ms: int = 50
    migration_pause_ms: int = 0
    migration_window: str | None = None
    retention_days: int = 0
    retention_max_bytes: int = 0
    scoreboard_fd: int | None = None
    metrics_host: str = "127.0.0.1"
    allowed_hosts: list[str] = []
    metrics_token: str | None = None
    trusted_proxies: list[str] = []
    metrics_nice: int = 5
    ingest_batch_rows: int = 10_000
    ingest_interval_ms: int = 200
    prometheus_model_limit: int = 100
    settings: list[dict[str, str]] = []  # as people may see them: name, group, value, origin, meaning
    prices: list[PriceRow] = []
    public_prices: bool = True
    otlp: OtlpOptions | None = None
    slos: list[SloRule] = []
    alerts: list[AlertRule] = []
    watch_interval_s: float = 15.0
    log_level: str = "info"
    log_format: str = "text"
