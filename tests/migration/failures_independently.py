"""How an older record failed, and why, by 3.0.0, written a third time: with words, order and conclusions of its own.

It imports neither the SQL of ``migration.failures`` nor ``wire.error_taxonomy``, which both read the same tables, so
that a slip in one of them shows as a difference. Frozen with 3.0.0. Values of the wrong type count as missing. Text is
read as SQLite does: lower case is that of ASCII, and ends at the first NUL.
"""

from string import ascii_lowercase, ascii_uppercase
from typing import Final, NamedTuple

from llm_metrics_proxy.storage.base import SqlValue
from tests.migration.failures_words import by_word, from_elsewhere, from_server, from_status

_CATEGORIES: Final = {
    "request": "context_length too_large model_not_found endpoint_not_found unsupported conflict invalid",
    "auth": "unauthenticated forbidden",
    "limit": "quota rate_limit",
    "policy": "content_filter refusal",
    "upstream": "overloaded timeout bad_gateway internal",
    "network": "dns connect_refused connect_failed connect_timeout tls reset first_byte_timeout idle_timeout protocol",
    "stream": "error_event truncated malformed empty",
    "client": "disconnect_before_first_token disconnect_mid_stream slow_request bad_http",
    "proxy": "saturated config shutdown crashed record_lost",
}
_CATEGORY: Final = by_word(**_CATEGORIES)
_FILTERED: Final = frozenset(
    ("content_filter", "content_filtered", "safety", "prohibited_content", "blocklist", "spii")
)
_SMALL: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_LATE: Final = frozenset({"connect_timeout", "first_byte_timeout", "idle_timeout"})
_IN_CONNECTING: Final = frozenset(("dns", "connect_refused", "connect_failed", "connect_timeout", "tls"))
# Types that the proxy itself sees, and writes down as such.
_SEEN: Final = frozenset(f"{_CATEGORIES['network']} {_CATEGORIES['client']} truncated malformed empty".split()) | {
    *_CATEGORIES["proxy"].split()
}
_ENDINGS: Final = {
    "completed": "completed",
    "client_disconnected": "client_disconnected",
    "upstream_error": "upstream_error",
    "stream_error": "upstream_error",
    "upstream_truncated": "upstream_truncated",
    "stream_truncated": "upstream_truncated",
    "timeout": "timeout",
    "upstream_timeout": "timeout",
    "network_error": "network_error",
    "upstream_unreachable": "network_error",
    "upstream_protocol_error": "network_error",
    "proxy_refused": "proxy_refused",
    "client_error": "proxy_refused",
    "rejected": "proxy_refused",
    "proxy_crashed": "proxy_crashed",
    "proxy_error": "proxy_crashed",
    "record_lost": "proxy_crashed",
}


class _Told(NamedTuple):
    """What a record says that can be read: text in lower case in ``words`` and ``message``, ``None`` where missing."""

    outcome: str | None
    error_type: str | None
    words: tuple[str, ...]  # the server's code, its type, and the word that was stored as error_type
    message: str | None
    own_words: bool  # the server gave a code or a type
    finish: str | None
    status: int | None  # the server's, else the one sent to the client
    server_status: int | None
    succeeded: bool | None
    has_model: bool
    has_size: bool  # of the request: programs that knew stages knew it
    body_came: bool
    was_sent: bool
    was_headed: bool
    first_byte: bool
    first_token: bool
    chunks: int | None


def oracle(
    outcome: SqlValue, success: SqlValue, status_code: SqlValue, upstream_status_code: SqlValue,
    error_type: SqlValue, error_message: SqlValue, upstream_error_code: SqlValue, upstream_error_type: SqlValue,
    finish_reason: SqlValue, model: SqlValue, request_bytes: SqlValue, body_complete_ms: SqlValue,
    request_sent_ms: SqlValue, response_headers_ms: SqlValue, time_to_first_byte_ms: SqlValue,
    time_to_first_token_ms: SqlValue, content_chunks: SqlValue, outcome_original: SqlValue,
    error_type_original: SqlValue, recompute_reason: SqlValue,
) -> tuple[SqlValue, ...]:  # fmt: skip
    """Outcome, success, category, type, phase, what both words were before, and the reason of a missing type."""
    server_status, client_status = _whole(upstream_status_code), _whole(status_code)
    said = [_text(upstream_error_code), _text(upstream_error_type), _text(error_type)]
    message, finish = _text(error_message), _text(finish_reason)
    told = _Told(
        outcome=_text(outcome),
        error_type=said[2],
        words=tuple(_lower(word) for word in said if word is not None),
        message=None if message is None else _lower(message),
        own_words=said[0] is not None or said[1] is not None,
        finish=None if finish is None else _lower(finish),
        status=client_status if server_status is None else server_status,
        server_status=server_status,
        succeeded=success != 0 if isinstance(success, int | float) else None,
        has_model=_text(model) is not None,
        has_size=_is_number(request_bytes),
        body_came=_is_number(body_complete_ms),
        was_sent=_is_number(request_sent_ms),
        was_headed=_is_number(response_headers_ms),
        first_byte=_is_number(time_to_first_byte_ms),
        first_token=_is_number(time_to_first_token_ms),
        chunks=_whole(content_chunks),
    )
    end, kind = _judge(told)
    reason = None
    if end == "completed":
        category = phase = None
        if kind is not None:
            category = "policy"
    else:
        phase = _phase(told, end, kind)
        if kind is None:
            category = kind = "unknown"
            wordless = told.message is None and told.error_type in {None, "unknown"}
            reason = "error_without_words" if wordless else "error_not_recognised"
        else:
            category = "proxy" if (kind, end) == ("internal", "proxy_crashed") else _CATEGORY[kind]
    return (
        end,
        success if success is not None else end == "completed",
        category,
        kind,
        phase,
        outcome_original if outcome in {None, end} else outcome,
        error_type_original if error_type in {None, kind} else error_type,
        recompute_reason if reason is None else reason,
    )


def _text(value: SqlValue) -> str | None:
    if type(value) is bytes or not isinstance(value, str | bytes):
        return None
    return value if isinstance(value, str) else str(value, "latin-1")  # text that is no Unicode, byte by byte


def _whole(value: SqlValue) -> int | None:
    return value if isinstance(value, int) else None


def _is_number(value: SqlValue) -> bool:
    return isinstance(value, int | float)


def _lower(text: str) -> str:
    return text.split("\0", 1)[0].translate(_SMALL)


def _judge(told: _Told) -> tuple[str, str | None]:
    """How it ended, and the type: ``None`` for an answer without flag, and for a failure that tells nothing."""
    end = _ENDINGS.get(told.outcome or "")
    if end is None:  # a program that knew no outcomes, or others
        fine = told.succeeded
        if fine is None:
            fine = told.status is not None and 200 <= told.status <= 399
        if not fine:
            return _of_1x(told)
        end = "completed"
    if end == "completed":
        if told.error_type in {"refusal", "content_filter"}:  # it was seen, whatever the finish reason says
            return end, told.error_type
        return end, "content_filter" if told.finish in _FILTERED else "refusal" if told.finish == "refusal" else None
    if end == "upstream_error":
        kind = from_server(told.words, told.message or "", told.status) or from_status(told.status)
        if kind is None and told.status is not None and (told.own_words or told.error_type != "unknown"):
            kind = "error_event"
        return end, kind
    if end == "client_disconnected":
        return end, _departure(told)
    return _by_proxy(told, end)


def _by_proxy(told: _Told, end: str) -> tuple[str, str | None]:
    """Ended by what the proxy did or saw."""
    word = "record_lost" if told.outcome == "record_lost" else told.error_type
    if told.error_type == "no_models":
        return "upstream_error", "bad_gateway"
    if told.error_type == "no_backend_for_model":
        return end, "model_not_found" if told.has_model else "config"
    if word in _SEEN or word in {"internal", "error_event", "too_large", "forbidden", "model_not_found", "invalid"}:
        kind: str | None = word
    elif word == "refused":
        kind = "invalid"
    else:
        kind = {"proxy_crashed": "crashed", "upstream_truncated": "truncated"}.get(end)
    if kind == "truncated" and told.chunks == 0:
        kind = "empty"
    if told.outcome == "proxy_error" and (kind == "saturated" or (kind == "shutdown" and not told.was_headed)):
        end = "proxy_refused"
    return end, kind


def _of_1x(told: _Told) -> tuple[str, str | None]:
    """A failure without an outcome: the type comes first, and tells the outcome."""
    message = told.message or ""
    kind = told.error_type if told.error_type in _SEEN else None
    kind = kind or from_server(told.words, message, told.status) or from_elsewhere(told.words, message)
    kind = kind or from_status(told.status)
    if kind is None and told.status is not None and told.own_words:
        kind = "error_event"
    if kind is not None and kind.startswith("disconnect"):
        return "client_disconnected", _departure(told)
    if kind in _LATE:
        return "timeout", kind
    if kind in {"truncated", "malformed", "empty"}:
        return "upstream_truncated", kind
    if kind in {"crashed", "record_lost"}:
        return "proxy_crashed", kind
    if kind in {"slow_request", "bad_http", "saturated", "config", "shutdown"}:
        return "proxy_refused", kind
    return "network_error" if kind is not None and _CATEGORY[kind] == "network" else "upstream_error", kind


def _departure(told: _Told) -> str:
    return "disconnect_mid_stream" if _answering(told, "client_disconnected") else "disconnect_before_first_token"


def _answering(told: _Told, end: str) -> bool:
    """The answer itself had begun: by its first token, or its first byte where nobody looked for tokens."""
    if told.server_status is not None and told.server_status >= 400:
        return False
    return told.first_token or (told.first_byte and told.chunks is None and end != "upstream_error")


def _phase(told: _Told, end: str, kind: str | None) -> str | None:
    if kind in {"crashed", "record_lost"}:
        return None
    if kind in _IN_CONNECTING:
        return "connect"
    if end == "proxy_refused" and kind not in {"saturated", "shutdown"}:
        return "request"
    if _answering(told, end):
        return "mid_stream"
    if told.was_sent or told.was_headed or not told.has_size:
        return "before_first_token"
    return "connect" if told.body_came else "request"
