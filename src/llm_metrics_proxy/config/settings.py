"""Settings: one frozen value, validated once, and the only list of what a person can set.

Every field is a row of the settings table. Flags, environment variables, TOML keys, their error messages and
``docs/settings.md`` are made from it (``table``); ``sources.load`` decides which value counts and
remembers where it came from. A field that ``proxy.options.ProxyOptions`` has too bears the same name and default
there; a test compares them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from llm_metrics_proxy.config.backends import BackendTables, faults_between
from llm_metrics_proxy.config.prices import PriceTables
from llm_metrics_proxy.config.types import (
    MAX_WORKERS,
    Backend,
    Bytes,
    Certificates,
    DailyWindow,
    FilePath,
    Host,
    HostHeader,
    HostNames,
    Lower,
    Origins,
    OtlpHeaders,
    PathPatterns,
    Peers,
    Seconds,
    Token,
    Url,
    UrlPath,
    Whole,
    Workers,
    setting,
)
from llm_metrics_proxy.config.watch import AlertTables, SloTables, faults_among
from llm_metrics_proxy.doors import is_loopback
from llm_metrics_proxy.machine import memory_bytes

ENV_PREFIX: Final = "LLM_METRICS_PROXY_"
CROSS_CHECK: Final = "cross_check"  # pydantic's error type for a fault that lies between settings, not in one

_DAY_S: Final = 86_400
_KIB: Final = 1024
_MIB: Final = 1024**2
_GIB: Final = 1024**3
_LEAST_BUFFERED_BYTES: Final = 16 * _MIB
_EVERY_ADDRESS: Final = {"0.0.0.0", "::"}  # noqa: S104 -- compared with, not bound to
_HOST: Final = "an IP address or a host name"


class Settings(BaseSettings):
    """What a person can set. Made by ``sources.load``, read by everybody, changed by nobody."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_ignore_empty=True, validate_default=True
    )

    # --- Addresses
    host: Host = setting(
        "127.0.0.1", "Addresses", "Address that clients talk to; `0.0.0.0` is every IPv4 address.", allowed=_HOST
    )
    port: Whole = setting(8001, "Addresses", "Port that clients talk to; 0: the kernel chooses.", ge=0, le=65_535)
    allowed_hosts: HostNames = setting(
        [],
        "Addresses",
        "Names that both ports may be asked by in the header Host, beside their own: a port that only this machine can "
        "reach answers to `localhost` and loopback addresses alone, and refuses any other name (421), against DNS "
        "rebinding. `*.lan` is every name below `lan`, `*` every name. On an address that other machines can reach the "
        "proxy's port answers to every name, unless there are some here. [Browsers](topics/browsers.md) says more.",
        allowed="host names without a port, *.name or *, separated by commas",
        reload=True,
    )
    allowed_origins: Origins = setting(
        [],
        "Addresses",
        "Web pages that may use the proxy's port, by their origin, beside pages of this machine (`http://localhost`, "
        "any port) and of the proxy's own address; all others are refused (403). `https://*.example.com` is every page "
        "below that domain, `http://10.0.0.7:*` every port, `chrome-extension://*` every extension, `null` pages from "
        "files, `*` every page. [Browsers](topics/browsers.md) says more.",
        allowed="origins such as https://chat.example.com, without a path, null or *, separated by commas",
        reload=True,
    )
    metrics_host: Host = setting(
        "127.0.0.1",
        "Addresses",
        "Address of the metrics API. One that other machines can reach needs `metrics_token`. Without a token, "
        "questions to any host name but `localhost`, this one and `allowed_hosts` are refused (421), against DNS "
        "rebinding.",
        allowed=_HOST,
    )
    metrics_port: Whole = setting(8002, "Addresses", "Port of the metrics API; 0: the kernel chooses.", ge=0, le=65_535)
    metrics_token: Token | None = setting(
        None,
        "Addresses",
        "Secret that readers of the metrics send as `Authorization: Bearer …`. Give it by environment or file rather "
        "than by flag: every user of a machine can read a process's flags.",
        allowed="at least 8 printable ASCII characters without spaces",
    )
    insecure: bool = setting(
        False, "Addresses", "Serve the metrics without a token on an address that other machines can reach."
    )

    # --- Backend
    backend: Backend | None = setting(
        None,
        "Backend",
        "Base URL of the LLM server; a trailing `/v1` is dropped, because clients send it. With none, `serve` looks "
        "for a server on loopback and, finding none, starts a simulated one; `demo` asks for that one.",
        allowed="demo, or an http:// or https:// URL without user, password, query or fragment, such as http://127.0.0.1:11434",
        shown_default="a server found on loopback",
        reload=True,
    )
    upstream_ca_file: Certificates | None = setting(
        None,
        "Backend",
        "Certificates (PEM) that an https backend is checked against.",
        allowed="a file with certificates in PEM that can be read",
        shown_default="the system's",
        reload=True,
    )
    upstream_host_header: HostHeader | None = setting(
        None,
        "Backend",
        "Header Host for the backend, where it must differ from the URL: behind a name-based gateway, or for a server "
        "that answers to `localhost` alone. TLS goes by the URL, or a backend's `tls_server_name`.",
        allowed="a host name or an IP address, perhaps with a port, such as localhost:11434",
        shown_default="the URL's host and port",
        reload=True,
    )
    upstream_tls_verify: bool = setting(True, "Backend", "Check an https backend's certificate and name.", reload=True)
    allow_paths: PathPatterns = setting(
        [],
        "Backend",
        "Paths that may pass besides the inference paths; `*` is one segment, `**` any number.",
        allowed="paths that begin with /, separated by commas",
        reload=True,
    )
    allow_all_paths: bool = setting(
        False,
        "Backend",
        "Let every path pass, also those that administer the server (Ollama's pull and delete).",
        reload=True,
    )
    inject_usage: bool = setting(
        False,
        "Backend",
        "Ask for token counts in streams whose client did not, and remove the extra chunk from what the client sees.",
        reload=True,
    )

    retry_unsafe: Annotated[Literal["never", "unsent", "stale"], Lower] = setting(
        "unsent",
        "Backend",
        "When a POST whose connection broke unanswered is sent again, once. `unsent`: if nothing of it reached the "
        "server, as far as the kernel can tell (Linux; elsewhere as `never`). `stale`: also if a reused connection "
        "broke within 100 ms, so that a server may see a request twice. [Retries](topics/backends.md#retries) explains "
        "it.",
        reload=True,
    )

    # --- Backends
    backends: BackendTables = setting(
        [],
        "Backends",
        "Several LLM servers, each a table `[[backends]]` of the file; [Backends](topics/backends.md) explains them.",
        allowed="tables with at least name and url, see below",
        toml_only=True,
        reload=True,
    )
    eject_after_failures: Whole = setting(
        3,
        "Backends",
        "Failures in a row after which a backend is passed over, as long as another one is well.",
        ge=1,
        le=1000,
        reload=True,
    )
    probe_path: UrlPath = setting(
        "/v1/models",
        "Backends",
        "What a backend that is passed over is asked for, to see whether it is back; any answer but 502, 503 and 504 "
        "will do.",
        allowed="a path that begins with /",
        reload=True,
    )
    probe_interval_s: Seconds = setting(
        5.0, "Backends", "Between two such questions, by each worker.", unit="s", ge=0.1, le=3600, reload=True
    )
    probe_timeout_s: Seconds = setting(2.0, "Backends", "For an answer to one.", unit="s", ge=0.1, le=600, reload=True)
    models_timeout_s: Seconds = setting(
        3.0, "Backends", "For each backend's part of a common `GET /v1/models`.", unit="s", ge=0.1, le=600, reload=True
    )

    # --- Storage
    data_dir: FilePath = setting(Path("data"), "Storage", "Folder of everything that is kept.", allowed="a path")
    db_path: FilePath = setting(
        lambda above: above["data_dir"] / "metrics.db",
        "Storage",
        "The SQLite database.",
        allowed="a path",
        shown_default="DATA_DIR/metrics.db",
    )
    backup_dir: FilePath = setting(
        lambda above: above["data_dir"] / "backups",
        "Storage",
        "Folder of the database's backups. One is made before each migration; it takes as much room as the database.",
        allowed="a path",
        shown_default="DATA_DIR/backups",
    )
    backup_keep: Whole = setting(
        3,
        "Storage",
        "Backups from before migrations and restores that are kept, of each database; older ones are deleted once a "
        "migration is done. Those made by `backup create` stay.",
        ge=1,
        le=1000,
    )

    retention_days: Whole = setting(
        0,
        "Storage",
        "Days for which records are kept, whole days in UTC; 0: forever. What is known of them together, the roll-ups, "
        "stays; see [Roll-ups](topics/rollups.md).",
        unit="days",
        ge=0,
        le=36_500,
    )
    retention_max_bytes: Bytes = setting(
        0,
        "Storage",
        "Size of what the database holds at which the oldest days of records are deleted; 0: no limit. The file does "
        "not shrink: new records fill the room, and `compact` gives it back.",
        unit="bytes",
        ge=0,
        le=1024 * _GIB,
    )

    # --- Migrations
    auto_migrate: bool = setting(
        True,
        "Migrations",
        "Bring a database that an older version wrote up to date at start, after a backup of it. Without, the metrics "
        "process refuses to start (exit code 3) until `llm-metrics-proxy migrate run` was run; requests are still "
        "served, and their records wait in the journal.",
    )
    migration_batch_lock_ms: Whole = setting(
        50,
        "Migrations",
        "How long one batch of a migration should hold the database's write lock; batches adapt to it.",
        unit="ms",
        ge=1,
        le=10_000,
    )
    migration_pause_ms: Whole = setting(
        0, "Migrations", "Pause after each batch, for a migration in stages.", unit="ms", ge=0, le=60_000
    )
    migration_window: DailyWindow | None = setting(
        None,
        "Migrations",
        "Daily hours, in local time, in which migrations may work, such as `22:00-06:00`; outside them they pause. "
        "With none they work at any time.",
        allowed="HH:MM-HH:MM with two different times",
        shown_default="none",
    )

    # --- Journal
    journal_dir: FilePath = setting(
        lambda above: above["data_dir"] / "journal",
        "Journal",
        "Folder where workers leave records for the metrics process; a local disk.",
        allowed="a path",
        shown_default="DATA_DIR/journal",
    )
    journal_fsync: Annotated[Literal["interval", "always", "never"], Lower] = setting(
        "interval",
        "Journal",
        "When records are forced to the disk. `never` and `interval` survive a killed process; a power cut can cost "
        "what came after the last fsync.",
    )
    journal_fsync_interval_s: Seconds = setting(
        1.0, "Journal", "Longest time between two fsyncs.", unit="s", ge=0.01, le=3600
    )
    journal_segment_bytes: Bytes = setting(
        16 * _MIB, "Journal", "Size at which a worker begins a new file.", unit="bytes", ge=64 * _KIB, le=_GIB
    )
    journal_max_bytes: Bytes = setting(
        2 * _GIB,
        "Journal",
        "Size of all journals together at which `journal_when_full` applies.",
        unit="bytes",
        ge=_MIB,
        le=1024 * _GIB,
    )
    journal_when_full: Annotated[Literal["drop_records", "refuse_requests"], Lower] = setting(
        "drop_records",
        "Journal",
        "What gives way when the journal is full: records (counted as dropped), or new requests (503).",
        reload=True,
    )

    # --- Processes
    workers: Workers = setting(
        "auto",
        "Processes",
        "Worker processes; `auto` is one for each CPU that this process may use.",
        allowed=f"auto or a whole number from 1 to {MAX_WORKERS}",
        ge=1,
        le=MAX_WORKERS,
    )
    drain_timeout_s: Seconds = setting(
        30.0,
        "Processes",
        "How long open requests may go on after a stop was asked for.",
        unit="s",
        ge=0,
        le=_DAY_S,
    )
    metrics_nice: Whole = setting(
        5,
        "Processes",
        "Niceness of the metrics process, so that recording never competes with serving.",
        ge=0,
        le=19,
    )
    ingest_batch_rows: Whole = setting(
        10_000, "Processes", "Records written in one transaction at most.", unit="rows", ge=1, le=100_000
    )
    ingest_interval_ms: Whole = setting(
        200, "Processes", "Pause between two looks at the journal.", unit="ms", ge=10, le=60_000
    )

    # --- Limits
    max_connections: Whole = setting(
        10_000, "Limits", "Open client connections of one worker.", ge=1, le=1_000_000, reload=True
    )
    max_header_bytes: Bytes = setting(
        64 * _KIB,
        "Limits",
        "Head of one request; more is answered with 431.",
        unit="bytes",
        ge=_KIB,
        le=_MIB,
        reload=True,
    )
    max_header_count: Whole = setting(
        100, "Limits", "Header fields of one request; more are answered with 431.", ge=1, le=10_000, reload=True
    )
    max_body_bytes: Bytes = setting(
        64 * _MIB,
        "Limits",
        "JSON body of one request, which is held in memory until complete; more is answered with 413.",
        unit="bytes",
        ge=_KIB,
        le=4 * _GIB,
        reload=True,
    )
    max_buffered_bytes: Bytes = setting(
        lambda above: max(_LEAST_BUFFERED_BYTES, memory_bytes() // 4 // above["workers"]),
        "Limits",
        "All JSON bodies that one worker holds together; what goes beyond is answered with 503, and a body that can "
        "never fit with 413. The memory is the machine's, or the container's where that has a limit.",
        unit="bytes",
        ge=_KIB,
        le=1024 * _GIB,
        shown_default="a quarter of the memory, divided by workers",
        reload=True,
    )
    max_upload_bytes: Bytes = setting(
        _GIB,
        "Limits",
        "Any other body, which streams through; more is answered with 413.",
        unit="bytes",
        ge=_KIB,
        le=1024 * _GIB,
        reload=True,
    )
    upstream_max_connections: Whole = setting(
        4_096,
        "Limits",
        "Open connections of one worker to the backend; more requests wait.",
        ge=1,
        le=1_000_000,
        reload=True,
    )
    upstream_max_idle: Whole = setting(
        256, "Limits", "Idle connections of one worker to the backend that are kept.", ge=0, le=100_000, reload=True
    )

    # --- Timeouts
    header_timeout_s: Seconds = setting(
        30.0, "Timeouts", "For a request's whole head.", unit="s", ge=0.1, le=_DAY_S, reload=True
    )
    body_timeout_s: Seconds = setting(
        60.0, "Timeouts", "Between two reads of a request's body.", unit="s", ge=0.1, le=_DAY_S, reload=True
    )
    body_min_bytes_per_s: Whole = setting(
        1024,
        "Timeouts",
        "What a request's body as a whole must come to a second, once `body_timeout_s` is over; a slower one is "
        "answered with 408. 0: no limit.",
        unit="bytes/s",
        ge=0,
        le=_GIB,
        reload=True,
    )
    keepalive_timeout_s: Seconds = setting(
        75.0, "Timeouts", "A client connection without a request.", unit="s", ge=0.1, le=_DAY_S, reload=True
    )
    connect_timeout_s: Seconds = setting(
        10.0, "Timeouts", "To connect to the backend: DNS, TCP and TLS.", unit="s", ge=0.1, le=_DAY_S, reload=True
    )
    first_byte_timeout_s: Seconds = setting(
        600.0,
        "Timeouts",
        "Until the backend's first answer; loading a model takes long.",
        unit="s",
        ge=0.1,
        le=_DAY_S,
        reload=True,
    )
    idle_timeout_s: Seconds = setting(
        300.0, "Timeouts", "Between two reads of the backend's answer.", unit="s", ge=0.1, le=_DAY_S, reload=True
    )
    send_timeout_s: Seconds = setting(
        300.0, "Timeouts", "A client that takes nothing of its answer.", unit="s", ge=0.1, le=_DAY_S, reload=True
    )
    upstream_keepalive_s: Seconds = setting(
        30.0,
        "Timeouts",
        "An idle connection to the backend is closed after this.",
        unit="s",
        ge=0.1,
        le=_DAY_S,
        reload=True,
    )

    # --- Privacy
    record_client_address: bool = setting(False, "Privacy", "Store the clients' addresses.", reload=True)
    trusted_proxies: Peers = setting(
        [],
        "Privacy",
        "Peers whose `X-Forwarded-For`, `-Proto` and `-Host` (of the metrics port also `Forwarded`) are believed: name "
        "the reverse proxy in front, so that wrong tokens count against the client that sent them.",
        allowed="IP addresses or networks (10.0.0.0/8), separated by commas",
        reload=True,
    )

    # --- Prometheus
    prometheus_model_limit: Whole = setting(
        100,
        "Prometheus",
        "Distinct models in labels, since clients choose them; later ones are counted as `other`.",
        ge=1,
        le=10_000,
    )

    # --- OpenTelemetry
    otlp_endpoint: Url | None = setting(
        None,
        "OpenTelemetry",
        "Receiver of metrics and traces by OTLP over HTTP, such as a collector; `/v1/metrics` and `/v1/traces` are "
        "added. With none, nothing is sent. [Monitoring](topics/monitoring.md) says what is.",
        allowed="an http:// or https:// URL without user, password, query or fragment, such as http://127.0.0.1:4318",
        shown_default="none",
    )
    otlp_headers: OtlpHeaders | None = setting(
        None,
        "OpenTelemetry",
        "Headers for it, such as `authorization=Bearer …`. Give keys by environment or file rather than by flag: every "
        "user of a machine can read a process's flags.",
        allowed="name=value, several separated by commas",
    )
    otlp_traces: bool = setting(True, "OpenTelemetry", "Send a span for each request.")
    otlp_metrics: bool = setting(True, "OpenTelemetry", "Send histograms of tokens and durations.")
    otlp_metrics_interval_s: Seconds = setting(
        60.0, "OpenTelemetry", "Between two sendings of metrics.", unit="s", ge=1, le=3600
    )

    # --- Cost
    prices: PriceTables = setting(
        [],
        "Cost",
        "Prices of one's own, each a table `[[prices]]` of the file; the first that fits counts, and all of them "
        "before the public lists. [Cost](topics/cost.md) explains them. Read again on SIGHUP.",
        allowed="tables with at least model and input_usd_per_mtok or provider, see below",
        toml_only=True,
        reload=True,
    )
    public_prices: bool = setting(
        True,
        "Cost",
        "Price requests to providers by the lists that the installed genai-prices bundles. Nothing is fetched.",
        reload=True,
    )

    # --- SLOs and alerts
    slos: SloTables = setting(
        [],
        "SLOs and alerts",
        "Objectives, each a table `[[slos]]` of the file. [SLOs and alerts](topics/slos-and-alerts.md) explains both. "
        "Read again on SIGHUP.",
        allowed="tables with at least name and objective, see below",
        toml_only=True,
        reload=True,
    )
    alerts: AlertTables = setting(
        [],
        "SLOs and alerts",
        "What is told, and to whom, when something is wrong; each a table `[[alerts]]` of the file. Read again on "
        "SIGHUP.",
        allowed="tables with at least name, metric and threshold, see below",
        toml_only=True,
        reload=True,
    )
    watch_interval_s: Seconds = setting(
        15.0,
        "SLOs and alerts",
        "How often each is measured; less often where measuring takes longer than a twentieth of that.",
        unit="s",
        ge=1,
        le=3600,
    )

    # --- Logging
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Lower] = setting(
        "info", "Logging", "Least severe message that is written to stderr."
    )
    log_format: Annotated[Literal["text", "json"], Lower] = setting(
        "text", "Logging", "Lines for people, or one JSON object per line."
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
        """Only what the caller gives: ``config.sources`` merges the layers, because it must name them in errors."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _agree_with_each_other(self) -> "Settings":
        faults = {check.setting: (check.fields, fault) for check in CROSS_CHECKS if (fault := check.fault(self))}
        if faults:
            raise PydanticCustomError(CROSS_CHECK, "settings contradict each other", {"faults": faults})
        return self


class CrossCheck(NamedTuple):
    """A rule between settings. ``setting`` is the one that is named first; ``fields`` are all that matter to it."""

    setting: str
    fields: tuple[str, ...]
    fault: Callable[[Settings], str | None]


def _metrics_are_guarded(settings: Settings) -> str | None:
    if is_loopback(settings.metrics_host) or settings.metrics_token or settings.insecure:
        return None
    return "can be reached from other machines: set metrics_token too, or insecure if everyone may read the metrics"


def _ports_differ(settings: Settings) -> str | None:
    hosts = {settings.host, settings.metrics_host}
    apart = len(hosts) == 2 and not hosts & _EVERY_ADDRESS
    if settings.port != settings.metrics_port or settings.port == 0 or apart:
        return None
    return "is the proxy's port already: choose another"


def _segments_fit(settings: Settings) -> str | None:
    if settings.journal_segment_bytes <= settings.journal_max_bytes:
        return None
    return f"must be at least journal_segment_bytes ({settings.journal_segment_bytes})"


def _one_way_to_name_backends(settings: Settings) -> str | None:
    if settings.backend is None or not settings.backends:
        return None
    return "names one server, and `backends` in the file names others: give the one or the other"


def _backends_differ(settings: Settings) -> str | None:
    return faults_between(settings.backends)


def _slos_differ(settings: Settings) -> str | None:
    return faults_among(settings.slos)


def _alerts_differ(settings: Settings) -> str | None:
    return faults_among(settings.alerts)


CROSS_CHECKS: Final = (
    CrossCheck("slos", ("slos",), _slos_differ),
    CrossCheck("alerts", ("alerts",), _alerts_differ),
    CrossCheck("backend", ("backend", "backends"), _one_way_to_name_backends),
    CrossCheck("backends", ("backends",), _backends_differ),
    CrossCheck("metrics_host", ("metrics_host", "metrics_token", "insecure"), _metrics_are_guarded),
    CrossCheck("metrics_port", ("host", "port", "metrics_host", "metrics_port"), _ports_differ),
    CrossCheck("journal_max_bytes", ("journal_max_bytes", "journal_segment_bytes"), _segments_fit),
)
