"""Chooses who reads an answer, by its first bytes; and judges at its end whether it was one.

Nothing stands between the chosen reader and the body: ``take`` is asked until it has decided, which it nearly always
has with the first bytes of a stream; the caller then feeds ``reader`` itself. A JSON document is held to its end, or to
``MAX_OPEN_BYTES`` of it, because only what follows an object shows whether it was the whole answer.
"""

from collections.abc import Callable
from typing import Final

from llm_metrics_proxy.wire.base import ResponseFacts, ResponseReader
from llm_metrics_proxy.wire.dialects import NO_CONTENT, Dialect
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.framing import (
    BINARY,
    BLANK,
    DOCUMENT,
    EVENTS,
    LINES,
    LIST,
    MAX_OPEN_BYTES,
    NOTHING,
    PROMISED,
    TEXT,
    BodyFraming,
    begun,
    frame,
)
from llm_metrics_proxy.wire.judgement import is_settled, judged
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.sse import SseReader
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_FRAMES: Final[dict[BodyFraming, type[SseReader | NdjsonReader]]] = {
    EVENTS: SseReader,
    LINES: NdjsonReader,
}  # any dialect's events, framed in another way than usual
_SOUND: Final = (b"audio/", b"image/", b"video/", b"application/octet-stream")
_TEXTS: Final = (b"text/plain", b"text/vtt", b"text/srt", b"application/x-subrip")
_FRAMED: Final = tuple(_FRAMES)  # an enum's member is slow to look up in a dictionary
_DOCUMENTS: Final = (DOCUMENT, LIST)
_OK: Final = 200
_SHOWN_BYTES: Final = 4096  # of what nobody reads
_SEEN_BYTES: Final = 64
_LIKE_TEXT: Final = (DOCUMENT, LIST, EVENTS)
_CLEAR: Final = (b'{"', b"data: {", b"data:{", b"event:")
_BRACE: Final = ord("{")
_EVENT_BEGINS: Final = (b"data:", b"event:")
_UNREAD: Final = ResponseFacts(terminal=True)


class FirstBytes:
    """Of one answer. ``reader`` is None until it is chosen, and stays so for what nobody reads."""

    __slots__ = (
        "_document",
        "_held",
        "_in_line",
        "dialect",
        "framing",
        "media",
        "passes",
        "promised",
        "reader",
        "status",
    )

    def __init__(self, dialect: Dialect, status: int, media: bytes) -> None:
        self.dialect = dialect
        self.status = status
        self.media = media
        promised = PROMISED.get(media)
        self.promised = promised if promised is dialect.streams else None
        self.framing: BodyFraming | None = None
        self.reader: ResponseReader | None = None
        self.passes = False  # it is sound, a picture or a text, as it should be: nothing to read or to judge
        self._held: bytes | bytearray = b""
        self._document: BodyFraming | None = None  # it is one, and held until it can be judged
        self._in_line = False  # it begins with an object, and its first line is not complete

    def __repr__(self) -> str:
        return f"<FirstBytes {self.dialect.name} {self.framing or 'undecided'} {len(self._held)} bytes>"

    def take(self, data: bytes) -> bytes:
        """The next bytes; returns what ``reader`` must be fed, once it is chosen."""
        held = self._held
        if not held:
            if self.framing is not None:
                return b""
            if data and data[0] == _BRACE and b"\n" not in data and len(data) < MAX_OPEN_BYTES:
                self._held, self._in_line = data, True  # nearly always the whole of a JSON answer
                return b""
            framing = self._clear(data)
            if framing is not None and not self.dialect.raw:  # nearly every stream: what ``_choose`` would do
                self.framing = framing
                self.reader = reader_of(self.dialect, framing, self.promised)
                if self.reader is None:
                    self._held = data
                return data
            if not data.strip(BLANK):
                return b""  # sent to keep the connection alive
            self._held = data
            return self._choose(data, framing or self._frame(data))
        if self.framing is not None and len(held) > _SHOWN_BYTES:
            return b""
        if isinstance(held, bytes):
            held = self._held = bytearray(held)
        held += data
        if self.framing is not None or (self._waits(data) and len(held) < MAX_OPEN_BYTES):
            return b""
        held = bytes(held)
        return self._choose(held, self._document or self._frame(held))

    def finish(self) -> ResponseFacts:
        """The facts of a body that ended before anything was chosen, or that nobody reads."""
        if self.framing is None:
            held = bytes(self._held)
            document = DOCUMENT if self._in_line and self.promised is not LINES else self._document
            rest = self._choose(held, document or self._frame(held, ended=True), ended=True)
            if self.reader is not None:
                self.reader.feed(rest)
        return _UNREAD if self.reader is None else self.reader.finish()

    def judge(self, facts: ResponseFacts) -> ResponseFacts:
        """``facts`` of an answer that is complete, with an error if it was none."""
        if facts.finish_reason is not None and facts.terminal:
            return facts  # nearly every answer; the next line would say the same
        if is_settled(facts) or self.framing is None or self.passes:
            return facts
        if self.framing is NOTHING and self.status != _OK:
            return facts
        return judged(self.dialect, self.framing, bytes(self._held), self.reader, facts)

    def _clear(self, data: bytes) -> BodyFraming | None:
        """The framing of a stream that shows it from its first byte on, as ``frame`` would say it."""
        if data.startswith(_EVENT_BEGINS):
            return EVENTS
        opens = self.dialect.opens_stream
        if opens is not None and data.startswith(b"{"):
            line, end, _ = data[:MAX_OPEN_BYTES].partition(b"\n")
            if end and opens(line):
                return LINES
        return None

    def _frame(self, held: bytes, *, ended: bool = False) -> BodyFraming | None:
        return frame(held, self.promised, self.dialect.opens_stream, ended=ended)

    def _waits(self, data: bytes) -> bool:
        """Nothing that ``data`` has can decide now."""
        return self._document is not None or (self._in_line and b"\n" not in data)

    def _choose(self, held: bytes, framing: BodyFraming | None, *, ended: bool = False) -> bytes:
        if framing is None:
            self._in_line = begun(held).startswith(b"{") and b"\n" not in begun(held)
            return b""
        dialect = self.dialect
        if dialect.raw:
            if framing is EVENTS and len(held) < _SEEN_BYTES and not ended and self._says_raw():
                return b""
            framing = self._raw(framing, held)
            self.passes = framing in dialect.raw
        if not ended and framing in _DOCUMENTS and framing not in dialect.readers and len(held) < MAX_OPEN_BYTES:
            self._document = framing
            return b""
        self.framing = framing
        self.reader = None if self.passes else reader_of(dialect, framing, self.promised)
        if self.passes or (self.reader is not None and framing not in _DOCUMENTS):
            self._held = b""
        return begun(held) if framing in _DOCUMENTS and not held.startswith(b"{") else held

    def _raw(self, framing: BodyFraming, held: bytes) -> BodyFraming:
        """Sound and texts may begin like anything: their type is believed, unless they begin with clear JSON."""
        if framing in _LIKE_TEXT and not begun(held).startswith(_CLEAR):
            return self._says_raw() or framing
        return framing

    def _says_raw(self) -> BodyFraming | None:
        """Sound or a text, if its type says so and the dialect has any."""
        if BINARY in self.dialect.raw and self.media.startswith(_SOUND):
            return BINARY
        return TEXT if TEXT in self.dialect.raw and self.media in _TEXTS else None


def reader_of(dialect: Dialect, framing: BodyFraming, promised: BodyFraming | None = None) -> ResponseReader | None:
    """A reader for an answer that is framed so; None if nobody reads it."""
    make = dialect.readers.get(framing) if dialect.readers else None
    if make is not None:
        return make()
    if framing is NOTHING and promised is not None:
        framing = promised  # a stream of nothing
    if dialect.stream_reader is not None and (framing is dialect.streams or framing in _FRAMED):
        reader = dialect.stream_reader()
        if framing is not dialect.streams and isinstance(reader, EventReader):
            reader.frame_by(_FRAMES[framing])
        return reader
    return dialect.body_reader() if framing in _DOCUMENTS and dialect.body_reader is not None else None


def reader_of_whole(
    dialect: Dialect | None, status: int, media: bytes
) -> Callable[[bytes], ResponseFacts | None] | None:
    """Who reads whole answers with that head at once, as ``FirstBytes`` would, and judges them.

    It says None for what is not a short JSON object in one line, or is odd: a closer look will tell. None: there is no
    such reader.
    """
    if dialect is None or dialect.body_reader is None or status != _OK or dialect.raw or dialect.readers:
        return None
    reader = dialect.body_reader()
    if not isinstance(reader, WholeBodyReader) or (PROMISED.get(media) is LINES and dialect.streams is LINES):
        return None
    sound, read_whole = dialect, reader.read_whole

    def read(body: bytes) -> ResponseFacts | None:
        if not body.startswith(b"{") or b"\n" in body or len(body) >= MAX_OPEN_BYTES:
            return None
        try:
            facts = read_whole(body)
            return facts if facts.finish_reason is not None else judged(sound, DOCUMENT, body, reader, facts)
        except Exception:  # noqa: BLE001 -- if it is a fault of ours, the closer look meets it again, and it is logged
            return None

    return read


def reader_for(dialect: Dialect | None, status: int, media: bytes) -> ResponseReader | FirstBytes | None:
    """Who reads a final response's body, whatever the request asked for; ``media`` is its ``media_type``.

    None: the body has no facts for us (no dialect, a redirect, no content). An error status is read without a dialect
    too; its reader sees for itself whether JSON, an event stream, HTML or text came.
    """
    if status >= 400:
        return ErrorBodyReader()
    if dialect is None or not 200 <= status < 300 or status in NO_CONTENT:
        return None
    if dialect.stream_reader is None and dialect.body_reader is None and not dialect.readers:
        return None
    return FirstBytes(dialect, status, media)
