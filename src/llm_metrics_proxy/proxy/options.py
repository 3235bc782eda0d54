"""What a worker process is told when it starts: plain frozen values, already validated by ``config``.

A worker does not import the settings library: it starts faster and each one holds 10 MiB less.
Durations are seconds, sizes bytes. ``docs/settings.md`` explains every one.
"""

import msgspec


class ProxyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sent by the supervisor as one line of JSON on the worker's standard input."""

    backend: str  # base URL, http:// or https://, with an optional path prefix
    listen_fds: list[int]  # listening sockets that the worker inherited
    journal_dir: str
    secret_file: str  # key for api_key_id; made at first start, mode 0600
    worker_index: int = 0  # slot in the scoreboard
    scoreboard_fd: int | None = None

    max_header_bytes: int = 64 * 1024
    max_header_count: int = 100
    max_body_bytes: int = 64 * 1024 * 1024  # JSON bodies, which are held until they are complete
    max_upload_bytes: int = 1024 * 1024 * 1024  # any other body, which streams through
    max_connections: int = 10_000
    upstream_max_connections: int = 4_096
    upstream_max_idle: int = 256

    header_timeout_s: float = 30.0
    body_timeout_s: float = 60.0  # between two reads of a request's body
    keepalive_timeout_s: float = 75.0
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 600.0
    idle_timeout_s: float = 300.0  # between two reads of a response's body
    send_timeout_s: float = 300.0  # a client that takes nothing
    upstream_keepalive_s: float = 30.0  # an idle pooled connection is closed after this
    drain_timeout_s: float = 30.0

    allow_paths: list[str] = []
    allow_all_paths: bool = False
    upstream_ca_file: str | None = None
    upstream_tls_verify: bool = True
    trusted_proxies: list[str] = []
    record_client_address: bool = False
    inject_usage: bool = False

    journal_fsync: str = "interval"  # interval | always | never
    journal_fsync_interval_s: float = 1.0
    journal_segment_bytes: int = 16 * 1024 * 1024
    journal_max_bytes: int = 2 * 1024 * 1024 * 1024
    journal_when_full: str = "drop_records"  # drop_records | refuse_requests
    log_level: str = "info"
    log_format: str = "text"  # text | json; see logs.setup
