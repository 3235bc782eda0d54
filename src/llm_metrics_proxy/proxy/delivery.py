"""Did a request reach the server's system before its connection broke? Asked of the kernel, after the fact.

A request that is not idempotent may be sent again only if we know that the first server has not begun with
it (RFC 9110 section 9.2.2). The kernel knows how many bytes it took from us and how many of them the peer acknowledged.
Nothing of a request has arrived if

* the kernel took nothing: the connection was known to be dead when we wrote; or
* the peer ended the connection, by FIN or reset, and nothing of the request was acknowledged. A FIN acknowledges all
  that its sender had received, so the server closed before the request arrived.

A reset says a little less: acknowledgements wait up to 40 ms for an answer to travel with, so a server that reads a
request and resets the connection in that time leaves the same traces as one whose connection was gone. The second is
what happens behind load balancers and servers with short idle limits, and counts as it; ``retry_unsafe=never`` is
for those who cannot have the first. Everything else counts as delivered, and so does everything on a system that is
not Linux.
"""

import errno
import fcntl
import socket
import struct
import sys
import termios
from typing import Final, NamedTuple

_LINUX: Final = sys.platform == "linux"
_TCP_INFO_BYTES: Final = 232
_BYTES_ACKED_AT: Final = 120  # tcpi_bytes_acked in struct tcp_info, since Linux 4.1
_CLOSE: Final = 7  # tcp_states.h
_CLOSE_WAIT: Final = 8
_ENDED: Final = frozenset({errno.EPIPE, errno.ECONNRESET})  # a reset after a FIN, and any other
FIRST_BYTE: Final = 1  # the opening SYN counts as one acknowledged byte


class Sent(NamedTuple):
    """How far a connection's outgoing bytes have come, the SYN included. ``peer_ended``: its FIN or a reset came."""

    acknowledged: int
    taken: int  # by our kernel
    peer_ended: bool


def sent(fd: int, seen_errno: int = 0) -> Sent | None:
    """What the kernel knows of a TCP connection; ``None``: not known here.

    It reports an error once: ``seen_errno`` is what it has already reported to the user of the connection.
    """
    if not _LINUX or fd < 0:
        return None
    try:
        # Before the acknowledged ones: an acknowledgement between the two questions must not hide bytes.
        (waiting,) = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0" * 4))
        borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=fd)
        try:
            info = borrowed.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            broken = seen_errno or (borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if info[0] == _CLOSE else 0)
        finally:
            borrowed.detach()
        (acknowledged,) = struct.unpack_from("Q", info, _BYTES_ACKED_AT)
    except (OSError, struct.error):
        return None
    return Sent(acknowledged, acknowledged + waiting, info[0] == _CLOSE_WAIT or broken in _ENDED)


def is_unsent(now: Sent | None, begins_at: int) -> bool:
    """The kernel shows that nothing from that byte of the connection on reached the server."""
    if now is None or now.acknowledged != begins_at:  # fewer: what came before it was not acknowledged either
        return False
    return now.taken == begins_at or now.peer_ended
