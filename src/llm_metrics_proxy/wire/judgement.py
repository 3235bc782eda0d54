"""Whether what came with a successful status is an answer at all. Pure.

A page of a website, a text, JSON that breaks off or belongs to another API, and nothing at all pass for answers to
whoever looks at the status alone. What a sound answer has is a fact of each dialect: ``signs``, ``never_empty``,
``raw``. In doubt it is one: a good answer must never be called an error.

The readers have read their facts by then. An answer with a finish reason, or with an error of its own, is settled; any
other is looked at here once, at its end.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.base import ErrorFacts, ResponseFacts, ResponseReader, Verdict
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.error_body import error_facts, error_in_body, error_message, minimax_error, read_error
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.framing import (
    BINARY,
    DOCUMENT,
    EVENTS,
    LINES,
    LIST,
    MAX_OPEN_BYTES,
    NOTHING,
    PAGE,
    TEXT,
    BodyFraming,
    begun,
)
from llm_metrics_proxy.wire.sse import SseReader
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode_any

_SHOWN_CHARS: Final = 200  # of what came in place of an answer
_SHOWN_BYTES: Final = 4096
_KINDS: Final[Mapping[BodyFraming, str]] = {
    PAGE: "An HTML page",
    TEXT: "A text",
    BINARY: "Binary data",
    DOCUMENT: "JSON of another kind",
    LIST: "A JSON array",
    EVENTS: "An event stream",
}
_CLEAR: Final = re.compile(rb'\s*\{\s*"')
_LIST_SIGN: Final = "["
# The first member that may hold what a model wrote, which is not stored.
_OUTPUT: Final = re.compile(
    rb'"(?:choices|contents?|messages?|outputs?|response|text|data|embeddings?|results?|delta|candidates|completions?|'
    rb'generated_text|generations?|arguments|thinking|reasoning(?:_content)?)"\s*:\s*[^\s"]?'
)
_MESSAGES: Final = (
    "message", "msg", "detail", "error_message", "errorMessage", "error_msg", "status_msg", "reason",
)  # fmt: skip
_CODES: Final = ("code", "status_code", "errorCode", "error_code", "status")
_INSIDE: Final = ("error", "errors", "base_resp", "header", "detail", "Output", "data")  # objects that hold an error


def judged(
    dialect: Dialect, framing: BodyFraming, beginning: bytes, reader: ResponseReader | None, facts: ResponseFacts
) -> ResponseFacts:
    """``facts`` of a body that has ended, with an error if it was no answer of ``dialect``.

    ``beginning`` is the first bytes of the body; of one that is a JSON document, all of it if that is not longer than
    ``MAX_OPEN_BYTES``.
    """
    if is_settled(facts):
        return facts
    if reader is None:
        error = _of_unread(dialect, framing, beginning)
    elif facts.content_chunks is not None:
        error = _of_stream(dialect, reader, facts)
    else:
        error = _of_body(dialect, framing, beginning, facts)
    return facts if error is None else msgspec.structs.replace(facts, error=error)


def broken_off(reader: ResponseReader | None, facts: ResponseFacts) -> ResponseFacts:
    """``facts`` of a body that broke off, with the error that the last event told in words of its own, if it did."""
    if is_settled(facts) or facts.terminal or not isinstance(reader, EventReader):
        return facts
    if not reader.last_odd or reader.odd_chunks < reader.content_chunks:
        return facts
    value = _json(reader.last_odd)
    return msgspec.structs.replace(facts, error=own_error(value)) if _is_failure(value) else facts


def is_settled(facts: ResponseFacts) -> bool:
    """It is an error already, or whole and ended for a reason: nothing is left to judge."""
    if facts.error is not None:
        return True
    return facts.finish_reason is not None and (facts.terminal or facts.malformed or facts.content_chunks is not None)


def _of_unread(dialect: Dialect, framing: BodyFraming, beginning: bytes) -> ErrorFacts | None:
    """Nobody reads such bodies here: nothing, or something else than an answer."""
    if framing in dialect.raw:
        return None
    if framing is NOTHING:
        return ErrorFacts(verdict=Verdict.EMPTY, message="The answer is empty.")
    if framing in {DOCUMENT, LIST} and not dialect.signs:
        value = _json(beginning)
        return own_error(value) if isinstance(value, dict) and _says_so(value) else None
    if framing is EVENTS:
        events = SseReader().feed(beginning + b"\n\n")
        first = next((event.data for event in events if event.data != b"[DONE]"), b"")
        return own_error(_json(first)) or _stranger(framing, beginning)
    return _stranger(framing, beginning)


def _of_body(dialect: Dialect, framing: BodyFraming, beginning: bytes, facts: ResponseFacts) -> ErrorFacts | None:
    """It began as JSON."""
    if framing is LINES:
        return None  # several answers in one body: each says for itself how it ended
    if not facts.terminal and (TEXT in dialect.raw or (dialect.raw and not _CLEAR.match(beginning))):
        return None  # a text, or sound, that happens to begin like JSON
    if not facts.terminal and not facts.malformed:
        return ErrorFacts(verdict=Verdict.TRUNCATED, message=_text("The answer is JSON that breaks off", beginning))
    if len(beginning) >= MAX_OPEN_BYTES or _is_sound(dialect, framing, beginning):
        return None  # what is not seen may have all it needs
    value = _json(beginning)
    if not dialect.signs and isinstance(value, dict):
        return own_error(value) if _says_so(value) else None
    error = own_error(value)
    if error is None and _named(dialect.signs).search(beginning):
        return ErrorFacts(verdict=Verdict.EMPTY, message=_text("The answer has no output", beginning))
    return error or _stranger(framing, beginning)


def _is_sound(dialect: Dialect, framing: BodyFraming, beginning: bytes) -> bool:
    """It has what an answer of the dialect must have."""
    if framing is LIST:
        return _LIST_SIGN in dialect.signs or not dialect.signs
    signs = _filled(dialect.signs) if dialect.never_empty else _given(dialect.signs)
    return signs.search(beginning) is not None


def _of_stream(dialect: Dialect, reader: ResponseReader, facts: ResponseFacts) -> ErrorFacts | None:
    """An ``EventReader`` kept what told it nothing: the first such event, and the last."""
    first, last = (reader.first_odd, reader.last_odd) if isinstance(reader, EventReader) else (b"", b"")
    known = bool(facts.content_chunks) or _is_known(facts)
    if facts.terminal:
        if facts.content_chunks or (not dialect.never_empty and (first or known)):
            return None
        if first and not known:
            return own_error(_json(first)) or _stranger(EVENTS, first)
        return ErrorFacts(verdict=Verdict.EMPTY, message="The stream ended without any output.")
    if not last:
        return None
    value = _json(last)
    if known:  # it broke off: by an error in words that the reader does not know?
        return own_error(value) if _is_failure(value) else None
    if value is None and first == last and not facts.malformed and last.startswith(b"{"):
        return ErrorFacts(verdict=Verdict.TRUNCATED, message=_text("The stream breaks off in its first event", first))
    return own_error(value) or (
        ErrorFacts(verdict=Verdict.MALFORMED, message=_text("The events cannot be understood", first))
        if facts.malformed
        else _stranger(EVENTS, first)
    )


def _is_known(facts: ResponseFacts) -> bool:
    """Some event was one of the dialect's own."""
    return (
        facts.response_model is not None
        or facts.response_id is not None
        or facts.tool_call_count is not None
        or facts.usage_reported is not None
    )


def own_error(value: object) -> ErrorFacts | None:
    """The error that JSON without any sign of an answer tells in words of its own; None if it tells none."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return None
    if value.get("error") or isinstance(value.get("detail"), list):
        return error_in_body(value) or ErrorFacts()
    for name in _INSIDE:
        inside = value.get(name)
        if isinstance(inside, list) and inside and name != "data":
            inside = inside[0]
        found = _told(inside) if isinstance(inside, dict) else None
        if found is not None:
            return found
    return _told(value)


def _told(value: dict[str, Any]) -> ErrorFacts | None:
    text = next((value[name] for name in _MESSAGES if isinstance(value.get(name), str) and value[name]), None)
    if text is None:
        return None
    code = next((value[name] for name in _CODES if isinstance(value.get(name), str | int) and value[name]), None)
    return error_facts({"message": text, "code": code, "type": value.get("type") or value.get("__type")})


def _says_so(value: dict[str, Any]) -> bool:
    """JSON that says of itself that it is no success, whatever else it has."""
    if value.get("success") is False or value.get("error") or set(value) == {"detail"}:
        return True
    return minimax_error(value.get("base_resp")) is not None


def _is_failure(value: object) -> bool:
    """JSON that says of itself, and of nothing else, that something failed."""
    if not isinstance(value, dict):
        return False
    if _says_so(value):
        return True
    return (
        not isinstance(value.get("message"), dict)
        and any(value.get(name) for name in ("code", "status_code"))
        and (own_error(value) is not None)
    )


def _json(data: bytes) -> object:
    try:
        return decode_any(begun(data))
    except UNREADABLE:
        return None


@cache
def _named(signs: tuple[str, ...]) -> re.Pattern[bytes]:
    """A member of one of these names, at any depth; ``name:value`` is one whose text begins so."""
    named = (sign.partition(":") for sign in signs if sign != _LIST_SIGN)
    members = [rf'"{name}"\s*:' + (rf'\s*"{text}' if text else "") for name, _, text in named]
    return re.compile("|".join(members).encode() or rb"(?!)")


@cache
def _given(signs: tuple[str, ...]) -> re.Pattern[bytes]:
    """The same, and not null."""
    return re.compile(b"(?:%b)" % _named(signs).pattern + rb"(?!\s*null)")


@cache
def _filled(signs: tuple[str, ...]) -> re.Pattern[bytes]:
    """The same, neither null nor an empty list."""
    return re.compile(b"(?:%b)" % _named(signs).pattern + rb"(?!\s*(?:null|\[\s*\]))")


def _stranger(framing: BodyFraming, beginning: bytes) -> ErrorFacts:
    kind = _KINDS.get(framing, "Something")
    if framing is PAGE:
        said = read_error(beginning).message or ""
        return ErrorFacts(verdict=Verdict.NOT_AN_ANSWER, message=f"{kind} in place of an answer: {said[:_SHOWN_CHARS]}")
    return ErrorFacts(verdict=Verdict.NOT_AN_ANSWER, message=_text(f"{kind} in place of an answer", beginning))


def _text(said: str, beginning: bytes) -> str:
    words = _words(beginning)
    return f"{said}: {words}" if words else f"{said}."


def _words(beginning: bytes) -> str:
    """The first words of a body, without what a model may have written in it."""
    shown = begun(beginning[:_SHOWN_BYTES])
    output = _OUTPUT.search(shown) if shown.startswith((b"{", b"[", b"data:", b"event:")) else None
    text = (shown if output is None else shown[: output.start()]).decode("utf-8", "replace")
    if any(ord(char) < ord(" ") and not char.isspace() for char in text[:_SHOWN_CHARS]):
        return ""
    words = error_message(text) or ""
    return words[:_SHOWN_CHARS] + ("…" if output is not None or len(words) > _SHOWN_CHARS else "")
