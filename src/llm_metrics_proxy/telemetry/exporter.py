"""A bounded queue and a thread between ingestion and OTLP: a receiver that is slow or away holds up nothing.

What does not fit into the queue is dropped and counted; so are spans that the receiver did not take, after the SDK's
own retries. Records are in the database whatever becomes of their spans.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.telemetry.facts import SpanFacts, has_span, is_understood, measurements, span

if TYPE_CHECKING:
    from llm_metrics_proxy.telemetry.otlp import Otlp

MOST_WAITING: Final = 20_000  # records; some 20 MB
SPANS_AT_ONCE: Final = 512
CLOSE_LIMIT_S: Final = 8.0
OTHER_MODEL: Final = "other"

log = logging.getLogger(__name__)


class OtlpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to and what; see the settings of the same names."""

    endpoint: str
    headers: dict[str, str]
    traces: bool
    metrics: bool
    metrics_interval_s: float
    model_limit: int  # distinct models in attributes of metrics; later ones are ``other``
    version: str


class TelemetryStatus(msgspec.Struct, frozen=True):
    """Since this process started. ``dropped``: records that did not fit into the queue, and spans not taken."""

    spans_sent: int = 0
    dropped: int = 0
    waiting: int = 0


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
        self._sent = self._dropped = 0
        self._is_away = False
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
        return TelemetryStatus(self._sent, self._dropped, len(self._queue))

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
        try:
            for record, cost_usd in batch:
                if not is_understood(record):
                    continue
                if otlp.takes_metrics:
                    for measured in measurements(record, self._label(record.model), self._label(record.response_model)):
                        otlp.measure(measured)
                if otlp.takes_spans and has_span(record):
                    spans.append(span(record, _start_ns(record.timestamp), cost_usd))
            taken = not spans or otlp.send(spans)
        except Exception:
            log.exception("telemetry met a bug; %d records are not sent", len(batch))
            self._dropped += len(batch)
            return
        if taken:
            self._sent += len(spans)
        else:
            self._dropped += len(spans)
        if taken is self._is_away:
            self._is_away = not taken
            level, words = (logging.INFO, "takes telemetry again") if taken else (logging.WARNING, "takes no telemetry")
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
    )
