"""WebSocket frames, counted as they pass, and the text messages that a server sends.

Source: RFC 6455 section 5 (framing, masking, fragmentation) and RFC 7692 (RSV1: the message is compressed). Nothing is
unmasked or decompressed: what a client sends is only counted, and so is what is compressed. Payloads are skipped by
arithmetic; only text that a reader wants is held, up to a bound.
"""

from typing import Final

MAX_MESSAGE_BYTES: Final = 1024 * 1024

_LONGEST_HEADER_BYTES: Final = 14
_TEXT, _CONTINUATION, _CLOSE, _FIRST_CONTROL = 1, 0, 8, 8
_OPCODES: Final = frozenset({0, 1, 2, 8, 9, 10})


class FrameReader:
    """Feed one direction's bytes, get its whole text messages; ``frames`` counts whole frames of every kind.

    Bytes that are not a frame set ``broken``: the next one could begin anywhere, so nothing more is read.
    """

    __slots__ = (
        "_final",
        "_header",
        "_keeping",
        "_left",
        "_max_message_bytes",
        "_message",
        "broken",
        "closing",
        "frames",
    )

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """``max_message_bytes`` 0: messages are not wanted."""
        self._max_message_bytes = max_message_bytes
        self._header = bytearray()  # of the next frame, until it is whole
        self._left = -1  # payload bytes of the current frame that are still to come; -1: between frames
        self._final = False  # the current frame ends its message
        self._keeping = False  # the current frame's payload belongs to _message
        self._message: bytearray | None = None  # an unfinished text message; None: there is none, or it is not wanted
        self.frames = 0
        self.closing = False  # a close frame began: this side has said its last
        self.broken = False

    def __repr__(self) -> str:
        state = "broken" if self.broken else "between frames" if self._left < 0 else f"{self._left} bytes to come"
        return f"<{type(self).__name__} {state}, {self.frames} frames>"

    def feed(self, data: bytes) -> list[bytes]:
        """The text messages that ``data`` completes."""
        messages: list[bytes] = []
        position = 0
        while position < len(data) and not self.broken:
            if self._left < 0:
                position = self._read_header(data, position)
            if self._left >= 0:
                position = self._read_payload(data, position, messages)
        return messages

    def _read_header(self, data: bytes, position: int) -> int:
        header = self._header
        before = len(header)
        header += data[position : position + _LONGEST_HEADER_BYTES - before]
        if len(header) < 2:
            return len(data)
        if header[0] & 0x0F not in _OPCODES or header[0] & 0x30:  # RSV2 and RSV3 belong to no extension
            self._break()
            return len(data)
        short = header[1] & 0x7F
        extended = 2 if short == 126 else 8 if short == 127 else 0
        size = 2 + extended + (4 if header[1] & 0x80 else 0)
        if len(header) < size:
            return len(data)
        self._begin(header[0], int.from_bytes(header[2 : 2 + extended], "big") if extended else short, size)
        header.clear()
        return position + size - before

    def _begin(self, first: int, length: int, header_bytes: int) -> None:
        opcode, self._final = first & 0x0F, bool(first & 0x80)
        is_control = opcode >= _FIRST_CONTROL
        fits_control = self._final and length <= 125
        if length >= 2**63 or (is_control and not fits_control):
            self._break()
            return
        self._left = length
        masked = header_bytes in {6, 8, 14}
        if is_control:
            self._keeping = False
            self.closing = self.closing or opcode == _CLOSE
            return
        if opcode != _CONTINUATION:
            wanted = opcode == _TEXT and not first & 0x40 and not masked
            self._message = bytearray() if wanted else None
        if self._message is not None and len(self._message) + length > self._max_message_bytes:
            self._message = None
        self._keeping = self._message is not None

    def _break(self) -> None:
        self.broken = True
        self._message = None

    def _read_payload(self, data: bytes, position: int, messages: list[bytes]) -> int:
        taken = min(self._left, len(data) - position)
        if self._keeping and self._message is not None:
            self._message += data[position : position + taken]
        self._left -= taken
        if not self._left:
            self._left = -1
            self.frames += 1
            if self._keeping and self._final and self._message is not None:
                messages.append(bytes(self._message))
                self._message = None
        return position + taken
