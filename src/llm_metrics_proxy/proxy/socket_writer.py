"""The way out of a connection: straight to the socket when nothing waits before it, else through the transport.

uvloop queues every write until the end of the loop's turn. Written here and now, the bytes leave earlier; at full load
it makes no difference (``docs/performance-log.md``). The recorder decides which bytes wait for the journal.
The transport stays in charge of everything else: what the socket does not take goes through it (and meets its
back-pressure), and so does a write after an error, which it then reports.
"""

import asyncio
import os


class SocketWriter:
    """Writes to one transport, which nobody else writes to. TLS has no way past the transport."""

    __slots__ = ("_has_queued", "_transport", "errno", "fd")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        sock = transport.get_extra_info("socket")
        direct = sock is not None and transport.get_extra_info("sslcontext") is None
        self.fd = sock.fileno() if direct else -1
        self._has_queued = False  # ever: until then there is no need to ask how much waits there
        self.errno = 0  # of the write that found the connection broken; the kernel gives the reason once

    def write(self, data: bytes) -> None:
        """Hand ``data`` to the kernel or to the transport's buffer; nothing, once the transport is closing."""
        transport = self._transport
        if transport.is_closing():
            return  # its descriptor may be gone, or be somebody else's by now
        if self.fd >= 0 and not (self._has_queued and transport.get_write_buffer_size()):
            try:
                sent = os.write(self.fd, data)
            except BlockingIOError:
                sent = 0
            except OSError as error:  # the transport finds out too, and reports it
                self.errno = error.errno or 0
                sent = 0
            if sent == len(data):
                return
            self._has_queued = True
            transport.write(memoryview(data)[sent:])  # a copy of a large body would double it
            return
        transport.write(data)
