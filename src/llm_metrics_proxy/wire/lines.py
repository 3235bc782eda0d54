"""Bounded, incremental cutting of a text stream: line ends made equal, then pieces between separators.

A piece that is too large to be held is made small while it passes, by whatever the ``Splitter`` is given for that; so
what is held of a stream is bounded, and no piece is left out.

Splitting at ``b"\\n\\n"`` frames SSE events and at ``b"\\n"`` frames NDJSON lines. Both work on bytes: no byte of a
multi-byte UTF-8 character equals CR or LF, so a cut inside a character needs no care, and U+2028, U+2029 and U+0085,
which ``str.splitlines`` would take for line ends, stay what they are: text.
"""

from collections.abc import Callable
from typing import Final, Protocol

MAX_HELD_BYTES: Final = 256 * 1024  # of a piece; a larger one is made small
_LINE_END: Final = b"\n"  # with which every separator begins, and ends
_LONG_BYTES: Final = 4096


class Large(Protocol):
    """One large piece."""

    def feed(self, data: bytes) -> None:
        """Take the next part of it, cut anywhere."""

    def finish(self) -> bytes:
        """The small piece that says the same."""


class LineEnds:
    """Turns CR, LF and CRLF, the only line ends of an event stream, into LF; CRLF may be cut in the middle."""

    __slots__ = ("after_cr",)

    def __init__(self) -> None:
        self.after_cr = False  # the last byte was CR: an LF that follows belongs to it

    def feed(self, data: bytes) -> bytes:
        """``data`` with every line end as one LF. A line ended by CR is complete at once, without waiting for an LF."""
        if self.after_cr and data:
            self.after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self.after_cr = data.endswith(b"\r")
            first = data.find(b"\r")  # what is long has its line ends at its end, mostly
            data = data[:first] + data[first:].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


class Splitter:
    """Cuts a stream at ``separator``, one or two LFs. ``Large`` makes pieces above ``max_held_bytes`` small."""

    __slots__ = ("_held", "_large", "_make_large", "_max_held_bytes", "_separator", "_tail")

    def __init__(self, separator: bytes, make_large: Callable[[], Large], max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._separator = separator
        self._make_large = make_large
        self._max_held_bytes = max_held_bytes
        self._held = bytearray()  # an unfinished piece: appending byte by byte costs amortised constant time
        self._large: Large | None = None  # the unfinished piece, if it is a large one; then nothing is held
        self._tail = b""  # its last byte, if a separator has half arrived

    def __repr__(self) -> str:
        state = "in a large piece" if self._large is not None else f"holding {len(self._held)} bytes"
        return f"<{type(self).__name__} {state}>"

    @property
    def is_empty(self) -> bool:
        """The next byte is the first of a piece."""
        return not self._held and self._large is None

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that ``data`` completes, without their separators."""
        if self._large is not None:
            return self._feed_large(self._large, data)
        held = self._held
        if held:
            half = bytes(held[1 - len(self._separator) :]) if len(self._separator) > 1 else b""
            first = data.find(_LINE_END)
            complete = first >= 0 and self._separator in (data[first:] if first else half + data)
            held += data
            if not complete:
                if len(held) > self._max_held_bytes:
                    self._bound()
                return []
            data = bytes(held)
            held.clear()
        pieces = _split(data, self._separator)
        rest = pieces.pop()
        if rest:
            held += rest
            if len(held) > self._max_held_bytes:
                self._bound()
        if len(data) > self._max_held_bytes:
            return [piece if len(piece) <= self._max_held_bytes else self._made_small(piece) for piece in pieces]
        return pieces

    def finish(self) -> bytes:
        """What came after the last separator; empty if nothing did."""
        large, self._large = self._large, None
        if large is not None:
            return large.finish()
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _feed_large(self, large: Large, data: bytes) -> list[bytes]:
        separator, tail = self._separator, self._tail
        seen = tail + data
        end = seen.find(separator)
        if end < 0:
            large.feed(data)
            self._tail = seen[1 - len(separator) :] if len(separator) > 1 else b""
            return []
        large.feed(data[: max(end - len(tail), 0)])
        self._large = None
        return [large.finish(), *self.feed(seen[end + len(separator) :])]

    def _made_small(self, piece: bytes) -> bytes:
        large = self._make_large()
        large.feed(piece)
        return large.finish()

    def _bound(self) -> None:
        """Make an unfinished piece small from here on if it is too large, whatever follows."""
        held, half = self._held, self._separator[1:]
        belongs_bytes = len(held) - (len(half) if half and held.endswith(half) else 0)
        if belongs_bytes > self._max_held_bytes:
            self._large = self._make_large()
            self._large.feed(bytes(held))
            self._tail = bytes(held[-len(half) :]) if half else b""
            held.clear()


def _split(data: bytes, separator: bytes) -> list[bytes]:
    """``data.split(separator)``. In 64 KiB CPython finds one byte in 1 µs and two in 72, so what is long is split line
    by line."""
    if len(data) < _LONG_BYTES:
        return data.split(separator)
    pieces, start, end = [], 0, data.find(_LINE_END)
    while end >= 0:
        if data.startswith(separator, end):
            pieces.append(data[start:end])
            start = end = end + len(separator)
        else:
            end += 1
        end = data.find(_LINE_END, end)
    pieces.append(data[start:])
    return pieces
