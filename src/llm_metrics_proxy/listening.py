"""Listening sockets, made before any child is: what is wrong with an address is said once, at once, and clearly.

The supervisor holds every socket open, so a restarted worker takes over the same one and clients that connect
meanwhile wait in its queue instead of being refused.
"""

import errno
import os
import socket
import sys
from typing import Any, Final

from llm_metrics_proxy.descriptors import SHORTAGE_HINT
from llm_metrics_proxy.errors import LlmMetricsProxyError, PortInUseError

# Only Linux spreads connections over the sockets of one port; elsewhere one socket is shared by all workers.
SPREADS: Final = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")
_NO_SUCH_ADDRESS: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_Address = tuple[socket.AddressFamily, tuple[Any, ...]]
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- connected to, not bound
BACKLOG: Final = 4096  # the kernel cuts it to net.core.somaxconn


def listen(host: str, port: int, *, sockets: int = 1, flag: str = "--port") -> list[list[socket.socket]]:
    """``sockets`` groups of listening sockets; each group has one for every address of ``host``.

    Port 0 is chosen by the kernel once and shared by all. Raises ``PortInUseError``, naming the program if the
    system names it, or ``LlmMetricsProxyError`` for an address that cannot be listened on; ``flag`` is what to change.
    """
    made: list[socket.socket] = []
    groups: list[list[socket.socket]] = []
    try:
        addresses = _free_addresses(host, port)
        for _ in range(sockets if SPREADS else 1):
            group = []
            for family, address in addresses:
                chosen = port or (made[0].getsockname()[1] if made else 0)
                bound = _bound(family, (address[0], chosen, *address[2:]), share=SPREADS and sockets > 1)
                made.append(bound)
                group.append(bound)
            groups.append(group)
        for bound in made:
            bound.listen(BACKLOG)
    except OSError as error:
        for bound in made:
            bound.close()
        raise _explained(error, host, port, flag) from None
    return groups * (sockets // len(groups))


def base_url(host: str, port: int) -> str:
    """A URL that reaches a port which listens on ``host`` from this machine."""
    reached = _LOOPBACK.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}"


def _free_addresses(host: str, port: int) -> list[_Address]:
    """The addresses of ``host`` that can be listened on; ``OSError`` if one is taken or none is usable.

    A socket with SO_REUSEPORT would share the port with another program of the same user, and each would get a part
    of the connections; a plain socket finds out that somebody is there.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    usable: list[_Address] = []
    unusable: list[OSError] = []
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            _bound(family, address, share=False).close()
        except OSError as error:
            if error.errno not in _NO_SUCH_ADDRESS:
                raise
            unusable.append(error)  # `localhost` names ::1 too where IPv6 is switched off
        else:
            usable.append((family, address))
    if not usable:
        raise unusable[0]
    return usable


def _bound(family: socket.AddressFamily, address: tuple[Any, ...], *, share: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier run that linger in TIME_WAIT are not an obstacle; a listening socket still is.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _explained(error: OSError, host: str, port: int, flag: str) -> LlmMetricsProxyError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        user = port_user(port)
        by = f" by {user}" if user else ""
        return PortInUseError(f"{where} is in use{by}: stop it or choose another port with {flag}")
    reasons = {
        errno.EACCES: "permission denied; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.EMFILE: f"too many open files; {SHORTAGE_HINT}, or have fewer --workers",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return LlmMetricsProxyError(f"cannot listen on {where}: {reason}")


def port_user(port: int) -> str | None:
    """``pid 4711 (ollama)``: who listens on ``port``, if the system says so; processes of other users may be hidden."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 -- only an address that is taken needs it

    try:
        pids = {
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid
        }
        own = os.getpid()
        return next((f"pid {pid} ({psutil.Process(pid).name()})" for pid in sorted(pids - {own})), None)
    except psutil.Error:
        return None
