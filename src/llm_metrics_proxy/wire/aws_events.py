"""Messages of ``application/vnd.amazon.eventstream``, framed from bytes that are cut anywhere.

Source: Smithy's "Amazon Event Stream" specification. Big-endian, each message:

    total length 4 | length of the headers 4 | CRC-32 of these eight 4 | headers | payload | CRC-32 of all before it 4

A header is its name (one byte of length), a type and a value. Nothing marks where a message begins, so after a checksum
that is wrong the rest of a stream cannot be read: ``broken``. A message that is too large to be held is made small
while it passes, as everywhere, and checked like any other.
"""

from struct import Struct, error, unpack_from
from typing import Final
from zlib import crc32

from llm_metrics_proxy.wire.json_shrink import LargeJson, Shape
from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES
from llm_metrics_proxy.wire.sse import SseEvent

_PRELUDE: Final = Struct(">III")
_LENGTHS_BYTES: Final = 8  # what the prelude's checksum covers
_CRC_BYTES: Final = 4
_LEAST_BYTES: Final = _PRELUDE.size + _CRC_BYTES
_MAX_HEADER_BYTES: Final = 128 * 1024  # of the specification
# Bytes of a header's value by its type: true, false, byte, short, integer, long; timestamp, UUID.
_FIXED: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7  # these begin with two bytes of length

_Meaning = tuple[bytes, bytes, bytes | None]


class AwsEvent(SseEvent, frozen=True, gc=False):
    """One message: ``name`` is its event type. ``failure``: the type of an exception, or the code of an error."""

    failure: bytes = b""


class _LargeMessage:
    """One that is not held: its payload passes by, and so does its checksum."""

    __slots__ = ("_crc", "_json", "_left", "checksum", "headers")

    def __init__(self, begun: bytes, length: int, shape: Shape | None) -> None:
        self.headers = begun[_PRELUDE.size :]
        self.checksum = b""
        self._left = length - len(begun) - _CRC_BYTES
        self._crc = crc32(begun)
        self._json = LargeJson(shape)

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to it; returns what follows."""
        payload, rest = data[: self._left], data[self._left :]
        self._left -= len(payload)
        self._crc = crc32(payload, self._crc)
        self._json.feed(payload)
        if self._left:
            return b""
        missing = _CRC_BYTES - len(self.checksum)
        self.checksum += rest[:missing]
        return rest[missing:]

    def finish(self) -> bytes | None:
        """Its payload, made small; None if its checksum is wrong."""
        return self._json.finish() if self.checksum == self._crc.to_bytes(_CRC_BYTES, "big") else None


class AwsEventReader:
    """Feed bytes, get messages; ``shape``: what is read of their payloads.

    ``spoilt``: something could not be understood. ``broken``: and nothing behind it can be.
    """

    __slots__ = ("_headers", "_held", "_large", "_max_held_bytes", "_meaning", "_needed", "_shape", "broken", "spoilt")

    def __init__(self, shape: Shape | None = None, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._shape = shape
        self._max_held_bytes = max_held_bytes
        self._held = bytearray()  # an unfinished message
        self._needed = _PRELUDE.size  # bytes of it without which nothing more can be said
        self._large: _LargeMessage | None = None
        self._headers = b""  # of the last message, nearly always those of the next one, and what they say
        self._meaning: _Meaning | None = None
        self.spoilt = False
        self.broken = False

    def __repr__(self) -> str:
        state = "broken" if self.broken else "in a large message" if self._large else f"{len(self._held)} bytes held"
        return f"<{type(self).__name__} {state}>"

    @property
    def at_boundary(self) -> bool:
        """The next byte is the first of a message."""
        return not (self._held or self._large or self.broken)

    def feed(self, data: bytes) -> list[AwsEvent]:
        """The messages that ``data`` completes."""
        held = self._held
        if held:
            held += data
            if len(held) < self._needed:
                return []
            data = bytes(held)
            held.clear()
        events: list[AwsEvent] = []
        position = 0
        while not self.broken and position < len(data):
            if self._large is not None:
                data, position = self._feed_large(self._large, data[position:], events), 0
                continue
            length, needed = self._lengths(data, position)
            if len(data) - position < needed:
                held += data[position:]
                self._needed = needed
                break
            if needed < length:
                self._large = _LargeMessage(data[position : position + needed], length, self._shape)
            elif length:
                self._take(data[position : position + length], events)
            position += needed
        return events

    def finish(self) -> list[AwsEvent]:
        """Nothing: a message that the end cut short says nothing that its checksum vouches for."""
        return []

    def _lengths(self, data: bytes, position: int) -> tuple[int, int]:
        """The length of the message that begins there, 0 if that is not known; how much of it must be there to go on.

        Of a large one that is its headers.
        """
        if len(data) - position < _PRELUDE.size:
            return 0, _PRELUDE.size
        length, headers, checksum = _PRELUDE.unpack_from(data, position)
        most = min(length - _LEAST_BYTES, _MAX_HEADER_BYTES)
        if crc32(data[position : position + _LENGTHS_BYTES]) != checksum or headers > most:
            self._break()
            return 0, 0
        return length, length if length <= self._max_held_bytes else _PRELUDE.size + headers

    def _take(self, message: bytes, events: list[AwsEvent]) -> None:
        """A whole message."""
        if crc32(message[:-_CRC_BYTES]).to_bytes(_CRC_BYTES, "big") != message[-_CRC_BYTES:]:
            self._break()
            return
        begin = _PRELUDE.size + int.from_bytes(message[4:8], "big")
        self._tell(message[_PRELUDE.size : begin], message[begin:-_CRC_BYTES], events)

    def _feed_large(self, large: _LargeMessage, data: bytes, events: list[AwsEvent]) -> bytes:
        rest = large.feed(data)
        if len(large.checksum) == _CRC_BYTES:
            self._large = None
            payload = large.finish()
            if payload is None:
                self._break()
            else:
                self._tell(large.headers, payload, events)
        return rest

    def _tell(self, headers: bytes, payload: bytes, events: list[AwsEvent]) -> None:
        if headers != self._headers or self._meaning is None:
            self._headers, self._meaning = headers, _meaning_of(headers)
        if self._meaning is None:
            self.spoilt = True
            return
        name, failure, words = self._meaning
        events.append(AwsEvent(payload if words is None else words, name, failure))

    def _break(self) -> None:
        self.broken = self.spoilt = True


def _meaning_of(block: bytes) -> _Meaning | None:
    """``(event type, failure, the failure's own words)`` in a block of headers; None if it cannot be taken apart.

    An exception is one that the service's model knows, with JSON for a payload. An error is any other, and has no
    payload: its message is a header.
    """
    headers = headers_of(block)
    if headers is None:
        return None
    kind = headers.get(b":message-type", b"event")
    if kind == b"exception":
        return b"", headers.get(b":exception-type") or b"exception", None
    if kind == b"error":
        return b"", headers.get(b":error-code") or b"error", headers.get(b":error-message", b"")
    return headers.get(b":event-type", b""), b"", None


def headers_of(block: bytes) -> dict[bytes, bytes] | None:
    """The headers by their names, values as they were written; None if the block is not a row of headers."""
    headers: dict[bytes, bytes] = {}
    position = 0
    try:
        while position < len(block):
            begin = position + 1
            position = begin + block[position]
            name = block[begin:position]
            kind = block[position]
            position += 1
            if kind in {_BYTES, _STRING}:
                (length,) = unpack_from(">H", block, position)
                position += 2
            else:
                length = _FIXED[kind]
            headers[name] = block[position : position + length]
            position += length
    except (IndexError, KeyError, error):
        return None
    return headers if position == len(block) else None
