"""Running the API in a thread or process that has other things to do: uvicorn on a socket that is already bound."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_GRACE_S: Final = 5  # answers under way when the stop comes
_KEEP_ALIVE_S: Final = 30
_BACKLOG: Final = 256
_MAX_HEAD_BYTES: Final = 64 * 1024


class _Server(uvicorn.Server):
    """Stops when told so by its owner; leaves the process' signals alone, as their handling is the owner's."""

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


def serve(app: ASGIApp, sock: socket.socket, stop: threading.Event | Callable[[], bool]) -> None:
    """Answer on ``sock`` (bound; it is closed at the end) until ``stop``, then finish what is under way within 5 s.

    Blocks. ``stop`` is asked every 0.1 s. Raises what uvicorn raises when it cannot listen.
    """
    config = uvicorn.Config(
        app,
        http="h11",  # slower than httptools, which nobody will notice here, but it bounds a request's head
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
    server = _Server(config, stop.is_set if isinstance(stop, threading.Event) else stop)
    asyncio.run(server.serve(sockets=[sock]))
