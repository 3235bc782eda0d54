"""A record in the words of OpenTelemetry's GenAI conventions. Pure: no SDK, no clock.

Unknown stays unknown: an attribute that the record does not know is left out, and unknown tokens are in no histogram,
where a 0 would be a wrong quantile. (Counters of tokens get the 0 that the conventions ask for: it adds nothing.)
"""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_metrics_proxy.record import RequestRecord, UsageSource, was_streamed
from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.names import Instrument

if TYPE_CHECKING:
    from llm_metrics_proxy.wire.dialects import Dialect

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]
OTHER: Final = "_OTHER"  # the conventions' word for an error without a type
INFO, WARN, ERROR = "INFO", "WARN", "ERROR"
_MS_TO_NS: Final = 1_000_000
# What the client or this proxy's own rules ended; every other failure is the server's, the network's or the proxy's.
_NOBODY_FAILED: Final = frozenset({"client_disconnected", "proxy_refused"})


@cache
def dialects() -> "dict[str, Dialect]":
    """Operations and providers by dialect, from the table of endpoints."""
    from llm_metrics_proxy.wire.endpoints import DIALECTS  # noqa: PLC0415 -- verbs that send nothing load no readers

    return {dialect.name: dialect for dialect in DIALECTS}


class TraceIds(NamedTuple):
    """Where a request stands in a trace. Ids are hex."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    is_sampled: bool


class SpanFacts(NamedTuple):
    """A span. Times are nanoseconds since 1970."""

    name: str
    ids: TraceIds
    start_ns: int
    end_ns: int
    attributes: Attributes
    error: str | None  # its type; none: the request succeeded


class EventFacts(NamedTuple):
    """A log record that is an event, at the request's end. ``severity``: ``INFO``, ``WARN`` or ``ERROR``."""

    name: str
    body: str
    severity: str
    ids: TraceIds
    end_ns: int
    attributes: Attributes


class Measurement(NamedTuple):
    """One value for an instrument."""

    instrument: Instrument
    value: float
    attributes: Attributes


def is_understood(record: RequestRecord) -> bool:
    """A request to a model, in a dialect that is read; the conventions have no operation for others."""
    return record.dialect in dialects()


def has_span(record: RequestRecord) -> bool:
    """Unless its client said that it does not keep the trace: then a part of it would be useless."""
    return record.trace_sampled is not False


def ids(record: RequestRecord) -> TraceIds:
    """Below the client's span if it named one in ``traceparent``.

    Without one, the trace bears the request's own id, so that the one leads to the other; the span's id is its end. So
    a span that is sent twice is the same span.
    """
    own = record.request_id[-16:]
    return TraceIds(
        record.trace_id or record.request_id,
        own if own.strip("0") else "0" * 15 + "1",
        record.parent_span_id,
        has_span(record),
    )


def span(record: RequestRecord, start_ns: int, cost_usd: float | None) -> SpanFacts:
    """The span of a request that began at ``start_ns``."""
    return SpanFacts(
        name=_title(record),
        ids=ids(record),
        start_ns=start_ns,
        end_ns=_end_ns(record, start_ns),
        attributes=_attributes(record, cost_usd),
        error=_error(record),
    )


def event(record: RequestRecord, start_ns: int, cost_usd: float | None) -> EventFacts:
    """The log record of any request, understood or not. It has the span's attributes, and a failure's message."""
    attributes = _attributes(record, cost_usd)
    if record.error_message:
        attributes[names.ERROR_MESSAGE] = record.error_message
    is_inference = attributes.get(names.OPERATION) in names.INFERENCE
    return EventFacts(
        name=names.DETAILS_EVENT if is_inference else names.OWN_EVENT,
        body=f"{_title(record)}: {record.error_type or record.outcome}",
        severity=INFO if record.success else WARN if record.outcome in _NOBODY_FAILED else ERROR,
        ids=ids(record),
        end_ns=_end_ns(record, start_ns),
        attributes=attributes,
    )


def measurements(record: RequestRecord, model: str | None, response_model: str | None) -> Iterator[Measurement]:
    """What the request adds to the instruments. The models are those of the labels, whose number is limited."""
    attributes = _common(record)
    for name, value in ((names.REQUEST_MODEL, model), (names.RESPONSE_MODEL, response_model)):
        if value is not None:
            attributes[name] = value
    error = _error(record)
    failed = attributes if error is None else attributes | {names.ERROR_TYPE: error}
    operation = attributes[names.OPERATION]
    if operation in names.INFERENCE:
        yield from _of_inference(record, attributes, failed)
    elif operation == names.EMBEDDINGS:
        yield from _timed(names.EMBEDDINGS_DURATION, record.response_time_ms, failed)
        yield from _counted(names.EMBEDDINGS_TOKENS, record, "prompt_tokens", failed)
    else:
        yield from _timed(names.OTHER_DURATION, record.response_time_ms, failed)
        if operation == names.FETCHES:  # an answer that was made in the background: nobody told of its tokens before
            yield from _used(record, attributes, failed)
    yield from _of_server(record, attributes, failed)


def _of_inference(record: RequestRecord, attributes: Attributes, failed: Attributes) -> Iterator[Measurement]:
    yield from _timed(names.DURATION, record.response_time_ms, failed)
    yield from _used(record, attributes, failed)
    first, last, chunks = record.time_to_first_token_ms, record.time_to_last_token_ms, record.content_chunks
    if not was_streamed(record) or first is None:
        return
    yield from _timed(names.FIRST_CHUNK, first, attributes)
    if last is not None and chunks is not None and chunks > 1:
        yield from _timed(names.PER_CHUNK, (last - first) / (chunks - 1), attributes)


def _used(record: RequestRecord, attributes: Attributes, failed: Attributes) -> Iterator[Measurement]:
    yield from _counted(names.INPUT_TOKENS, record, "prompt_tokens", failed)
    yield from _counted(names.OUTPUT_TOKENS, record, "completion_tokens", failed)
    kinds: Attributes = attributes | {names.TOKEN_MODALITY: names.UNKNOWN_MODALITY}
    for column, counter in names.USAGE.items():
        yield Measurement(counter, _tokens(record, column) or 0, kinds)


def _of_server(record: RequestRecord, attributes: Attributes, failed: Attributes) -> Iterator[Measurement]:
    """Without what the proxy did before: from the moment when the request had been handed to the server."""
    sent, first, last = record.request_sent_ms, record.time_to_first_token_ms, record.time_to_last_token_ms
    ended = record.response_time_ms if last is None else last
    if sent is None or ended is None:
        return
    yield from _timed(names.SERVER_DURATION, ended - sent, failed)
    if not record.success or not was_streamed(record) or first is None:
        return
    yield from _timed(names.SERVER_FIRST_TOKEN, first - sent, attributes)
    tokens = _tokens(record, "completion_tokens")
    if last is not None and last > first and tokens is not None and tokens > 1:
        yield from _timed(names.SERVER_PER_TOKEN, (last - first) / (tokens - 1), attributes)


def _timed(instrument: Instrument, duration_ms: float | None, attributes: Attributes) -> Iterator[Measurement]:
    if duration_ms is not None and duration_ms >= 0:
        yield Measurement(instrument, duration_ms / 1000, attributes)


def _counted(
    instrument: Instrument, record: RequestRecord, column: str, attributes: Attributes
) -> Iterator[Measurement]:
    tokens = _tokens(record, column)
    if tokens is not None:
        yield Measurement(instrument, tokens, attributes)


def _tokens(record: RequestRecord, column: str) -> int | None:
    """As reported; none where another record has counted the same tokens."""
    value: int | None = None if record.usage_source == UsageSource.REPEATED else getattr(record, column)
    return value


def _operation(record: RequestRecord) -> str | None:
    dialect = dialects().get(record.dialect or "")
    return None if dialect is None else names.RENAMED_OPERATIONS.get(dialect.operation, dialect.operation)


def _title(record: RequestRecord) -> str:
    """``chat gpt-4o``; of a request that no dialect reads its method and path, as HTTP's conventions name spans."""
    operation = _operation(record)
    if operation is None:
        return f"{record.method} {record.endpoint}"
    return f"{operation} {record.model}" if record.model else operation


def _end_ns(record: RequestRecord, start_ns: int) -> int:
    return start_ns + max(int((record.response_time_ms or 0.0) * _MS_TO_NS), 0)


def _common(record: RequestRecord) -> Attributes:
    """What spans, events and metrics have."""
    host, port = _server(record.backend)
    attributes: Attributes = {}
    operation = _operation(record)
    if operation is not None:
        attributes |= {names.OPERATION: operation, names.PROVIDER: _provider(record, host)}
    if host:
        attributes[names.SERVER_ADDRESS] = host
    if port is not None:
        attributes[names.SERVER_PORT] = port
    return attributes


def _attributes(record: RequestRecord, cost_usd: float | None) -> Attributes:
    """What spans and events have."""
    attributes = _common(record)
    attributes |= _named(record, names.PLAIN_ATTRIBUTES) | _named(record, names.OWN_ATTRIBUTES)
    if record.usage_source != UsageSource.REPEATED:
        attributes |= _named(record, names.USAGE_ATTRIBUTES)
    if record.is_streaming:
        attributes[names.STREAM] = True
    if record.choice_count is not None and record.choice_count != 1:
        attributes[names.CHOICE_COUNT] = record.choice_count
    if record.finish_reason is not None:
        attributes[names.FINISH_REASONS] = (record.finish_reason,)
    elif not record.success and attributes.get(names.OPERATION) in names.INFERENCE:
        attributes[names.FINISH_REASONS] = (names.NO_FINISH_REASON,)
    if was_streamed(record) and record.time_to_first_token_ms is not None:
        attributes[names.TIME_TO_FIRST_CHUNK] = record.time_to_first_token_ms / 1000
    if record.service_tier is not None and attributes.get(names.PROVIDER) == "openai":
        attributes[names.SERVICE_TIER] = record.service_tier
    if cost_usd is not None:
        attributes[names.COST] = cost_usd
    error = _error(record)
    if error is not None:
        attributes[names.ERROR_TYPE] = error
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
