"""The counters and gauges in Prometheus' words. Names and units are listed once, in the tables below.

Counters and histograms by model come from ``prometheus_series``; gauges, and the counters of what never became a
record, from the live ``Health``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

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
from llm_metrics_proxy.api.prometheus_series import FAMILIES, PREFIX, SeriesLines
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.quotas import QuotaLeft
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport

_T = TypeVar("_T")
FIRING: Final = "firing"
_OPENMETRICS_END: Final = b"# EOF\n"
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
_QUOTA_METRICS: Final[_Table[QuotaLeft]] = (
    (
        _GAUGE,
        "quota_left_ratio",
        "The share of a server's limit that is left, until its reset.",
        lambda q: q.left_ratio,
    ),
    (_GAUGE, "quota_left", "Requests or tokens that are left of a server's limit, until its reset.", lambda q: q.left),
    (_GAUGE, "quota_reset_timestamp_seconds", "When that limit begins anew.", lambda q: q.resets_at),
)


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
        self, health: Health, watch: WatchPorts | None, telemetry: Telemetry | None, quotas: Sequence[QuotaLeft] = ()
    ) -> None:
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
        labels: dict[str, Callable[[QuotaLeft], str]] = {
            "backend": lambda quota: quota.backend,
            "api_key_id": lambda quota: quota.api_key_id,
            "limit": lambda quota: quota.limit,
        }
        yield from _families(_QUOTA_METRICS, labels, self._quotas)
        if self._telemetry is not None:
            sent, dropped = self._telemetry.spans_sent, self._telemetry.dropped
            yield CounterMetricFamily(PREFIX + "otlp_spans", "Spans that the receiver took.", sent)
            yield CounterMetricFamily(PREFIX + "otlp_dropped", "Records and spans that it did not get.", dropped)

    def _watched_families(self) -> Iterator[Metric]:
        slos, alerts = (self._watch.slos(), self._watch.alerts()) if self._watch is not None else ([], [])
        yield from _families(_SLO_METRICS, {"slo": lambda slo: slo.name}, slos)
        yield from _families(_ALERT_METRICS, {"alert": lambda alert: alert.name}, alerts)

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
    ) -> tuple[bytes, str]:
        """Body and content type: the text format, or OpenMetrics if ``accept`` names it. ``now``: Unix seconds."""
        encoder, content_type = choose_encoder(accept)
        parts: list[bytes] = []
        for family, lines in zip(FAMILIES, self._series.now(), strict=True):
            # A model that is not text must not cost everybody all metrics.
            parts += (encoder(_Only(family)).removesuffix(_OPENMETRICS_END), lines.encode(errors="replace"))
        live = _Live(health, watch, telemetry, self._quotas.left(now))
        return b"".join((*parts, encoder(live))), content_type
