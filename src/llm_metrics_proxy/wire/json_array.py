"""A JSON array that arrives piece by piece, as a stream of its elements: each object in it is one event.

Google streams so unless asked for server-sent events: ``[{…}``, later ``,\\r\\n{…}``, in the end ``]``. An element may
hold pictures of many MB: one that does not come in one piece is made small as it passes (``json_shrink``).
"""

import re
from typing import ClassVar, Final

from llm_metrics_proxy.wire.json_shrink import CLOSER, MAX_STRING_BYTES, TO_BRACKET, JsonShrinker, end_of
from llm_metrics_proxy.wire.lines import MAX_PIECE_BYTES
from llm_metrics_proxy.wire.sse import SseEvent

_BETWEEN: Final = re.compile(rb"[\s,]*+")
_OPEN, _CLOSE, _OBJECT, _QUOTE = b'[]{"'


class JsonArrayReader:
    """Feed bytes, get elements as events without a name.

    An element of which more than ``max_event_bytes`` matter, or that is no object, ends the reading: ``overflowed``.
    """

    __slots__ = ("_begun", "_element", "_max_event_bytes", "_max_kept_bytes", "ended", "overflowed")

    max_depth: ClassVar[int] = 3  # as of a ``JsonShrinker``, the element being the outermost container
    drop: ClassVar[frozenset[bytes]] = frozenset()
    at_boundary: ClassVar[bool] = False  # elements have no form that would be recognised

    def __init__(self, max_event_bytes: int = MAX_PIECE_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._max_kept_bytes = min(max_event_bytes, MAX_STRING_BYTES)  # of an element that stays as it is
        self._begun = False  # the opening bracket was there
        self._element: JsonShrinker | None = None
        self.ended = False  # the closing bracket was
        self.overflowed = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The elements that ``data`` completes."""
        events: list[SseEvent] = []
        position = 0
        while position < len(data) and not self.overflowed:
            if self._element is None:
                position = self._between(data, end_of(_BETWEEN, data, position))
                if self._element is not None and (end := self._whole(data, position)):
                    events.append(SseEvent(data[position:end]))
                    self._element = None
                    position = end
                continue
            position = self._element.take(data, position)
            self.overflowed = self._element.broken
            if self._element.complete:
                events.append(SseEvent(self._element.finish()))
                self._element = None
        return events

    def finish(self) -> list[SseEvent]:
        """The element, if any, whose end never came: what was whole in it."""
        element, self._element = self._element, None
        return [] if element is None or self.overflowed else [SseEvent(element.finish())]

    def _whole(self, data: bytes, position: int) -> int:
        """Where the element ends that begins here, if it is whole and a shrinker would change nothing in it; else 0."""
        closers = bytearray()
        end = position
        while end < len(data) and data[end] != _QUOTE:
            byte = data[end]
            if byte in CLOSER:
                closers.append(CLOSER[byte])
                if len(closers) > self.max_depth:
                    return 0
            elif closers.pop() != byte:
                return 0
            end += 1
            if not closers:
                return 0 if end - position > self._max_kept_bytes or self._drops(data[position:end]) else end
            end = end_of(TO_BRACKET, data, end)
        return 0

    def _drops(self, element: bytes) -> bool:
        return any(b'"%b"' % key in element for key in self.drop)

    def _between(self, data: bytes, position: int) -> int:
        if position == len(data):
            return position
        byte = data[position]
        if byte == _OBJECT and self._begun and not self.ended:
            self._element = JsonShrinker(max_depth=self.max_depth, drop=self.drop, max_kept_bytes=self._max_event_bytes)
            return position
        if byte == _OPEN and not self._begun:
            self._begun = True
        elif byte == _CLOSE and self._begun and not self.ended:
            self.ended = True
        else:
            self.overflowed = True
        return position + 1
