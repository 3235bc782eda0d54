"""How many clients a worker serves at once, so that it never runs out of descriptors, and what becomes of the others.

Journal, listening sockets and whatever else is open come first. What is left is shared in halves: each client that is
served may need a connection to a server (two descriptors through TLS, see ``Upstream``). A few more clients are
accepted and answered with 503; beyond those nobody is accepted, and they wait in the listening socket's queue. Without
this the event loop would accept and drop them, as libuv does at its last descriptor: a reset that nobody can explain.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final, NamedTuple

from llm_metrics_proxy import descriptors
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.scoreboard import Slot

log = logging.getLogger(__name__)

_RESERVED: Final = 16  # a new segment of the journal, name resolution, probes, what is accepted in the same moment
_LEAST_REFUSED: Final = 4
_MOST_REFUSED: Final = 512
_FEW: Final = 1000  # clients; more are hardly ever served by one worker
_TRY_AGAIN_S: Final = 1.0
_BACKLOG: Final = 4096


class Shares(NamedTuple):
    """What the connections of one worker may come to."""

    clients: int  # served at once
    refused: int  # accepted beyond those, and answered with 503
    upstreams: int  # connections to servers


def share(limit: int, in_use: int, max_connections: int, *, through_tls: bool) -> Shares | None:
    """``None``: there are too few descriptors for anything."""
    spare = limit - in_use - _RESERVED
    each = 2 if through_tls else 1
    served, refused = descriptors.places(spare, 1 + each, _LEAST_REFUSED, _MOST_REFUSED)
    clients = min(max_connections, served)
    return Shares(clients, refused, (spare - refused - clients) // each) if clients >= 1 else None


class ClientCapacity:
    """Counts who is turned away. ``Shares`` bound everything else."""

    def __init__(self, slot: Slot, max_connections: int) -> None:
        self._slot = slot
        self._complaints = descriptors.Complaints()
        self._shares = Shares(max_connections, _MOST_REFUSED, max_connections)

    def settle(self, max_connections: int, connected: int, *, through_tls: bool) -> Shares:
        """Share out what this process may open on top of what is open now, ``connected`` descriptors of connections
        left out. Raises ``SettingsError`` if that is nothing.
        """
        limit, in_use = descriptors.limit(), descriptors.in_use() - connected
        shares = share(limit, in_use, max_connections, through_tls=through_tls)
        if shares is None:
            raise SettingsError(
                [f"a worker with {in_use} files open cannot serve anybody with {limit}: {descriptors.SHORTAGE_HINT}"]
            )
        self._shares = shares
        self._slot.set("connections_limit", shares.clients)
        if shares.clients < max_connections:
            log.log(
                logging.WARNING if shares.clients < _FEW else logging.INFO,
                "%d clients are served at once, fewer than max_connections (%d), as only %d files may be open: %s",
                shares.clients, max_connections, limit, descriptors.SHORTAGE_HINT,
            )  # fmt: skip
        return shares

    @property
    def clients_limit(self) -> int:
        """As many connections are served."""
        return self._shares.clients

    def may_accept(self, connections: int) -> bool:
        """Whether to accept another one, if only to turn it away."""
        return connections < self._shares.clients + self._shares.refused

    def turned_away(self) -> None:
        """A client was answered with 503."""
        self._slot.add("connections_refused")
        self._slot.set("connections_refused_unix_ms", int(time() * 1000))
        if self._complaints.are_due(monotonic()):
            count = self._slot.get("connections_refused")
            log.warning("all %d connections are taken: clients get 503 (%d so far)", self._shares.clients, count)


class ListeningSockets:
    """A worker's listening sockets. ``shut`` accepts nobody for a while, and the kernel goes on queueing."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sockets: list[socket.socket], protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._loop = loop
        self._sockets = sockets
        self._protocol = protocol
        self._servers: Sequence[asyncio.Server] = ()
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Accept clients."""
        self._servers = [await self._server(sock) for sock in self._sockets]

    async def _server(self, listening: socket.socket) -> asyncio.Server:
        own = socket.socket(fileno=os.dup(listening.fileno()))  # closed with the server
        return await self._loop.create_server(self._protocol, sock=own, backlog=_BACKLOG)

    @property
    def are_shut(self) -> bool:
        """Nobody is accepted for now."""
        return not self._servers and bool(self._sockets)

    def shut(self) -> None:
        """Accept nobody until ``reopen``."""
        servers, self._servers = self._servers, ()
        for server in servers:
            server.close()

    def reopen(self) -> None:
        """Accept again, unless that is so or has begun already."""
        if self.are_shut and self._opening is None:
            self._opening = self._loop.create_task(self.open())
            self._opening.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not self._sockets:
            self.shut()
        elif not task.cancelled() and task.exception() is not None:
            log.error("cannot accept clients: %s", task.exception())
            self._loop.call_later(_TRY_AGAIN_S, self.reopen)

    def close(self) -> None:
        """For good: clients are refused from now on."""
        self.shut()
        for sock in self._sockets:
            sock.close()
        self._sockets = []
