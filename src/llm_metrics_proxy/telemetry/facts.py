"""A record in the words of OpenTelemetry's GenAI conventions. Pure: no SDK, no clock.

Unknown stays unknown: an attribute that the record does not know is left out, and unknown tokens are never reported
as 0.
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_metrics_proxy.record import RequestRecord, UsageSource
from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.names import HistogramName

if TYPE_CHECKING:
    from llm_metrics_proxy.wire.dialects import Dialect

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]
OTHER: Final = "_OTHER"  # the conventions' word for an error without a type
_MS_TO_NS: Final = 1_000_000


@cache
def dialects() -> "dict[str, Dialect]":
    """Operations and providers by dialect, from the table of endpoints."""
    from llm_metrics_proxy.wire.endpoints import DIALECTS  # noqa: PLC0415 -- verbs that send nothing load no readers

    return {dialect.name: dialect for dialect in DIALECTS}


class SpanFacts(NamedTuple):
    """A span. Ids are hex; times are nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_span_id: str | None
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str | None  # its type; none: the request succeeded


class Measurement(NamedTuple):
    """One value for a histogram."""

    histogram: HistogramName
    value: float
    attributes: Attributes


def is_understood(record: RequestRecord) -> bool:
    """A request to a model, in a dialect that is read; the conventions have no operation for others."""
    return record.dialect in dialects()


def has_span(record: RequestRecord) -> bool:
    """Unless its client said that it does not keep the trace: then a part of it would be useless."""
    return record.trace_sampled is not False


def span(record: RequestRecord, start_ns: int, cost_usd: float | None) -> SpanFacts:
    """The span of a request that began at ``start_ns``: below the client's span if it named one in ``traceparent``.

    Without one, the trace bears the request's own id, so that the one leads to the other; the span's id is its end. So
    a span that is sent twice is the same span.
    """
    operation = _operation(record)
    attributes = _common(record)
    attributes |= _named(record, names.PLAIN_ATTRIBUTES) | _named(record, names.OWN_ATTRIBUTES)
    attributes[names.STREAM] = record.is_streaming
    if record.finish_reason is not None:
        attributes[names.FINISH_REASONS] = (record.finish_reason,)
    if record.is_streaming and record.time_to_first_token_ms is not None:
        attributes[names.TIME_TO_FIRST_CHUNK] = record.time_to_first_token_ms / 1000
    if cost_usd is not None:
        attributes[names.COST] = cost_usd
    error = _error(record)
    if error is not None:
        attributes[names.ERROR_TYPE] = error
    duration_ns = int((record.response_time_ms or 0.0) * _MS_TO_NS)
    return SpanFacts(
        name=f"{operation} {record.model}" if record.model else operation,
        trace_id=record.trace_id or record.request_id,
        span_id=record.request_id[-16:] if record.request_id[-16:].strip("0") else "0" * 15 + "1",
        parent_span_id=record.parent_span_id,
        start_ns=start_ns,
        end_ns=start_ns + max(duration_ns, 0),
        attributes=attributes,
        error=error,
    )


def measurements(record: RequestRecord, model: str | None, response_model: str | None) -> Iterator[Measurement]:
    """What the request adds to the histograms. The models are those of the labels, whose number is limited."""
    attributes = _common(record)
    for name, value in ((names.REQUEST_MODEL, model), (names.RESPONSE_MODEL, response_model)):
        if value is not None:
            attributes[name] = value
    for kind, tokens in (("input", record.prompt_tokens), ("output", record.completion_tokens)):
        if tokens is not None and record.usage_source != UsageSource.REPEATED:
            yield Measurement(names.TOKEN_USAGE, tokens, {**attributes, names.TOKEN_TYPE: kind})
    error = _error(record)
    if record.response_time_ms is not None:
        failed: Attributes = {} if error is None else {names.ERROR_TYPE: error}
        yield Measurement(names.DURATION, record.response_time_ms / 1000, attributes | failed)
    first, last, chunks = record.time_to_first_token_ms, record.time_to_last_token_ms, record.content_chunks
    if not record.is_streaming or first is None:
        return
    yield Measurement(names.FIRST_CHUNK, first / 1000, attributes)
    if last is not None and chunks is not None and chunks > 1:
        yield Measurement(names.PER_CHUNK, (last - first) / (chunks - 1) / 1000, attributes)


def _operation(record: RequestRecord) -> str:
    return dialects()[record.dialect or ""].operation


def _common(record: RequestRecord) -> Attributes:
    """What spans and metrics both have."""
    host, port = _server(record.backend)
    attributes: Attributes = {names.OPERATION: _operation(record), names.PROVIDER: _provider(record, host)}
    if host:
        attributes[names.SERVER_ADDRESS] = host
    if port is not None:
        attributes[names.SERVER_PORT] = port
    return attributes


def _named(record: RequestRecord, table: dict[str, str]) -> Attributes:
    values = ((name, getattr(record, column)) for column, name in table.items())
    return {name: value for name, value in values if value is not None}


def _server(backend: str | None) -> tuple[str, int | None]:
    host, _, port = (backend or "").rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else (backend or "", None)


def _provider(record: RequestRecord, host: str) -> str:
    for end, provider in names.PROVIDERS_BY_HOST:
        if host.endswith(end):
            return provider
    return dialects()[record.dialect or ""].provider or OTHER


def _error(record: RequestRecord) -> str | None:
    if record.success:
        return None
    return record.error_type or (str(record.status_code) if record.status_code else OTHER)
