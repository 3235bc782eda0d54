"""What the readers of streamed dialects share: framing, decoding, errors, and events that are known already.

A dialect says which struct names what it needs (``kind``), what an event of it means (``read``) and what is known in
the end (``facts``). OpenAI's chat streams, most of all traffic, have a reader of their own in ``openai_stream``.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Protocol

import msgspec

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import Form, FormRules
from llm_metrics_proxy.wire.error_body import read_error_event
from llm_metrics_proxy.wire.lines import MAX_PIECE_BYTES
from llm_metrics_proxy.wire.sse import SseEvent, SseReader
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode, decoder_of

_LONGEST_MARKER: Final = 16  # [DONE] and some white space
_MOST_FORMS: Final = 16  # a stream whose events differ in more than the rules say is not worth further tries


class Framer(Protocol):
    """Cuts a body into events: ``SseReader`` or ``NdjsonReader``."""

    @property
    def overflowed(self) -> bool:
        """An event was too long and was left out."""

    @property
    def at_boundary(self) -> bool:
        """The next byte is the first of an event."""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that ``data`` completes."""

    def finish(self) -> list[SseEvent]:
        """The event that the end left incomplete."""


class EventReader(ABC):
    """Reads one stream. An event that cannot be understood sets ``malformed``; reading goes on with the next."""

    __slots__ = (
        "_form",
        "_form_bits",
        "_framer",
        "_tries",
        "content_chunks",
        "error",
        "malformed",
        "only_text",
        "terminal",
    )

    kind: ClassVar[type[msgspec.Struct]]  # every field has a default
    rules: ClassVar[FormRules] = FormRules(texts=())  # without: every event is read
    max_event_bytes: ClassVar[int] = MAX_PIECE_BYTES
    frame: ClassVar[type[SseReader] | Any] = SseReader

    def __init__(self) -> None:
        self._framer: Framer = self.frame(self.max_event_bytes)
        self._form: Form | None = None  # of the last event that brought text and nothing else
        self._form_bits = 0
        self._tries = _MOST_FORMS
        self.content_chunks = 0
        self.only_text = False  # set by ``read``: the event would say the same again with any other text in it
        self.terminal = False
        self.malformed = False
        self.error: ErrorFacts | None = None

    @abstractmethod
    def read(self, event: Any) -> int:
        """What ``event``, a ``kind``, shows. Given by each dialect."""

    @abstractmethod
    def facts(self, *, malformed: bool) -> ResponseFacts:
        """All that is known. Given by each dialect."""

    def error_of(self, data: bytes) -> ErrorFacts:
        """The facts of an event that is named ``error``."""
        return read_error_event(data)

    def feed(self, data: bytes) -> int:
        """Take the next bytes; return what they showed as ``SAW_*`` bits."""
        form = self._form
        if form is not None and form.fits(data) and self._framer.at_boundary:
            self.content_chunks += 1
            return self._form_bits
        seen = 0
        events = self._framer.feed(data)
        for event in events:
            self.only_text = False
            seen |= self._take(event)
        if self._tries and len(events) == 1 and self.only_text and seen in {SAW_TOKEN, SAW_TOKEN | SAW_OUTPUT}:
            self._tries -= 1
            self._form, self._form_bits = Form.of(data, self.rules), seen
        return seen

    def finish(self) -> ResponseFacts:
        """The facts, whether the stream ended well or broke off."""
        malformed = self.malformed
        for event in self._framer.finish():
            self._take(event)
        # An event that the end cut short cannot be read, but was not malformed: the missing terminal marker tells.
        return self.facts(malformed=malformed or self._framer.overflowed)

    def end_seen(self) -> int:
        """A finish reason or end marker."""
        self.terminal = True
        return SAW_TERMINAL

    def error_seen(self, error: ErrorFacts | None) -> int:
        """An error; the first one is the cause."""
        if self.error is None:
            self.error = error or ErrorFacts()
        return SAW_ERROR

    def _take(self, event: SseEvent) -> int:
        data = event.data
        if len(data) <= _LONGEST_MARKER and data.strip() == b"[DONE]":
            return self.end_seen()
        if event.name == b"error":
            return self.error_seen(self.error_of(data))
        try:
            value: Any = decoder_of(self.kind)(data)
        except UNREADABLE:
            value = decode(self.kind, data)
        if value is None:
            self.malformed = self.malformed or not (data.isspace() or not data)
            return 0
        seen = self.read(value)
        if seen & SAW_TOKEN:
            self.content_chunks += 1
        return seen
