"""What requests look like to OpenTelemetry: spans, log records and metrics of its GenAI conventions, sent by OTLP over
HTTP.

names        pure: every name of the conventions that is used, in one table
facts        pure: a record in the conventions' words
otlp         the SDK: what is made of them and sent; the only file that imports ``opentelemetry``
exporter     a bounded queue and a thread around that, which never hold up ingestion

Off unless an endpoint is set; without one the SDK is not even imported.
"""

from llm_metrics_proxy.telemetry.exporter import OtlpOptions, TelemetryExporter, TelemetryStatus

__all__ = ["OtlpOptions", "TelemetryExporter", "TelemetryStatus"]
