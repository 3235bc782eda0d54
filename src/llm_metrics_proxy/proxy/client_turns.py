"""Whose turn it is on a client's connection: pipelined requests are answered one after the other, in their order.

IDLE ──enqueued──▶ BUSY ──answered, keep-alive──▶ IDLE
                    └────answered, close────────▶ LINGERING (when the request was not read to its end) ──▶ CLOSED
BUSY ──101──▶ TUNNEL
"""

from collections import deque
from enum import Enum, auto
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy.proxy.client_transport import ClientTransport
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.parties import Work
from llm_metrics_proxy.proxy.request_reader import RequestReader

QUEUED_BYTES: Final = 4096  # that a request takes while it waits: one read may hold thousands of fifty bytes each
_LINGER_NS: Final = 30_000_000_000  # a refused upload is read and discarded for so long, so that the refusal arrives


class ConnectionPhase(Enum):
    """What the connection is doing."""

    IDLE = auto()
    BUSY = auto()
    TUNNEL = auto()
    LINGERING = auto()
    CLOSED = auto()


IDLE, BUSY, TUNNEL, LINGERING, CLOSED = ConnectionPhase  # CPython 3.11 takes 45 ns to look one up in its class


class ClientTurns(ClientTransport):
    """The requests of one client connection. What its ``_reader`` finds is put in with ``enqueue``."""

    __slots__ = (
        "_ctx", "_current", "_early", "_full", "_incoming", "_linger_until", "_now", "_phase", "_queue", "_reader",
        "_since", "address", "forwarding_cache", "trusted",
    )  # fmt: skip
    _reader: RequestReader

    def __init__(self, ctx: Context) -> None:
        super().__init__()
        self._ctx = ctx
        self.address = b""
        self.trusted = False
        self.forwarding_cache: tuple[object, bytes] | None = None  # of the newest plan
        self._phase = IDLE
        self._since = self._now = monotonic_ns()  # when the phase began, or the head that is being read
        self._current: Work | None = None  # the one being answered
        self._incoming: Work | None = None  # the one whose body is being read
        self._queue: deque[Work] | None = None
        self._early = b""  # came behind a request for a tunnel, before the answer
        self._full = False  # the client's socket takes no more for now
        self._linger_until = 0

    def enqueue(self, work: Work) -> None:
        self._incoming = work
        if self._current is None:
            self._current = work
            self._phase = BUSY
        else:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(work)
            self._ctx.bodies.held_bytes += QUEUED_BYTES

    def advance(self) -> None:
        """Start the request whose turn it is, if it has not begun and the client takes the answers before it.

        The transport says only once that it is full: answers begun after that would have no back-pressure.
        """
        current = self._current
        if current is None or current.started:
            return
        if not self._full:
            current.start()
        else:
            current.client_is_slow(slow=True)

    @property
    def is_last(self) -> bool:
        """The answer being given is the last one on this connection, because the worker is draining."""
        return self._ctx.draining and not self._queue

    def work_ended(self, work: object, *, keep_alive: bool, lingering: bool) -> None:
        """The answer is complete and on its way; go on with the next request, or close."""
        if self._current is not work or self.transport is None:
            return
        self._current = None
        if self._paused:
            self.resume()
        if lingering and self.is_open:
            self.linger()
        elif not keep_alive:
            self.close()
        else:
            self._phase = IDLE
            self._since = monotonic_ns()
            if self._queue:
                self._current = self._queue.popleft()
                self._ctx.bodies.held_bytes -= QUEUED_BYTES
                self._phase = BUSY
                if not self._queue:
                    self.resume("queue")
                self.advance()
            elif self._ctx.draining:
                self.close()

    def tunnel_opened(self, session: Work) -> None:
        self._phase = TUNNEL
        self._current = session
        early, self._early = self._early, b""
        if early:
            session.body_received(early)
        self.resume("tunnel")

    def close(self) -> None:
        """Send what is buffered, then close."""
        self._phase = CLOSED
        self._since = monotonic_ns()
        self._reader.stopped = True
        if self.transport is not None:
            self.transport.close()

    def linger(self) -> None:
        self._phase = LINGERING
        self._since = monotonic_ns()
        self._linger_until = self._since + _LINGER_NS
        self._reader.stopped = True
        self.end_writing()

    def pause_writing(self) -> None:
        self._full = True
        if self._current is not None:
            self._current.client_is_slow(slow=True)

    def resume_writing(self) -> None:
        self._full = False
        if self._current is not None:
            self._current.client_is_slow(slow=False)
        self.advance()

    def drain(self) -> None:
        """Close if nothing is being answered; otherwise closing follows the answer."""
        if self._phase is IDLE:
            self.close()

    def abandon(self) -> None:
        """The time for draining is over."""
        for work in self.all_work():
            work.abandon(Cause.SHUTDOWN)

    def all_work(self) -> tuple[Work, ...]:
        """The one being answered and those that wait for their turn, even behind an answer that was the last one."""
        waiting = tuple(self._queue or ())
        return waiting if self._current is None else (self._current, *waiting)
