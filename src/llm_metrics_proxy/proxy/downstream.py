"""The client's side: one connection. Reads requests, decides which may be forwarded, and knows its timeouts.

    ClientTransport    the socket                           ``client_transport``
      ClientTurns      whose turn it is to be answered      ``client_turns``
        Downstream     what comes in, and what takes too long

``check``, which the worker calls for every connection a few times a second, looks at the limits: a timer per request
would cost more than its parsing.
"""

import asyncio
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy.proxy.acceptance import accept, plan_for
from llm_metrics_proxy.proxy.admission import AdmissionVerdict
from llm_metrics_proxy.proxy.client_turns import BUSY, CLOSED, IDLE, LINGERING, QUEUED_BYTES, TUNNEL, ClientTurns
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.endings import ENDINGS, Cause
from llm_metrics_proxy.proxy.headers import HeadRefusal
from llm_metrics_proxy.proxy.inbound import InboundRequest, RequestPlan
from llm_metrics_proxy.proxy.lane import Lane
from llm_metrics_proxy.proxy.local import LOCAL_PATHS, UNREAD, Reply
from llm_metrics_proxy.proxy.plans import NewestHead, WholeMessage, whole_message
from llm_metrics_proxy.proxy.request_reader import RequestReader

_MAX_PIPELINED: Final = 16  # more wait in the socket until these are answered
_PAUSE_NS: Final = 2_000_000_000  # of a client that is refused: that it has not asked, or stopped sending its upload


class Downstream(ClientTurns):
    """One client connection."""

    __slots__ = ("_lane", "_newest_head", "_plan", "_refused")

    def __init__(self, ctx: Context) -> None:
        super().__init__(ctx)
        self._reader = RequestReader(
            self, max_head_bytes=ctx.options.max_header_bytes, max_fields=ctx.options.max_header_count
        )
        self._newest_head: NewestHead[RequestPlan] = NewestHead()
        self._lane: Lane | None = None
        self._plan: RequestPlan | None = None  # of the request that was read last
        self._refused: Cause | None = None  # every request here gets this one answer

    def __repr__(self) -> str:
        return f"<Downstream {self.address.decode()} {self._phase.name} current={self._current!r}>"

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        ctx = self._ctx
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if peer else "unknown"
        self.address = address.encode()
        self.trusted = ctx.is_trusted(address)
        ctx.connections.add(self)
        ctx.slot.add("open_connections")
        if ctx.draining:  # it was in the listening socket's queue
            self._refuse(Cause.SHUTDOWN)
        elif len(ctx.connections) > ctx.capacity.clients_limit:
            self._refuse(Cause.SATURATED)
            if ctx.listeners is not None and not ctx.capacity.may_accept(len(ctx.connections)):
                ctx.listeners.shut()

    def _refuse(self, cause: Cause) -> None:
        """Clients take no answer before they have sent a request, so this waits for one, but not long."""
        self._refused = cause
        self._reader.stopped = True

    def data_received(self, data: bytes) -> None:
        if self._phase is TUNNEL:
            assert self._current is not None
            self._current.body_received(data)
            return
        reader = self._reader
        if reader.stopped:
            if self._refused is not None:
                self._hear_out(data)
            else:
                self._since = monotonic_ns()  # lingering: read and discarded
            return
        self._now = monotonic_ns()
        message = None
        if reader.at_boundary:
            known = self._newest_head.match(data)
            if known is None:
                message = whole_message(data)
                if message is not None:
                    known = self._newest_head.look_up(self._ctx.plans, message, data)
            if known is not None:
                self._whole_request(*known)
                return
        self._plan = None
        reader.feed(data)
        if message is not None and reader.at_boundary and self._plan is not None and not self._queue:
            self._learn(message, self._plan)
        self._after_read()

    def _whole_request(self, plan: RequestPlan, body: bytes) -> None:
        """A head seen before, with its whole body: no parser needed (see ``plans``)."""
        if plan.fast and self._phase is IDLE and not self._full:
            lane = self._lane
            if lane is None or not lane.free:
                self._lane = lane = Lane.of(self._ctx, self, plan)
            if lane.ask(plan, body, self._now):
                self._current = lane
                self._phase = BUSY
                self._reader.at_boundary = plan.keep_alive
                return
        transaction = accept(self._ctx, self, plan, len(body), self._now)
        self.enqueue(transaction)
        if body:
            transaction.body_received(body)
        self._reader.at_boundary = self.message_read()
        self._after_read()

    def _hear_out(self, data: bytes) -> None:
        """Browsers show a page only answers that allow it to read them, so even a refusal checks which page it is."""
        self._now = monotonic_ns()
        self._reader.stopped = False
        self._reader.feed(data)
        if self._refused is not None:
            self._reader.stopped = True
        self._after_read()

    def _learn(self, message: WholeMessage, plan: RequestPlan) -> None:
        request = plan.request
        # A request for a WebSocket is one by its length, whose digits are not part of the key.
        names_websocket = b"websocket" in request.facts.get("upgrade", b"").lower()
        if not (request.chunked or request.is_forwarded or request.expects_continue or names_websocket):
            self._ctx.plans.learn(message, plan)

    def _after_read(self) -> None:
        if self._incoming is not None:
            self._incoming.note_opened()  # its body is still to come
        self.advance()
        # One that waits for its turn is not read to its end ahead of time: sixteen could hold a GiB.
        if self._queue and (self._incoming is not None or len(self._queue) >= _MAX_PIPELINED):
            self.pause("queue")

    def eof_received(self) -> bool:
        # A client that shuts down its sending side counts as gone, as with nginx: the two look alike.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._phase = CLOSED
        ctx = self._ctx
        ctx.connections.discard(self)
        if ctx.listeners is not None and ctx.listeners.are_shut and ctx.capacity.may_accept(len(ctx.connections) + 1):
            ctx.listeners.reopen()
        ctx.slot.add("open_connections", -1)
        for work in self.all_work():
            work.client_gone()
        ctx.bodies.held_bytes -= QUEUED_BYTES * len(self._queue or ())
        self._current = self._incoming = self._queue = None

    # The reader's side

    def head_begun(self) -> None:
        self._plan = None
        if self._phase is IDLE:
            self._since = self._now

    def head_read(self, head: InboundRequest) -> None:
        verdict = self._ctx.admission.judge(head, trusted=self.trusted)
        if self._refused is not None and verdict.preflight is None:
            self.head_refused(_refusal(self._refused), verdict)
        elif self._current is not None and not self._ctx.bodies.has_room(QUEUED_BYTES):
            self._ctx.bodies.refused()
            self.head_refused(_refusal(Cause.SATURATED), verdict)
        elif verdict.refused is None and (verdict.preflight is not None or head.path in LOCAL_PATHS):
            reply = Reply(self._ctx, self, head, verdict)
            if self._refused is not None:  # a preflight: browsers show the page nothing of one that fails
                self._refused, reply.keep_alive = None, False
            self.enqueue(reply)
        else:
            plan = self._plan = plan_for(self._ctx, head, verdict, trusted=self.trusted)
            self.enqueue(accept(self._ctx, self, plan, head.content_length, self._now))

    def head_refused(self, refusal: HeadRefusal, verdict: AdmissionVerdict = UNREAD) -> None:
        """Answer with an error once earlier requests are answered, then close; nothing further is understood."""
        refused, self._refused = self._refused, None
        if refused is not None:  # whatever it asks, even if it is not HTTP
            refusal = _refusal(refused)
        if refused is Cause.SATURATED:
            self._ctx.capacity.turned_away()
        self._ctx.slot.add("bad_requests")
        self.enqueue(Reply(self._ctx, self, None, verdict, refusal))
        self._incoming = None
        self._reader.stopped = True

    def body_read(self, body: bytes) -> None:
        if self._incoming is not None:
            self._incoming.body_received(body)

    def message_read(self) -> bool:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return True
        more_may_follow = incoming.keep_alive
        if not self._reader.stopped:
            incoming.body_ended(self._now)
            incoming.note_opened()
        return more_may_follow

    def malformed(self, reason: str) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            self.head_refused(HeadRefusal(400, "bad_http", f"The request is not valid HTTP: {reason}."))
        else:
            self._reader.stopped = True
            incoming.bad_body(f"The request's body is not valid HTTP: {reason}.")

    def tunnel_asked(self, rest: bytes) -> bool:
        newest = self._queue[-1] if self._queue else self._current
        if newest is None or not newest.accepts_tunnel:
            return False
        self.pause("tunnel")
        self._early = rest
        return True

    # The worker's side

    def forget_plans(self) -> None:
        """There are new settings."""
        self._newest_head = NewestHead()

    def check(self, now: int) -> None:
        """End what has taken too long."""
        options = self._ctx.options
        if self._phase is BUSY:
            if self._current is not None:
                self._current.check(now)
        elif self._phase is IDLE:
            if self._refused is not None:
                if now - self._since > _PAUSE_NS:
                    self.head_refused(_refusal(self._refused))
                    self.advance()
            elif self._reader.in_head:
                if now - self._since > options.header_timeout_s * 1e9:
                    self._reader.in_head = False
                    self.head_refused(HeadRefusal(408, "slow_request", "The request's head did not arrive in time."))
                    self.advance()
            elif now - self._since > options.keepalive_timeout_s * 1e9:
                self.close()
            else:
                self._lane = None  # what it holds of the newest request is not worth keeping while nothing comes
        elif self._phase is LINGERING:
            if now - self._since > _PAUSE_NS or now > self._linger_until:
                self.close()
        elif self._phase is CLOSED and now - self._since > options.send_timeout_s * 1e9:
            self.abort()  # a client that never takes the last bytes


def _refusal(cause: Cause) -> HeadRefusal:
    return HeadRefusal(ENDINGS[cause].status, cause.value, ENDINGS[cause].message)
