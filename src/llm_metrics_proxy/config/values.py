"""The settings as processes get them, plain values by name; without secrets and tables of the file.

Light to import, because each worker does. Made from the settings table by `python -m llm_metrics_proxy.config.table`;
edit `config/settings.py` instead.
"""

from typing import Literal

import msgspec


class SettingValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``docs/settings.md`` explains each; paths are absolute."""

    host: str
    port: int
    allowed_hosts: list[str]
    allowed_origins: list[str]
    metrics_host: str
    metrics_port: int
    insecure: bool
    backend: str | None
    upstream_ca_file: str | None
    upstream_host_header: str | None
    upstream_tls_verify: bool
    allow_paths: list[str]
    allow_all_paths: bool
    inject_usage: bool
    retry_unsafe: Literal["never", "unsent", "stale"]
    eject_after_failures: int
    probe_path: str
    probe_interval_s: float
    probe_timeout_s: float
    models_timeout_s: float
    server_metrics: Literal["local", "all", "off"]
    server_metrics_interval_s: float
    server_metrics_days: int
    gpu_metrics: Literal["auto", "on", "off"]
    data_dir: str
    db_path: str
    store: str
    store_password_file: str | None
    store_ca_file: str | None
    store_cluster: str | None
    store_outbox_bytes: int
    host_name: str
    store_backup: str | None
    backup_dir: str
    backup_keep: int
    retention_days: int
    retention_max_bytes: int
    auto_migrate: bool
    migration_batch_lock_ms: int
    migration_undo_days: int
    migration_pause_ms: int
    migration_window: str | None
    journal_dir: str
    journal_fsync: Literal["interval", "always", "never"]
    journal_fsync_interval_s: float
    journal_segment_bytes: int
    journal_max_bytes: int
    journal_when_full: Literal["drop_records", "refuse_requests"]
    workers: int
    drain_timeout_s: float
    metrics_nice: int
    metrics_role: Literal["both", "ingest", "read"]
    ingest_batch_rows: int
    ingest_interval_ms: int
    max_connections: int
    max_header_bytes: int
    max_header_count: int
    max_body_bytes: int
    max_buffered_bytes: int
    max_upload_bytes: int
    upstream_max_connections: int
    upstream_max_idle: int
    header_timeout_s: float
    body_timeout_s: float
    body_min_bytes_per_s: int
    keepalive_timeout_s: float
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    send_timeout_s: float
    upstream_keepalive_s: float
    record_client_address: bool
    record_usage_reported: bool
    trusted_proxies: list[str]
    identity_app: list[str]
    identity_session_id: list[str]
    identity_agent_id: list[str]
    identity_parent_agent_id: list[str]
    identity_user: list[str]
    identity_hash: list[str]
    identity_not_stored: list[str]
    prometheus_model_limit: int
    otlp_endpoint: str | None
    otlp_traces: bool
    otlp_metrics: bool
    otlp_logs: bool
    otlp_metrics_interval_s: float
    public_prices: bool
    watch_interval_s: float
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["text", "json"]
