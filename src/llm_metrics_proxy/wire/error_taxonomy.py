"""The error taxonomy of version 3.0.0: how every request ended, in eight outcomes, and why, in one table of types.

``classify`` is a pure function of raw facts, as the journal carries them and as older databases hold them. It gives
exactly one verdict for any facts, and applied to what it gave, the same again. Precedence: how the exchange itself
ended (the first terminal event, a transport failure), then what the server said (at any status, 200 included: quota
before rate limits, code and type before the message), then its status. ``error_clues`` has the server's words.

Each version classifies with the types that it knew (``taxonomy_of``): stored records follow theirs. What the types of
3.0.0 give is frozen; a type that would take records from another one needs a new MAJOR version.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from llm_metrics_proxy.wire.error_clues import CLUES, Clue, clue, legacy_clue, lower, status_clue
from llm_metrics_proxy.wire.error_types import FIRST, OUTCOMES, TAXONOMY, ErrorType


class OutcomeFacts(NamedTuple):
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


class Classification(NamedTuple):
    """How it ended and why. ``reason`` says why the type is ``unknown``; else it is None."""

    outcome: str
    category: str | None = None
    type: str | None = None
    phase: str | None = None
    reason: str | None = None


_COMPLETED: Final = Classification("completed")
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
DEFAULTS: Final[dict[str, str]] = {"proxy_crashed": "crashed", "upstream_truncated": "truncated"}
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


class Taxonomy(NamedTuple):
    """The error types that one version knows, and what is derived from their rows."""

    types: tuple[ErrorType, ...]
    clues: tuple[Clue, ...]
    words: Mapping[str, str]  # the exchange's words (proxy.endings.Cause), and the types themselves, as the type
    category_of: Mapping[str, str]
    flags: Mapping[str, str]  # type of a completed answer by finish reason, in lower case
    flagged: tuple[str, ...]  # the types of these; the exchange sees some itself, such as OpenAI's text of a refusal


_SEEN_BY_THE_PROXY: Final = frozenset({"network", "client", "stream", "proxy"})
_REFUSED_BY_THE_PROXY: Final = ("too_large", "forbidden", "model_not_found", "invalid")


def taxonomy_of(version: str, types: Sequence[ErrorType] | None = None) -> Taxonomy:
    """What ``version``, which is ``X.Y.Z``, knows: of our types, or of ``types``."""
    numbers = _numbers(version)
    known = [each for each in types or TAXONOMY if _numbers(each.since) <= numbers]
    return _taxonomy(tuple(known), tuple(each for each in CLUES if _numbers(each.since) <= numbers))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.partition("-")[0].partition("+")[0].split("."))


@cache
def _taxonomy(types: tuple[ErrorType, ...], clues: tuple[Clue, ...]) -> Taxonomy:
    later = [each for each in types if each.since != FIRST]
    own_words = [each.type for each in types if each.category in _SEEN_BY_THE_PROXY or each in later]
    return Taxonomy(
        types=types,
        clues=(*clues, *(Clue(each.type, (each.type, *each.words), each.texts) for each in later)),
        words={**{word: word for word in (*own_words, *_REFUSED_BY_THE_PROXY)}, "refused": "invalid"},
        category_of={each.type: each.category for each in reversed(types) if each.type != "internal"},
        flags={reason: each.type for each in types for reason in each.finish_reasons},
        flagged=tuple(each.type for each in types if each.finish_reasons),
    )


NEWEST: Final = _taxonomy(TAXONOMY, CLUES)


def classify(facts: OutcomeFacts, known: Taxonomy = NEWEST) -> Classification:
    """The one verdict on a request's facts."""
    outcome = OUTCOME_OF.get(facts.outcome or "")
    if outcome == "completed":
        flagged = facts.error_type in known.flagged
        kind = facts.error_type if flagged else known.flags.get(lower(facts.finish_reason or ""))
        return _COMPLETED if kind is None else Classification("completed", "policy", kind)
    if outcome is None:
        return _of_older(facts, known)
    if outcome == "upstream_error":
        return _verdict(facts, known, outcome, _server_type(facts, known))
    return _of_exchange(facts, known, outcome)


def _of_exchange(facts: OutcomeFacts, known: Taxonomy, outcome: str) -> Classification:
    """It ended by something that the proxy saw itself."""
    word = facts.error_type or ""
    if outcome == "client_disconnected":
        return _verdict(facts, known, outcome, _disconnect(facts))
    if word == "no_models":
        return _verdict(facts, known, "upstream_error", "bad_gateway")
    if word == "no_backend_for_model":
        return _verdict(facts, known, outcome, "config" if facts.model is None else "model_not_found")
    if facts.outcome == "record_lost":
        word = "record_lost"
    kind = known.words.get(word) or DEFAULTS.get(outcome)
    if kind == "truncated" and facts.content_chunks == 0:
        kind = "empty"
    if facts.outcome == "proxy_error" and (
        kind == "saturated" or (kind == "shutdown" and facts.response_headers_ms is None)
    ):
        outcome = "proxy_refused"
    return _verdict(facts, known, outcome, kind)


def _of_older(facts: OutcomeFacts, known: Taxonomy) -> Classification:
    """A record of a program that knew no outcomes."""
    status = _status(facts)
    if facts.success or (facts.success is None and status is not None and 200 <= status < 400):
        return classify(facts._replace(outcome="completed"), known)
    kind = known.words.get(facts.error_type or "")
    kind = kind if kind in IMPLIED else _said(facts, known) or legacy_clue(_words(facts), facts.error_message)
    if kind is None and status is not None:
        kind = status_clue(status) or ("error_event" if _has_server_words(facts) else None)
    outcome = IMPLIED.get(kind or "", "upstream_error")
    if outcome == "client_disconnected":
        kind = _disconnect(facts)
    return _verdict(facts, known, outcome, kind)


def _status(facts: OutcomeFacts) -> int | None:
    """The server's, else the one that the client got."""
    return facts.status_code if facts.upstream_status_code is None else facts.upstream_status_code


def _words(facts: OutcomeFacts) -> tuple[str, ...]:
    found = (facts.upstream_error_code, facts.upstream_error_type, facts.error_type)
    return tuple(word for word in found if word is not None)


def _said(facts: OutcomeFacts, known: Taxonomy) -> str | None:
    """By the server's words alone."""
    return clue(_words(facts), facts.error_message, _status(facts), known.clues)


def _server_type(facts: OutcomeFacts, known: Taxonomy) -> str | None:
    """By the server's words, then its status; an error in an answer that began well is always an error."""
    status = _status(facts)
    said = _said(facts, known)
    if said is not None or status is None:
        return said
    settled = facts.error_type == "unknown" and not _has_server_words(facts)  # that was the verdict on an older record
    return status_clue(status) or (None if settled else "error_event")


def _has_server_words(facts: OutcomeFacts) -> bool:
    return facts.upstream_error_code is not None or facts.upstream_error_type is not None


def _disconnect(facts: OutcomeFacts) -> str:
    return "disconnect_mid_stream" if _begun(facts, "client_disconnected") else "disconnect_before_first_token"


def _begun(facts: OutcomeFacts, outcome: str) -> bool:
    """Part of the answer itself had come: a token, or a byte where nobody reads tokens. Errors are no answer."""
    status = facts.upstream_status_code
    if status is not None and status >= 400:
        return False
    if facts.time_to_first_token_ms is not None:
        return True
    return outcome != "upstream_error" and facts.content_chunks is None and facts.time_to_first_byte_ms is not None


def _verdict(facts: OutcomeFacts, known: Taxonomy, outcome: str, kind: str | None) -> Classification:
    if kind is None:
        has_words = facts.error_type not in {None, "unknown"} or facts.error_message is not None
        reason = "error_not_recognised" if has_words else "error_without_words"
        return Classification(outcome, "unknown", "unknown", _phase(facts, outcome, None), reason)
    category = "proxy" if kind == "internal" and outcome == "proxy_crashed" else known.category_of.get(kind, "upstream")
    return Classification(outcome, category, kind, _phase(facts, outcome, kind))


def _phase(facts: OutcomeFacts, outcome: str, kind: str | None) -> str | None:
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
