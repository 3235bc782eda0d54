"""Answers that are one JSON body: chat completions, completions and embeddings that are not streamed.

A small body, nearly always the whole of it in one piece, is decoded once by a struct that names only what is needed. A
larger one (embeddings are many MB of numbers) is made small as it streams by, and then decoded by the same struct.
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_facts
from llm_metrics_proxy.wire.json_shrink import JsonShrinker
from llm_metrics_proxy.wire.openai_common import PlainUsage, cut, plain_usage, read_usage, response_facts
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode, decoder_of

MAX_HELD_BYTES: Final = 256 * 1024


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    index: Any = 0


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: str | None = None
    message: Any = None  # of {"object": "error", "message": …}
    type: Any = None
    code: Any = None


_KEYS: Final = frozenset(name.encode() for name in _Answer.__struct_fields__)
_decode_answer: Final = decoder_of(_Answer)


class _PlainAnswer(msgspec.Struct, gc=False):
    """An answer as nearly all are: no error in it, and every count one. Anything else fails to decode."""

    model: str | None = None
    choices: list[_Choice] | None = None
    usage: PlainUsage | None = None
    error: None = None
    object: str | None = None


_decode_plain: Final = decoder_of(_PlainAnswer)


class JsonBodyReader:
    """Reads one body. At most ``max_held_bytes`` of it are held, or a small document in its place."""

    __slots__ = ("_facts", "_held", "_max_held_bytes", "_shrinker")

    def __init__(self, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_held_bytes = max_held_bytes
        self._held: bytes | bytearray = b""
        self._facts: ResponseFacts | None = None  # of a body that came in one piece
        self._shrinker: JsonShrinker | None = None

    def feed(self, data: bytes) -> int:
        """Take the next bytes. A body that is whole in its first piece shows its bits here, any other only facts."""
        if self._shrinker is not None:
            self._shrinker.feed(data)
            return 0
        first = not self._held
        if first:
            self._held = data
        else:
            self._facts = None
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += data
        if len(self._held) > self._max_held_bytes:
            self._shrinker = _shrink(bytes(self._held))
            self._held = b""
            return 0
        return self._try_whole(data) if first else 0

    def finish(self) -> ResponseFacts:
        """The facts, whether the body ended well or broke off."""
        if self._facts is not None:
            return self._facts
        if self._shrinker is not None:
            return _facts_of_small(self._shrinker)
        body = bytes(self._held)
        answer = decode(_Answer, body)
        return _salvage(body) if answer is None else _facts(answer, terminal=True, malformed=False)

    def _try_whole(self, data: bytes) -> int:
        if not data.endswith((b"}", b"\n")):
            return 0
        try:
            plain = _decode_plain(data)
        except UNREADABLE:
            plain = None
        if plain is not None and plain.object != "error":
            self._facts = _plain_facts(plain)
            return SAW_TERMINAL
        try:
            answer = _decode_answer(data)
        except UNREADABLE:
            return 0  # not whole yet, or odd: finish looks closer
        self._facts = _facts(answer, terminal=True, malformed=False)
        return SAW_TERMINAL | (SAW_ERROR if _is_error(answer) else 0)


def _shrink(data: bytes) -> JsonShrinker:
    shrinker = JsonShrinker(_KEYS)
    shrinker.feed(data)
    return shrinker


def _salvage(body: bytes) -> ResponseFacts:
    """What a body that is no JSON object still tells: cut short, or spoilt in a part that we do not need."""
    shrinker = _shrink(body)
    facts = _facts_of_small(shrinker)
    return msgspec.structs.replace(facts, malformed=True) if shrinker.complete else facts


def _facts_of_small(shrinker: JsonShrinker) -> ResponseFacts:
    answer = decode(_Answer, shrinker.finish())
    unreadable = shrinker.broken or (shrinker.complete and answer is None)
    return _facts(answer or _Answer(), terminal=shrinker.complete and not unreadable, malformed=unreadable)


def _plain_facts(answer: _PlainAnswer) -> ResponseFacts:
    return response_facts(
        model=cut(answer.model),
        finish_reason=_finish_reason(answer.choices) if answer.choices else None,
        usage=None if answer.usage is None else plain_usage(answer.usage),
        terminal=True,
        malformed=False,
        error=None,
    )


def _is_error(answer: _Answer) -> bool:
    return bool(answer.error) or answer.object == "error"


def _error(answer: _Answer) -> ErrorFacts | None:
    """A success status with an error inside: OpenRouter, and servers that send their errors with status 200."""
    if not _is_error(answer):
        return None
    value = answer.error or {"message": answer.message, "type": answer.type, "code": answer.code}
    return error_facts(value) or ErrorFacts()


def _facts(answer: _Answer, *, terminal: bool, malformed: bool) -> ResponseFacts:
    return response_facts(
        model=cut(answer.model),
        finish_reason=_finish_reason(answer.choices) if answer.choices else None,
        usage=read_usage(answer.usage) if isinstance(answer.usage, dict) else None,
        terminal=terminal,
        malformed=malformed,
        error=_error(answer),
    )


def _finish_reason(choices: list[_Choice]) -> str | None:
    """Of the choice with the lowest index that gave one."""
    if len(choices) == 1:
        return cut(choices[0].finish_reason)
    if len(choices) == 1:
        return cut(choices[0].finish_reason)
    given = [choice for choice in choices if choice.finish_reason]
    if not given:
        return None
    first = min(given, key=lambda choice: choice.index if isinstance(choice.index, int) else 0)
    return cut(first.finish_reason)
