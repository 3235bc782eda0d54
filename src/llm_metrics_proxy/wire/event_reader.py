"""What the readers of streams share: framing, decoding, errors, and recognising events that were seen before.

A dialect names the members that it needs (``kind``) and says what an event means (``read``) and what is known at the
end (``facts``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.aws_events import AwsEventReader
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_TERMINAL,
    SAW_TOKEN,
    SAW_VISIBLE,
    ErrorFacts,
    ResponseFacts,
)
from llm_metrics_proxy.wire.content_shape import Form, FormRules
from llm_metrics_proxy.wire.error_body import error_in_body, read_error_event
from llm_metrics_proxy.wire.json_array import JsonArrayReader
from llm_metrics_proxy.wire.json_shrink import shape_of
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.sse import SseEvent, SseReader
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode, decoder_of

_LONGEST_MARKER: Final = 16  # [DONE] and some white space
_MAX_ODD_BYTES: Final = 64 * 1024  # kept of an event that showed nothing
_MOST_FORMS: Final = 8  # a stream whose events differ in more than the rules say is not worth further tries
_ONLY_TEXT: Final = frozenset({SAW_TOKEN, SAW_VISIBLE})


class EventReader(ABC):
    """Reads one stream. An event that cannot be understood sets ``malformed``; reading goes on with the next."""

    __slots__ = (
        "_at_boundary",
        "_form",
        "_form_bits",
        "_framer",
        "_tries",
        "content_chunks",
        "error",
        "first_odd",
        "last_odd",
        "malformed",
        "odd_chunks",
        "only_text",
        "terminal",
    )

    kind: ClassVar[type[msgspec.Struct]]  # every field has a default
    rules: ClassVar[FormRules] = FormRules(texts=())  # without: every event is read
    frame: ClassVar[type[SseReader | NdjsonReader | AwsEventReader | JsonArrayReader]] = SseReader
    decode_event: ClassVar[Callable[[bytes], Any]]

    def __init_subclass__(cls) -> None:
        cls.decode_event = staticmethod(decoder_of(cls.kind))

    def __init__(self) -> None:
        self._framer = self.frame(shape_of(self.kind))
        self._form: Form | None = None  # of the last event that brought text and nothing else
        self._form_bits = 0
        self._at_boundary = False  # surely; else the framer knows
        self._tries = _MOST_FORMS
        self.content_chunks = 0
        self.only_text = False  # set by ``read``: the event would say the same again with any other text in it
        self.terminal = False
        self.malformed = False
        self.error: ErrorFacts | None = None
        self.first_odd = self.last_odd = b""  # the first and the last event that showed nothing
        self.odd_chunks = 0  # that came before the last one

    def frame_by(self, frame: type[SseReader | NdjsonReader]) -> None:
        """Take the same events, framed in another way than the dialect's own. Only before the first ``feed``."""
        if frame is not self.frame:
            self._framer = frame(shape_of(self.kind))
            self._tries = 0  # ``rules`` are about the other framing

    @abstractmethod
    def read(self, event: Any) -> int:
        """What ``event``, a ``kind``, shows. Given by each dialect."""

    @abstractmethod
    def facts(self, **ends: Any) -> ResponseFacts:
        """All that is known, with what the base class knows of how it ended. Given by each dialect."""

    def error_of(self, data: bytes) -> ErrorFacts:
        """The facts of an event that is named ``error``."""
        return read_error_event(data)

    def feed(self, data: bytes) -> int:
        """Take the next bytes; return what they showed as ``SAW_*`` bits."""
        form = self._form
        if form is not None and (self._at_boundary or self._framer.at_boundary):
            count, stop = form.run(data)
            if count:
                self.content_chunks += count
                self._at_boundary = True  # and it stays there: the framer never sees these events
                return self._form_bits if stop == len(data) else self._form_bits | self._read(data[stop:])
        return self._read(data)

    def feed_alike(self, pieces: list[bytes]) -> int:
        """Take pieces that all show the same, which is returned; 0: none was taken, ``feed`` must look at each."""
        form = self._form
        if form is None or not (self._at_boundary or self._framer.at_boundary) or not form.are_alike(pieces):
            return 0
        self._at_boundary = True
        self.content_chunks += len(pieces)
        return self._form_bits

    def finish(self) -> ResponseFacts:
        """The facts, whether the stream ended well or broke off."""
        malformed = self.malformed
        for event in self._framer.finish():
            self._take(event)
        # An event that the end cut short cannot be read, but was not malformed: the missing terminal marker shows it.
        return self.facts(
            content_chunks=self.content_chunks, terminal=self.terminal, malformed=malformed, error=self.error
        )

    def end_seen(self) -> int:
        """A finish reason or end marker."""
        self.terminal = True
        return SAW_TERMINAL

    def error_seen(self, error: ErrorFacts | None) -> int:
        """An error; the first one is the cause."""
        if self.error is None:
            self.error = error or ErrorFacts()
        return SAW_ERROR

    def member_error_seen(self, value: object) -> int:
        """An event that has an ``error``, of any shape."""
        return self.error_seen(error_in_body({"error": value}))

    def _read(self, data: bytes) -> int:
        """Frame and decode."""
        self._at_boundary = False
        seen = 0
        events = self._framer.feed(data)
        for event in events:
            self.only_text = False
            seen |= self._take(event)
        if self._tries and len(events) == 1 and self.only_text and seen in _ONLY_TEXT:
            self._tries -= 1
            form = Form.of(data, self.rules)
            if form is not None:  # else the one before may fit again: a line break or an umlaut came between
                self._form, self._form_bits = form, seen
        return seen

    def _take(self, event: SseEvent) -> int:
        data = event.data
        if len(data) <= _LONGEST_MARKER and data.strip() == b"[DONE]":
            return self.end_seen()
        if event.name == b"error":
            return self.error_seen(self.error_of(data))
        try:
            value = type(self).decode_event(data)
        except UNREADABLE:
            value = decode(self.kind, data)
        if value is None:
            self.malformed = self.malformed or not (data.isspace() or not data)
            return self._showed_nothing(data)
        seen = self.read(value)
        if seen & SAW_TOKEN:
            self.content_chunks += 1
        return seen or self._showed_nothing(data)

    def _showed_nothing(self, data: bytes) -> int:
        if len(data) > _MAX_ODD_BYTES:
            data = data[:_MAX_ODD_BYTES]
        if not self.first_odd:
            self.first_odd = data
        self.last_odd = data
        self.odd_chunks = self.content_chunks
        return 0
