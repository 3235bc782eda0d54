"""Running the API in a thread or process that has other things to do: uvicorn on a socket that is already bound."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from llm_metrics_proxy.api.capacity import BoundedListener, ReaderCapacity
from llm_metrics_proxy.api.scope import ABORT

_GRACE_S: Final = 5  # answers under way when the stop comes
_KEEP_ALIVE_S: Final = 30
_ARRIVAL_S: Final = 30  # from a connection, or from a request's first bytes, to the request's last
_REFUSED_ARRIVAL_S: Final = 1  # of one that will be refused: others wait for its place
_BACKLOG: Final = 256
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time (socket(7))
_MAX_HEAD_BYTES: Final = 64 * 1024


class _Protocol(H11Protocol):
    """Refuses connections beyond the limit. Lets the application reset its own: closing would wait for a client that
    reads nothing."""

    capacity: ClassVar[ReaderCapacity]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_one_too_many = False
        self._arrival: asyncio.TimerHandle | None = None
        inner = self.capacity.guarding(self.app, lambda: self._is_one_too_many)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, ABORT: self._abort}, receive, send)

        self.app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_one_too_many = len(self.connections) > self.capacity.most
        self._limit_arrival()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._limit_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._limit_arrival()
        self.capacity.leave_place()

    def _limit_arrival(self) -> None:
        """uvicorn itself has no limit for how long a request may take to arrive."""
        arriving = self.conn.their_state in {h11.IDLE, h11.SEND_BODY} and not self.transport.is_closing()
        if arriving and self._arrival is None:
            limit_s = _REFUSED_ARRIVAL_S if self._is_one_too_many else _ARRIVAL_S
            self._arrival = self.loop.call_later(limit_s, self.transport.close)
        elif not arriving and self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _abort(self) -> None:
        """With a reset: else the system goes on offering megabytes that it holds to somebody who takes none."""
        if not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class _ApiServer(uvicorn.Server):
    """Stops when its owner says so, and leaves signals to its owner."""

    def __init__(self, config: uvicorn.Config, stopped: Callable[[], bool]) -> None:
        super().__init__(config)
        self._stopped = stopped

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """No signal handlers."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        return await super().on_tick(counter) or self._stopped()


def serve(
    app: ASGIApp,
    sock: socket.socket,
    stop: threading.Event | Callable[[], bool],
    capacity: ReaderCapacity | None = None,
) -> None:
    """Answer on ``sock`` (bound; it is closed at the end) until ``stop``, then finish what is under way within 5 s.

    Blocks. ``stop`` is called every 0.1 s. Raises what uvicorn raises when it cannot listen.
    """
    admitted = capacity or ReaderCapacity()
    protocol = type("Protocol", (_Protocol,), {"capacity": admitted})
    config = uvicorn.Config(
        app,
        http=protocol,  # h11: slower than httptools, which nobody will notice here, but it bounds a request's head
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _ApiServer(config, stop.is_set if isinstance(stop, threading.Event) else stop)

    async def serving() -> None:
        asyncio.get_running_loop().set_exception_handler(admitted.on_loop_fault)
        await server.serve(sockets=[BoundedListener.of(sock, admitted)])

    with sock:
        asyncio.run(serving())
