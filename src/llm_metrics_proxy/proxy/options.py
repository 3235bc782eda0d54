"""What a worker process gets when it starts: plain frozen values, already validated by ``config``.

A worker does not import the settings library: it starts faster and each one holds 10 MiB less.
Durations are seconds, sizes bytes. ``docs/settings.md`` explains every one.
"""

from typing import Final

import msgspec


class BackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several LLM servers; ``docs/topics/backends.md`` explains every key. None: as for all of them."""

    name: str
    url: str
    dialect: str | None = None  # openai | anthropic | ollama
    models: list[str] = []  # globs
    weight: int = 1
    api_key: str | None = None
    add_headers: dict[str, str] = {}
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    ca_file: str | None = None
    tls_server_name: str | None = None
    tls_verify: bool | None = None
    host_header: str | None = None
    probe_path: str | None = None

    def __repr__(self) -> str:
        return f"<BackendOptions {self.name} {self.url}>"  # without the key


class ProxyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sent by the supervisor as one line of JSON on the worker's standard input."""

    backend: str  # base URL, http:// or https://, with an optional path prefix
    listen_fds: list[int]  # listening sockets that the worker inherited
    journal_dir: str
    secret_file: str  # key for api_key_id; made at first start, mode 0600
    backends: list[BackendOptions] = []  # if there are any, they count, and `backend` does not
    worker_index: int = 0  # slot in the scoreboard
    scoreboard_fd: int | None = None
    health_token: str | None = None  # its bearer sees more than the status at /health

    host: str = "127.0.0.1"
    allowed_hosts: list[str] = []
    allowed_origins: list[str] = []

    max_header_bytes: int = 64 * 1024
    max_header_count: int = 100
    max_body_bytes: int = 64 * 1024 * 1024  # JSON bodies, which are held until they are complete
    max_buffered_bytes: int = 256 * 1024 * 1024  # all of them together
    max_upload_bytes: int = 1024 * 1024 * 1024  # any other body, which streams through
    max_connections: int = 10_000
    upstream_max_connections: int = 4_096
    upstream_max_idle: int = 256

    header_timeout_s: float = 30.0
    body_timeout_s: float = 60.0  # between two reads of a request's body
    body_min_bytes_per_s: int = 1024  # over the whole body, beyond body_timeout_s; 0: no limit
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
    upstream_host_header: str | None = None
    retry_unsafe: str = "unsent"  # never | unsent | stale
    eject_after_failures: int = 3
    probe_path: str = "/v1/models"
    probe_interval_s: float = 5.0
    probe_timeout_s: float = 2.0
    models_timeout_s: float = 3.0
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


# What a running worker cannot change: it holds to what it was started with until it is started anew.
FIXED_AT_START: Final = (
    "listen_fds",
    "journal_dir",
    "secret_file",
    "worker_index",
    "scoreboard_fd",
    "health_token",
    "host",
    "drain_timeout_s",  # the supervisor counts on it
    "journal_fsync",
    "journal_fsync_interval_s",
    "journal_segment_bytes",
    "journal_max_bytes",
    "log_level",
    "log_format",
)


def reloaded(now: ProxyOptions, wanted: ProxyOptions) -> ProxyOptions:
    """``wanted``, with what cannot change as it is ``now``."""
    return msgspec.structs.replace(wanted, **{name: getattr(now, name) for name in FIXED_AT_START})
