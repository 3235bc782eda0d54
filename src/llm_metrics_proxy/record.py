"""The record: every raw fact of one request, and the columns that are calculated from them.

This is the only list of columns: each is one row that says all there is to say about it (see ``columns``), and
whatever else lists columns follows from ``REGISTRY``. So this file is as long as that list.

* ``RequestRecord`` holds the raw facts in the journal's order. MessagePack carries it as an array, so fields are
  **only ever appended**: an older frame that lacks the last fields still decodes, to their defaults.
* ``DERIVED`` are the columns that ``metrics_service`` calculates, ``PRICED`` those that a price list fills in when
  the record is stored, ``KEPT`` those that only migrations write.

All durations are milliseconds on a monotonic clock, counted from ``received`` (the request's head was parsed), unless
the meaning says otherwise. ``None`` means unknown or not applicable; it is never written as 0.
"""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final, get_type_hints

import msgspec

from llm_metrics_proxy.columns import (
    ANY,
    BUSY,
    BYTES,
    COUNT,
    DURATION,
    FLAG,
    LIMIT,
    MONEY,
    NUMBER,
    RATE,
    STATUS,
    TEXT,
    TIME,
    TOKENS,
    Column,
    Filter,
    Flag,
    Grouping,
    Over,
    RolledUp,
    RuleKey,
    Shown,
)


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
    REPEATED = "repeated"  # reported, and counted with another record: no sum has them again


# fmt: off
class RequestRecord(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """The raw facts of one request. Its exchange fills it and is its only owner until the frame is written.

    ``gc=False``: it holds only scalars, and thousands of them are alive at once.
    """

    request_id: Annotated[str, Column(
        TEXT, "32 hex digits, also sent as the header x-llm-metrics-request-id", shown=Shown(270, 27),
    )]
    timestamp: Annotated[str, Column(
        TIME, "when the head was parsed, ISO 8601 in UTC with microseconds, ends in Z", label="table.time",
        shown=Shown(148, 1),
    )]
    method: Annotated[str, Column(TEXT, "HTTP method")]
    endpoint: Annotated[str, Column(
        TEXT, "path without the query, cut to 256 characters", place=5, label="table.endpoint",
        filter=Filter("The path without its query, exactly.",
            rule=RuleKey("Only this path.", "a path, such as /v1/chat/completions")),
        group=Grouping("path without its query", in_rollups=True), shown=Shown(190, 14),
    )]
    dialect: Annotated[str | None, Column(
        TEXT, "wire format that was read, such as openai_chat; none: only forwarded",
    )] = None
    backend: Annotated[str | None, Column(
        TEXT, "host:port of the server that was to answer", place=3,
        filter=Filter("host:port of the LLM server.", is_chip=False),
        group=Grouping("host:port of the LLM server", in_rollups=True, explored=False),
    )] = None
    model: Annotated[str | None, Column(
        TEXT, "model the request asked for, cut to 256 characters", place=1, label="table.model",
        filter=Filter("The model that the request asked for, exactly.",
            flag=Flag("Model that was asked for."), rule=RuleKey("Only requests for this model.", "a model's name")),
        group=Grouping("model that was asked for", in_rollups=True), shown=Shown(150, 2),
    )] = None
    response_model: Annotated[str | None, Column(
        TEXT, "model the answer named, cut to 256 characters", place=2,
        group=Grouping("model that the answer named"),
    )] = None
    origin: Annotated[str | None, Column(
        TEXT, "who asked: x-llm-metrics-origin, else Origin, else Referer's origin", place=6, label="table.origin",
        filter=Filter("Who asked, exactly as recorded.",
            flag=Flag("Who asked."), rule=RuleKey("Only requests of this origin.", "an origin, as records show it")),
        group=Grouping("who asked", in_rollups=True), shown=Shown(128, 10),
    )] = None
    user: Annotated[str | None, Column(
        TEXT, "`user` of the request's body, else the user that another field names, cut to 256 characters", place=8,
        label="table.user",
        filter=Filter("The user that the request names, exactly as recorded.",
            flag=Flag("The user that the request names."),
            rule=RuleKey("Only requests of this user.", "a user, as records show it")),
        group=Grouping("user that the request names", in_rollups=True), shown=Shown(120, 15),
    )] = None
    user_agent: Annotated[str | None, Column(
        TEXT, "first product of User-Agent, such as OpenAI/Python 2.1", place=9,
        filter=Filter("The first product of User-Agent, exactly as recorded.",
            flag=Flag("First product of User-Agent, as recorded."), is_chip=False),
        group=Grouping("first product of User-Agent"),
    )] = None
    api_key_id: Annotated[str | None, Column(
        TEXT, "first 12 hex digits of HMAC-SHA-256 of the key; the key is not kept", place=7, label="table.key",
        filter=Filter("Which key asked: the id that records show, not the key.",
            flag=Flag("Which key asked: the id that records show."),
            rule=RuleKey("Only requests with this key.", "an id of a key, as records show it")),
        group=Grouping("which key asked", in_rollups=True), shown=Shown(130, 16),
    )] = None
    client_address: Annotated[str | None, Column(TEXT, "client's address; only with record_client_address")] = None
    is_streaming: Annotated[bool, Column(
        FLAG, "the request asked for a stream", place=11, label="nav.streaming",
        filter=Filter("Whether the request asked for a stream.", name="streaming",
            flag=Flag("Only the one or the other.", "--streamed/--not-streamed"),
            rule=RuleKey("Only streams, or only what is none.", "true or false")),
        group=Grouping("whether the request asked for a stream", name="streaming", in_rollups=True),
        shown=Shown(100, 18),
    )] = False
    max_tokens: Annotated[int | None, Column(LIMIT, "limit asked for (max_completion_tokens, else max_tokens)")] = None
    temperature: Annotated[float | None, Column(NUMBER, "sampling temperature asked for")] = None
    top_p: Annotated[float | None, Column(NUMBER, "nucleus sampling asked for")] = None
    message_count: Annotated[int | None, Column(COUNT, "messages, prompts or inputs in the request")] = None
    tool_count: Annotated[int | None, Column(COUNT, "tools the request offered")] = None
    choice_count: Annotated[int | None, Column(COUNT, "`n`: answers asked for")] = None
    request_bytes: Annotated[int, Column(
        BYTES, "request body received from the client", rolled_up=RolledUp(28, "main"), shown=Shown(120, 23),
    )] = 0
    response_bytes: Annotated[int, Column(
        BYTES, "response body handed to the client", label="metric.response_bytes", rolled_up=RolledUp(29, "main"),
        shown=Shown(130, 24),
    )] = 0
    success: Annotated[bool, Column(
        FLAG, "the outcome is `completed`", place=18,
        filter=Filter("Whether the outcome is `completed`.",
            flag=Flag("Only the one or the other.", "--failed/--succeeded", negated=True), is_chip=False),
    )] = False
    outcome: Annotated[str, Column(
        TEXT, "how it ended; see the table of outcomes", place=12, label="table.outcome",
        filter=Filter("How the request ended.", flag=Flag("How it ended.")),
        group=Grouping("how the request ended", in_rollups=True), shown=Shown(132, 3),
    )] = Outcome.PROXY_CRASHED
    status_code: Annotated[int | None, Column(
        STATUS, "status sent to the client; none if no head was sent", place=17, label="table.status",
        filter=Filter("The status that the client got.", flag=Flag("Status that the client got.", "--status")),
        group=Grouping("status that the client got", in_rollups=True), shown=Shown(66, 4),
    )] = None
    upstream_status_code: Annotated[int | None, Column(STATUS, "status the server sent")] = None
    finish_reason: Annotated[str | None, Column(
        TEXT, "the server's word, of the first choice that gave one", place=16,
        group=Grouping("why the answer ended", in_rollups=True), shown=Shown(110, 19),
    )] = None
    error_type: Annotated[str | None, Column(
        TEXT, "type of the taxonomy, see errors; before 3.0.0 the server's or this proxy's word", place=14,
        label="errors.type",
        filter=Filter("What went wrong; /api/v1/errors explains each.",
            flag=Flag("What went wrong, as `errors` and `requests` show it.")),
        group=Grouping("what went wrong", in_rollups=True), shown=Shown(130, 12),
    )] = None
    error_message: Annotated[str | None, Column(
        TEXT, "at most 500 characters, keys and bearer tokens masked", label="table.message", shown=Shown(320, 29),
    )] = None
    prompt_tokens: Annotated[int | None, Column(
        TOKENS, "reported input tokens, cached ones included", place=30, label="metric.prompt_tokens",
        rolled_up=RolledUp(22, "main"), explored=True, shown=Shown(82, 8),
    )] = None
    completion_tokens: Annotated[int | None, Column(
        TOKENS, "reported output tokens, reasoning included", place=31, label="metric.completion_tokens",
        rolled_up=RolledUp(23, "main"), explored=True, shown=Shown(92, 9),
    )] = None
    total_tokens: Annotated[int | None, Column(
        TOKENS, "reported total, else the sum if both parts are known", place=34, label="metric.tokens",
        rolled_up=RolledUp(24, "main"), explored=True, shown=Shown(88, 20),
    )] = None
    cached_tokens: Annotated[int | None, Column(
        TOKENS, "reported input tokens read from a cache", place=32, rolled_up=RolledUp(25, "main"), explored=True,
    )] = None
    reasoning_tokens: Annotated[int | None, Column(
        TOKENS, "reported output tokens spent on reasoning", place=33, rolled_up=RolledUp(26, "main"), explored=True,
    )] = None
    usage_source: Annotated[str, Column(
        TEXT, "where the token counts come from: reported, repeated (and counted in another record), estimated or none",
    )] = UsageSource.NONE
    usage_rejected: Annotated[bool, Column(
        FLAG, "a reported count was nonsense (negative, huge, not a number) and refused",
    )] = False
    content_chunks: Annotated[int | None, Column(
        COUNT, "stream events that carried content; a chunk is not a token",
    )] = None
    upstream_reused: Annotated[bool | None, Column(FLAG, "a pooled connection was used")] = None
    retries: Annotated[int, Column(COUNT, "fresh connections tried after a reused one turned out closed")] = 0
    body_complete_ms: Annotated[float | None, Column(
        DURATION, "request body read completely", rolled_up=RolledUp(10),
    )] = None
    connect_ms: Annotated[float | None, Column(
        DURATION, "duration of DNS, TCP and TLS; none if a connection was reused", rolled_up=RolledUp(11),
    )] = None
    upstream_acquired_ms: Annotated[float | None, Column(
        DURATION, "upstream connection ready", rolled_up=RolledUp(12),
    )] = None
    request_sent_ms: Annotated[float | None, Column(
        DURATION, "request handed to the upstream socket", rolled_up=RolledUp(13),
    )] = None
    response_headers_ms: Annotated[float | None, Column(
        DURATION, "head of the final (not 1xx) response parsed", rolled_up=RolledUp(14),
    )] = None
    time_to_first_byte_ms: Annotated[float | None, Column(
        DURATION, "first byte of the response body", place=24, rolled_up=RolledUp(6), explored=True,
    )] = None
    time_to_first_token_ms: Annotated[float | None, Column(
        DURATION, "TTFT: first event with content, reasoning, tool call or refusal; streams only", place=22,
        label="metric.ttft", rolled_up=RolledUp(1, "client"), explored=True, shown=Shown(136, 6),
    )] = None
    time_to_first_output_ms: Annotated[float | None, Column(
        DURATION, "as TTFT, visible content only; streams only", rolled_up=RolledUp(7),
    )] = None
    time_to_last_token_ms: Annotated[float | None, Column(
        DURATION, "TTLT: last event that carried a token; streams only", place=23, rolled_up=RolledUp(8),
        explored=True,
    )] = None
    inter_chunk_max_ms: Annotated[float | None, Column(
        DURATION, "largest gap between two reads that carried content; streams only", place=28, rolled_up=RolledUp(9),
        explored=True,
    )] = None
    response_time_ms: Annotated[float | None, Column(
        DURATION, "last byte handed to the client's socket; none if crashed", place=21, label="metric.response_time",
        rolled_up=RolledUp(0, "client"), explored=True, shown=Shown(118, 5),
    )] = None
    proxy_overhead_ms: Annotated[float | None, Column(
        DURATION, "time this proxy added: waiting for a connection, forwarding, finishing", place=29,
        rolled_up=RolledUp(5, "main"), explored=True, shown=Shown(140, 25),
    )] = None
    cache_write_tokens: Annotated[int | None, Column(
        TOKENS, "reported input tokens written to a cache", rolled_up=RolledUp(27),
    )] = None
    tool_call_count: Annotated[int | None, Column(COUNT, "tool calls in the answer, in all its choices")] = None
    service_tier: Annotated[str | None, Column(
        TEXT, "tier the answer named; it can differ from the one asked for",
    )] = None
    response_id: Annotated[str | None, Column(TEXT, "the answer's own id, cut to 256 characters")] = None
    upstream_cost_usd: Annotated[float | None, Column(
        MONEY, "cost that the server itself reported", rolled_up=RolledUp(31),
    )] = None
    server_total_ms: Annotated[float | None, Column(
        DURATION, "whole duration by the server's own clock", rolled_up=RolledUp(15),
    )] = None
    server_load_ms: Annotated[float | None, Column(
        DURATION, "of that, loading the model", rolled_up=RolledUp(16),
    )] = None
    server_prompt_ms: Annotated[float | None, Column(
        DURATION, "of that, evaluating the prompt", rolled_up=RolledUp(17),
    )] = None
    server_generation_ms: Annotated[float | None, Column(
        DURATION, "of that, generating the answer", rolled_up=RolledUp(18),
    )] = None
    websocket_frames_received: Annotated[int | None, Column(
        COUNT, "whole WebSocket frames from the client; none: no WebSocket",
    )] = None
    websocket_frames_sent: Annotated[int | None, Column(
        COUNT, "whole WebSocket frames handed to the client; none: no WebSocket",
    )] = None
    backend_name: Annotated[str | None, Column(
        TEXT, "name of that server in the settings; none where it has no name", place=4, label="table.backend",
        filter=Filter("Name of the LLM server in the settings, exactly.",
            flag=Flag("Name of the LLM server in the settings."),
            rule=RuleKey("Only requests to this server.", "a name of [[backends]]")),
        group=Grouping("name of the LLM server in the settings", in_rollups=True), shown=Shown(110, 13),
    )] = None
    attempts: Annotated[int | None, Column(COUNT, "connections asked for; none if refused before any was")] = None
    attempt_errors: Annotated[str | None, Column(
        TEXT, "why attempts failed that were not the last, in order: name:error, separated by commas",
    )] = None
    tags: Annotated[str | None, Column(
        TEXT, "x-llm-metrics-tag: k=v, sorted by k, separated by commas", place=10, label="table.tag",
        filter=Filter("A tag `k=v`; several, separated by commas, must all be there.", name="tag",
            flag=Flag("x-llm-metrics-tag; repeated ones must all be there."),
            rule=RuleKey("Only requests with this tag.", "k=v, several separated by commas")),
        group=Grouping("all tags of the request together; `tag:<key>` is the value of one", explored=False),
        shown=Shown(150, 17),
    )] = None
    trace_id: Annotated[str | None, Column(
        TEXT, "32 hex digits of W3C traceparent, if it is valid", place=20,
        filter=Filter("The W3C trace that the request belongs to: 32 hex digits.",
            flag=Flag("W3C trace: 32 hex digits.")),
        shown=Shown(270, 26),
    )] = None
    upstream_error_code: Annotated[str | None, Column(TEXT, "`code` of the server's error, in its own words")] = None
    upstream_error_type: Annotated[str | None, Column(TEXT, "`type` of the server's error, in its own words")] = None
    retry_after_ms: Annotated[float | None, Column(
        DURATION, "how long the server asks to wait (Retry-After)", rolled_up=RolledUp(19),
    )] = None
    ratelimit_limit_requests: Annotated[int | None, Column(
        COUNT, "requests that the server allows in its period",
    )] = None
    ratelimit_remaining_requests: Annotated[int | None, Column(COUNT, "requests left in that period")] = None
    ratelimit_reset_requests_ms: Annotated[float | None, Column(
        DURATION, "until the requests are allowed again, from the answer's head", rolled_up=RolledUp(20),
    )] = None
    ratelimit_limit_tokens: Annotated[int | None, Column(COUNT, "tokens that the server allows in its period")] = None
    ratelimit_remaining_tokens: Annotated[int | None, Column(COUNT, "tokens left in that period")] = None
    ratelimit_reset_tokens_ms: Annotated[float | None, Column(
        DURATION, "until the tokens are allowed again, from the answer's head", rolled_up=RolledUp(21),
    )] = None
    parent_span_id: Annotated[str | None, Column(TEXT, "16 hex digits of W3C traceparent: the client's span")] = None
    trace_sampled: Annotated[bool | None, Column(
        FLAG, "the client's own trace is kept, by W3C traceparent's flag",
    )] = None
    usage_reported: Annotated[str | None, Column(
        TEXT, "the server's own usage objects as JSON, by where they stood in the answer; at most 2 KiB", step=12,
    )] = None
    cache_write_5m_tokens: Annotated[int | None, Column(
        TOKENS, "reported input tokens written to a cache for five minutes", step=12, rolled_up=RolledUp(32),
    )] = None
    cache_write_1h_tokens: Annotated[int | None, Column(
        TOKENS, "reported input tokens written to a cache for an hour", step=12, rolled_up=RolledUp(33),
    )] = None
    app: Annotated[str | None, Column(
        TEXT, "application that asked, by the name that it has in headers, else its library's", place=36,
        label="table.app", step=12,
        filter=Filter("The application that asked, exactly as recorded.",
            flag=Flag("Application that asked."),
            rule=RuleKey("Only requests of this application.", "an application, as records show it")),
        group=Grouping("application that asked"), shown=Shown(110, 11),
    )] = None
    session_id: Annotated[str | None, Column(
        TEXT, "session or conversation that the request belongs to, as the client names it", place=37,
        label="table.session", step=12,
        filter=Filter("The session that the request belongs to, exactly.",
            flag=Flag("Session that it belongs to.")),
        group=Grouping("session that the request belongs to"), shown=Shown(150, 30),
    )] = None
    session_source: Annotated[str | None, Column(
        TEXT, "field that named the session, such as header:session-id or body:metadata.user_id", place=40, step=12,
        filter=Filter("The field that named the session.", flag=Flag("Field that named the session."), is_chip=False),
        group=Grouping("field that named the session", explored=False),
    )] = None
    agent_id: Annotated[str | None, Column(
        TEXT, "agent within the session that asked; none: the session's own", place=38, label="table.agent", step=12,
        filter=Filter("The agent within a session, exactly.", flag=Flag("Agent within a session.")),
        group=Grouping("agent within a session"), shown=Shown(150, 31),
    )] = None
    parent_agent_id: Annotated[str | None, Column(
        TEXT, "agent, or session, that started this one", place=39, step=12,
        filter=Filter("The agent, or session, that started this one.",
            flag=Flag("Agent, or session, that started it."), is_chip=False),
        group=Grouping("agent, or session, that started this one", explored=False),
    )] = None
    cache_miss_reason: Annotated[str | None, Column(
        TEXT, "why the server's prompt cache was not used, in its words, if the request asked for that", place=41,
        step=12,
        filter=Filter("Why the server's prompt cache was not used, in its words.",
            flag=Flag("Why the prompt cache was not used."), is_chip=False),
        group=Grouping("why the server's prompt cache was not used"),
    )] = None
    cache_missed_tokens: Annotated[int | None, Column(
        TOKENS, "input tokens behind the first difference, by the server's estimate", step=12,
    )] = None
    quota_status: Annotated[str | None, Column(
        TEXT, "whether the subscription's limits let it pass, in the server's words", place=42, step=12,
        filter=Filter("Whether the subscription's limits let it pass, in the server's words.",
            flag=Flag("What the subscription's limits said."), is_chip=False),
        group=Grouping("what the subscription's limits said", explored=False),
    )] = None
    quota_limit: Annotated[str | None, Column(
        TEXT, "which of the limits that was about, in the server's words", step=12,
    )] = None
    quota_plan: Annotated[str | None, Column(TEXT, "subscription's plan, in the server's words", step=12)] = None
    quota_overage_status: Annotated[str | None, Column(
        TEXT, "whether use beyond the subscription is allowed, in the server's words", step=12,
    )] = None
    quota_credits_left: Annotated[float | None, Column(
        NUMBER, "bought credits that are left beside the subscription", step=12,
    )] = None
    quota_primary_used_percent: Annotated[float | None, Column(
        NUMBER, "used of the subscription's shorter window, mostly 5 hours; over 100: overdrawn", step=12,
    )] = None
    quota_primary_window_ms: Annotated[float | None, Column(
        DURATION, "length of that window", step=12, rolled_up=RolledUp(34),
    )] = None
    quota_primary_reset_ms: Annotated[float | None, Column(
        DURATION, "until that window begins anew, from the answer's head", step=12, rolled_up=RolledUp(35),
    )] = None
    quota_secondary_used_percent: Annotated[float | None, Column(
        NUMBER, "used of the subscription's longer window, mostly 7 days; over 100: overdrawn", step=12,
    )] = None
    quota_secondary_window_ms: Annotated[float | None, Column(
        DURATION, "length of that window", step=12, rolled_up=RolledUp(36),
    )] = None
    quota_secondary_reset_ms: Annotated[float | None, Column(
        DURATION, "until that window begins anew, from the answer's head", step=12, rolled_up=RolledUp(37),
    )] = None


# What a formula calculates.
DERIVED: Final = (
    Column(
        RATE, "total_tokens * 1000 / response_time_ms: prompt tokens count too; none unless both > 0",
        name="tokens_per_second", place=27, label="metric.tokens_per_second", rolled_up=RolledUp(4, "main"),
        explored=True, shown=Shown(130, 21),
    ),
    Column(
        TEXT, "category of the taxonomy, see errors; none: nothing went wrong", name="error_category", place=13,
        label="errors.category",
        filter=Filter("Where the fault lies.", flag=Flag("Where the fault lies.")),
        group=Grouping("where the fault lies", in_rollups=True),
    ),
    Column(
        TEXT, "where it failed: request, connect, before_first_token, mid_stream; none: unknown", name="error_phase",
        place=15, label="errors.phase",
        filter=Filter("How far the request had come.", flag=Flag("How far it had come.")),
        group=Grouping("how far the request had come by then", in_rollups=True, explored=False),
    ),
    Column(
        DURATION, "TPOT: (TTLT - TTFT) / (completion_tokens - 1); none unless streamed, with 2 tokens or more",
        name="time_per_output_token_ms", place=25, rolled_up=RolledUp(2, "main"), explored=True,
    ),
    Column(
        RATE, "(completion_tokens - 1) * 1000 / (TTLT - TTFT): speed of generation; none as TPOT",
        name="output_tokens_per_second", place=26, label="metric.output_speed", rolled_up=RolledUp(3, "main"),
        explored=True, shown=Shown(108, 7),
    ),
)
# Raw columns whose values in the journal are the exchange's words: formulas from 3.0.0 on replace them.
RESTATED: Final = ("success", "outcome", "error_type")
# Raw columns that only a streamed answer has: formulas from 4.0.0 on give NULL for all others, whatever was written.
STREAM_TIMES: Final = ("time_to_first_token_ms", "time_to_first_output_ms", "time_to_last_token_ms")
# Raw columns that are counted from ``usage_reported`` when the record is stored; what older programs stored is as they
# counted it. A migration may count again from what was reported, and from that alone.
COUNTED: Final = (
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "usage_source",
    "usage_rejected", "cache_write_tokens", "upstream_cost_usd", "cache_write_5m_tokens", "cache_write_1h_tokens",
)  # fmt: skip
# What a formula calculates, in its order: a version that calculates more puts it behind what there was.
BY_FORMULA: Final = (
    "tokens_per_second", "error_category", "error_phase", *RESTATED,
    "time_per_output_token_ms", "output_tokens_per_second", *STREAM_TIMES,
)  # fmt: skip
# As priced when the record was stored: prices are no formulas, and another price list makes no other version.
PRICED: Final = (
    Column(
        MONEY, "what it cost, as priced when it was stored; none: unknown", name="cost_usd", place=35,
        label="metric.cost", rolled_up=RolledUp(30, "main"), explored=True, shown=Shown(90, 22),
    ),
    Column(
        TEXT, "who said so: upstream, price_table, genai_prices, or own_hardware (an estimate); none: nobody",
        name="cost_source", place=44,
        group=Grouping("who said what it cost", explored=False),
    ),
    Column(
        MONEY, "what its input would have cost without a cache, minus what it cost; below 0: writing cost more than "
        "reading saved; none: unknown", name="cache_savings_usd", place=45, label="metric.cache_savings",
        step=16, rolled_up=RolledUp(38, "main"), explored=True, shown=Shown(100, 34),
    ),
    Column(
        BUSY, "its share of its server's busy time: each moment divided by the requests open there; none: not sent, or "
        "unknown", name="backend_busy_ms", place=46, label="metric.backend_busy", step=16,
        rolled_up=RolledUp(39, "main"), shown=Shown(100, 33),
    ),
)
# No table has these: they are calculated when records are read, and rolled up like columns.
READ: Final = (
    Column(
        TOKENS, "prompt tokens of the records that report cached_tokens (at most prompt_tokens)",
        name="cache_prompt_tokens", rolled_up=RolledUp(40, "main"),
        over=Over("prompt_tokens", "cached_tokens", counts_missing=True, at_most="prompt_tokens"),
    ),
    Column(
        TOKENS, "cached tokens of the same records", name="cache_hit_tokens", rolled_up=RolledUp(43, "main"),
        over=Over("cached_tokens", "cached_tokens", at_most="prompt_tokens"),
    ),
    Column(
        TOKENS, "total tokens of the records that have a cost", name="priced_tokens", rolled_up=RolledUp(41, "main"),
        over=Over("total_tokens", "cost_usd", counts_missing=True),
    ),
    Column(
        MONEY, "cost that is estimated from what the user's own machine costs", name="estimated_cost_usd",
        rolled_up=RolledUp(42, "main"), over=Over("cost_usd", "cost_source", "own_hardware"),
    ),
    Column(
        MONEY, "cost of the records that name a session", name="session_cost_usd",
        over=Over("cost_usd", "session_id"),
    ),
)
# What the store gives a record; both together are its key wherever records of several hosts meet.
KEYS: Final = (
    Column(COUNT, "number of the record on its host, in the order of arrival", name="arrival"),
    Column(
        TEXT, "host whose proxy recorded it; none: a record from before 5.0.0", name="host", place=43,
        label="table.host", step=15,
        filter=Filter("The host whose proxy recorded it, exactly.",
            flag=Flag("Host whose proxy recorded it.", "--from-host"),
            rule=RuleKey("Only requests that this host recorded.", "a host, as records show it")),
        group=Grouping("host whose proxy recorded it"), shown=Shown(120, 32),
    ),
)
# Written by migrations alone; NULL in every record that none had to touch.
KEPT: Final = (
    Column(ANY, "timestamp as first stored, where a migration normalised it", name="timestamp_original"),
    Column(TEXT, "why a migration could not recompute the record; see migrations", name="recompute_reason"),
    Column(ANY, "outcome as first stored, where a migration replaced it", name="outcome_original"),
    Column(ANY, "error_type as first stored, where a migration replaced it", name="error_type_original"),
    *(
        Column(ANY, f"{name} as first stored, where the answer was not streamed", name=f"{name}_original")
        for name in STREAM_TIMES
    ),
    Column(
        TEXT, "what an older table held that does not fit its column here: a JSON object of SQL literals by column",
        name="unfit_values", step=15,
    ),
)
APP_VERSION_COLUMN: Final = "app_version"
STAMP: Final = Column(
    TEXT, "version whose formulas calculated the derived columns", name=APP_VERSION_COLUMN, place=19,
    filter=Filter("The version whose formulas calculated the record."),
    group=Grouping("version whose formulas calculated it", in_rollups=True), shown=Shown(100, 28),
)
# fmt: on


def _registry() -> dict[str, Column]:
    hints = get_type_hints(RequestRecord, include_extras=True)
    raw = [hints[name].__metadata__[0]._replace(name=name) for name in RequestRecord.__struct_fields__]
    groups = {
        "key": KEYS,
        "raw": raw,
        "derived": DERIVED,
        "stamp": (STAMP,),
        "priced": PRICED,
        "kept": KEPT,
    }
    return {row.name: row._replace(origin=origin) for origin, rows in groups.items() for row in rows}


# Every column by name, in the order in which an answer shows them.
REGISTRY: Final = _registry()
# With what is calculated when records are read.
READABLE: Final = REGISTRY | {column.name: column._replace(origin="read") for column in READ}
RAW_COLUMNS: Final[tuple[str, ...]] = RequestRecord.__struct_fields__
ALL_COLUMNS: Final = tuple(REGISTRY)
# What an insert fills, in order; migrations write the kept columns.
COLUMNS: Final = tuple(name for name, column in REGISTRY.items() if column.origin != "kept")
KEY_COLUMNS: Final = tuple(column.name for column in KEYS)
ROW_COLUMNS: Final = COLUMNS[len(KEY_COLUMNS) :]  # what is known of a record before a store has it


@cache
def _fetches(dialect: str | None) -> bool:
    return dialect is not None and dialect.endswith("_fetch")


def is_fetch(record: RequestRecord) -> bool:
    """Whether it read an answer that another request made; the names of such dialects say so."""
    return _fetches(record.dialect)


def was_streamed(record: RequestRecord) -> bool:
    """Whether the answer was a stream: events were read, or it failed before that and the request wanted a stream."""
    return record.content_chunks is not None or record.is_streaming


MAX_UNFIT_CHARS: Final = 256  # of a value in ``unfit_values``


def literal(value: Any) -> str:
    """As SQL writes it, so that '5', 5 and X'35' stay apart; cut to ``MAX_UNFIT_CHARS``."""
    if isinstance(value, bytes):
        text = f"X'{value[:MAX_UNFIT_CHARS].hex().upper()}'"
    elif isinstance(value, str):
        quoted = value[:MAX_UNFIT_CHARS].replace("'", "''")
        text = f"'{quoted}'"
    else:
        text = repr(value)
    return text if len(text) <= MAX_UNFIT_CHARS else f"{text[: MAX_UNFIT_CHARS - 1]}…"
