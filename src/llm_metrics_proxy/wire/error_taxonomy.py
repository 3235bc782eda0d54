"""The error taxonomy of version 3.0.0: how every request ended, in eight outcomes, and why, in one table of types.

``classify`` is a pure function of raw facts, as the journal carries them and as older databases hold them. It gives
exactly one verdict for any facts, and applied to what it gave, the same again. Precedence: how the exchange itself
ended (the first terminal event, a transport failure), then what the server said (at any status, 200 included: quota
before rate limits, code and type before the message), then its status. ``error_clues`` has the server's words.

Frozen with version 3.0.0: stored records follow it. A change of what it gives needs a new MAJOR version.
"""

from typing import Final, NamedTuple

from llm_metrics_proxy.wire.error_clues import clue, legacy_clue, lower, status_clue


class Row(NamedTuple):
    """One type: what it means, and what to do about it."""

    category: str
    type: str
    meaning: str
    advice: str


TAXONOMY: Final[tuple[Row, ...]] = (
    Row("request", "context_length", "The prompt, or prompt and answer, exceed the model's context.",
        "Shorten the prompt, lower max_tokens, or take a model with a longer context."),
    Row("request", "too_large", "The request's body is larger than the server or this proxy allows (413).",
        "Send less, or raise the limit (max_body_bytes, max_upload_bytes)."),
    Row("request", "model_not_found", "The server, or every backend, does not know the model.",
        "Compare the name with GET /v1/models; load or pull the model."),
    Row("request", "endpoint_not_found", "The server does not know the path or method (404, 405).",
        "Check the client's base URL, and whether the server offers this API."),
    Row("request", "unsupported", "The server cannot do what was asked (501).",
        "Leave the feature out, or take another server or model."),
    Row("request", "conflict", "The request conflicts with the server's state (409).", "See the message; try again."),
    Row("request", "invalid", "The server found the request invalid (400, 422 and other 4xx).",
        "The message says which part; correct the client."),
    Row("auth", "unauthenticated", "The key is missing or wrong (401).", "Set the right key in the client or backend."),
    Row("auth", "forbidden", "The key may not do this, or this proxy does not let the path pass (403).",
        "Grant the right; for this proxy's own refusals see allow_paths."),
    Row("limit", "quota", "Credit or a spending limit is used up: waiting does not help (402, some 429).",
        "Add credit or raise the limit at the provider."),
    Row("limit", "rate_limit", "Too many requests or tokens for now (429).",
        "Wait for retry_after_ms, send less at once, or add a backend."),
    Row("policy", "content_filter", "A content filter refused the prompt or cut the answer.",
        "Look at the prompt, or at the provider's filter settings."),
    Row("policy", "refusal", "The model refused to answer.", "Look at the prompt."),
    Row("upstream", "overloaded", "The server is overloaded, or still loading its model (503, 529).",
        "Try again later, or add a backend."),
    Row("upstream", "timeout", "The server itself, or a gateway before it, gave up waiting (408, 504, 524).",
        "Look at the server's load and its own limits."),
    Row("upstream", "bad_gateway", "A gateway got no valid answer from the server behind it (502).",
        "Look at the gateway and the server behind it."),
    Row("upstream", "internal", "The server failed (500 and other 5xx).", "Look into the server's log."),
    Row("network", "dns", "The server's name could not be resolved.", "Check the backend's URL and the resolver."),
    Row("network", "connect_refused", "Nothing listens at the server's address.", "Start the server; check the port."),
    Row("network", "connect_failed", "No connection: no route, network down, or closed at once.",
        "Check the network and firewalls between this proxy and the server."),
    Row("network", "connect_timeout", "Connecting took longer than connect_timeout_s.",
        "Check firewalls and the server's load."),
    Row("network", "tls", "The TLS handshake failed.", "Check certificate, name and own CA of the backend."),
    Row("network", "reset", "The server closed the connection before it answered.",
        "Look for a crash or restart of the server."),
    Row("network", "first_byte_timeout", "The server did not begin to answer within first_byte_timeout_s.",
        "Look at its queue; raise the limit for long prompts."),
    Row("network", "idle_timeout", "The server stopped sending for longer than idle_timeout_s.",
        "Look whether it hangs; raise the limit for slow models."),
    Row("network", "protocol", "The server's answer is not valid HTTP.", "Check the URL: is it an HTTP server?"),
    Row("stream", "error_event", "An error inside an answer that had begun with success.",
        "The message has the server's words; look into its log."),
    Row("stream", "truncated", "The answer had begun, and broke off or ended without its terminal marker.",
        "Look for a crash of the server, or a gateway's time limit."),
    Row("stream", "malformed", "The stream could not be understood and did not end well.",
        "Check whether something between changes the answer."),
    Row("stream", "empty", "The stream ended or broke off before any content.", "Look into the server's log."),
    Row("client", "disconnect_before_first_token", "The client left before the first token (shown as 499).",
        "Compare the client's time limit with time_to_first_token_ms."),
    Row("client", "disconnect_mid_stream", "The client left, or stopped reading, in the middle (shown as 499).",
        "Often a user's stop button; else the client's time limit."),
    Row("client", "slow_request", "The request's body did not arrive in time (408).", "Check the client's network."),
    Row("client", "bad_http", "The request's body is not valid HTTP (400).", "Correct the client."),
    Row("proxy", "saturated", "This proxy has no capacity left: queue or journal are full (503).",
        "Add workers, connections or disk; see /health."),
    Row("proxy", "config", "No backend in the settings is for such a request.", "Correct the backends in the file."),
    Row("proxy", "shutdown", "This proxy was stopped before the answer was complete.",
        "Raise drain_timeout_s if answers take longer."),
    Row("proxy", "internal", "A fault of this proxy.", "Its log says where; please report it."),
    Row("proxy", "crashed", "The worker died while the request was open.",
        "Look for kills for lack of memory, and into the log."),
    Row("proxy", "record_lost", "The request ended, but its facts could not be written to the journal.",
        "See the journal's disk: full, or failing."),
    Row("unknown", "unknown", "An older record, or a cause, with too little to go on.",
        "recompute_reason, error_type_original and error_message have what there is."),
)  # fmt: skip

CATEGORIES: Final[tuple[str, ...]] = tuple(dict.fromkeys(row.category for row in TAXONOMY))
PHASES: Final[tuple[str, ...]] = ("request", "connect", "before_first_token", "mid_stream")
OUTCOMES: Final[tuple[str, ...]] = (
    "completed", "client_disconnected", "upstream_error", "upstream_truncated", "timeout", "network_error",
    "proxy_refused", "proxy_crashed",
)  # fmt: skip


class Facts(NamedTuple):
    """Columns of one record, by their names, as the exchange or an older program wrote them."""

    outcome: str | None = None
    success: bool | None = None
    status_code: int | None = None
    upstream_status_code: int | None = None
    error_type: str | None = None
    error_message: str | None = None
    upstream_error_code: str | None = None
    upstream_error_type: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    request_bytes: int | None = None
    body_complete_ms: float | None = None
    request_sent_ms: float | None = None
    response_headers_ms: float | None = None
    time_to_first_byte_ms: float | None = None
    time_to_first_token_ms: float | None = None
    content_chunks: int | None = None


class Verdict(NamedTuple):
    """How it ended and why. ``reason`` says why the type is ``unknown``; else it is None."""

    outcome: str
    category: str | None = None
    type: str | None = None
    phase: str | None = None
    reason: str | None = None


_COMPLETED: Final = Verdict("completed")
# What the exchange saw itself, such as OpenAI's text of a refusal, goes before the server's finish reason.
FLAGGED: Final[dict[str, Verdict]] = {
    kind: Verdict("completed", "policy", kind) for kind in ("content_filter", "refusal")
}
FLAGS: Final[dict[str, Verdict]] = {  # finish reasons in lower case
    reason: Verdict("completed", "policy", flag)
    for flag, reasons in {
        "content_filter": ("content_filter", "content_filtered", "safety", "prohibited_content", "blocklist", "spii"),
        "refusal": ("refusal",),
    }.items()
    for reason in reasons
}
# What the exchange says (record.Outcome), and what is stored, as the outcome that is stored.
OUTCOME_OF: Final[dict[str, str]] = {
    **{name: name for name in OUTCOMES},
    "stream_error": "upstream_error",
    "stream_truncated": "upstream_truncated",
    "upstream_unreachable": "network_error",
    "upstream_timeout": "timeout",
    "upstream_protocol_error": "network_error",
    "client_error": "proxy_refused",
    "rejected": "proxy_refused",
    "proxy_error": "proxy_crashed",
    "record_lost": "proxy_crashed",
}
# The exchange's words (proxy.endings.Cause), and the types themselves, as the type.
WORDS: Final[dict[str, str]] = {
    **{row.type: row.type for row in TAXONOMY if row.category in {"network", "client", "stream", "proxy"}},
    **{name: name for name in ("too_large", "forbidden", "model_not_found", "invalid")},  # refused by this proxy
    "refused": "invalid",
}
DEFAULTS: Final[dict[str, str]] = {"proxy_crashed": "crashed", "upstream_truncated": "truncated"}
CATEGORY_OF: Final[dict[str, str]] = {row.type: row.category for row in reversed(TAXONOMY) if row.type != "internal"}
CONNECTING: Final = frozenset({"dns", "connect_refused", "connect_failed", "connect_timeout", "tls"})
# Outcome by type where an older record has none.
IMPLIED: Final[dict[str, str]] = {
    "connect_timeout": "timeout", "first_byte_timeout": "timeout", "idle_timeout": "timeout",
    **dict.fromkeys(("dns", "connect_refused", "connect_failed", "tls", "reset", "protocol"), "network_error"),
    **dict.fromkeys(("disconnect_before_first_token", "disconnect_mid_stream"), "client_disconnected"),
    **dict.fromkeys(("truncated", "malformed", "empty"), "upstream_truncated"),
    **dict.fromkeys(("slow_request", "bad_http", "saturated", "config", "shutdown"), "proxy_refused"),
    **dict.fromkeys(("crashed", "record_lost"), "proxy_crashed"),
}  # fmt: skip


def classify(facts: Facts) -> Verdict:
    """The one verdict on a request's facts."""
    outcome = OUTCOME_OF.get(facts.outcome or "")
    if outcome == "completed":
        flagged = FLAGGED.get(facts.error_type or "")
        return flagged or (FLAGS.get(lower(facts.finish_reason), _COMPLETED) if facts.finish_reason else _COMPLETED)
    if outcome is None:
        return _of_older(facts)
    if outcome == "upstream_error":
        return _verdict(facts, outcome, _server_type(facts))
    return _of_exchange(facts, outcome)


def _of_exchange(facts: Facts, outcome: str) -> Verdict:
    """It ended by something that the proxy saw itself."""
    word = facts.error_type or ""
    if outcome == "client_disconnected":
        return _verdict(facts, outcome, _disconnect(facts))
    if word == "no_models":
        return _verdict(facts, "upstream_error", "bad_gateway")
    if word == "no_backend_for_model":
        return _verdict(facts, outcome, "config" if facts.model is None else "model_not_found")
    if facts.outcome == "record_lost":
        word = "record_lost"
    kind = WORDS.get(word) or DEFAULTS.get(outcome)
    if kind == "truncated" and facts.content_chunks == 0:
        kind = "empty"
    if facts.outcome == "proxy_error" and (
        kind == "saturated" or (kind == "shutdown" and facts.response_headers_ms is None)
    ):
        outcome = "proxy_refused"
    return _verdict(facts, outcome, kind)


def _of_older(facts: Facts) -> Verdict:
    """A record of a program that knew no outcomes."""
    status = facts.status_code if facts.upstream_status_code is None else facts.upstream_status_code
    if facts.success or (facts.success is None and status is not None and 200 <= status < 400):
        return classify(facts._replace(outcome="completed"))
    kind = WORDS.get(facts.error_type or "")
    kind = kind if kind in IMPLIED else _said(facts) or legacy_clue(_words(facts), facts.error_message)
    if kind is None and status is not None:
        kind = status_clue(status) or ("error_event" if _has_server_words(facts) else None)
    outcome = IMPLIED.get(kind or "", "upstream_error")
    if outcome == "client_disconnected":
        kind = _disconnect(facts)
    return _verdict(facts, outcome, kind)


def _words(facts: Facts) -> tuple[str, ...]:
    found = (facts.upstream_error_code, facts.upstream_error_type, facts.error_type)
    return tuple(word for word in found if word is not None)


def _said(facts: Facts) -> str | None:
    """By the server's words alone."""
    words = _words(facts)
    status = facts.status_code if facts.upstream_status_code is None else facts.upstream_status_code
    return clue(words, facts.error_message, status)


def _server_type(facts: Facts) -> str | None:
    """By the server's words, then its status; an error in an answer that began well is always an error."""
    status = facts.status_code if facts.upstream_status_code is None else facts.upstream_status_code
    said = _said(facts)
    if said is not None or status is None:
        return said
    settled = facts.error_type == "unknown" and not _has_server_words(facts)  # that was the verdict on an older record
    return status_clue(status) or (None if settled else "error_event")


def _has_server_words(facts: Facts) -> bool:
    return facts.upstream_error_code is not None or facts.upstream_error_type is not None


def _disconnect(facts: Facts) -> str:
    return "disconnect_mid_stream" if _begun(facts, "client_disconnected") else "disconnect_before_first_token"


def _begun(facts: Facts, outcome: str) -> bool:
    """Part of the answer itself had come: a token, or a byte where nobody reads tokens. Errors are no answer."""
    status = facts.upstream_status_code
    if status is not None and status >= 400:
        return False
    if facts.time_to_first_token_ms is not None:
        return True
    return outcome != "upstream_error" and facts.content_chunks is None and facts.time_to_first_byte_ms is not None


def _verdict(facts: Facts, outcome: str, kind: str | None) -> Verdict:
    if kind is None:
        known = facts.error_type not in {None, "unknown"} or facts.error_message is not None
        reason = "error_not_recognised" if known else "error_without_words"
        return Verdict(outcome, "unknown", "unknown", _phase(facts, outcome, None), reason)
    category = "proxy" if kind == "internal" and outcome == "proxy_crashed" else CATEGORY_OF.get(kind, "upstream")
    return Verdict(outcome, category, kind, _phase(facts, outcome, kind))


def _phase(facts: Facts, outcome: str, kind: str | None) -> str | None:
    if kind in {"crashed", "record_lost"}:
        return None  # what had happened by then is not known
    if kind in CONNECTING:
        return "connect"
    if outcome == "proxy_refused" and kind not in {"saturated", "shutdown"}:
        return "request"
    if _begun(facts, outcome):
        return "mid_stream"
    answered = facts.request_sent_ms is not None or facts.response_headers_ms is not None
    if answered or facts.request_bytes is None:  # an older record knows no stages
        return "before_first_token"
    return "request" if facts.body_complete_ms is None else "connect"
