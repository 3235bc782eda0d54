"""The counters and gauges in Prometheus' words. Names and units are listed once, in the tables below.

Counters and histograms by model come from ``prometheus_series``; gauges, and the counters of what never became a
record, from the live ``Health``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from llm_metrics_proxy.api.health import (
    BackendHealth,
    DiskHealth,
    Health,
    IngestionHealth,
    ShippingHealth,
    WorkerHealth,
)
from llm_metrics_proxy.api.ports import Telemetry, WatchPorts
from llm_metrics_proxy.api.prometheus_series import (
    FAMILIES,
    PREFIX,
    SeriesLines,
    of_clients_traces,
    of_every_trace,
)
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.quotas import Outlook, QuotaLeft, look_ahead
from llm_metrics_proxy.servers.seen import AskingState, GpuSeen, Seen, ServerSeen
from llm_metrics_proxy.watch.budgets import BudgetReport, BudgetStanding
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport

_T = TypeVar("_T")
FIRING: Final = "firing"
_OPENMETRICS_END: Final = b"# EOF\n"
_OPENMETRICS: Final = "application/openmetrics-text"
_Family = type[GaugeMetricFamily] | type[CounterMetricFamily]
_GAUGE: Final = GaugeMetricFamily
_COUNTER: Final = CounterMetricFamily
_Table = tuple[tuple[_Family, str, str, Callable[[_T], float | None]], ...]
_WORKER_METRICS: Final[_Table[WorkerHealth]] = (
    (_GAUGE, "worker_up", "1 if the worker gave a sign of life within 5 s.", lambda w: w.up),
    (_GAUGE, "open_connections", "Client connections that are open.", lambda w: w.open_connections),
    (_GAUGE, "journal_bytes", "Bytes of the worker's journal on disk.", lambda w: w.journal_bytes),
    (_COUNTER, "records_dropped", "Requests forwarded without a record.", lambda w: w.records_dropped),
    (_COUNTER, "bad_requests", "Connections refused before a request.", lambda w: w.bad_requests),
    (_GAUGE, "request_bodies_bytes", "Bytes of request bodies that are held.", lambda w: w.bodies_bytes),
    (_GAUGE, "request_bodies_limit_bytes", "At most so many are.", lambda w: w.bodies_limit_bytes),
    (_COUNTER, "request_bodies_refused", "Requests refused for that.", lambda w: w.bodies_refused),
    (_GAUGE, "connections_limit", "Clients that are served at once.", lambda w: w.connections_limit),
    (_COUNTER, "connections_refused", "Connections refused for that.", lambda w: w.connections_refused),
)
_BACKEND_METRICS: Final[_Table[BackendHealth]] = (
    (_GAUGE, "backend_up", "1 unless the worker passes the backend over.", lambda b: b.up),
    (_GAUGE, "backend_open_requests", "Requests that the backend is to answer.", lambda b: b.open_requests),
    (_COUNTER, "backend_ejections", "How often the backend was passed over.", lambda b: b.ejections),
)
_DISK_METRICS: Final[_Table[DiskHealth]] = (
    (_GAUGE, "disk_free_bytes", "What is free on the disk.", lambda d: d.free_bytes),
    (_GAUGE, "disk_reserve_bytes", "Of it, what is kept for storing records.", lambda d: d.reserve_bytes),
    (_GAUGE, "disk_low", "1 while roll-ups, backups, pruning and migrations wait for room.", lambda d: d.low),
)
_SHIPPING_METRICS: Final[_Table[ShippingHealth]] = (
    (_GAUGE, "shipping_up", "1 if records get to the store on the network.", lambda s: s.error is None),
    (_GAUGE, "outbox_records", "Records that wait for the store on the network.", lambda s: s.waiting_records),
    (_GAUGE, "outbox_bytes", "Size of these records, compressed.", lambda s: s.waiting_bytes),
    (_COUNTER, "records_shipped", "Records that the store on the network took.", lambda s: s.shipped_records),
)
_INGESTION_METRICS: Final[_Table[IngestionHealth]] = (
    (_GAUGE, "journal_lag_bytes", "Journal bytes not yet in the database.", lambda i: i.lag_bytes),
    (_GAUGE, "journal_lag_seconds", "How far the database is behind.", lambda i: (i.lag_ms or 0) / 1000),
    (_COUNTER, "records_rejected", "Records that the database cannot hold.", lambda i: i.records_rejected),
    (_COUNTER, "journal_damaged_bytes", "Journal bytes that cannot be read.", lambda i: i.damaged_bytes),
)
_SLO_METRICS: Final[_Table[SloReport]] = (
    (_GAUGE, "slo_objective_ratio", "The share of requests that has to be good.", lambda s: s.objective),
    (_GAUGE, "slo_good_ratio", "The share of requests that is, over the objective's window.", lambda s: s.good_ratio),
    (
        _GAUGE,
        "slo_error_budget_left_ratio",
        "What is left of the error budget; below 0: it is overdrawn.",
        lambda s: s.error_budget_left,
    ),
    (_GAUGE, "slo_burn_rate", "How many times too fast the last hour used the error budget.", lambda s: s.burn_rate_1h),
)
_ALERT_METRICS: Final[_Table[AlertReport]] = (
    (_GAUGE, "alert_firing", "1 while the alert fires.", lambda a: a.phase == FIRING),
    (_GAUGE, "alert_messages_waiting", "Messages that the alert's webhook has not taken yet.", lambda a: a.waiting),
)


class _LimitNow(NamedTuple):
    """A window of a server's limit that is not over."""

    left: QuotaLeft
    outlook: Outlook


_QUOTA_METRICS: Final[_Table[_LimitNow]] = (
    (
        _GAUGE,
        "quota_left_ratio",
        "The share of a server's limit that is left, until its reset.",
        lambda q: q.left.left_ratio,
    ),
    (
        _GAUGE,
        "quota_left",
        "Requests or tokens that are left of a server's limit, until its reset.",
        lambda q: q.left.left,
    ),
    (_GAUGE, "quota_reset_timestamp_seconds", "When that limit begins anew.", lambda q: q.left.resets_at),
    (
        _GAUGE,
        "quota_burn_ratio_per_second",
        "The share of the limit that a second uses, at the rate of late.",
        lambda q: None if q.outlook.burn_ratio_per_h is None else q.outlook.burn_ratio_per_h / 3600,
    ),
    (
        _GAUGE,
        "quota_runs_out_timestamp_seconds",
        "When the limit is used up at that rate, before its reset or after.",
        lambda q: q.outlook.runs_out_at,
    ),
    (
        _GAUGE,
        "quota_left_at_reset_ratio",
        "The share of the limit that is left at its reset, at that rate.",
        lambda q: q.outlook.left_at_reset_ratio,
    ),
)


def _said(measure: str) -> Callable[[ServerSeen], float | None]:
    return lambda server: server.reading.gauges.get(measure) if server.reading is not None else None


def _of_gpu(measure: str) -> Callable[[GpuSeen], float | None]:
    return lambda gpu: gpu.reading.gauges.get(measure)


_NOT_ASKED: Final = frozenset({AskingState.NOT_ASKED, AskingState.OFF, AskingState.REMOTE})
_SERVER_METRICS: Final[_Table[ServerSeen]] = (
    (
        _GAUGE,
        "server_up",
        "1 if the server answered when it was last asked for numbers of its own.",
        lambda s: None if s.state in _NOT_ASKED else s.state is not AskingState.SILENT,
    ),
    (_GAUGE, "server_requests_running", "Requests that the server says it works on.", _said("running")),
    (_GAUGE, "server_requests_waiting", "Requests that the server says wait in its queue.", _said("waiting")),
    (_GAUGE, "server_kv_cache_usage_ratio", "Share of the server's KV cache in use.", _said("kv_cache_ratio")),
    (_GAUGE, "server_slots", "Requests that the server can work on at once.", _said("slots")),
    (_GAUGE, "server_models_loaded", "Models in the server's memory.", _said("models_loaded")),
    (_GAUGE, "server_model_vram_bytes", "Memory of GPUs that its models take.", _said("vram_bytes")),
)
_GPU_METRICS: Final[_Table[GpuSeen]] = (
    (_GAUGE, "gpu_utilization_ratio", "Share of the time in which the GPU worked.", _of_gpu("utilisation_ratio")),
    (_GAUGE, "gpu_memory_used_bytes", "Memory of the GPU in use.", _of_gpu("memory_used_bytes")),
    (_GAUGE, "gpu_memory_bytes", "Memory of the GPU.", _of_gpu("memory_bytes")),
    (_GAUGE, "gpu_power_watts", "Power that the GPU draws.", _of_gpu("power_w")),
    (_GAUGE, "gpu_temperature_celsius", "Temperature of the GPU.", _of_gpu("temperature_c")),
)


class _BudgetNow(NamedTuple):
    """How one budget stands, or one value of a budget for each."""

    budget: BudgetReport
    standing: BudgetStanding


_BUDGET_METRICS: Final[_Table[_BudgetNow]] = (
    (_GAUGE, "budget_limit", "The budget, in US dollars or tokens.", lambda b: b.budget.limit),
    (_GAUGE, "budget_used", "What was used of it in this period, in the same unit.", lambda b: b.standing.spent),
    (
        _GAUGE,
        "budget_used_ratio",
        "The share of the budget that was used in this period.",
        lambda b: b.standing.spent_ratio,
    ),
    (
        _GAUGE,
        "budget_projected_ratio",
        "The share that will be used by the end of the period, at the rate of late.",
        lambda b: b.standing.projected_ratio,
    ),
)
_MOST_BUDGET_SERIES: Final = 20  # of a budget for each value: those that used most


def _families(table: _Table[_T], labels: Mapping[str, Callable[[_T], str]], rows: Iterable[_T]) -> Iterator[Metric]:
    """A series for each row; none where the value is not known yet: a gauge of 0 would be a number."""
    for family_type, name, text, value in table:
        family = family_type(PREFIX + name, text, labels=tuple(labels))
        for row in rows:
            if (measured := value(row)) is not None:
                family.add_metric([label(row) for label in labels.values()], measured)
        yield family


class _Live(Collector):
    """What is not counted by model, as it is when ``collect`` runs; also families that have no series yet."""

    def __init__(
        self,
        health: Health,
        watch: WatchPorts | None,
        telemetry: Telemetry | None,
        quotas: Sequence[_LimitNow] = (),
        servers: Seen = Seen(),  # noqa: B008 -- a value
    ) -> None:
        self._servers = servers
        self._health = health
        self._quotas = quotas
        self._watch = watch
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield InfoMetricFamily(
            PREFIX + "build", "Version of the running program.", {"app_version": self._health.app_version}
        )
        yield from self._live_families()
        yield from self._watched_families()
        labels: dict[str, Callable[[_LimitNow], str]] = {
            "backend": lambda quota: quota.left.backend,
            "api_key_id": lambda quota: quota.left.api_key_id,
            "limit": lambda quota: quota.left.limit,
        }
        yield from _families(_QUOTA_METRICS, labels, self._quotas)
        yield from _families(_SERVER_METRICS, {"backend_name": lambda one: one.name}, self._servers.servers)
        yield from _families(_GPU_METRICS, {"gpu": lambda one: one.name}, self._servers.gpus)
        if self._telemetry is not None:
            for name, text, n in (
                ("otlp_spans", "Spans that the receiver took.", self._telemetry.spans_sent),
                ("otlp_log_records", "Log records that the receiver took.", self._telemetry.events_sent),
                ("otlp_dropped", "Records, spans and log records that it did not get.", self._telemetry.dropped),
            ):
                yield CounterMetricFamily(PREFIX + name, text, n)

    def _watched_families(self) -> Iterator[Metric]:
        slos, alerts = (self._watch.slos(), self._watch.alerts()) if self._watch is not None else ([], [])
        yield from _families(_SLO_METRICS, {"slo": lambda slo: slo.name}, slos)
        yield from _families(_ALERT_METRICS, {"alert": lambda alert: alert.name}, alerts)
        budgets = [] if self._watch is None else self._watch.budgets()
        labels: dict[str, Callable[[_BudgetNow], str]] = {
            "budget": lambda now: now.budget.name,
            "value": lambda now: now.standing.value or "",
            "unit": lambda now: now.budget.unit,
        }
        standing = [_BudgetNow(each, one) for each in budgets for one in each.standings[:_MOST_BUDGET_SERIES]]
        yield from _families(_BUDGET_METRICS, labels, standing)

    def _live_families(self) -> Iterator[Metric]:
        workers, ingestion = self._health.workers, self._health.ingestion
        running = sum(worker.open_requests for worker in workers) if workers else ingestion and ingestion.open_requests
        yield GaugeMetricFamily(PREFIX + "num_requests_running", "Requests being served.", running or 0)
        refused = self._health.readers_refused
        yield CounterMetricFamily(PREFIX + "readers_refused", "Readers of the metrics turned away.", refused)
        yield GaugeMetricFamily(PREFIX + "ingestion_up", "1 if records are being taken in.", ingestion is not None)
        yield from _families(_WORKER_METRICS, {"worker": lambda one: str(one.worker)}, workers)
        yield from _families(
            _BACKEND_METRICS,
            {"worker": lambda one: str(one.worker), "backend_name": lambda one: one.name},
            self._health.backends,
        )
        if ingestion is not None:
            for family_type, name, text, measure in _INGESTION_METRICS:
                yield family_type(PREFIX + name, text, measure(ingestion))
        if self._health.shipping is not None:
            yield from _families(_SHIPPING_METRICS, {}, [self._health.shipping])
        lost = CounterMetricFamily(PREFIX + "records_lost", "Requests served without a record, over restarts.")
        if ingestion is not None and ingestion.records_lost is not None:  # else it is not known, and must not fall to 0
            lost.add_metric((), ingestion.records_lost)
        yield lost
        yield from _families(_DISK_METRICS, {"disk": lambda disk: disk.disk}, self._health.disks)
        yield from self._migration_families()

    def _migration_families(self) -> Iterator[Metric]:
        """Always present, so that alerts need not distinguish "nothing" from "no such series"."""
        migration = self._health.migration
        phase = GaugeMetricFamily(PREFIX + "migration_phase", "1 for what a migration does now.", labels=("phase",))
        phase.add_metric(("idle" if migration is None else migration.phase,), 1)
        yield phase
        records = migration if migration is not None and migration.unit == "records" else None
        done, total = (records.done, records.total) if records else (0, 0)
        yield GaugeMetricFamily(PREFIX + "migration_records_done", "Records that this phase has done.", done)
        yield GaugeMetricFamily(PREFIX + "migration_records", "Records of this phase altogether; 0: not known.", total)


class _Only(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """The one."""
        yield self._family


class Exposition:
    """Everything of one program, scrape after scrape. From any thread."""

    def __init__(self, book: CounterBook) -> None:
        self._series = SeriesLines(book)
        self._quotas = book.quotas

    def render(
        self,
        health: Health,
        accept: str,
        *,
        watch: WatchPorts | None = None,
        telemetry: Telemetry | None = None,
        now: float = 0.0,
        servers: Seen = Seen(),  # noqa: B008 -- a value
    ) -> tuple[bytes, str]:
        """Body and content type: the text format, or OpenMetrics if ``accept`` names it. ``now``: Unix seconds."""
        encoder, content_type = choose_encoder(accept)
        words = of_every_trace if telemetry is not None and telemetry.sends_traces else of_clients_traces
        parts: list[bytes] = []
        all_lines = self._series.now(words if content_type.startswith(_OPENMETRICS) else None)
        for family, lines in zip(FAMILIES, all_lines, strict=True):
            # A model that is not text must not cost everybody all metrics.
            parts += (encoder(_Only(family)).removesuffix(_OPENMETRICS_END), lines.encode(errors="replace"))
        quotas = [_LimitNow(each.newest, look_ahead(each, now)) for each in self._quotas.current(now)]
        live = _Live(health, watch, telemetry, quotas, servers)
        return b"".join((*parts, encoder(live))), content_type
