"""Server-sent events, framed as the WHATWG HTML standard (section 9.2.6) says, from bytes that are cut anywhere.

Two additions that real servers need: a field ``error:`` (some llama.cpp builds report failures with it) gives an event
named ``error``, and an event that the end of the stream leaves without its blank line is still given, by ``finish``.
The fields ``id`` and ``retry`` carry no facts and are passed over.

Line ends are made equal first, so that one search for LF LF frames everything; a whole ``data: {...}`` event, which is
nearly all of the traffic, then costs one split and one slice. An event that is too large to be held (a picture, or a
whole answer) comes out small, see ``json_shrink``.
"""

from functools import partial
from typing import Final

import msgspec

from llm_metrics_proxy.wire.json_shrink import LargeJson, Shape
from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES, LineEnds, Splitter

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MAX_NAME_BYTES: Final = 256
_LONGEST_FIELD_BYTES: Final = len(b"event")  # of those that say something


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event. ``name`` is empty when the stream gave none (the standard's ``message``)."""

    data: bytes
    name: bytes = b""


class SseReader:
    """Feed bytes, get events; ``shape``: what is read of their data."""

    __slots__ = ("_beginning", "_blocks", "_line_ends")

    def __init__(self, shape: Shape | None = None, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._line_ends = LineEnds()
        self._blocks = Splitter(b"\n\n", partial(LargeEvent, shape), max_held_bytes)
        self._beginning: bytes | None = b""  # up to two bytes that may begin a byte-order mark; None: past it

    @property
    def at_boundary(self) -> bool:
        """The next byte is the first of an event."""
        return self._beginning is None and self._blocks.is_empty and not self._line_ends.after_cr

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that ``data`` completes."""
        if self._beginning is not None:
            data = self._begin(self._beginning + data)
        events: list[SseEvent] = []
        for block in self._blocks.feed(self._line_ends.feed(data)):
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(SseEvent(block[6:]))
            else:
                _read_block(block, events)
        return events

    def finish(self) -> list[SseEvent]:
        """The event, if any, whose blank line never came. Its data may be cut short."""
        events: list[SseEvent] = []
        block = self._blocks.finish()
        if block:
            _read_block(block, events)
        return events

    def _begin(self, data: bytes) -> bytes:
        """Leave out a byte-order mark, which only counts at the very start and may be cut."""
        if _BYTE_ORDER_MARK.startswith(data) and data != _BYTE_ORDER_MARK:
            self._beginning = data
            return b""
        self._beginning = None
        return data.removeprefix(_BYTE_ORDER_MARK)


def _read_block(block: bytes, events: list[SseEvent]) -> None:
    """Interpret one event's lines, in any order and number."""
    name = b""
    data: list[bytes] = []
    errors: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")  # a comment has an empty field name
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"error":
            errors.append(value)
    if errors:
        events.append(SseEvent(b"\n".join(errors), b"error"))
    if data:
        events.append(SseEvent(b"\n".join(data), name))


class LargeEvent:
    """The lines of one large event as they come, turned into the lines of a small one."""

    __slots__ = ("_at_value", "_data", "_error", "_field", "_line", "_name", "_shape")

    def __init__(self, shape: Shape | None = None) -> None:
        self._shape = shape
        self._line = b""  # its beginning, until the field is known
        self._field: bytes | None = None  # of the current line; None: not known yet
        self._at_value = False  # nothing of the value has come: a space there does not belong to it
        self._name = b""
        self._data: LargeJson | None = None
        self._error: LargeJson | None = None

    def feed(self, data: bytes) -> None:
        """Take the next part of the event, cut anywhere."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._take(data[start:end])
            self._end_line()
            start = end + 1
        self._take(data[start:] if start else data)

    def finish(self) -> bytes:
        """The small event. Its values have no line ends any more: between the parts of JSON they mean nothing."""
        self._end_line()
        lines = []
        if self._error is not None:
            lines.append(b"error: " + _one_line(self._error))
        if self._name:
            lines.append(b"event: " + self._name)
        if self._data is not None:
            lines.append(b"data: " + _one_line(self._data))
        return b"\n".join(lines)

    def _take(self, part: bytes) -> None:
        """Part of one line."""
        if self._field is None:
            line = self._line = self._line + part
            field, colon, part = line.partition(b":")
            if not colon and len(line) <= _LONGEST_FIELD_BYTES:
                return
            self._begin(field if colon else b"")
        if self._at_value and part:
            self._at_value = False
            part = part.removeprefix(b" ")
        if self._field == b"event":
            self._name = (self._name + part)[:_MAX_NAME_BYTES]
        elif self._field == b"data" and self._data is not None:
            self._data.feed(part)
        elif self._field == b"error" and self._error is not None:
            self._error.feed(part)

    def _begin(self, field: bytes) -> None:
        self._field, self._line, self._at_value = field, b"", True
        if field == b"event":
            self._name = b""
        elif field == b"data":
            self._data = _next_line(self._data, self._shape)
        elif field == b"error":
            self._error = _next_line(self._error, None)

    def _end_line(self) -> None:
        if self._field is None and self._line:  # a field without a value
            self._begin(self._line)
        self._field, self._line = None, b""


def _next_line(value: LargeJson | None, shape: Shape | None) -> LargeJson:
    """Another line of a value, or its first one."""
    if value is None:
        return LargeJson(shape)
    value.feed(b"\n")
    return value


def _one_line(value: LargeJson) -> bytes:
    return value.finish().replace(b"\n", b" ")
