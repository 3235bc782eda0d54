"""The way out of a connection: straight to the socket when nothing waits before it, else through the transport.

uvloop queues every write until the end of the loop's turn. Written here and now, the bytes leave earlier; at full load
it makes no difference (``docs/performance.md``). Which bytes have to wait for the journal is the recorder's business.
The transport stays in charge of everything else: what the socket does not take goes through it (and meets its
back-pressure), and so does a write after an error, which it then reports.
"""

import asyncio
import os


class Outlet:
    """Writes to one transport. TLS has no way past the transport."""

    __slots__ = ("_fd", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        sock = transport.get_extra_info("socket")
        direct = sock is not None and transport.get_extra_info("sslcontext") is None
        self._fd = sock.fileno() if direct else -1

    def write(self, data: bytes) -> None:
        """Hand ``data`` to the kernel or to the transport's buffer; nothing, once the transport is closing."""
        transport = self._transport
        if transport.is_closing():
            return  # its descriptor may be gone, or be somebody else's by now
        if self._fd >= 0 and not transport.get_write_buffer_size():
            try:
                sent = os.write(self._fd, data)
            except OSError:  # full, or broken: the transport finds out and tells
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)
