"""A JSON array that arrives piece by piece, as a stream of its elements: each object in it is one event.

Google streams so unless asked for server-sent events: ``[{…}``, later ``,\\r\\n{…}``, in the end ``]``. An element may
hold pictures of many MB: one that is too large to be held is made small as it passes.
"""

import re
from typing import ClassVar, Final

from llm_metrics_proxy.wire.json_shrink import TO_BRACKET, LargeJson, Shape, end_of
from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES
from llm_metrics_proxy.wire.sse import SseEvent

_BETWEEN: Final = re.compile(rb"[\s,]*+")
_STRING: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)  # to its end, or to a backslash that ends the piece
_OPEN, _CLOSE, _OBJECT, _QUOTE = b'[]{"'
_CLOSER: Final = {_OBJECT: ord("}"), _OPEN: _CLOSE}


class JsonArrayReader:
    """Feed bytes, get elements as events without a name; ``shape``: what is read of them.

    Anything but an array of objects ends the reading: ``broken``.
    """

    __slots__ = (
        "_begun", "_closers", "_escaped", "_held", "_in_string", "_large", "_max_held_bytes", "_shape", "broken",
        "ended",
    )  # fmt: skip

    at_boundary: ClassVar[bool] = False  # elements have no form that would be recognised

    def __init__(self, shape: Shape | None = None, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._shape = shape
        self._max_held_bytes = max_held_bytes
        self._begun = False  # the opening bracket was there
        self._closers = bytearray()  # of the open containers of an element; none: between two
        self._in_string = False
        self._escaped = False  # the piece ended after a backslash
        self._held = bytearray()  # of the element
        self._large: LargeJson | None = None  # the element, if it is a large one; then nothing is held
        self.ended = False  # the closing bracket was there
        self.broken = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The elements that ``data`` completes."""
        events: list[SseEvent] = []
        position = 0
        while position < len(data) and not self.broken:
            if not self._closers:
                position = self._between(data, end_of(_BETWEEN, data, position))
                continue
            end = self._inside(data, position)
            self._hold(data[position:end])
            position = end
            if not self._closers and not self.broken:
                events += self._take()
        return events

    def finish(self) -> list[SseEvent]:
        """The element, if any, whose end never came. It may be cut short."""
        return [] if self.broken or not self._closers else self._take()

    def _between(self, data: bytes, position: int) -> int:
        if position == len(data):
            return position
        byte = data[position]
        if byte == _OBJECT and self._begun and not self.ended:
            self._closers.append(_CLOSER[byte])
            self._hold(b"{")
        elif byte == _OPEN and not self._begun:
            self._begun = True
        elif byte == _CLOSE and self._begun and not self.ended:
            self.ended = True
        else:
            self.broken = True
        return position + 1

    def _inside(self, data: bytes, position: int) -> int:
        """Where the element stops in this piece."""
        while position < len(data):
            if self._in_string:
                position = self._string(data, position)
                continue
            position = end_of(TO_BRACKET, data, position)
            if position == len(data):
                break
            byte = data[position]
            position += 1
            if byte == _QUOTE:  # of a string that does not end here
                self._in_string = True
            elif byte in _CLOSER:
                self._closers.append(_CLOSER[byte])
            elif self._closers.pop() != byte:
                self.broken = True
                break
            elif not self._closers:
                break
        return position

    def _string(self, data: bytes, position: int) -> int:
        if self._escaped:
            self._escaped = False
            position += 1
        position = end_of(_STRING, data, position)
        if position == len(data):
            return position
        self._escaped = data[position] != _QUOTE
        self._in_string = self._escaped
        return position + 1

    def _hold(self, piece: bytes) -> None:
        if self._large is not None:
            self._large.feed(piece)
            return
        self._held += piece
        if len(self._held) > self._max_held_bytes:
            self._large = LargeJson(self._shape)
            self._large.feed(bytes(self._held))
            self._held.clear()

    def _take(self) -> list[SseEvent]:
        large, self._large = self._large, None
        element = bytes(self._held) if large is None else large.finish()
        self._held.clear()
        return [SseEvent(element)]
