"""The socket of a client's connection: writing, back-pressure by reason, and the ways to close."""

import asyncio
import socket
import struct
from typing import Final, cast

from llm_metrics_proxy.proxy.socket_writer import SocketWriter

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ClientTransport(asyncio.Protocol):
    """What a client's connection does to its transport, and nothing that it knows of requests."""

    __slots__ = ("_paused", "socket_writer", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.socket_writer: SocketWriter | None = None
        self._paused: set[str] = set()  # the reasons to read no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses of it
        self.socket_writer = SocketWriter(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self.transport = self.socket_writer = None

    @property
    def is_open(self) -> bool:
        """May still be read from."""
        return self.transport is not None and not self.transport.is_closing()

    def write(self, data: bytes) -> None:
        if self.socket_writer is not None:
            self.socket_writer.write(data)

    def pause(self, reason: str = "upload") -> None:
        """Read no more until every reason to pause is gone."""
        if not self._paused and self.transport is not None and self.is_open:
            self.transport.pause_reading()
        self._paused.add(reason)

    def resume(self, reason: str = "upload") -> None:
        """One reason to pause is gone."""
        if reason in self._paused:
            self._paused.discard(reason)
            if not self._paused and self.transport is not None and self.is_open:
                self.transport.resume_reading()

    def reset(self) -> None:
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def end_writing(self) -> None:
        """Half-close, and read on whatever the reasons to pause were."""
        self._paused.clear()
        if self.transport is not None:
            self.transport.resume_reading()
            if self.transport.can_write_eof():
                self.transport.write_eof()
