"""Settings: one frozen value, validated once, and the only list of settings.

Every field is a row of the settings table. Flags, environment variables, TOML keys, their error messages and
``docs/settings.md`` are generated from it (``table``). ``sources.load`` decides which value counts and remembers where
it came from. Processes get the values by name (``values``, which is generated), so a new setting takes its row here and
the code that uses it. The file is long because it is one table; everything else is in other files.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from llm_metrics_proxy.config.backends import BackendTables
from llm_metrics_proxy.config.budgets import BudgetTables
from llm_metrics_proxy.config.cross_checks import CROSS_CHECKS
from llm_metrics_proxy.config.identity import IDENTITY_COLUMNS, IdentityColumns, IdentitySources
from llm_metrics_proxy.config.prices import PriceTables
from llm_metrics_proxy.config.tokens import TokenTables
from llm_metrics_proxy.config.types import (
    MAX_WORKERS,
    Backend,
    Bytes,
    Certificates,
    ClusterName,
    DailyWindow,
    FilePath,
    Host,
    HostHeader,
    HostName,
    HostNames,
    Lower,
    Origins,
    OtlpHeaders,
    Password,
    PathPatterns,
    Peers,
    Seconds,
    Store,
    StoreBackup,
    Timeout,
    Token,
    Url,
    UrlPath,
    Whole,
    Workers,
    setting,
)
from llm_metrics_proxy.config.watch import AlertTables, SloTables
from llm_metrics_proxy.machine import MAX_HOST_NAME, host_name, memory_bytes
from llm_metrics_proxy.store_address import FORM as STORE_FORM
from llm_metrics_proxy.store_address import SQLITE

ENV_PREFIX: Final = "LLM_METRICS_PROXY_"
CROSS_CHECK: Final = "cross_check"  # pydantic's error type for settings that contradict each other

_addresses: Final = partial(setting, group="Addresses")
_backend: Final = partial(setting, group="Backend")
_backends: Final = partial(setting, group="Backends")
_storage: Final = partial(setting, group="Storage")
_migrations: Final = partial(setting, group="Migrations")
_journal: Final = partial(setting, group="Journal")
_servers: Final = partial(setting, group="Servers")
_processes: Final = partial(setting, group="Processes")
_limits: Final = partial(setting, group="Limits")
_timeouts: Final = partial(setting, group="Timeouts")
_privacy: Final = partial(setting, group="Privacy")
_identity: Final = partial(setting, group="Identity")
_prometheus: Final = partial(setting, group="Prometheus")
_opentelemetry: Final = partial(setting, group="OpenTelemetry")
_cost: Final = partial(setting, group="Cost")
_slos_and_alerts: Final = partial(setting, group="SLOs and alerts")
_logging: Final = partial(setting, group="Logging")
_DAY_S: Final = 86_400
_KIB: Final = 1024
_MIB: Final = 1024**2
_GIB: Final = 1024**3
_LEAST_BUFFERED_BYTES: Final = 16 * _MIB
_HOST: Final = "an IP address or a host name"
_SOURCES_OF: Final = (
    "Fields that name the %s, before those that are known: `header:x-my-field`, or `body:metadata.my_field` with "
    "points between names. The first with a value counts. See [Who asks](topics/identity.md)."
)
_SOURCES: Final = (
    "header:NAME or body:PATH, separated by commas; not Authorization or another header with a secret, or one of the "
    "connection"
)
_COLUMNS: Final = f"{', '.join(IDENTITY_COLUMNS[:-1])} or {IDENTITY_COLUMNS[-1]}, separated by commas"


class Settings(BaseSettings):
    """All settings. Made by ``sources.load``, read everywhere, never changed."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_ignore_empty=True, validate_default=True
    )

    # --- Addresses
    host: Host = _addresses(
        "127.0.0.1", "Address that clients connect to; `0.0.0.0` is every IPv4 address.", allowed=_HOST
    )
    port: Whole = _addresses(8001, "Port that clients connect to; 0: the kernel chooses.", ge=0, le=65_535)
    allowed_hosts: HostNames = _addresses(
        [],
        "Names that both ports accept in the header Host, in addition to their own. Against DNS rebinding, a port that "
        "only this machine can reach accepts only `localhost` and loopback addresses, and refuses other names (421). "
        "`*.lan` is every name below `lan`, `*` every name. On an address that other machines can reach, the proxy's "
        "port accepts every name unless this list has some. See [Browsers](topics/browsers.md).",
        allowed="host names without a port, *.name or *, separated by commas",
        reload=True,
    )
    allowed_origins: Origins = _addresses(
        [],
        "Web origins whose pages may use the proxy's port, in addition to this machine (`http://localhost`, any port) "
        "and the proxy's own address; all others are refused (403). `https://*.example.com` is every page below that "
        "domain, `http://10.0.0.7:*` every port, `chrome-extension://*` every extension, `null` pages from files, `*` "
        "every page. See [Browsers](topics/browsers.md).",
        allowed="origins such as https://chat.example.com, without a path, null or *, separated by commas",
        reload=True,
    )
    metrics_host: Host = _addresses(
        "127.0.0.1",
        "Address of the metrics API. One that other machines can reach needs `metrics_token`. Without a token, "
        "requests to any host name except `localhost`, this one and `allowed_hosts` are refused (421), against DNS "
        "rebinding.",
        allowed=_HOST,
    )
    metrics_port: Whole = _addresses(8002, "Port of the metrics API; 0: the kernel chooses.", ge=0, le=65_535)
    metrics_token: Token | None = _addresses(
        None,
        "Secret that readers of the metrics send as `Authorization: Bearer …`. Set it in the environment or the file, "
        "not as a flag: every user of a machine can read a process's flags.",
        allowed="at least 8 printable ASCII characters without spaces",
        reload=True,
    )
    tokens: TokenTables = _addresses(
        [],
        "Tokens that see the requests of some users, keys, applications or tags only, each a table `[[tokens]]` of the "
        "file; see [Who asks](topics/identity.md). Read again on SIGHUP.",
        allowed="tables with name, a token, and what it sees, see below",
        toml_only=True,
        reload=True,
    )
    insecure: bool = _addresses(False, "Serve the metrics without a token on an address that other machines can reach.")

    # --- Backend
    backend: Backend | None = _backend(
        None,
        "Base URL of the LLM server; a trailing `/v1` is dropped, because clients send it. If not set, `serve` looks "
        "for a server on loopback and, if there is none, starts a simulated one; `demo` always starts that one.",
        allowed="demo, or an http:// or https:// URL without user, password, query or fragment, such as http://127.0.0.1:11434",
        shown_default="a server found on loopback",
        reload=True,
    )
    upstream_ca_file: Certificates | None = _backend(
        None,
        "CA certificates (PEM) to verify an https backend.",
        allowed="a file with certificates in PEM that can be read",
        shown_default="the system's",
        reload=True,
    )
    upstream_host_header: HostHeader | None = _backend(
        None,
        "Header Host for the backend, if it must differ from the URL: behind a name-based gateway, or for a server "
        "that accepts only `localhost`. TLS uses the URL's name, or a backend's `tls_server_name`.",
        allowed="a host name or an IP address, perhaps with a port, such as localhost:11434",
        shown_default="the URL's host and port",
        reload=True,
    )
    upstream_tls_verify: bool = _backend(True, "Verify an https backend's certificate and name.", reload=True)
    allow_paths: PathPatterns = _backend(
        [],
        "Paths to forward in addition to the inference paths; `*` is one segment, `**` any number.",
        allowed="paths that begin with /, separated by commas",
        reload=True,
    )
    allow_all_paths: bool = _backend(
        False, "Forward every path, even those that administer the server (Ollama's pull and delete).", reload=True
    )
    inject_usage: bool = _backend(
        False,
        "Request token counts in streams if the client did not, and remove the extra chunk from the client's answer.",
        reload=True,
    )

    retry_unsafe: Annotated[Literal["never", "unsent", "stale"], Lower] = _backend(
        "unsent",
        "When to send a POST again, once, whose connection broke before an answer. `unsent`: if the kernel shows that "
        "nothing of it reached the server (Linux; elsewhere as `never`). `stale`: also if a reused connection broke "
        "within 100 ms, so a server may see a request twice. See [Retries](topics/backends.md#retries).",
        reload=True,
    )

    # --- Backends
    backends: BackendTables = _backends(
        [],
        "Several LLM servers, each a table `[[backends]]` of the file; see [Backends](topics/backends.md).",
        allowed="tables with at least name and url, see below",
        toml_only=True,
        reload=True,
    )
    eject_after_failures: Whole = _backends(
        3,
        "Consecutive failures after which a backend is ejected, as long as another one is healthy.",
        ge=1,
        le=1000,
        reload=True,
    )
    probe_path: UrlPath = _backends(
        "/v1/models",
        "Path for probing an ejected backend; any answer except 502, 503 and 504 brings it back.",
        allowed="a path that begins with /",
        reload=True,
    )
    probe_interval_s: Seconds = _backends(
        5.0, "Time between two probes, for each worker.", ge=0.1, le=3600, reload=True
    )
    probe_timeout_s: Seconds = _backends(2.0, "Time for a probe's answer.", ge=0.1, le=600, reload=True)
    models_timeout_s: Seconds = _backends(
        3.0, "Time for each backend's part of a common `GET /v1/models`.", ge=0.1, le=600, reload=True
    )

    # --- Servers
    server_metrics: Annotated[Literal["local", "all", "off"], Lower] = _servers(
        "local",
        "Which backends are asked for numbers of their own (queue, KV cache, loaded models): those at addresses of "
        "this machine and of private networks, all, or none. A backend's key `server_metrics` overrides it. See "
        "[Servers](topics/servers.md).",
        reload=True,
    )
    server_metrics_interval_s: Seconds = _servers(
        5.0, "Time between two questions to a server.", ge=0.5, le=600, reload=True
    )
    server_metrics_days: Whole = _servers(
        30,
        "Days for which the answers are kept: two of them by the minute, then by quarters of an hour; 0: forever.",
        ge=0,
        le=36_500,
        reload=True,
    )
    gpu_metrics: Annotated[Literal["auto", "on", "off"], Lower] = _servers(
        "auto",
        "Whether this machine's GPUs are read with `nvidia-smi` or `rocm-smi`. `auto`: if they are installed, and a "
        "backend is on this machine.",
        reload=True,
    )

    # --- Storage
    data_dir: FilePath = _storage(Path("data"), "Folder for all stored data.", allowed="a path")
    db_path: FilePath = _storage(
        lambda above: above["data_dir"] / "metrics.db",
        "The SQLite database.",
        allowed="a path",
        shown_default="DATA_DIR/metrics.db",
    )
    store: Store = _storage(
        SQLITE,
        "Where records are kept: `sqlite`, in the file of `db_path`, or `clickhouse://user@host:8443/database`, a "
        "ClickHouse server, whose database must exist. By TLS, but to port 8123 of this machine; `clickhouse+http://` "
        "and `clickhouse+https://` say it themselves. The password is in `store_password_file` or in the environment. "
        "See [ClickHouse](topics/clickhouse.md).",
        allowed=STORE_FORM,
        explained=True,
    )
    store_password: Password | None = _storage(
        None,
        "Password of the user in `store`; not a flag, which every user of a machine can read.",
        allowed="at least one character",
        shown_default="none",
        no_flag=True,
    )
    store_password_file: FilePath | None = _storage(
        None,
        "File whose first line is that password.",
        allowed="a path",
        shown_default="none",
    )
    store_ca_file: Certificates | None = _storage(
        None,
        "Certificates (PEM) to trust for the server of `store` instead of the known authorities.",
        allowed="a readable file of PEM certificates",
        shown_default="none",
    )
    store_cluster: ClusterName | None = _storage(
        None,
        "Name of a cluster in the servers' `remote_servers`: tables are then replicated and distributed on it. If not "
        "set, the server stands alone.",
        allowed="a letter or _, then at most 62 letters, digits and _",
        shown_default="none",
    )
    store_outbox_bytes: Bytes = _storage(
        256 * _MIB,
        "Size of the records, compressed, that may wait in `db_path` for ClickHouse; more wait in the journal.",
        ge=_MIB,
        le=1024 * _GIB,
    )
    host_name: HostName = _storage(
        lambda _above: host_name(),
        "Name of this host in its records, in the column `host`. Hosts that share a store need different names. "
        "Records keep the name that they were stored with.",
        allowed=f"1 to {MAX_HOST_NAME} visible ASCII characters",
        shown_default="this machine's name",
    )
    store_backup: StoreBackup | None = _storage(
        None,
        "Where `backup create` lets ClickHouse put a backup of the records: `disk:NAME` or `file:FOLDER`, as its "
        "configuration allows (`backups`). If not set, only the database file is backed up.",
        allowed="disk:NAME, or file:FOLDER",
        shown_default="none",
    )
    backup_dir: FilePath = _storage(
        lambda above: above["data_dir"] / "backups",
        "Folder for database backups. One is made before each migration; it takes as much space as the database.",
        allowed="a path",
        shown_default="DATA_DIR/backups",
    )
    backup_keep: Whole = _storage(
        3,
        "Backups from before migrations and restores to keep for each database; older ones are deleted once a "
        "migration is done. Those made by `backup create` stay.",
        ge=1,
        le=1000,
    )

    retention_days: Whole = _storage(
        0,
        "Whole days in UTC for which records are kept; 0: forever. Their aggregates, the roll-ups, stay; see "
        "[Roll-ups](topics/rollups.md).",
        ge=0,
        le=36_500,
        reload=True,
    )
    retention_max_bytes: Bytes = _storage(
        0,
        "Size of the database's content at which the oldest days of records are deleted; 0: no limit. The file does "
        "not shrink: new records fill the space, and `compact` gives it back. While the table from before a "
        "migration is kept (`migration_undo_days`), nothing is deleted for its size.",
        ge=0,
        le=1024 * _GIB,
        reload=True,
    )

    # --- Migrations
    auto_migrate: bool = _migrations(
        True,
        "Carry the records of an older version's database over at start, after a backup. If off, the metrics process "
        "refuses to start (exit code 3) until you run `llm-metrics-proxy migrate run`; requests are still served, and "
        "their records wait in the journal.",
    )
    migration_batch_lock_ms: Whole = _migrations(
        50,
        "How long one batch of a migration should hold the database's write lock; batches adapt to it.",
        ge=1,
        le=10_000,
    )
    migration_undo_days: Whole = _migrations(
        30,
        "Days for which the table from before a migration stays in the database, so that `migrate undo` can put it "
        "back; it takes as much space as it did. 0: until `migrate forget`.",
        ge=0,
        le=36_500,
    )
    migration_pause_ms: Whole = _migrations(0, "Pause after each batch, for a migration in stages.", ge=0, le=60_000)
    migration_window: DailyWindow | None = _migrations(
        None,
        "Daily hours, in local time, in which migrations may work, such as `22:00-06:00`; outside them they pause. If "
        "not set, they work at any time.",
        allowed="HH:MM-HH:MM with two different times",
        shown_default="none",
    )

    # --- Journal
    journal_dir: FilePath = _journal(
        lambda above: above["data_dir"] / "journal",
        "Folder through which workers hand records to the metrics process; on a local disk.",
        allowed="a path",
        shown_default="DATA_DIR/journal",
    )
    journal_fsync: Annotated[Literal["interval", "always", "never"], Lower] = _journal(
        "interval",
        "When records are synced to the disk. `never` and `interval` survive a killed process; a power cut can lose "
        "what came after the last fsync.",
    )
    journal_fsync_interval_s: Seconds = _journal(1.0, "Maximum time between two fsyncs.", ge=0.01, le=3600)
    journal_segment_bytes: Bytes = _journal(
        16 * _MIB, "Size at which a worker begins a new file.", ge=64 * _KIB, le=_GIB
    )
    journal_max_bytes: Bytes = _journal(
        2 * _GIB, "Size of all journals together at which `journal_when_full` applies.", ge=_MIB, le=1024 * _GIB
    )
    journal_when_full: Annotated[Literal["drop_records", "refuse_requests"], Lower] = _journal(
        "drop_records",
        "What to give up when the journal is full: records (counted as dropped), or new requests (503).",
        reload=True,
    )

    # --- Processes
    workers: Workers = _processes(
        "auto",
        "Worker processes; `auto` is one for each CPU that this process may use.",
        allowed=f"auto or a whole number from 1 to {MAX_WORKERS}",
        ge=1,
        le=MAX_WORKERS,
    )
    drain_timeout_s: Seconds = _processes(
        30.0,
        "How long open requests may continue after a stop signal.",
        ge=0,
        le=_DAY_S,
        reload=True,
    )
    metrics_nice: Whole = _processes(
        5, "Niceness of the metrics process, so that recording never competes with serving.", ge=0, le=19
    )
    metrics_role: Annotated[Literal["both", "ingest", "read"], Lower] = _processes(
        "both",
        "What the metrics process does where records are in ClickHouse: `ingest` only stores what its host records, "
        "`read` only answers, shows the dashboard and watches. See [Many hosts](topics/many-hosts.md).",
    )
    ingest_batch_rows: Whole = _processes(
        10_000, "Maximum number of records in one transaction.", ge=1, le=100_000, reload=True
    )
    ingest_interval_ms: Whole = _processes(
        200, "Pause between two reads of the journal.", ge=10, le=60_000, reload=True
    )

    # --- Limits
    max_connections: Whole = _limits(
        10_000, "Maximum number of open client connections per worker.", ge=1, le=1_000_000, reload=True
    )
    max_header_bytes: Bytes = _limits(
        64 * _KIB, "Maximum size of a request's head; more gets 431.", ge=_KIB, le=_MIB, reload=True
    )
    max_header_count: Whole = _limits(
        100, "Maximum number of a request's header fields; more get 431.", ge=1, le=10_000, reload=True
    )
    max_body_bytes: Bytes = _limits(
        64 * _MIB,
        "Maximum size of a request's JSON body, which is held in memory until complete; more gets 413.",
        ge=_KIB,
        le=4 * _GIB,
        reload=True,
    )
    max_buffered_bytes: Bytes = _limits(
        lambda above: max(_LEAST_BUFFERED_BYTES, memory_bytes() // 4 // above["workers"]),
        "Maximum size of all JSON bodies that one worker holds together; a request beyond it gets 503, and a body that "
        "can never fit gets 413. The memory is the machine's, or the container's if that has a limit.",
        ge=_KIB,
        le=1024 * _GIB,
        shown_default="a quarter of the memory, divided by workers",
        reload=True,
    )
    max_upload_bytes: Bytes = _limits(
        _GIB, "Maximum size of any other body, which is streamed; more gets 413.", ge=_KIB, le=1024 * _GIB, reload=True
    )
    upstream_max_connections: Whole = _limits(
        4_096,
        "Maximum number of open connections per worker to the backend; more requests wait.",
        ge=1,
        le=1_000_000,
        reload=True,
    )
    upstream_max_idle: Whole = _limits(
        256, "Maximum number of idle connections per worker to the backend.", ge=0, le=100_000, reload=True
    )

    # --- Timeouts
    header_timeout_s: Timeout = _timeouts(30.0, "Time for a request's whole head.", reload=True)
    body_timeout_s: Timeout = _timeouts(60.0, "Maximum time between two reads of a request's body.", reload=True)
    body_min_bytes_per_s: Whole = _timeouts(
        1024,
        "Minimum average rate of a request's body, once `body_timeout_s` is over; a slower one gets 408. 0: no limit.",
        ge=0,
        le=_GIB,
        reload=True,
    )
    keepalive_timeout_s: Timeout = _timeouts(
        75.0, "A client connection without a request is closed after this.", reload=True
    )
    connect_timeout_s: Timeout = _timeouts(10.0, "Time to connect to the backend: DNS, TCP and TLS.", reload=True)
    first_byte_timeout_s: Timeout = _timeouts(
        600.0, "Time until the backend begins to answer; loading a model takes long.", reload=True
    )
    idle_timeout_s: Timeout = _timeouts(300.0, "Maximum time between two reads of the backend's answer.", reload=True)
    send_timeout_s: Timeout = _timeouts(
        300.0, "A client that reads nothing of its answer is disconnected after this.", reload=True
    )
    upstream_keepalive_s: Timeout = _timeouts(
        30.0, "An idle connection to the backend is closed after this.", reload=True
    )

    # --- Privacy
    record_client_address: bool = _privacy(False, "Store the clients' addresses.", reload=True)
    record_usage_reported: bool = _privacy(
        True,
        "Keep what servers report of their usage: numbers and short words, of which a later version can count again. "
        "Tokens are counted without it too.",
        reload=True,
    )
    trusted_proxies: Peers = _privacy(
        [],
        "Peers whose `X-Forwarded-For`, `-Proto` and `-Host` (on the metrics port also `Forwarded`) are trusted: name "
        "the reverse proxy in front, so that wrong tokens count against the client that sent them.",
        allowed="IP addresses or networks (10.0.0.0/8), separated by commas",
        reload=True,
    )

    # --- Identity
    identity_app: IdentitySources = _identity([], _SOURCES_OF % "application", allowed=_SOURCES, reload=True)
    identity_session_id: IdentitySources = _identity([], _SOURCES_OF % "session", allowed=_SOURCES, reload=True)
    identity_agent_id: IdentitySources = _identity([], _SOURCES_OF % "agent", allowed=_SOURCES, reload=True)
    identity_parent_agent_id: IdentitySources = _identity(
        [], _SOURCES_OF % "agent that started it", allowed=_SOURCES, reload=True
    )
    identity_user: IdentitySources = _identity([], _SOURCES_OF % "user", allowed=_SOURCES, reload=True)
    identity_hash: IdentityColumns = _identity(
        [],
        "Columns of which only an id is stored: 16 hex digits of HMAC-SHA-256 with the secret of this installation. "
        "The same value has the same id.",
        allowed=_COLUMNS,
        reload=True,
    )
    identity_not_stored: IdentityColumns = _identity(
        [], "Columns that are not stored at all.", allowed=_COLUMNS, reload=True
    )

    # --- Prometheus
    prometheus_model_limit: Whole = _prometheus(
        100,
        "Maximum number of distinct models in labels, since clients choose them; later ones count as `other`.",
        ge=1,
        le=10_000,
    )

    # --- OpenTelemetry
    otlp_endpoint: Url | None = _opentelemetry(
        None,
        "Receiver of metrics, traces and logs by OTLP over HTTP, such as a collector; `/v1/metrics`, `/v1/traces` and "
        "`/v1/logs` are appended. If not set, nothing is sent. See [OpenTelemetry](topics/opentelemetry.md).",
        allowed="an http:// or https:// URL without user, password, query or fragment, such as http://127.0.0.1:4318",
        shown_default="none",
    )
    otlp_headers: OtlpHeaders | None = _opentelemetry(
        None,
        "Headers for the receiver, such as `authorization=Bearer …`. Set keys in the environment or the file, not as a "
        "flag: every user of a machine can read a process's flags.",
        allowed="name=value, several separated by commas",
    )
    otlp_traces: bool = _opentelemetry(True, "Send a span for each request.")
    otlp_metrics: bool = _opentelemetry(True, "Send counters and histograms of tokens and durations.")
    otlp_logs: bool = _opentelemetry(False, "Send a log record for each request, with what its span has.")
    otlp_metrics_interval_s: Seconds = _opentelemetry(60.0, "Time between two exports of metrics.", ge=1, le=3600)

    # --- Cost
    prices: PriceTables = _cost(
        [],
        "Your own prices, each a table `[[prices]]` of the file; the first match counts, and all of them come before "
        "the public lists. See [Cost](topics/cost.md). Read again on SIGHUP.",
        allowed="tables with at least model and input_usd_per_mtok or provider, see below",
        toml_only=True,
        reload=True,
    )
    public_prices: bool = _cost(
        True,
        "Price requests to providers from the lists bundled with the installed genai-prices. Nothing is fetched.",
        reload=True,
    )

    # --- SLOs and alerts
    slos: SloTables = _slos_and_alerts(
        [],
        "Objectives, each a table `[[slos]]` of the file; see [SLOs and alerts](topics/slos-and-alerts.md). Read "
        "again on SIGHUP.",
        allowed="tables with at least name and objective, see below",
        toml_only=True,
        reload=True,
    )
    alerts: AlertTables = _slos_and_alerts(
        [],
        "Alerts and their receivers, each a table `[[alerts]]` of the file. Read again on SIGHUP.",
        allowed="tables with at least name, metric and threshold, see below",
        toml_only=True,
        reload=True,
    )
    budgets: BudgetTables = _slos_and_alerts(
        [],
        "Budgets that warn and block nothing, each a table `[[budgets]]` of the file; see "
        "[Limits and budgets](topics/limits.md). Read again on SIGHUP.",
        allowed="tables with at least name, and usd or tokens, see below",
        toml_only=True,
        reload=True,
    )
    watch_interval_s: Seconds = _slos_and_alerts(
        15.0,
        "How often each is measured; less often if measuring takes longer than a twentieth of that.",
        ge=1,
        le=3600,
        reload=True,
    )

    # --- Logging
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = _logging(
        "info",
        "Least severe level written to stderr. `debug` adds a line from the worker for every station of a request, "
        "with its id and milliseconds, and from the metrics process every SQL statement with its time, and SQLite's "
        "plan of every query. No line contains a value of a record, a header, a body or a key.",
        reload=True,
    )
    log_format: Annotated[Literal["text", "json"], Lower] = _logging(
        "text", "Lines for people, or one JSON object per line."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the caller's values: ``config.sources`` merges the layers, because it must name them in errors."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _agree_with_each_other(self) -> "Settings":
        faults = {check.setting: (check.fields, fault) for check in CROSS_CHECKS if (fault := check.fault(self))}
        if faults:
            raise PydanticCustomError(CROSS_CHECK, "settings contradict each other", {"faults": faults})
        return self
