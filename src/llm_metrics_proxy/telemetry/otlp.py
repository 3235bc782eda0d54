"""Spans and histograms by OpenTelemetry's SDK, sent by OTLP over HTTP. The only file that imports ``opentelemetry``.

Spans are made from what a request was, after it has ended, so they have its own times and the client's span above them.
Histograms go through the SDK's periodic reader; they are cumulative, so an interval that cannot be sent is in the next.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from requests.adapters import HTTPAdapter

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.telemetry.facts import Measurement, SpanFacts
from llm_metrics_proxy.telemetry.names import HISTOGRAMS

SCOPE: Final = "llm_metrics_proxy"
TIMEOUT_S: Final = 5.0
_HINTS: Final = tls_reasons.Hints(
    "name its issuer's certificate with the variable OTEL_EXPORTER_OTLP_CERTIFICATE",
    "take a name of the certificate for otlp_endpoint",
)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)

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


class Otlp:
    """Both signals to one receiver."""

    def __init__(
        self,
        endpoint: str,
        headers: dict[str, str],
        *,
        version: str,
        metrics_interval_s: float,
        traces: bool,
        metrics: bool,
    ) -> None:
        """``endpoint`` is the base URL, to which the paths of OTLP are added."""
        self._resource = Resource.create({"service.name": "llm-metrics-proxy", "service.version": version})
        self._scope = InstrumentationScope(SCOPE, version)
        self._spans: OTLPSpanExporter | None = None
        self._provider: MeterProvider | None = None
        self._histograms: dict[str, Any] = {}
        self._name = urlsplit(endpoint).hostname or ""
        self._attempts = _Remembering()
        if traces:
            session = requests.Session()
            for scheme in ("http://", "https://"):
                session.mount(scheme, self._attempts)
            self._spans = OTLPSpanExporter(
                endpoint=f"{endpoint}/v1/traces", headers=headers, timeout=TIMEOUT_S, session=session
            )
        if metrics:
            exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", headers=headers, timeout=TIMEOUT_S)
            reader = PeriodicExportingMetricReader(
                exporter, export_interval_millis=metrics_interval_s * 1000, export_timeout_millis=TIMEOUT_S * 1000
            )
            views = [
                View(instrument_name=each.name, aggregation=ExplicitBucketHistogramAggregation(each.bounds))
                for each in HISTOGRAMS
            ]
            self._provider = MeterProvider([reader], self._resource, shutdown_on_exit=False, views=views)
            meter = self._provider.get_meter(SCOPE, version)
            self._histograms = {
                each.name: meter.create_histogram(each.name, each.unit, each.meaning) for each in HISTOGRAMS
            }

    @property
    def takes_spans(self) -> bool:
        """Traces are turned on."""
        return self._spans is not None

    @property
    def takes_metrics(self) -> bool:
        """Metrics are turned on."""
        return self._provider is not None

    @property
    def why_not_taken(self) -> str | None:
        """Why the newest spans were not taken, where TLS is to blame."""
        error = self._attempts.error
        reason = None if error is None else tls_reasons.why(error, self._name, _HINTS)
        return None if reason is None else f"TLS failed: it {reason}"

    def measure(self, measured: Measurement) -> None:
        """Into its histogram; sent at the next interval."""
        self._histograms[measured.histogram.name].record(measured.value, measured.attributes)

    def send(self, spans: Sequence[SpanFacts]) -> bool:
        """Send spans now; whether the receiver took them."""
        if self._spans is None:
            return True
        return self._spans.export([self._span(facts) for facts in spans]) is SpanExportResult.SUCCESS

    def _span(self, facts: SpanFacts) -> ReadableSpan:
        trace_id = int(facts.trace_id, 16)
        parent = None
        if facts.parent_span_id is not None:
            parent = SpanContext(trace_id, int(facts.parent_span_id, 16), is_remote=True, trace_flags=_SAMPLED)
        return ReadableSpan(
            name=facts.name,
            context=SpanContext(trace_id, int(facts.span_id, 16), is_remote=False, trace_flags=_SAMPLED),
            parent=parent,
            resource=self._resource,
            attributes=facts.attributes,
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.UNSET) if facts.error is None else Status(StatusCode.ERROR, facts.error),
            start_time=facts.start_ns,
            end_time=facts.end_ns,
            instrumentation_scope=self._scope,
        )

    def close(self) -> None:
        """Send what was measured since the last interval, and end. May take as long as a receiver that is away."""
        if self._provider is not None:
            self._provider.shutdown(timeout_millis=TIMEOUT_S * 1000)
        if self._spans is not None:
            self._spans.shutdown()  # type: ignore[no-untyped-call]
