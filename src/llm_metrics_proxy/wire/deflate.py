"""permessage-deflate (RFC 7692) undone on a copy of one direction's messages, with bounded memory and time.

A compressed message is a piece of one DEFLATE stream, without its last four bytes. With context takeover, which is
usual, a message refers back to those before it, so each must pass through here, wanted or not. The window's size is of
no matter: the largest reads what was written for any.
"""

import zlib
from typing import Final, NamedTuple

from llm_metrics_proxy.wire.message_text import MessageText

# Against bombs: beyond the first bytes, no more is inflated than this many times of what came.
FREE_BYTES: Final = 16 * 1024 * 1024
MAX_RATIO: Final = 200

_STEP_BYTES: Final = 64 * 1024
_TAIL: Final = b"\x00\x00\xff\xff"  # section 7.2.2
_RAW: Final = -zlib.MAX_WBITS


class Deflate(NamedTuple):
    """What a handshake agreed on: whether a message of that side may refer to those before it."""

    server_takeover: bool = True
    client_takeover: bool = True


def agreed(extensions: bytes | None) -> Deflate | None:
    """What the Sec-WebSocket-Extensions of a 101 say; None: nothing is compressed, or not in a way that is known.

    A second extension, which could change payloads too, leaves the compressed messages unread.
    """
    found = [each.strip() for each in (extensions or b"").split(b",") if each.strip()]
    if len(found) != 1:
        return None
    name, *parameters = (part.partition(b"=")[0].strip().lower() for part in found[0].split(b";"))
    if name != b"permessage-deflate":
        return None
    return Deflate(b"server_no_context_takeover" not in parameters, b"client_no_context_takeover" not in parameters)


class Inflater:
    """The messages of one direction, one after the other: ``begin``, ``feed`` its payload, ``end``."""

    __slots__ = ("_given_bytes", "_inflate", "_lost", "_message", "_taken_bytes", "_takeover")

    def __init__(self, *, takeover: bool) -> None:
        self._takeover = takeover
        self._inflate = zlib.decompressobj(_RAW)
        self._message: MessageText | None = None
        self._taken_bytes = self._given_bytes = 0
        self._lost = False  # the stream cannot be followed any further

    def begin(self, message: MessageText | None) -> None:
        """A message begins, which is put there; None: it is not wanted."""
        self._message = message
        if not self._takeover:
            self._inflate = zlib.decompressobj(_RAW)
            self._lost = False

    def feed(self, data: bytes) -> None:
        """Its next bytes."""
        self._taken_bytes += len(data)
        while data and not self._lost:
            inflate = self._inflate
            try:
                step = inflate.decompress(data, _STEP_BYTES)
            except zlib.error:
                self._lost = True
                return
            self._given_bytes += len(step)
            self._lost = self._given_bytes > FREE_BYTES + MAX_RATIO * self._taken_bytes
            if self._message is not None:
                self._message.add(step)
            data = inflate.unconsumed_tail
            if inflate.eof:  # a last block (section 7.2.3.4): what follows is a stream of its own
                data = inflate.unused_data
                self._inflate = zlib.decompressobj(_RAW)

    def end(self) -> bool:
        """The message is whole; whether it could be read."""
        self.feed(_TAIL)
        self._message = None
        return not self._lost
