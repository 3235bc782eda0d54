"""How many readers the metrics process serves at once, so that SQLite always finds the descriptors that it needs.

Further connections get 503, except for /health, /ready and /metrics, of which a few are open at a time. Beyond those
nobody is accepted for a second and clients wait in the socket's queue: what asyncio does on EMFILE, only earlier.
Connections are counted, not open files: SQLite keeps some open that it no longer needs, and nobody would be accepted.
"""

import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from llm_metrics_proxy import descriptors
from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.ports import TurnedAway
from llm_metrics_proxy.api.scope import REFUSAL, with_one_slash

log = logging.getLogger(__name__)

_RESERVED: Final = 40  # eight questions at once with three files each, the store, upkeep, the journal, a webhook
_REFUSED_AT_ONCE: Final = 8  # connections beyond those that are served, which get 503
_FEWEST: Final = 4
_RECENT_S: Final = 60.0
_ALWAYS: Final = frozenset({"/health", "/ready", "/metrics"})  # answered from memory


class ReaderCapacity:
    """The limit of one process: ``most`` connections are served at once."""

    def __init__(self) -> None:
        self._limit = descriptors.limit()
        spare = self._limit - descriptors.in_use() - _RESERVED
        self.most = max(_FEWEST, descriptors.places(spare, 1, _REFUSED_AT_ONCE, _REFUSED_AT_ONCE).served)
        self._places = threading.BoundedSemaphore(self.most + _REFUSED_AT_ONCE)
        self._count = 0
        self._newest_s = float("-inf")
        self._complaints = descriptors.Complaints()

    def turned_away(self) -> TurnedAway:
        """The count since the start."""
        return TurnedAway(self._count, time.monotonic() - self._newest_s < _RECENT_S)

    def take_place(self) -> bool:
        """Count a connection that is to be accepted, unless there is no place for it."""
        return self._places.acquire(blocking=False)

    def leave_place(self) -> None:
        """One that was counted is closed, or there was none to accept."""
        self._places.release()

    def note(self) -> None:
        """Count one that was turned away, and log it now and then."""
        self._count += 1
        self._newest_s = now_s = time.monotonic()
        if self._complaints.are_due(now_s):
            log.warning(
                "%d readers are served at once, and others get 503 (%d so far), because only %d files may be open: %s",
                self.most, self._count, self._limit, descriptors.SHORTAGE_HINT,
            )  # fmt: skip

    def guarding(self, app: ASGIApp, is_one_too_many: Callable[[], bool]) -> ASGIApp:
        """``app`` for one connection; it refuses (``REFUSAL``) if ``most`` others were open when this one came."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if is_one_too_many() and scope["type"] == "http" and with_one_slash(scope)["path"] not in _ALWAYS:
                self.note()
                headers = {"Retry-After": "1", "Connection": "close"}
                message = f"{self.most} connections are open already; ask again when one of them is closed"
                scope = {**scope, REFUSAL: error_response(503, "saturated", message, headers=headers)}
            await app(scope, receive, send)

        return guarded

    def on_loop_fault(self, loop: Any, context: dict[str, Any]) -> None:
        """asyncio's handler of exceptions: no traceback for what ``BoundedListener`` raises."""
        fault = context.get("exception")
        if isinstance(fault, OSError) and fault.errno in {errno.EMFILE, errno.ENFILE} and "socket" in context:
            self.note()
        elif "_start_serving" in context.get("message", ""):
            pass  # the socket was closed within the second in which nobody was accepted
        else:
            loop.default_exception_handler(context)


class BoundedListener(socket.socket):
    """A listening socket that accepts nobody while all places are taken."""

    capacity: ReaderCapacity | None = None

    @classmethod
    def of(cls, listening: socket.socket, capacity: ReaderCapacity) -> "BoundedListener":
        """A duplicate of the socket; the caller still closes ``listening``."""
        listener = cls(fileno=os.dup(listening.fileno()))
        listener.capacity = capacity
        return listener

    def accept(self) -> tuple[socket.socket, Any]:
        """As ``socket.accept``, but raises EMFILE while there is no place. What is accepted takes one."""
        if self.capacity is None:
            return super().accept()
        if not self.capacity.take_place():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        try:
            return super().accept()
        except OSError:
            self.capacity.leave_place()
            raise
