"""The counters and gauges in Prometheus' words. Names and units are listed once, in the tables below.

Counters and histograms by model come from ``prometheus_series``; gauges, and the counters of what never became a
record, from the live ``Health``.
"""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from llm_metrics_proxy.api.health import BackendHealth, DiskHealth, Health, IngestionHealth, WorkerHealth
from llm_metrics_proxy.api.ports import Telemetry, WatchPorts
from llm_metrics_proxy.api.prometheus_series import FAMILIES, PREFIX, SeriesLines
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.watch.evaluation import SloReport

FIRING: Final = "firing"
_OPENMETRICS_END: Final = b"# EOF\n"
_Family = type[GaugeMetricFamily] | type[CounterMetricFamily]
_WORKER_METRICS: Final[tuple[tuple[_Family, str, str, Callable[[WorkerHealth], float]], ...]] = (
    (GaugeMetricFamily, "worker_up", "1 if the worker gave a sign of life within 5 s.", lambda w: w.up),
    (GaugeMetricFamily, "open_connections", "Client connections that are open.", lambda w: w.open_connections),
    (GaugeMetricFamily, "journal_bytes", "Bytes of the worker's journal on disk.", lambda w: w.journal_bytes),
    (CounterMetricFamily, "records_dropped", "Requests forwarded without a record.", lambda w: w.records_dropped),
    (CounterMetricFamily, "bad_requests", "Connections refused before a request.", lambda w: w.bad_requests),
    (GaugeMetricFamily, "request_bodies_bytes", "Bytes of request bodies that are held.", lambda w: w.bodies_bytes),
    (GaugeMetricFamily, "request_bodies_limit_bytes", "At most so many are.", lambda w: w.bodies_limit_bytes),
    (CounterMetricFamily, "request_bodies_refused", "Requests refused for that.", lambda w: w.bodies_refused),
    (GaugeMetricFamily, "connections_limit", "Clients that are served at once.", lambda w: w.connections_limit),
    (CounterMetricFamily, "connections_refused", "Connections refused for that.", lambda w: w.connections_refused),
)
_BACKEND_METRICS: Final[tuple[tuple[_Family, str, str, Callable[[BackendHealth], float]], ...]] = (
    (GaugeMetricFamily, "backend_up", "1 unless the worker passes the backend over.", lambda b: b.up),
    (GaugeMetricFamily, "backend_open_requests", "Requests that the backend is to answer.", lambda b: b.open_requests),
    (CounterMetricFamily, "backend_ejections", "How often the backend was passed over.", lambda b: b.ejections),
)
_DISK_METRICS: Final[tuple[tuple[str, str, Callable[[DiskHealth], float]], ...]] = (
    ("disk_free_bytes", "What is free on the disk.", lambda d: d.free_bytes),
    ("disk_reserve_bytes", "Of it, what is kept for storing records.", lambda d: d.reserve_bytes),
    ("disk_low", "1 while roll-ups, backups, pruning and migrations wait for room.", lambda d: d.low),
)
_INGESTION_METRICS: Final[tuple[tuple[_Family, str, str, Callable[[IngestionHealth], float]], ...]] = (
    (GaugeMetricFamily, "journal_lag_bytes", "Journal bytes not yet in the database.", lambda i: i.lag_bytes),
    (GaugeMetricFamily, "journal_lag_seconds", "How far the database is behind.", lambda i: (i.lag_ms or 0) / 1000),
    (CounterMetricFamily, "records_rejected", "Records that the database cannot hold.", lambda i: i.records_rejected),
    (CounterMetricFamily, "journal_damaged_bytes", "Journal bytes that cannot be read.", lambda i: i.damaged_bytes),
)


_SLO_METRICS: Final[tuple[tuple[str, str, Callable[[SloReport], float | None]], ...]] = (
    ("slo_objective_ratio", "The share of requests that has to be good.", lambda slo: slo.objective),
    ("slo_good_ratio", "The share of requests that is, over the objective's window.", lambda slo: slo.good_ratio),
    (
        "slo_error_budget_left_ratio",
        "What is left of the error budget; below 0: it is overdrawn.",
        lambda slo: slo.error_budget_left,
    ),
    ("slo_burn_rate", "How many times too fast the last hour used the error budget.", lambda slo: slo.burn_rate_1h),
)


class _Live(Collector):
    """What is not counted by model, as it is when ``collect`` runs; also families that have no series yet."""

    def __init__(self, health: Health, watch: WatchPorts | None, telemetry: Telemetry | None) -> None:
        self._health = health
        self._watch = watch
        self._telemetry = telemetry

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield InfoMetricFamily(
            PREFIX + "build", "Version of the running program.", {"app_version": self._health.app_version}
        )
        yield from self._live_families()
        yield from self._watched_families()
        if self._telemetry is not None:
            sent, dropped = self._telemetry.spans_sent, self._telemetry.dropped
            yield CounterMetricFamily(PREFIX + "otlp_spans", "Spans that the receiver took.", sent)
            yield CounterMetricFamily(PREFIX + "otlp_dropped", "Records and spans that it did not get.", dropped)

    def _watched_families(self) -> Iterator[Metric]:
        """What is not known yet has no series: a gauge of 0 would be a number."""
        slos, alerts = (self._watch.slos(), self._watch.alerts()) if self._watch is not None else ([], [])
        for name, text, value in _SLO_METRICS:
            family = GaugeMetricFamily(PREFIX + name, text, labels=("slo",))
            for slo in slos:
                if (measured := value(slo)) is not None:
                    family.add_metric((slo.name,), measured)
            yield family
        firing = GaugeMetricFamily(PREFIX + "alert_firing", "1 while the alert fires.", labels=("alert",))
        waiting = GaugeMetricFamily(
            PREFIX + "alert_messages_waiting", "Messages that the alert's webhook has not taken yet.", labels=("alert",)
        )
        for alert in alerts:
            firing.add_metric((alert.name,), alert.phase == FIRING)
            waiting.add_metric((alert.name,), alert.waiting)
        yield firing
        yield waiting

    def _live_families(self) -> Iterator[Metric]:
        workers, ingestion = self._health.workers, self._health.ingestion
        running = sum(worker.open_requests for worker in workers) if workers else ingestion and ingestion.open_requests
        yield GaugeMetricFamily(PREFIX + "num_requests_running", "Requests being served.", running or 0)
        refused = self._health.readers_refused
        yield CounterMetricFamily(PREFIX + "readers_refused", "Readers of the metrics turned away.", refused)
        yield GaugeMetricFamily(PREFIX + "ingestion_up", "1 if records are being taken in.", ingestion is not None)
        for family_type, name, text, value in _WORKER_METRICS:
            family = family_type(PREFIX + name, text, labels=("worker",))
            for worker in workers:
                family.add_metric((str(worker.worker),), value(worker))
            yield family
        for family_type, name, text, seen in _BACKEND_METRICS:
            family = family_type(PREFIX + name, text, labels=("worker", "backend_name"))
            for backend in self._health.backends:
                family.add_metric((str(backend.worker), backend.name), seen(backend))
            yield family
        if ingestion is not None:
            for family_type, name, text, measure in _INGESTION_METRICS:
                yield family_type(PREFIX + name, text, measure(ingestion))
        lost = CounterMetricFamily(PREFIX + "records_lost", "Requests served without a record, over restarts.")
        if ingestion is not None and ingestion.records_lost is not None:  # else it is not known, and must not fall to 0
            lost.add_metric((), ingestion.records_lost)
        yield lost
        for name, text, of_disk in _DISK_METRICS:
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=("disk",))
            for disk in self._health.disks:
                gauge.add_metric((disk.disk,), of_disk(disk))
            yield gauge
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

    def render(
        self, health: Health, accept: str, *, watch: WatchPorts | None = None, telemetry: Telemetry | None = None
    ) -> tuple[bytes, str]:
        """Body and content type: the text format, or OpenMetrics if ``accept`` asks for it."""
        encoder, content_type = choose_encoder(accept)
        parts: list[bytes] = []
        for family, lines in zip(FAMILIES, self._series.now(), strict=True):
            # A model that is no text must not cost everybody all metrics.
            parts += (encoder(_Only(family)).removesuffix(_OPENMETRICS_END), lines.encode(errors="replace"))
        return b"".join((*parts, encoder(_Live(health, watch, telemetry)))), content_type
