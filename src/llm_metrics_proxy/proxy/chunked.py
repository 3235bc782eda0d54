"""The chunked coding (RFC 9112 section 7.1) of either side: bytes as they come in, bytes of the body out. Pure.

llhttp reads heads; what follows a head with ``Transfer-Encoding: chunked`` is read here, because llhttp refuses the
blanks that RFC 9112 section 7.1.1 lets stand around the parts of a chunk extension, and bounds neither extensions nor
trailers. In everything else this is as strict: CRLF and nothing else ends a line, a size is hexadecimal digits alone.

Extensions and trailers are hop-by-hop here and end here, whatever they say, so they are checked and discarded.
"""

import re
from typing import Final

_CRLF: Final = b"\r\n"
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_EXTENSION: Final = rb"[\t ]*;[\t ]*" + _TOKEN + rb"(?:[\t ]*=[\t ]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]+)((?:" + _EXTENSION + rb")*)")
_TRAILER: Final = re.compile(rb"(" + _TOKEN + rb"):[\t \x21-\x7e\x80-\xff]*")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})  # nobody may frame a message after its end
_MAX_DIGITS: Final = 15  # of a size, without leading zeros: a PiB, far below what overflows anywhere
_MAX_LEARNED: Final = 4096
_LONGEST_LEARNED: Final = 8  # bytes of a line
_MOST_DIGITS: Final = 8  # of a chunk that one read can hold
# Every chunk may have this much in addition to its size; only the excess adds up (as in Go's net/http).
_FREE_BYTES: Final = 16
_MAX_LINE_BYTES: Final = 4096  # of a size with its extensions


class ChunkedError(ValueError):
    """What came is not this coding, or has more around its data than is allowed; the message says which."""


class _Sizes(dict[bytes, int]):
    """Sizes by their line, for lines that are a size alone: most lines of a stream were seen before."""

    def __missing__(self, line: bytes) -> int:
        size = _size(line)
        if len(self) < _MAX_LEARNED and len(line) <= _LONGEST_LEARNED:
            self[line] = size
        return size


def _size(line: bytes) -> int:
    match = _SIZE_LINE.fullmatch(line)
    if match is None:
        raise ChunkedError("a chunk must begin with its size in hexadecimal digits (RFC 9112 section 7.1)")
    digits = match[1].lstrip(b"0")
    if len(digits) > _MAX_DIGITS:
        raise ChunkedError("the size of a chunk is beyond all reason")
    return int(digits or b"0", 16)


_SIZES: Final = _Sizes()
_known_size: Final = _SIZES.get  # none for a line that was not seen before

_BEGINNINGS: Final[dict[int, tuple[bytes, ...]]] = {}


def one_chunk(data: bytes) -> bytes | None:
    """The body's bytes if ``data`` is one chunk and what frames it says nothing but its size, as most reads of a stream
    are; else none."""
    length = len(data)
    beginnings = _BEGINNINGS.get(length) or _beginnings(length)
    return data[len(beginnings[0]) : -2] if data.startswith(beginnings) and data.endswith(_CRLF) else None


def _beginnings(length: int) -> tuple[bytes, ...]:
    """How a chunk begins that has ``length`` bytes with its framing, in small and in large digits; nothing if none can.

    So one comparison does for finding the size, reading it and comparing it with what came.
    """
    for digits in range(1, _MOST_DIGITS + 1):
        size = length - digits - 2 * len(_CRLF)
        line = b"%x\r\n" % max(size, 0)
        if size > 0 and len(line) == digits + len(_CRLF):
            beginnings = (line, line.upper())
            if length <= _MAX_LEARNED:
                _BEGINNINGS[length] = beginnings
            return beginnings
    return ()


def _whole_chunks(data: bytes, body: list[bytes]) -> int:
    """Add the chunks that ``data`` begins with, as long as they are whole and their size is known; where they end."""
    at = 0
    while (end := data.find(_CRLF, at)) >= 0:
        size = _known_size(data[at:end])
        start = end + len(_CRLF)
        if not size or not data.startswith(_CRLF, start + size):
            break
        body.append(data[start : start + size])
        at = start + size + len(_CRLF)
    return at


_LINE, _DATA, _DATA_END, _TRAILERS, _ENDED = _STATES = "LINE", "DATA", "DATA_END", "TRAILERS", "ENDED"
_TOO_MUCH: Final = "the chunk extensions or trailers are larger than this proxy allows"


class ChunkedReader:
    """Reads one body. ``ended``: it is complete, and ``rest`` is what came behind it.

    ``limit_bytes`` bounds everything but the data, without the allowance that every chunk has, and the trailers,
    each for itself.
    """

    __slots__ = ("_beside", "_held", "_left", "_limit_bytes", "_state", "ended", "rest")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._state = _LINE
        self._held = b""  # a line that is not complete
        self._left = 0  # bytes of the chunk still to come
        self._beside = 0  # bytes that were no data: of extensions, then of trailers
        self.ended = False
        self.rest = b""

    def __repr__(self) -> str:
        return f"<ChunkedReader {self._state} left={self._left}>"

    @property
    def between_chunks(self) -> bool:
        """The next byte is the first of a chunk."""
        return self._state is _LINE and not self._held

    def feed(self, data: bytes, body: list[bytes]) -> None:
        """Take the next bytes and add what they hold of the body to ``body``.

        Raises ``ChunkedError`` when it is not valid; what came before that has been added.
        """
        at, length = _whole_chunks(data, body) if self.between_chunks else 0, len(data)
        while at < length and not self.ended:
            if self._state is _DATA:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                body.append(piece)
                if not self._left:
                    self._state = _DATA_END
            elif self._state is _DATA_END and data.startswith(_CRLF, at) and not self._held:
                at += 2
                self._state = _LINE
            else:
                at = self._take_line(data, at)
        if self.ended and at < length:
            self.rest = data[at:]

    def _take_line(self, data: bytes, at: int) -> int:
        """Read on in a line; where the next one begins."""
        if self._held.endswith(b"\r") and data.startswith(b"\n", at):
            line, following = self._held[:-1], at + 1
        else:
            end = data.find(_CRLF, at)
            if end < 0:
                self._hold(data[at:])
                return len(data)
            line, following = self._held + data[at:end], end + 2
        self._held = b""
        if self._state is _LINE:
            self._take_size(line)
            if not self._left and data.startswith(_CRLF, following):  # no trailers: almost always
                self._state, self.ended = _ENDED, True
                return following + 2
        elif self._state is _TRAILERS:
            self._take_trailer(line)
        elif line:
            raise ChunkedError("the data of a chunk must be followed by CRLF")
        else:
            self._state = _LINE
        return following

    def _hold(self, piece: bytes) -> None:
        self._held += piece
        if b"\n" in piece or b"\r" in self._held[-len(piece) - 1 : -1]:
            raise ChunkedError("a line of the chunked coding must end in CRLF, and have neither of them within")
        if self._state is _DATA_END and self._held != b"\r":
            raise ChunkedError("the data of a chunk must be followed by CRLF")
        room = self._limit_bytes - self._beside if self._state is _TRAILERS else _MAX_LINE_BYTES
        if len(self._held) > room:
            raise ChunkedError(_TOO_MUCH)

    def _take_size(self, line: bytes) -> None:
        if len(line) > _MAX_LINE_BYTES:
            raise ChunkedError(_TOO_MUCH)
        size = self._left = _SIZES[line]
        if len(line) > _FREE_BYTES:
            self._beside = max(0, self._beside + len(line) - _FREE_BYTES - 2 * size)
            if self._beside > self._limit_bytes:
                raise ChunkedError(_TOO_MUCH)
        if size:
            self._state = _DATA
        else:
            self._state, self._beside = _TRAILERS, 0

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self._state, self.ended = _ENDED, True
            return
        match = _TRAILER.fullmatch(line)
        if match is None or match[1].lower() in _FRAMING:
            raise ChunkedError("what follows the last chunk is not a valid trailer (RFC 9112 section 7.1.2)")
        self._beside += len(line) + len(_CRLF)
        if self._beside > self._limit_bytes:
            raise ChunkedError(_TOO_MUCH)
