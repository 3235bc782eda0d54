"""Spans, log records and metrics by OpenTelemetry's SDK, sent by OTLP over HTTP. The only file that imports
``opentelemetry``.

Spans and log records are made from what a request was, after it has ended, so they have its own times and the client's
span above them. Metrics go through the SDK's periodic reader; they are cumulative, so an interval that cannot be sent
is in the next. Histograms have exemplars: of each bucket the newest request that can be found by its trace.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from requests.adapters import HTTPAdapter

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.telemetry.facts import Attributes, EventFacts, Measurement, SpanFacts, TraceIds
from llm_metrics_proxy.telemetry.names import INSTRUMENTS, SCHEMA_URL

SCOPE: Final = "llm_metrics_proxy"
TIMEOUT_S: Final = 5.0
_HINTS: Final = tls_reasons.Hints(
    "name its issuer's certificate with the variable OTEL_EXPORTER_OTLP_CERTIFICATE",
    "take a name of the certificate for otlp_endpoint",
)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED: Final = TraceFlags()

# This program logs once that a receiver is away; the SDK would log every attempt.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


class _Remembering(HTTPAdapter):
    """Keeps why the newest attempt failed; the SDK only logs it."""

    error: Exception | None = None

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """One request."""
        self.error = None
        try:
            return super().send(*arguments, **options)
        except Exception as error:
            self.error = error
            raise

    def session(self) -> requests.Session:
        """One whose requests go through this."""
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, self)
        return session


class Otlp:
    """Every signal to one receiver."""

    def __init__(
        self,
        endpoint: str,
        headers: dict[str, str],
        *,
        version: str,
        host: str,
        metrics_interval_s: float,
        traces: bool,
        metrics: bool,
        logs: bool,
    ) -> None:
        """``endpoint`` is the base URL, to which the paths of OTLP are added."""
        self._resource = Resource.create(
            {"service.name": "llm-metrics-proxy", "service.version": version, "host.name": host}
        )
        self._scope = InstrumentationScope(SCOPE, version, SCHEMA_URL)
        self._spans: OTLPSpanExporter | None = None
        self._logs: OTLPLogExporter | None = None
        self._provider: MeterProvider | None = None
        self._instruments: dict[str, Callable[..., None]] = {}
        # Counted since the last ``add``: the SDK takes 14 µs for each call, and a batch has few distinct attributes.
        self._sums: dict[tuple[str, tuple[Any, ...]], tuple[float, Attributes]] = {}
        self._name = urlsplit(endpoint).hostname or ""
        self._attempts = _Remembering()
        if traces:
            self._spans = OTLPSpanExporter(
                endpoint=f"{endpoint}/v1/traces", headers=headers, timeout=TIMEOUT_S, session=self._attempts.session()
            )
        if logs:
            self._logs = OTLPLogExporter(
                endpoint=f"{endpoint}/v1/logs", headers=headers, timeout=TIMEOUT_S, session=self._attempts.session()
            )
        if metrics:
            exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", headers=headers, timeout=TIMEOUT_S)
            reader = PeriodicExportingMetricReader(
                exporter, export_interval_millis=metrics_interval_s * 1000, export_timeout_millis=TIMEOUT_S * 1000
            )
            views = [
                View(instrument_name=each.name, aggregation=ExplicitBucketHistogramAggregation(each.bounds))
                for each in INSTRUMENTS
                if each.bounds
            ]
            self._provider = MeterProvider(
                [reader], self._resource, TraceBasedExemplarFilter(), shutdown_on_exit=False, views=views
            )
            meter = self._provider.get_meter(SCOPE, version, SCHEMA_URL)
            self._instruments = {
                each.name: meter.create_histogram(each.name, each.unit, each.meaning).record
                if each.bounds
                else meter.create_counter(each.name, each.unit, each.meaning).add
                for each in INSTRUMENTS
            }

    @property
    def takes_spans(self) -> bool:
        """Traces are turned on."""
        return self._spans is not None

    @property
    def takes_events(self) -> bool:
        """Log records are turned on."""
        return self._logs is not None

    @property
    def takes_metrics(self) -> bool:
        """Metrics are turned on."""
        return self._provider is not None

    @property
    def why_not_taken(self) -> str | None:
        """Why the newest spans or log records were not taken, where TLS is to blame."""
        error = self._attempts.error
        reason = None if error is None else tls_reasons.why(error, self._name, _HINTS)
        return None if reason is None else f"TLS failed: it {reason}"

    def measure(self, measured: Iterable[Measurement], ids: TraceIds | None) -> None:
        """One request's values into their histograms; counters wait for ``add``. Sent at the next interval.

        ``ids`` of an exemplar: where the request's trace is kept.
        """
        context = None if ids is None else _context(ids)
        for instrument, value, attributes in measured:
            if instrument.bounds:
                self._instruments[instrument.name](value, attributes, context)
            else:
                key = instrument.name, tuple(attributes.items())
                self._sums[key] = (self._sums[key][0] + value if key in self._sums else value, attributes)

    def add(self) -> None:
        """What was counted, into its counters; at the end of each batch."""
        for (name, _), (total, attributes) in self._sums.items():
            self._instruments[name](total, attributes)
        self._sums.clear()

    def send(self, spans: Sequence[SpanFacts]) -> bool:
        """Send spans now; whether the receiver took them."""
        if self._spans is None:
            return True
        return self._spans.export([self._span(facts) for facts in spans]) is SpanExportResult.SUCCESS

    def send_events(self, events: Sequence[EventFacts]) -> bool:
        """Send log records now; whether the receiver took them."""
        if self._logs is None:
            return True
        return self._logs.export([self._log_record(facts) for facts in events]) is LogRecordExportResult.SUCCESS

    def _span(self, facts: SpanFacts) -> ReadableSpan:
        ids, parent = facts.ids, None
        if ids.parent_span_id is not None:
            trace_id, span_id = int(ids.trace_id, 16), int(ids.parent_span_id, 16)
            parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=_SAMPLED)
        return ReadableSpan(
            name=facts.name,
            context=_span_context(ids),
            parent=parent,
            resource=self._resource,
            attributes=facts.attributes,
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.UNSET) if facts.error is None else Status(StatusCode.ERROR, facts.error),
            start_time=facts.start_ns,
            end_time=facts.end_ns,
            instrumentation_scope=self._scope,
        )

    def _log_record(self, facts: EventFacts) -> ReadableLogRecord:
        return ReadableLogRecord(
            LogRecord(
                timestamp=facts.end_ns,
                context=_context(facts.ids),
                severity_text=facts.severity,
                severity_number=SeverityNumber[facts.severity],
                body=facts.body,
                attributes=facts.attributes,
                event_name=facts.name,
            ),
            self._resource,
            self._scope,
        )

    def close(self) -> None:
        """Send what was measured since the last interval, and end. May take as long as a receiver that is away."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=TIMEOUT_S * 1000)
        if self._spans is not None:
            self._spans.shutdown()  # type: ignore[no-untyped-call]
        if self._logs is not None:
            self._logs.shutdown()  # type: ignore[no-untyped-call]


def _span_context(ids: TraceIds) -> SpanContext:
    flags = _SAMPLED if ids.is_sampled else _NOT_SAMPLED
    return SpanContext(int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=False, trace_flags=flags)


def _context(ids: TraceIds) -> Context:
    return set_span_in_context(NonRecordingSpan(_span_context(ids)), Context())
