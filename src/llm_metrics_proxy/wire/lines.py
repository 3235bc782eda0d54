"""Bounded, incremental cutting of a text stream: line ends made equal, then pieces between separators.

Splitting at ``b"\\n\\n"`` frames SSE events and at ``b"\\n"`` frames NDJSON lines. Both work on bytes: no byte of a
multi-byte UTF-8 character equals CR or LF, so a cut inside a character needs no care, and U+2028, U+2029 and U+0085,
which ``str.splitlines`` would take for line ends, stay what they are: text.
"""

from typing import Final

MAX_PIECE_BYTES: Final = 1024 * 1024


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
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data


class Splitter:
    """Cuts a stream at ``separator`` (one or more LFs); pieces above ``max_piece_bytes`` are left out and counted."""

    __slots__ = ("_held", "_max_piece_bytes", "_separator", "_skipping", "skipped")

    def __init__(self, separator: bytes, max_piece_bytes: int = MAX_PIECE_BYTES) -> None:
        self._separator = separator
        self._max_piece_bytes = max_piece_bytes
        self._held = bytearray()  # an unfinished piece: appending byte by byte costs amortised constant time
        self._skipping = False  # the unfinished piece is too long already; only a possible half separator is held
        self.skipped = 0

    def __repr__(self) -> str:
        state = "skipping" if self._skipping else "holding"
        return f"<{type(self).__name__} {state} {len(self._held)} bytes, {self.skipped} pieces skipped>"

    @property
    def is_empty(self) -> bool:
        """Nothing of an unfinished piece is held."""
        return not self._held and not self._skipping

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that ``data`` completes, without their separators."""
        held = self._held
        if held:
            half = bytes(held[1 - len(self._separator) :]) if len(self._separator) > 1 else b""
            complete = self._separator in half + data
            held += data
            if not complete:
                self._bound()
                return []
            data = bytes(held)
            held.clear()
        pieces = data.split(self._separator)
        rest = pieces.pop()
        if self._skipping and pieces:
            self._skipping = False
            self.skipped += 1
            del pieces[0]
        if rest:
            held += rest
            self._bound()
        if len(data) > self._max_piece_bytes:
            fitting = [piece for piece in pieces if len(piece) <= self._max_piece_bytes]
            self.skipped += len(pieces) - len(fitting)
            return fitting
        return pieces

    def finish(self) -> bytes:
        """What came after the last separator; empty if nothing did, or if it was too long."""
        rest = bytes(self._held)
        self._held.clear()
        if self._skipping or len(rest) > self._max_piece_bytes:
            self._skipping = False
            self.skipped += 1
            return b""
        return rest

    def _bound(self) -> None:
        """Let go of an unfinished piece that can only be too long, but not of a separator that has half arrived."""
        if self._skipping or len(self._held) >= self._max_piece_bytes + len(self._separator):
            self._skipping = True
            del self._held[: 1 - len(self._separator) or len(self._held)]
