"""The lane of the commonest request: it is here in one read under a head that is known, and so is its answer.

A lane is a transaction that its connection uses again and again. It has two steps of its own, ``ask`` and ``response``,
in which nothing has to be waited for, queued or held. Whatever else happens to such a request (an answer of another
kind, a time-out, a client that leaves, a stale connection) happens to a transaction in the state that its usual steps
would have left: then it has left the lane, and the connection makes another.

``tests/proxy/test_lane.py`` holds it against the way through parser, queue and reader, byte for byte and record for
record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from llm_metrics_proxy.proxy.acceptance import begin_record
from llm_metrics_proxy.proxy.answers import LENGTH, REQUEST_ID_FIELD, ResponseHead
from llm_metrics_proxy.proxy.choice import model_in_target
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.exchange import AWAITING, Exchange
from llm_metrics_proxy.proxy.inbound import RequestPlan, framing_lines, start_for
from llm_metrics_proxy.proxy.parties import Client
from llm_metrics_proxy.proxy.transaction import Transaction
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.first_bytes import reader_of_whole

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.fleet import Server

_NO_RECORD: Final = RequestRecord(request_id="", timestamp="", method="", endpoint="")  # until there is a request


@dataclass(slots=True, eq=False, repr=False)
class Lane(Transaction):
    """Of one client connection. ``free``: its newest request was answered here, so it may take another."""

    free: bool = True
    prefix: bytes = b""  # of what the newest server gets by the newest plan, up to the framing
    head: ResponseHead | None = None  # of the newest answer to the newest plan
    read: Callable[[bytes], ResponseFacts | None] | None = None  # those answers; none: they leave the lane

    @classmethod
    def of(cls, ctx: Context, client: Client, plan: RequestPlan) -> "Lane":
        """For a connection whose next request has that plan."""
        exchange = Exchange(_NO_RECORD, 0)
        lane = cls(ctx, client, plan, exchange, 0, plan.keep_alive, None, 0, 0, True)
        lane.started = lane.opened = lane.body_complete = True
        return lane

    def ask(self, plan: RequestPlan, body: bytes, now: int) -> bool:
        """Forward a request whose plan is ``fast``, if an idle connection is there. False: nothing was done."""
        ctx, length = self.ctx, len(body)
        bodies = ctx.bodies
        if length > plan.limit_bytes or bodies.held_bytes + length > bodies.limit_bytes:
            return False
        facts = plan.route.read_request(body) if body else None
        server = plan.server or self._choose_for(plan, facts)
        upstream = None if server is None else server.pool.take_idle()
        if server is None or upstream is None:
            return False
        if plan is not self.plan or server is not self.server:
            self._use(plan, server)
        record = begin_record(ctx, self.client, plan)
        if facts is not None:
            ctx.askers.take(record, plan.asker, facts)
        if server is not plan.server:  # else the head has named it
            record.backend, record.backend_name = server.backend.address.label, server.backend.rule.name
        record.attempts, record.upstream_reused, record.request_bytes = 1, True, length
        if length:
            payload = b"%bContent-Length: %d\r\n\r\n%b" % (self.prefix, length, body)
        else:
            payload = self.prefix + framing_lines(plan.request, 0)
        self.payload = payload
        self.received_bytes = self.held_bytes = length
        bodies.held_bytes += length
        self.paused_since = self.blocked_since = 0
        self.free, self.upstream = False, upstream
        server.open_requests += 1
        exchange = self.exchange
        exchange.sent_whole(record, now, monotonic_ns())
        ctx.recorder.send(exchange, upstream.take(self, plan.request.method, len(payload)), payload)
        return True

    def _choose_for(self, plan: RequestPlan, facts: RequestFacts | None) -> "Server | None":
        route = plan.route
        model = (facts and facts.model) or route.model or model_in_target(plan.request.target)
        return self.ctx.fleet.choose(model, route.endpoint, connected=True)

    def _use(self, plan: RequestPlan, server: "Server") -> None:
        if plan is not self.plan:
            self.plan, self.head, self.keep_alive = plan, None, plan.keep_alive
        self.server = server
        self.prefix = start_for(plan, server, trusted=self.client.trusted) + self.forwarding_lines()

    def response(
        self, head: ResponseHead | None, length: int | None, body: bytes, *, ended: bool, read_at: int
    ) -> None:
        exchange, server, ctx = self.exchange, self.server, self.ctx
        record = exchange.record
        facts = None
        if ended and head is not None and server is not None and exchange.state is AWAITING:
            read = self.read if head is self.head else self._reader_for(head)
            if read is not None and record.attempts == 1 and not (server.in_trouble or ctx.draining):
                facts = read(body)
        if facts is None or server is None or head is None:
            Transaction.response(self, head, length, body, ended=ended, read_at=read_at)
            return
        self.upstream, self.payload = None, b""
        ctx.bodies.held_bytes -= self.held_bytes
        server.open_requests -= 1
        self.held_bytes = 0
        record.response_bytes = len(body)
        parts = (head.start, len(body), REQUEST_ID_FIELD, record.request_id.encode(), body)
        answer = b"%bContent-Length: %d\r\n%b%b\r\n\r\n%b" % parts
        exchange.answered_whole(head.status, facts, read_at, monotonic_ns())
        self.free = True
        ctx.recorder.closed(record, self.client.socket_writer, answer, self._answered)

    def _reader_for(self, head: ResponseHead) -> Callable[[bytes], ResponseFacts | None] | None:
        """Who reads answers with that head; none if there is more to do for them than to pass them on."""
        plan, request = self.plan, self.plan.request
        plain = head.framing is LENGTH and not head.limits and head.counts is None
        as_usual = plan.keep_alive and request.version == "1.1" and plan.cors is None
        self.head, self.read = head, None
        if plain and as_usual and "content_encoding" not in head.facts:
            self.read = reader_of_whole(plan.route.dialect, head.status, head.media)
        return self.read
