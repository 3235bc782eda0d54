"""The record: every raw fact of one request, and the columns that are calculated from them.

This is the only list of columns. The DDL, the journal, the API and ``docs/metrics.md`` are checked against it.

* ``RequestRecord`` holds the raw facts in the journal's order. MessagePack carries it as an array, so fields are
  **only ever appended**: an older frame that lacks the last fields still decodes, to their defaults.
* ``DERIVED`` names the columns that ``metrics_service`` calculates, ``PRICED`` those that a price list fills in when
  the record is stored, ``KEPT`` those that only migrations write.

All durations are milliseconds on a monotonic clock, counted from ``received`` (the request's head was parsed), unless
the meaning says otherwise. ``None`` means unknown or not applicable; it is never written as 0.
"""

from enum import StrEnum
from typing import Annotated, Final, NamedTuple, get_type_hints

import msgspec


class Outcome(StrEnum):
    """How a request ended, in the words of the exchange: they are in journals and in records of 2.x.

    A member may be added, never renamed. What is stored from 3.0.0 on is one of ``wire.error_types.OUTCOMES``.
    """

    COMPLETED = "completed"
    UPSTREAM_ERROR = "upstream_error"  # the server answered, and the answer is an error
    STREAM_ERROR = "stream_error"  # an error event inside a stream that had begun well
    STREAM_TRUNCATED = "stream_truncated"  # the body ended without its terminal marker, or broke off
    UPSTREAM_UNREACHABLE = "upstream_unreachable"  # DNS, connect or TLS failed
    UPSTREAM_TIMEOUT = "upstream_timeout"  # connect, first-byte or idle limit
    UPSTREAM_PROTOCOL_ERROR = "upstream_protocol_error"  # not HTTP, or broke off before the answer's head
    CLIENT_DISCONNECTED = "client_disconnected"
    CLIENT_ERROR = "client_error"  # the request was accepted, then its body was malformed or too slow
    REJECTED = "rejected"  # refused by this proxy's path policy or limits
    PROXY_ERROR = "proxy_error"  # this proxy failed or was saturated
    PROXY_CRASHED = "proxy_crashed"  # the worker died while the request was open
    RECORD_LOST = "record_lost"  # the request ended, but its facts could not be written to the journal


class UsageSource(StrEnum):
    """Where token counts come from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    NONE = "none"


class Fact(NamedTuple):
    """What a column means; ``unit`` is empty for text, flags and counts without one."""

    meaning: str
    unit: str = ""


class RequestRecord(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """The raw facts of one request. Its exchange fills it and is its only owner until the frame is written.

    ``gc=False``: it holds only scalars, and thousands of them are alive at once.
    """

    request_id: Annotated[str, Fact("32 hex digits, also sent as the header x-llm-metrics-request-id")]
    timestamp: Annotated[str, Fact("when the head was parsed, ISO 8601 in UTC with microseconds, ends in Z")]
    method: Annotated[str, Fact("HTTP method")]
    endpoint: Annotated[str, Fact("path without the query, cut to 256 characters")]
    dialect: Annotated[str | None, Fact("wire format that was read, such as openai_chat; none: only forwarded")] = None
    backend: Annotated[str | None, Fact("host:port of the server that was to answer")] = None
    model: Annotated[str | None, Fact("model the request asked for, cut to 256 characters")] = None
    response_model: Annotated[str | None, Fact("model the answer named, cut to 256 characters")] = None
    origin: Annotated[str | None, Fact("who asked: x-llm-metrics-origin, else Origin, else Referer's origin")] = None
    user: Annotated[str | None, Fact("`user` of the request's body, cut to 256 characters")] = None
    user_agent: Annotated[str | None, Fact("first product of User-Agent, such as OpenAI/Python 2.1")] = None
    api_key_id: Annotated[str | None, Fact("first 12 hex digits of HMAC-SHA-256 of the key; the key is not kept")] = (
        None
    )
    client_address: Annotated[str | None, Fact("client's address; only with record_client_address")] = None
    is_streaming: Annotated[bool, Fact("the request asked for a stream")] = False
    max_tokens: Annotated[int | None, Fact("limit asked for (max_completion_tokens, else max_tokens)", "tokens")] = None
    temperature: Annotated[float | None, Fact("sampling temperature asked for")] = None
    top_p: Annotated[float | None, Fact("nucleus sampling asked for")] = None
    message_count: Annotated[int | None, Fact("messages, prompts or inputs in the request")] = None
    tool_count: Annotated[int | None, Fact("tools the request offered")] = None
    choice_count: Annotated[int | None, Fact("`n`: answers asked for")] = None
    request_bytes: Annotated[int, Fact("request body received from the client", "bytes")] = 0
    response_bytes: Annotated[int, Fact("response body handed to the client", "bytes")] = 0
    success: Annotated[bool, Fact("the outcome is `completed`")] = False
    outcome: Annotated[str, Fact("how it ended; see the table of outcomes")] = Outcome.PROXY_CRASHED
    status_code: Annotated[int | None, Fact("status sent to the client; none if no head was sent")] = None
    upstream_status_code: Annotated[int | None, Fact("status the server sent")] = None
    finish_reason: Annotated[str | None, Fact("the server's word, of the first choice that gave one")] = None
    error_type: Annotated[
        str | None, Fact("type of the taxonomy, see errors; before 3.0.0 the server's or this proxy's word")
    ] = None
    error_message: Annotated[str | None, Fact("at most 500 characters, keys and bearer tokens masked")] = None
    prompt_tokens: Annotated[int | None, Fact("reported input tokens, cached ones included", "tokens")] = None
    completion_tokens: Annotated[int | None, Fact("reported output tokens, reasoning included", "tokens")] = None
    total_tokens: Annotated[int | None, Fact("reported total, else the sum if both parts are known", "tokens")] = None
    cached_tokens: Annotated[int | None, Fact("reported input tokens read from a cache", "tokens")] = None
    reasoning_tokens: Annotated[int | None, Fact("reported output tokens spent on reasoning", "tokens")] = None
    usage_source: Annotated[str, Fact("where the token counts come from: reported, estimated or none")] = (
        UsageSource.NONE
    )
    usage_rejected: Annotated[
        bool, Fact("a reported count was nonsense (negative, huge, not a number) and refused")
    ] = False
    content_chunks: Annotated[int | None, Fact("stream events that carried content; a chunk is not a token")] = None
    upstream_reused: Annotated[bool | None, Fact("a pooled connection was used")] = None
    retries: Annotated[int, Fact("fresh connections tried after a reused one turned out closed")] = 0
    body_complete_ms: Annotated[float | None, Fact("request body read completely", "ms")] = None
    connect_ms: Annotated[float | None, Fact("duration of DNS, TCP and TLS; none if a connection was reused", "ms")] = (
        None
    )
    upstream_acquired_ms: Annotated[float | None, Fact("upstream connection ready", "ms")] = None
    request_sent_ms: Annotated[float | None, Fact("request handed to the upstream socket", "ms")] = None
    response_headers_ms: Annotated[float | None, Fact("head of the final (not 1xx) response parsed", "ms")] = None
    time_to_first_byte_ms: Annotated[float | None, Fact("first byte of the response body", "ms")] = None
    time_to_first_token_ms: Annotated[
        float | None, Fact("TTFT: first event with content, reasoning, tool call or refusal; streams only", "ms")
    ] = None
    time_to_first_output_ms: Annotated[float | None, Fact("as TTFT, visible content only; streams only", "ms")] = None
    time_to_last_token_ms: Annotated[
        float | None, Fact("TTLT: last event that carried a token; streams only", "ms")
    ] = None
    inter_chunk_max_ms: Annotated[
        float | None, Fact("largest gap between two reads that carried content; streams only", "ms")
    ] = None
    response_time_ms: Annotated[
        float | None, Fact("last byte handed to the client's socket; none if crashed", "ms")
    ] = None
    proxy_overhead_ms: Annotated[
        float | None, Fact("time this proxy added: waiting for a connection, forwarding, finishing", "ms")
    ] = None
    cache_write_tokens: Annotated[int | None, Fact("reported input tokens written to a cache", "tokens")] = None
    tool_call_count: Annotated[int | None, Fact("tool calls in the answer, in all its choices")] = None
    service_tier: Annotated[str | None, Fact("tier the answer named; it can differ from the one asked for")] = None
    response_id: Annotated[str | None, Fact("the answer's own id, cut to 256 characters")] = None
    upstream_cost_usd: Annotated[float | None, Fact("cost that the server itself reported", "USD")] = None
    server_total_ms: Annotated[float | None, Fact("whole duration by the server's own clock", "ms")] = None
    server_load_ms: Annotated[float | None, Fact("of that, loading the model", "ms")] = None
    server_prompt_ms: Annotated[float | None, Fact("of that, evaluating the prompt", "ms")] = None
    server_generation_ms: Annotated[float | None, Fact("of that, generating the answer", "ms")] = None
    websocket_frames_received: Annotated[
        int | None, Fact("whole WebSocket frames from the client; none: no WebSocket")
    ] = None
    websocket_frames_sent: Annotated[
        int | None, Fact("whole WebSocket frames handed to the client; none: no WebSocket")
    ] = None
    backend_name: Annotated[str | None, Fact("name of that server in the settings; none where it has no name")] = None
    attempts: Annotated[int | None, Fact("connections asked for; none if refused before any was")] = None
    attempt_errors: Annotated[
        str | None, Fact("why attempts failed that were not the last, in order: name:error, separated by commas")
    ] = None
    tags: Annotated[str | None, Fact("x-llm-metrics-tag: k=v, sorted by k, separated by commas")] = None
    trace_id: Annotated[str | None, Fact("32 hex digits of W3C traceparent, if it is valid")] = None
    upstream_error_code: Annotated[str | None, Fact("`code` of the server's error, in its own words")] = None
    upstream_error_type: Annotated[str | None, Fact("`type` of the server's error, in its own words")] = None
    retry_after_ms: Annotated[float | None, Fact("how long the server asks to wait (Retry-After)", "ms")] = None
    ratelimit_limit_requests: Annotated[int | None, Fact("requests that the server allows in its period")] = None
    ratelimit_remaining_requests: Annotated[int | None, Fact("requests left in that period")] = None
    ratelimit_reset_requests_ms: Annotated[
        float | None, Fact("until the requests are allowed again, from the answer's head", "ms")
    ] = None
    ratelimit_limit_tokens: Annotated[int | None, Fact("tokens that the server allows in its period")] = None
    ratelimit_remaining_tokens: Annotated[int | None, Fact("tokens left in that period")] = None
    ratelimit_reset_tokens_ms: Annotated[
        float | None, Fact("until the tokens are allowed again, from the answer's head", "ms")
    ] = None
    parent_span_id: Annotated[str | None, Fact("16 hex digits of W3C traceparent: the client's span")] = None
    trace_sampled: Annotated[bool | None, Fact("the client's own trace is kept, by W3C traceparent's flag")] = None


class DerivedColumn(NamedTuple):
    """A column that a formula calculates; ``sql_type`` as SQLite declares it."""

    name: str
    sql_type: str
    fact: Fact


DERIVED: Final = (
    DerivedColumn(
        "tokens_per_second",
        "REAL",
        Fact("total_tokens * 1000 / response_time_ms: prompt tokens count too; none unless both > 0", "tokens/s"),
    ),
    DerivedColumn("error_category", "TEXT", Fact("category of the taxonomy, see errors; none: nothing went wrong")),
    DerivedColumn(
        "error_phase", "TEXT", Fact("where it failed: request, connect, before_first_token, mid_stream; none: unknown")
    ),
    DerivedColumn(
        "time_per_output_token_ms",
        "REAL",
        Fact("TPOT: (TTLT - TTFT) / (completion_tokens - 1); none unless streamed, with 2 tokens or more", "ms"),
    ),
    DerivedColumn(
        "output_tokens_per_second",
        "REAL",
        Fact("(completion_tokens - 1) * 1000 / (TTLT - TTFT): speed of generation; none as TPOT", "tokens/s"),
    ),
)
# Raw columns whose values in the journal are the exchange's words: formulas from 3.0.0 on replace them.
RESTATED: Final = ("success", "outcome", "error_type")
# Raw columns that only a streamed answer has: formulas from 4.0.0 on give NULL for all others, whatever was written.
STREAM_TIMES: Final = ("time_to_first_token_ms", "time_to_first_output_ms", "time_to_last_token_ms")
# What a formula calculates, in its order: a version that calculates more puts it behind what there was.
BY_FORMULA: Final = (
    "tokens_per_second", "error_category", "error_phase", *RESTATED,
    "time_per_output_token_ms", "output_tokens_per_second", *STREAM_TIMES,
)  # fmt: skip
# As priced when the record was stored: prices are no formulas, and another price list makes no other version.
PRICED: Final = (
    DerivedColumn("cost_usd", "REAL", Fact("what it cost, as priced when it was stored; none: unknown", "USD")),
    DerivedColumn("cost_source", "TEXT", Fact("who said so: upstream, price_table or genai_prices; none: nobody")),
)
# Written by migrations alone; NULL in every record that none had to touch.
KEPT: Final = (
    DerivedColumn("timestamp_original", "ANY", Fact("timestamp as first stored, where a migration normalised it")),
    DerivedColumn("recompute_reason", "TEXT", Fact("why a migration could not recompute the record; see migrations")),
    DerivedColumn("outcome_original", "ANY", Fact("outcome as first stored, where a migration replaced it")),
    DerivedColumn("error_type_original", "ANY", Fact("error_type as first stored, where a migration replaced it")),
    *(
        DerivedColumn(f"{name}_original", "ANY", Fact(f"{name} as first stored, where the answer was not streamed"))
        for name in STREAM_TIMES
    ),
)
APP_VERSION_COLUMN: Final = "app_version"

RAW_COLUMNS: Final[tuple[str, ...]] = RequestRecord.__struct_fields__
# What an insert fills, in order; a table has the kept columns behind them.
COLUMNS: Final[tuple[str, ...]] = (
    "id",
    *RAW_COLUMNS,
    *(column.name for column in DERIVED),
    APP_VERSION_COLUMN,
    *(column.name for column in PRICED),
)
ALL_COLUMNS: Final[tuple[str, ...]] = (*COLUMNS, *(column.name for column in KEPT))


def was_streamed(record: RequestRecord) -> bool:
    """Whether the answer was a stream: events were read from it, or it never got so far and a stream was asked for."""
    return record.content_chunks is not None or record.is_streaming


def raw_facts() -> dict[str, Fact]:
    """Meaning and unit of every raw column, by name, in journal order."""
    hints = get_type_hints(RequestRecord, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in RAW_COLUMNS}
