"""WebSocket frames, counted as they pass, and the text messages in them that a reader wants.

Source: RFC 6455 section 5 (framing, masking, fragmentation) and RFC 7692 (RSV1 of a message's first frame: it is
compressed). Payloads are skipped by arithmetic; only wanted text is held, up to a bound, and only that is unmasked.
Compressed messages are only counted, unless the handshake has told how to read them.
"""

from typing import Final, Self

from llm_metrics_proxy.wire.deflate import Deflate, Inflater
from llm_metrics_proxy.wire.message_text import MakeLarge, MessageText

MAX_MESSAGE_BYTES: Final = 1024 * 1024

_LONGEST_HEADER_BYTES: Final = 14
_TEXT, _CONTINUATION, _CLOSE, _FIRST_CONTROL = 1, 0, 8, 8
_OPCODES: Final = frozenset({0, 1, 2, 8, 9, 10})


class FrameReader:
    """Feed one direction's bytes, get its whole text messages; ``frames`` counts whole frames of every kind,
    ``messages`` whole messages, read or not.

    Bytes that are not a frame set ``broken``: the next one could begin anywhere, so nothing more is read.
    """

    __slots__ = (
        "_compressed",
        "_final",
        "_header",
        "_inflater",
        "_is_control",
        "_keeping",
        "_left",
        "_make_large",
        "_mask",
        "_max_message_bytes",
        "_message",
        "_unmasks",
        "broken",
        "closing",
        "frames",
        "messages",
    )

    def __init__(
        self,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        *,
        inflater: Inflater | None = None,
        unmasks: bool = False,
        make_large: MakeLarge | None = None,
    ) -> None:
        """``max_message_bytes`` 0: messages are not wanted. ``inflater``: compressed ones can be read. ``unmasks``: so
        can masked ones, as clients send them. ``make_large``: see ``MessageText``."""
        self._max_message_bytes = max_message_bytes
        self._make_large = make_large
        self._inflater = inflater
        self._unmasks = unmasks
        self._header = bytearray()  # of the next frame, until it is whole
        self._left = -1  # payload bytes of the current frame that are still to come; -1: between frames
        self._final = False  # the current frame ends its message
        self._is_control = False  # it belongs to no message
        self._keeping = False  # the current frame's payload belongs to _message
        self._compressed = False  # the current message goes through the inflater
        self._mask = b""  # of the current frame, turned to where its payload goes on
        self._message: MessageText | None = None  # an unfinished text message; None: there is none, or it is not wanted
        self.frames = 0
        self.messages = 0
        self.closing = False  # a close frame began: this side has said its last
        self.broken = False

    @classmethod
    def of_server(cls, max_message_bytes: int, deflate: Deflate | None, make_large: MakeLarge | None = None) -> Self:
        """For what a server sends, after that handshake."""
        inflater = _inflater(max_message_bytes, deflate and deflate.server_takeover)
        return cls(max_message_bytes, inflater=inflater, make_large=make_large)

    @classmethod
    def of_client(cls, max_message_bytes: int, deflate: Deflate | None) -> Self:
        """For what a client sends."""
        inflater = _inflater(max_message_bytes, deflate and deflate.client_takeover)
        return cls(max_message_bytes, inflater=inflater, unmasks=True)

    def __repr__(self) -> str:
        state = "broken" if self.broken else "between frames" if self._left < 0 else f"{self._left} bytes to come"
        return f"<{type(self).__name__} {state}, {self.frames} frames>"

    @property
    def held_bytes(self) -> int:
        """Of an unfinished message."""
        return 0 if self._message is None else self._message.held_bytes

    def want_no_more(self) -> None:
        """From the next message on, they are only counted."""
        self._max_message_bytes = 0
        self._inflater = None
        self._message, self._keeping, self._compressed = None, False, False

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
        length = int.from_bytes(header[2 : 2 + extended], "big") if extended else short
        self._begin(header[0], length, bytes(header[2 + extended : size]))
        header.clear()
        return position + size - before

    def _begin(self, first: int, length: int, mask: bytes) -> None:
        opcode, self._final = first & 0x0F, bool(first & 0x80)
        self._is_control = opcode >= _FIRST_CONTROL
        fits_control = self._final and length <= 125
        if length >= 2**63 or (self._is_control and not fits_control):
            self._break()
            return
        self._left = length
        self._mask = mask
        if self._is_control:
            self._keeping = False
            self.closing = self.closing or opcode == _CLOSE
            return
        if opcode != _CONTINUATION:
            wanted = opcode == _TEXT and self._max_message_bytes > 0 and (self._unmasks or not mask)
            self._compressed = bool(first & 0x40) and self._inflater is not None
            wanted = wanted and (self._compressed or not first & 0x40)
            self._message = MessageText(self._max_message_bytes, self._make_large) if wanted else None
            if self._inflater is not None and self._compressed:
                self._inflater.begin(self._message)
        if self._make_large is None and not self._compressed and self.held_bytes + length > self._max_message_bytes:
            self._message = None  # its beginning is of no use
        self._keeping = self._message is not None or self._compressed

    def _break(self) -> None:
        self.broken = True
        self._message = None

    def _read_payload(self, data: bytes, position: int, messages: list[bytes]) -> int:
        taken = min(self._left, len(data) - position)
        if self._keeping and taken:
            self._keep(data[position : position + taken])
        self._left -= taken
        if not self._left:
            self._left = -1
            self.frames += 1
            if self._final and not self._is_control:
                self.messages += 1
                if self._keeping:
                    self._end(messages)
        return position + taken

    def _keep(self, piece: bytes) -> None:
        """Payload that is read."""
        mask = self._mask
        if mask:
            piece = _unmasked(piece, mask)
            turn = len(piece) % 4
            self._mask = mask[turn:] + mask[:turn]
        if self._compressed and self._inflater is not None:
            self._inflater.feed(piece)
        elif self._message is not None:
            self._message.add(piece)

    def _end(self, messages: list[bytes]) -> None:
        message, is_sound = self._message, True
        if self._compressed and self._inflater is not None:
            is_sound = self._inflater.end()
        text = None if message is None or not is_sound else message.finish()
        if text is not None:
            messages.append(text)
        self._message, self._compressed = None, False


def _inflater(max_message_bytes: int, takeover: bool | None) -> Inflater | None:
    """None: nothing is compressed, or nothing wanted."""
    if takeover is None or not max_message_bytes:
        return None
    return Inflater(takeover=takeover)


def _unmasked(data: bytes, mask: bytes) -> bytes:
    """RFC 6455 section 5.3, as one operation on large numbers: a millisecond for a megabyte."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
