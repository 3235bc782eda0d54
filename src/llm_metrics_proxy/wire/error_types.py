"""The error types, one row each: category, meaning, advice, and how servers announce them.

A new type is one row with ``since``, the version that first uses it. Every version classifies with the rows that
existed then, so a new row changes nothing about records and formulas of before. Rows of 3.0.0 are recognised by the
tables of ``error_clues``, whose order is frozen with the migration to 3.0.0; later ones by their own ``words`` and
``texts``, which count only where those tables recognise nothing. The documentation, the API and Prometheus read this
table. Meaning and advice may be edited at any time; the rest of a released row may not.
"""

from typing import Final, NamedTuple

FIRST: Final = "3.0.0"


class ErrorType(NamedTuple):
    """``words`` are whole codes or types in lower case, ``texts`` parts of a message in lower case.

    ``finish_reasons`` (lower case) flag a completed answer with this type.
    """

    category: str
    type: str
    meaning: str
    advice: str
    since: str = FIRST
    words: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    finish_reasons: tuple[str, ...] = ()


TAXONOMY: Final[tuple[ErrorType, ...]] = (
    ErrorType("request", "context_length", "The prompt, or prompt and answer, exceed the model's context.",
        "Shorten the prompt, lower max_tokens, or take a model with a longer context."),
    ErrorType("request", "too_large", "The request's body is larger than the server or this proxy allows (413).",
        "Send less, or raise the limit (max_body_bytes, max_upload_bytes)."),
    ErrorType("request", "model_not_found", "The server, or every backend, does not know the model.",
        "Compare the name with GET /v1/models; load or pull the model."),
    ErrorType("request", "endpoint_not_found", "The server does not know the path or method (404, 405).",
        "Check the client's base URL, and whether the server offers this API."),
    ErrorType("request", "unsupported", "The server cannot do what was asked (501).",
        "Leave the feature out, or take another server or model."),
    ErrorType("request", "conflict", "The request conflicts with the server's state (409).",
        "See the message; try again."),
    ErrorType("request", "invalid", "The server found the request invalid (400, 422 and other 4xx).",
        "The message says which part; correct the client."),
    ErrorType("auth", "unauthenticated", "The key is missing or wrong (401).",
        "Set the right key in the client or backend."),
    ErrorType("auth", "forbidden", "The key may not do this, or this proxy does not let the path pass (403).",
        "Grant the right; for this proxy's own refusals see allow_paths."),
    ErrorType("limit", "quota", "Credit or a spending limit is used up: waiting does not help (402, some 429).",
        "Add credit or raise the limit at the provider."),
    ErrorType("limit", "rate_limit", "Too many requests or tokens for now (429).",
        "Wait for retry_after_ms, send less at once, or add a backend."),
    ErrorType("policy", "content_filter", "A content filter refused the prompt or cut the answer.",
        "Look at the prompt, or at the provider's filter settings.",
        finish_reasons=("content_filter", "content_filtered", "safety", "prohibited_content", "blocklist", "spii")),
    ErrorType("policy", "refusal", "The model refused to answer.", "Look at the prompt.",
        finish_reasons=("refusal",)),
    ErrorType("policy", "guardrail", "A guardrail of the account blocked or changed the prompt or the answer.",
        "Look at the guardrail's settings (Amazon Bedrock), or at the prompt.", since="4.5.0",
        words=("guardrail_intervened",), finish_reasons=("guardrail_intervened",)),
    ErrorType("upstream", "overloaded", "The server is overloaded, or still loading its model (503, 529).",
        "Try again later, or add a backend."),
    ErrorType("upstream", "timeout", "The server itself, or a gateway before it, gave up waiting (408, 504, 524).",
        "Look at the server's load and its own limits."),
    ErrorType("upstream", "bad_gateway", "A gateway got no valid answer from the server behind it (502).",
        "Look at the gateway and the server behind it."),
    ErrorType("upstream", "internal", "The server failed (500 and other 5xx).", "Look into the server's log."),
    ErrorType("upstream", "not_an_answer",
        "The status said success, but a web page, a text or JSON of another kind came in place of an answer.",
        "The message has its first words. Check the base URL, and what stands between: a gateway, a login page.",
        since="4.5.0"),
    ErrorType("network", "dns", "The server's name could not be resolved.",
        "Check the backend's URL and the resolver."),
    ErrorType("network", "connect_refused", "Nothing listens at the server's address.",
        "Start the server; check the port."),
    ErrorType("network", "connect_failed", "No connection: no route, network down, or closed at once.",
        "Check the network and firewalls between this proxy and the server."),
    ErrorType("network", "connect_timeout", "Connecting took longer than connect_timeout_s.",
        "Check firewalls and the server's load."),
    ErrorType("network", "tls", "The TLS handshake failed.", "Check certificate, name and own CA of the backend."),
    ErrorType("network", "reset", "The server closed the connection before it answered.",
        "Look for a crash or restart of the server."),
    ErrorType("network", "first_byte_timeout", "The server did not begin to answer within first_byte_timeout_s.",
        "Look at its queue; raise the limit for long prompts."),
    ErrorType("network", "idle_timeout", "The server stopped sending for longer than idle_timeout_s.",
        "Look whether it hangs; raise the limit for slow models."),
    ErrorType("network", "protocol", "The server's answer is not valid HTTP.", "Check the URL: is it an HTTP server?"),
    ErrorType("stream", "error_event", "An error inside an answer that had begun with success.",
        "The message has the server's words; look into its log."),
    ErrorType("stream", "truncated", "The answer had begun, and broke off or ended without its terminal marker.",
        "Look for a crash of the server, or a gateway's time limit."),
    ErrorType("stream", "malformed", "The stream could not be understood and did not end well.",
        "Check whether something between changes the answer."),
    ErrorType("stream", "empty", "Nothing came: an empty body, no output in it, or a stream that ended before any.",
        "Look into the server's log."),
    ErrorType("client", "disconnect_before_first_token", "The client left before the first token (shown as 499).",
        "Compare the client's time limit with time_to_first_token_ms."),
    ErrorType("client", "disconnect_mid_stream", "The client left, or stopped reading, in the middle (shown as 499).",
        "Often a user's stop button; else the client's time limit."),
    ErrorType("client", "slow_request", "The request's body did not arrive in time (408).",
        "Check the client's network."),
    ErrorType("client", "bad_http", "The request's body is not valid HTTP (400).", "Correct the client."),
    ErrorType("proxy", "saturated", "This proxy has no capacity left: queue or journal are full (503).",
        "Add workers, connections or disk; see /health."),
    ErrorType("proxy", "config", "No backend in the settings is for such a request.",
        "Correct the backends in the file."),
    ErrorType("proxy", "shutdown", "This proxy was stopped before the answer was complete.",
        "Raise drain_timeout_s if answers take longer."),
    ErrorType("proxy", "internal", "A fault of this proxy.", "Its log says where; please report it."),
    ErrorType("proxy", "crashed", "The worker died while the request was open.",
        "Look for kills for lack of memory, and into the log."),
    ErrorType("proxy", "record_lost", "The request ended, but its facts could not be written to the journal.",
        "See the journal's disk: full, or failing."),
    ErrorType("unknown", "unknown", "An older record, or a cause, with too little to go on.",
        "recompute_reason, error_type_original and error_message have what there is."),
)  # fmt: skip

CATEGORIES: Final[tuple[str, ...]] = tuple(dict.fromkeys(each.category for each in TAXONOMY))
PHASES: Final[tuple[str, ...]] = ("request", "connect", "before_first_token", "mid_stream")
OUTCOMES: Final[tuple[str, ...]] = (
    "completed", "client_disconnected", "upstream_error", "upstream_truncated", "timeout", "network_error",
    "proxy_refused", "proxy_crashed",
)  # fmt: skip
