"""Server-sent events, framed as the WHATWG HTML standard (section 9.2.6) says, from bytes that are cut anywhere.

Two additions that real servers need: a field ``error:`` (some llama.cpp builds report failures with it) gives an event
named ``error``, and an event that the end of the stream leaves without its blank line is still given, by ``finish``.
The fields ``id`` and ``retry`` carry no facts and are passed over.

Line ends are made equal first, so that one search for LF LF frames everything; a whole ``data: {...}`` event, which is
nearly all of the traffic, then costs one split and one slice.
"""

from typing import Final

import msgspec

from llm_metrics_proxy.wire.lines import MAX_PIECE_BYTES, LineEnds, Splitter

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event. ``name`` is empty when the stream gave none (the standard's ``message``)."""

    data: bytes
    name: bytes = b""


class SseReader:
    """Feed bytes, get events. An event above ``max_event_bytes`` is left out and sets ``overflowed``."""

    __slots__ = ("_beginning", "_blocks", "_line_ends")

    def __init__(self, max_event_bytes: int = MAX_PIECE_BYTES) -> None:
        self._line_ends = LineEnds()
        self._blocks = Splitter(b"\n\n", max_event_bytes)
        self._beginning: bytes | None = b""  # up to two bytes that may begin a byte-order mark; None: past it

    @property
    def overflowed(self) -> bool:
        """An event was too long to be held and was left out."""
        return self._blocks.skipped > 0

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
        _read_block(self._blocks.finish(), events)
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
