"""A bounded queue and a thread between ingestion and OTLP: a receiver that is slow or away holds up nothing.

What does not fit into the queue is dropped and counted; so are spans and log records that the receiver did not take,
after the SDK's own retries. Records are in the database whatever becomes of their spans.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from typing import TYPE_CHECKING, Final

import msgspec

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.telemetry.facts import (
    EventFacts,
    SpanFacts,
    event,
    has_span,
    ids,
    is_understood,
    measurements,
    span,
)

if TYPE_CHECKING:
    from llm_metrics_proxy.telemetry.otlp import Otlp

MOST_WAITING: Final = 20_000  # records; some 20 MB
SPANS_AT_ONCE: Final = 512
EXEMPLARS_AT_ONCE: Final = 64  # of a batch, the slowest: an exemplar takes the SDK 7 µs in each histogram
CLOSE_LIMIT_S: Final = 8.0
OTHER_MODEL: Final = "other"
SPANS, EVENTS = "spans", "log records"

log = logging.getLogger(__name__)


class OtlpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to and what; see the settings of the same names."""

    endpoint: str
    headers: dict[str, str]
    traces: bool
    metrics: bool
    logs: bool
    metrics_interval_s: float
    model_limit: int  # distinct models in attributes of metrics; later ones are ``other``
    version: str
    host: str  # as records name it


class TelemetryStatus(msgspec.Struct, frozen=True):
    """Since this process started. ``dropped``: records that did not fit into the queue, spans and log records that
    were not taken."""

    spans_sent: int = 0
    dropped: int = 0
    waiting: int = 0
    events_sent: int = 0
    sends_traces: bool = False


Stored = tuple[RequestRecord, float | None]  # with its cost


class TelemetryExporter:
    """``stored`` is called by ingestion; everything else happens in a thread of its own."""

    def __init__(self, options: OtlpOptions, *, open_otlp: "Callable[[OtlpOptions], Otlp] | None" = None) -> None:
        """``open_otlp`` makes the sending part, in the thread; by default it is that of the SDK."""
        self._options = options
        self._open = open_otlp or _open_otlp
        self._queue: deque[Stored] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._models: set[str] = set()
        self._sent = {SPANS: 0, EVENTS: 0}
        self._dropped = 0
        self._away: set[str] = set()  # of SPANS and EVENTS
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stored(self, records: Sequence[Stored]) -> None:
        """Records that a transaction has committed. Returns at once."""
        room = MOST_WAITING - len(self._queue)
        self._queue.extend(records[:room])
        self._dropped += max(0, len(records) - room)
        self._wake.set()

    def status(self) -> TelemetryStatus:
        """How it fares; from any thread."""
        return TelemetryStatus(
            self._sent[SPANS], self._dropped, len(self._queue), self._sent[EVENTS], self._options.traces
        )

    def stop(self, timeout_s: float = CLOSE_LIMIT_S) -> None:
        """Send what waits, for at most ``timeout_s``. The rest is lost."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            otlp = self._open(self._options)
        except Exception:
            log.exception("telemetry cannot be sent")
            self._stop.wait()
            return
        log.info("telemetry is sent to %s", self._options.endpoint)
        deadline = None
        while True:
            batch = self._take()
            if batch:
                self._export(otlp, batch)
            elif self._stop.is_set():
                break
            else:
                self._wake.wait()
                self._wake.clear()
            if self._stop.is_set():
                deadline = deadline or time.monotonic() + CLOSE_LIMIT_S / 2
                if time.monotonic() > deadline:
                    break
        otlp.close()

    def _take(self) -> list[Stored]:
        batch: list[Stored] = []
        while self._queue and len(batch) < SPANS_AT_ONCE:
            batch.append(self._queue.popleft())
        return batch

    def _export(self, otlp: "Otlp", batch: Sequence[Stored]) -> None:
        spans: list[SpanFacts] = []
        events: list[EventFacts] = []
        slowest = {record.request_id for record, _ in nlargest(EXEMPLARS_AT_ONCE, batch, key=_duration_ms)}
        try:
            for record, cost_usd in batch:
                start_ns = _start_ns(record.timestamp)
                if otlp.takes_events:
                    events.append(event(record, start_ns, cost_usd))
                if not is_understood(record):
                    continue
                if otlp.takes_metrics:
                    self._measure(otlp, record, may_be_exemplar=record.request_id in slowest)
                if otlp.takes_spans and has_span(record):
                    spans.append(span(record, start_ns, cost_usd))
            if otlp.takes_metrics:
                otlp.add()
            self._count(otlp, SPANS, len(spans), taken=not spans or otlp.send(spans))
            self._count(otlp, EVENTS, len(events), taken=not events or otlp.send_events(events))
        except Exception:
            log.exception("telemetry met a bug; %d records are not sent", len(batch))
            self._dropped += len(batch)

    def _measure(self, otlp: "Otlp", record: RequestRecord, *, may_be_exemplar: bool) -> None:
        """A request is found by its trace if that is kept, and somebody sends a part of it."""
        is_found = may_be_exemplar and has_span(record) and (otlp.takes_spans or record.trace_id is not None)
        measured = measurements(record, self._label(record.model), self._label(record.response_model))
        otlp.measure(measured, ids(record) if is_found else None)

    def _count(self, otlp: "Otlp", signal: str, n: int, *, taken: bool) -> None:
        """What became of ``n`` of them; 0 says nothing of the receiver."""
        if n == 0:
            return
        if taken:
            self._sent[signal] += n
        else:
            self._dropped += n
        if taken is (signal in self._away):
            self._away ^= {signal}
            level, words = (logging.INFO, f"takes {signal} again") if taken else (logging.WARNING, f"takes no {signal}")
            why = "" if taken or otlp.why_not_taken is None else f" ({otlp.why_not_taken})"
            log.log(level, "%s %s%s; %d were dropped so far", self._options.endpoint, words, why, self._dropped)

    def _label(self, model: str | None) -> str | None:
        """Clients choose models: only the first ones keep their names."""
        if model is None or model in self._models:
            return model
        if len(self._models) < self._options.model_limit:
            self._models.add(model)
            return model
        return OTHER_MODEL


def _duration_ms(stored: Stored) -> float:
    return stored[0].response_time_ms or 0.0


def _start_ns(timestamp: str) -> int:
    """A record's timestamp to the microsecond, exactly; float seconds would lose some."""
    moment = datetime.fromisoformat(timestamp)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000


def _open_otlp(options: OtlpOptions) -> "Otlp":
    from llm_metrics_proxy.telemetry.otlp import Otlp  # noqa: PLC0415 -- only where telemetry is turned on

    return Otlp(
        options.endpoint,
        options.headers,
        version=options.version,
        metrics_interval_s=options.metrics_interval_s,
        traces=options.traces,
        metrics=options.metrics,
        logs=options.logs,
        host=options.host,
    )
