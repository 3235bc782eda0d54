"""Reads answers that are one JSON body. Each dialect says what it names and what it makes of it.

A small body, nearly always the whole of it in one piece, is decoded once by a struct that names only what is needed. A
larger one (embeddings are many MB of numbers) is made small as it streams by, and then decoded by the same struct.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import msgspec

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.json_shrink import JsonShrinker, shape_of
from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode, decoder_of


class WholeBodyReader(ABC):
    """Reads one body. At most ``max_held_bytes`` of it are held, or a small document in its place."""

    __slots__ = ("_facts", "_held", "_max_held_bytes", "_shrinker")

    kind: ClassVar[type[msgspec.Struct]]  # every field has a default

    def __init__(self, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_held_bytes = max_held_bytes
        self._held: bytes | bytearray = b""
        self._facts: ResponseFacts | None = None  # of a body that came in one piece
        self._shrinker: JsonShrinker | None = None

    @abstractmethod
    def facts_of(self, answer: Any, **ends: Any) -> ResponseFacts:
        """What ``answer``, a ``kind``, says, with how it ended and what went wrong. Given by each dialect."""

    def error_of(self, answer: Any) -> ErrorFacts | None:
        """The error that an answer with a successful status holds, if any."""
        return error_in_body({"error": answer.error}) if answer.error else None

    def read_whole(self, data: bytes) -> ResponseFacts:
        """The facts of a body that is whole, whatever was read before. Raises ``UNREADABLE`` if it is not, or odd."""
        return self._facts_of(decoder_of(self.kind)(data))

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
            self._shrinker = self._shrink(bytes(self._held))
            self._held = b""
            return 0
        return self._try_whole(data) if first else 0

    def finish(self) -> ResponseFacts:
        """The facts, whether the body ended well or broke off."""
        if self._facts is not None:
            return self._facts
        if self._shrinker is not None:
            return self._facts_of_small(self._shrinker)
        body = bytes(self._held)
        try:
            return self.read_whole(body)  # as if it had come in one piece
        except UNREADABLE:
            answer = decode(self.kind, body)
        return self._salvage(body) if answer is None else self._facts_of(answer)

    def _try_whole(self, data: bytes) -> int:
        if not data.endswith((b"}", b"\n")):
            return 0
        try:
            facts = self._facts = self.read_whole(data)
        except UNREADABLE:
            return 0  # not whole yet, or odd: finish looks closer
        return SAW_TERMINAL if facts.error is None else SAW_TERMINAL | SAW_ERROR

    def _shrink(self, data: bytes) -> JsonShrinker:
        shrinker = JsonShrinker(shape_of(self.kind))
        shrinker.feed(data)
        return shrinker

    def _salvage(self, body: bytes) -> ResponseFacts:
        """What can be read of a body that is not a JSON object: cut short, or spoilt in an irrelevant part."""
        shrinker = self._shrink(body)
        facts = self._facts_of_small(shrinker)
        return msgspec.structs.replace(facts, malformed=True) if shrinker.complete else facts

    def _facts_of_small(self, shrinker: JsonShrinker) -> ResponseFacts:
        answer = decode(self.kind, shrinker.finish())
        unreadable = shrinker.broken or (shrinker.complete and answer is None)
        terminal = shrinker.complete and not unreadable
        return self._facts_of(self.kind() if answer is None else answer, terminal=terminal, malformed=unreadable)

    def _facts_of(self, answer: Any, *, terminal: bool = True, malformed: bool = False) -> ResponseFacts:
        return self.facts_of(answer, terminal=terminal, malformed=malformed, error=self.error_of(answer))
