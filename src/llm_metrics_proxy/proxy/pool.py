"""Keep-alive connections to one server: newest first, bounded, with a queue for those who find it exhausted."""

import asyncio
import logging
import ssl
from collections import deque
from time import monotonic

import msgspec

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.proxy.allowance import Allowance
from llm_metrics_proxy.proxy.answers import ResponseHead
from llm_metrics_proxy.proxy.connecting import ConnectError, connect, tls_context, tls_failed
from llm_metrics_proxy.proxy.endings import ENDINGS, Cause
from llm_metrics_proxy.proxy.parties import Owner, UpstreamConnection
from llm_metrics_proxy.proxy.plans import Plans
from llm_metrics_proxy.proxy.routing import Backend

log = logging.getLogger(__name__)


class Pool:
    """The connections of one worker to one backend. ``acquire`` answers at once or calls the owner-to-be later."""

    def __init__(self, loop: asyncio.AbstractEventLoop, backend: Backend, allowance: Allowance | None = None) -> None:
        """Raises ``OSError`` (``ssl.SSLError`` is one) if the backend's certificates cannot be loaded."""
        self._loop = loop
        self._backend = backend
        self._limits = backend.limits
        self._tls = tls_context(backend)
        self._allowance = Allowance() if allowance is None else allowance
        self._allowance.join(self)
        self._idle: list[UpstreamConnection] = []
        self._open = 0
        self._waiting: deque[tuple[float, Owner]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self.plans: Plans[ResponseHead] = Plans()
        self.max_header_bytes = backend.limits.max_header_bytes
        self.last_error: str | None = None  # of the newest attempt to connect; None: it went well
        self.has_answered = False  # ever
        self._told: str | None = None  # of these, what the log has

    def __repr__(self) -> str:
        return (
            f"<Pool {self._backend.shown_name} open={self._open} idle={len(self._idle)} waiting={len(self._waiting)}>"
        )

    def acquire(self, owner: Owner, *, fresh: bool = False) -> UpstreamConnection | None:
        """An idle connection, or ``None``: the owner's ``upstream_ready`` or ``upstream_failed`` follows."""
        upstream = None if fresh else self.take_idle()
        if upstream is not None:
            return upstream
        if self._may_open:
            self._start_connecting(owner)
        else:
            self._waiting.append((monotonic(), owner))
            if self._allowance.is_used_up:
                self._allowance.make_room()
        return None

    @property
    def _may_open(self) -> bool:
        return self._open < self._limits.max_connections and not self._allowance.is_used_up

    def _count(self) -> None:
        self._open += 1
        self._allowance.open += 1

    @property
    def descriptors(self) -> int:
        """What its connections take; see ``Upstream`` for the second one through TLS."""
        return self._open * (1 if self._tls is None else 2)

    def close_idle(self) -> bool:
        """Give up the connection that has been idle longest; whether there was one."""
        if not self._idle:
            return False
        self._idle.pop(0).abort()
        return True

    def open_for_waiting(self) -> bool:
        """Connect for the one that waits longest; whether any did."""
        while self._waiting and self._may_open:
            _, owner = self._waiting.popleft()
            if owner.is_waiting:
                self._start_connecting(owner)
                return True
        return False

    @property
    def has_idle(self) -> bool:
        """There is a connection to be taken, unless it was closed a moment ago."""
        return bool(self._idle)

    def take_idle(self) -> UpstreamConnection | None:
        """The newest idle connection, which is the least likely to have been closed meanwhile."""
        while self._idle:
            upstream = self._idle.pop()
            if upstream.usable:
                upstream.reused = True
                return upstream
        return None

    def why_lost(self, error: Exception | None) -> tuple[Cause, str | None]:
        """What a connection that was closed without an answer means, if this server has never given one.

        A server that speaks TLS 1.3 refuses a client only after the handshake (RFC 8446 section 4.4.2.4).
        """
        if self.has_answered:
            return Cause.RESET, None
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            failed = tls_failed(self._backend, error)
            self._note(failed)
            return failed.cause, str(failed)
        if self._tls is not None:
            return Cause.RESET, None
        return Cause.RESET, f"{ENDINGS[Cause.RESET].message[:-1]}; if it {tls_reasons.SPEAKS_TLS}."

    def release(self, upstream: UpstreamConnection, *, reusable: bool) -> None:
        """Its answer is complete."""
        if not (reusable and upstream.usable) or upstream.is_backed_up:
            if upstream.is_backed_up:
                upstream.abort()  # it answered without taking the request: what waits for it would wait forever
            else:
                upstream.close()
            return
        if upstream.is_paused:
            upstream.resume()  # for a client that was slow
        while self._waiting:
            _, owner = self._waiting.popleft()
            if owner.is_waiting:
                upstream.reused = True
                owner.upstream_ready(upstream)
                return
        if len(self._idle) < self._limits.max_idle:
            upstream.idle_since = monotonic()
            self._idle.append(upstream)
        else:
            upstream.close()

    def lost(self, upstream: UpstreamConnection) -> None:
        """A connection is gone; the one that waits longest may open another."""
        if not upstream.established:
            return
        if upstream in self._idle:
            self._idle.remove(upstream)
        self._slot_freed()

    def _slot_freed(self) -> None:
        self._open -= 1
        self._allowance.given_back()
        self.open_for_waiting()

    def sweep(self, now_ns: int) -> None:
        """Close what has been idle for too long; refuse those who have waited too long."""
        now = now_ns / 1e9
        oldest = now - self._limits.keepalive_s
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.pop(0).close()
        waited_out = now - self._limits.connect_timeout_s
        while self._waiting and self._waiting[0][0] < waited_out:
            _, owner = self._waiting.popleft()
            if owner.is_waiting:
                owner.upstream_failed(Cause.SATURATED, "All upstream connections are busy.", answered=True)

    async def probe(self, timeout_s: float) -> str | None:
        """Can the backend be connected to? ``None`` if so, else why not. A connection made for it is kept."""
        if any(upstream.usable for upstream in self._idle):
            return None
        self._count()
        try:
            upstream = await connect(self, self._backend, self._tls, timeout_s)
        except ConnectError as error:
            self._slot_freed()
            self._note(error)
            return self.last_error
        self.last_error = None
        self.release(upstream, reusable=True)
        return None

    def _note(self, error: ConnectError) -> None:
        """A handshake that fails stays so until somebody does something: the log says it once for each reason."""
        self.last_error = str(error)
        if error.cause is Cause.TLS and self.last_error != self._told:
            self._told = self.last_error
            log.warning("%s", self._told)

    @property
    def is_empty(self) -> bool:
        """No connection is left, and nobody waits for one."""
        return not self._open and not self._waiting

    def retire(self) -> None:
        """Keep no connection longer than what is being answered on it: the backend is no longer in the settings."""
        self._limits = msgspec.structs.replace(self._limits, max_idle=0)
        idle, self._idle = self._idle, []
        for upstream in idle:
            upstream.close()

    def done(self) -> None:
        """Retired and empty: it opens nothing again."""
        self._allowance.leave(self)

    def close(self) -> None:
        """Close every idle connection and give up connecting."""
        for task in self._connecting:
            task.cancel()
        for upstream in self._idle:
            upstream.close()

    def _start_connecting(self, owner: Owner) -> None:
        self._count()
        task = self._loop.create_task(self._connect_for(owner))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_for(self, owner: Owner) -> None:
        try:
            upstream = await connect(self, self._backend, self._tls, self._limits.connect_timeout_s)
        except ConnectError as error:
            self._note(error)
            if owner.is_waiting:
                owner.upstream_failed(error.cause, str(error), answered=True)
            self._slot_freed()
            return
        self.last_error = None
        if owner.is_waiting:
            owner.upstream_ready(upstream)
        else:
            self.release(upstream, reusable=True)
