"""One request in flight: joins the client's connection, the pool, the exchange and the recorder.

The client's connection hands it body bytes; the pool an upstream connection; the upstream connection the answer. It
decides nothing about formats (``inbound``, ``answers``, ``wire``) and nothing about meaning (``exchange``): it moves
bytes, forwards before it looks, and makes sure that every way to end leads through the recorder exactly once.

Longer than other files, because that last promise is one invariant over every method here: who may still end the
request. Taken apart, it would hang between two files.
"""

import asyncio
import logging
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

import msgspec

from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.admission import own_answer_lines, readable
from llm_metrics_proxy.proxy.answers import (
    CHUNKED,
    CONTINUE,
    LAST_CHUNK,
    NONE,
    UNTIL_CLOSE,
    Framing,
    ResponseHead,
    client_framing,
    error_body,
    head_bytes,
    informational_bytes,
    json_answer,
)
from llm_metrics_proxy.proxy.choice import model_in_target
from llm_metrics_proxy.proxy.exchange import (
    AWAITING,
    CLOSED,
    ENDINGS,
    RECEIVING,
    WAITING,
    Cause,
    Exchange,
)
from llm_metrics_proxy.proxy.inbound import InboundRequest, RequestPlan, start_for, upstream_end, upstream_start
from llm_metrics_proxy.proxy.model_list import Listing, list_models
from llm_metrics_proxy.proxy.request_body import read_body
from llm_metrics_proxy.proxy.tunnel import Tunnel
from llm_metrics_proxy.wire.base import EVENT_STREAM
from llm_metrics_proxy.wire.content_coding import decoder_for
from llm_metrics_proxy.wire.dialects import reader_for
from llm_metrics_proxy.wire.openai_realtime import model_in_query
from llm_metrics_proxy.wire.usage_injection import UsageFilter

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.context import Context
    from llm_metrics_proxy.proxy.downstream import Downstream
    from llm_metrics_proxy.proxy.fleet import Server
    from llm_metrics_proxy.proxy.upstream import Upstream

log = logging.getLogger(__name__)

_STALE_WINDOW_NS: Final = 100_000_000  # a reused connection that dies this soon was perhaps closed when we wrote to it
_IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})  # RFC 9110 section 9.2.2
_UNSENT: Final = "unsent"  # in attempt_errors: it broke before anything of the request reached the server
_NO_ROOM: Final = "The request bodies that this worker holds have reached max_buffered_bytes; try again later."
_WORTH_LETTING_GO_BYTES: Final = 16 * 1024
_NOT_REPEATED: Final = (
    "The LLM server closed the connection unanswered. It may have begun with the request, which is not sent again "
    "(see retry_unsafe)."
)


class Transaction(msgspec.Struct, eq=False, weakref=False):
    """One request on one client connection."""

    ctx: "Context"
    client: "Downstream"
    plan: RequestPlan
    exchange: Exchange
    length: int | None  # of the request's body, as announced; None: chunked
    request: InboundRequest
    keep_alive: bool
    buffered: bool  # the body is held until it is complete, because it is JSON
    limit_bytes: int
    refused: Cause | None = None
    refused_message: str | None = None
    started: bool = False
    opened: bool = False  # the recorder has its opened frame
    body: list[bytes | bytearray] = []
    held_bytes: int = 0  # of the body, as counted in ``Context.bodies``
    body_complete: bool = False
    received_bytes: int = 0
    upload_activity: int = 0
    upload_since: int = 0  # the client could have sent since then, but for waits that were not its own
    payload: bytes = b""  # what was sent upstream, kept until an answer begins, for the one retry
    upstream: "Upstream | None" = None
    edits: UsageFilter | None = None
    framing: Framing = NONE
    tunnel: Tunnel | None = None
    paused_since: int = 0  # the client takes nothing
    blocked_since: int = 0  # the upstream takes nothing
    server: "Server | None" = None  # that is to answer, while the request counts as open there
    tried: "tuple[Server, ...]" = ()  # could not be connected to
    listing: "asyncio.Task[Listing] | None" = None

    @classmethod
    def accept(
        cls, ctx: "Context", client: "Downstream", plan: RequestPlan, exchange: Exchange, length: int | None
    ) -> "Transaction":
        """A request whose head is in. One that must not pass is refused when its turn comes."""
        request, options = plan.request, ctx.options
        buffered = request.is_json and not request.websocket
        limit_bytes = options.max_upload_bytes
        if buffered:
            limit_bytes = min(options.max_body_bytes, ctx.bodies.limit_bytes)  # what can never fit
        refused = plan.refused
        if refused is not None:
            pass
        elif length is not None and length > limit_bytes:
            refused = Cause.TOO_LARGE
        elif options.journal_when_full == "refuse_requests" and ctx.recorder.is_full:
            refused = Cause.SATURATED
        return cls(
            ctx, client, plan, exchange, length, request,
            request.keep_alive and not request.websocket,  # what follows a refused upgrade may be the other protocol
            buffered, limit_bytes, refused,
            upload_activity=exchange.received,
            upload_since=exchange.received,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Transaction {self.exchange!r} buffered={self.buffered} upstream={self.upstream!r}>"

    # From the client's connection

    def note_opened(self) -> None:
        """Should we die before it ends, what is known by now is its record."""
        if not self.opened:
            self.opened = True
            self.ctx.recorder.opened(self.exchange.record)

    def start(self) -> None:
        """It is this request's turn to be answered. Called once."""
        self.started = True
        if self.refused is not None:
            self._end(self.refused, self.refused_message)
        elif not self.body_complete:
            self.upload_activity = self.upload_since = monotonic_ns()  # until now it was not its turn to arrive
            if self.request.expects_continue:
                self.client.write(CONTINUE)
            if not self.buffered:
                self._acquire()
        else:
            self._acquire()

    def body_received(self, data: bytes) -> None:
        """Part of the request's body, as it arrives."""
        if self.refused is not None or self.exchange.state is CLOSED:
            return
        self.received_bytes += len(data)
        if self.received_bytes > self.limit_bytes:
            self._refuse(Cause.TOO_LARGE)
        elif self.buffered or self.upstream is None:
            self._hold(data)
        else:
            self.upstream.send(self._framed(data))
        self.upload_activity = monotonic_ns()

    def _hold(self, data: bytes) -> None:
        bodies, body = self.ctx.bodies, self.body
        if not bodies.has_room(len(data)):
            bodies.refused()
            self._refuse(Cause.SATURATED, _NO_ROOM)
            return
        bodies.held_bytes += len(data)
        self.held_bytes += len(data)
        if not self.buffered:
            body.append(data)
            self.client.pause()  # until the upstream connection is there
        elif not body:
            body.append(data)
        else:  # many small pieces would each take several times their size
            whole = body[0]
            if isinstance(whole, bytes):
                whole = body[0] = bytearray(whole)
            whole += data

    def _let_go_of_body(self) -> None:
        """Nobody will need it again."""
        self.body, self.payload = [], b""
        self.ctx.bodies.held_bytes -= self.held_bytes
        self.held_bytes = 0

    def let_go_if_delivered(self, now: int) -> None:
        """A large body need not be held while the server works on it: once it has arrived, it is never sent again.

        Called a few times a second.
        """
        upstream, exchange = self.upstream, self.exchange
        if len(self.payload) < _WORTH_LETTING_GO_BYTES or exchange.state is not AWAITING or upstream is None:
            return
        if now - exchange.sent > max(_STALE_WINDOW_NS, 2 * upstream.connect_ns) and upstream.all_delivered:
            self._let_go_of_body()

    def body_ended(self, now: int) -> None:
        """The request's body is complete."""
        self.body_complete = True
        if self.refused is not None or self.exchange.state is CLOSED:
            return
        exchange = self.exchange
        exchange.request_complete(now)
        exchange.record.request_bytes = self.received_bytes
        if self.buffered:
            self._read_request()
            if self.started:
                self._acquire()
        elif self.upstream is not None:
            if self.length is None:
                self.upstream.send(LAST_CHUNK)
            if exchange.state is WAITING:  # else the answer has begun already
                exchange.state = AWAITING

    def bad_body(self, message: str) -> None:
        """What followed the head is not a valid body."""
        self._refuse(Cause.BAD_BODY, message)

    def client_gone(self) -> None:
        """The client closed its connection: stop the upstream at once, GPU time is money."""
        if self.exchange.state is CLOSED:
            return
        if self.tunnel is not None:
            self.tunnel.client_left()
            self.tunnel_ended(monotonic_ns())
            return
        self._drop_upstream()
        self._leave_server()
        self._let_go_of_body()
        self.exchange.record.request_bytes = self.received_bytes
        self.ctx.recorder.closed(self.exchange.fail(Cause.CLIENT_GONE, monotonic_ns()))

    def abandon(self, cause: Cause) -> None:
        """End it from outside: a limit of time, or the end of draining."""
        if self.exchange.state is not CLOSED:
            self._end(cause)

    def client_is_slow(self, *, slow: bool) -> None:
        """Back-pressure from the client's socket."""
        self.paused_since = monotonic_ns() if slow else 0
        if self.upstream is not None:
            if slow:
                self.upstream.pause()
            else:
                self.exchange.last_read = self.exchange.last_read and monotonic_ns()
                self.upstream.resume()

    # From the pool

    @property
    def is_waiting(self) -> bool:
        """Still wants a connection."""
        return self.upstream is None and self.exchange.state in {RECEIVING, WAITING}

    @property
    def request_is_sent(self) -> bool:
        """The whole request went out; if not, its connection cannot carry another one."""
        return self.body_complete

    def _acquire(self) -> None:
        if self.plan.merges_models:
            self._list_models()
            return
        server = self.plan.server or self._choose()
        if server is None:
            model = self.exchange.record.model or model_in_target(self.request.target)
            asked = f"the model {model!r}" if model is not None else self.plan.route.endpoint
            self._end(Cause.NO_BACKEND, f"No backend in the settings serves {asked} by {self.plan.route.endpoint}.")
            return
        self._ask(server)

    def _choose(self) -> "Server | None":
        model = self.exchange.record.model or model_in_target(self.request.target)
        return self.ctx.fleet.choose(model, self.plan.route.endpoint, self.tried)

    def _ask(self, server: "Server") -> None:
        self.server = server
        server.open_requests += 1
        record = self.exchange.record
        record.attempts = (record.attempts or 0) + 1
        record.backend, record.backend_name = server.backend.address.label, server.backend.rule.name
        if stations.on:
            stations.chosen(self.exchange, monotonic_ns())
        upstream = server.pool.acquire(self)
        if upstream is not None:
            self.upstream_ready(upstream)

    def _leave_server(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            server.open_requests -= 1

    def upstream_ready(self, upstream: "Upstream") -> None:
        """Send the request, or its head and what there is of its body."""
        exchange = self.exchange
        exchange.upstream_ready(monotonic_ns(), reused=upstream.reused, connect_ns=upstream.connect_ns)
        self.upstream = upstream
        if not self.payload:
            self.payload = self._head_for_upstream() + b"".join(self._pending_body())
            self.body = []
        self.note_opened()
        self.ctx.recorder.flush()
        upstream.begin(self, self.request.method, self.payload)
        exchange.request_sent(monotonic_ns())
        if not self.buffered:
            self._let_go_of_body()
            self.upload_since = monotonic_ns()
            self.client.resume()
            if not self.body_complete:
                exchange.state = RECEIVING

    def _head_for_upstream(self) -> bytes:
        request = self.request
        if self.buffered:
            length: int | None = sum(map(len, self.body))
        else:
            length = self.length
        client, server, plan = self.client, self.server, self.plan
        if server is None:
            start = plan.start
        elif self.edits is not None:
            start = upstream_start(request, server.backend, trusted=client.trusted, plain_answer=True)
        else:
            start = start_for(plan, server, trusted=client.trusted)
        return start + upstream_end(request, client_address=client.address, trusted=client.trusted, body_length=length)

    def _pending_body(self) -> list[bytes | bytearray]:
        if self.buffered:
            return self.body
        framed: list[bytes | bytearray] = [self._framed(bytes(data)) for data in self.body]
        if self.body_complete and self.length is None:
            framed.append(LAST_CHUNK)
        return framed

    def _framed(self, data: bytes) -> bytes:
        return data if self.length is not None else b"%x\r\n%b\r\n" % (len(data), data)

    def upstream_is_slow(self, *, slow: bool) -> None:
        """Back-pressure from the upstream's socket while a body streams up."""
        if slow:
            self.blocked_since = monotonic_ns()
            self.client.pause()
        else:
            now = monotonic_ns()
            self.upload_since += now - self.blocked_since
            self.blocked_since = 0
            self.upload_activity = now
            self.client.resume()

    def upstream_failed(self, cause: Cause, message: str | None, *, answered: bool) -> None:
        """There is no connection, or it broke. What cannot have been begun with may be asked for once more."""
        upstream, self.upstream = self.upstream, None
        server = self.server
        if server is not None and upstream is None:
            if self._fail_over(server, cause, cause.value):
                return
        elif server is not None and upstream is not None and not answered:
            note = self._repeatable(upstream, cause)
            if note is None:
                message = message or (None if self.request.method in _IDEMPOTENT else _NOT_REPEATED)
            elif not self.exchange.record.retries:
                self._try_afresh(server, note)
                return
            elif self._fail_over(server, cause, note):
                return
        self._end(cause, message)

    def _repeatable(self, upstream: "Upstream", cause: Cause) -> str | None:
        """The word for an attempt that may be followed by another; ``None``: it may not (RFC 9110 section 9.2.2)."""
        mode = self.ctx.options.retry_unsafe
        if not self.payload:
            return None
        if upstream.unsent and (mode != "never" or self.request.method in _IDEMPOTENT):
            return _UNSENT
        if not upstream.reused or self.exchange.record.retries:
            return None
        if self.request.method in _IDEMPOTENT:
            return cause.value
        window = max(_STALE_WINDOW_NS, 2 * upstream.connect_ns)
        return cause.value if mode == "stale" and monotonic_ns() - self.exchange.sent <= window else None

    def _try_afresh(self, server: "Server", note: str) -> None:
        record = self.exchange.record
        record.retries += 1
        self._note_failed_attempt(server, note)
        record.attempts = (record.attempts or 0) + 1
        self.exchange.state = WAITING
        server.pool.acquire(self, fresh=True)

    def _fail_over(self, server: "Server", cause: Cause, note: str) -> bool:
        """This server cannot have begun with the request: another one may have it whole."""
        if self.plan.server is not None:
            return False
        self.tried = (*self.tried, server)
        another = self._choose()
        if another is None:
            return False
        self._note_failed_attempt(server, note)
        server.failed(cause)
        self._leave_server()
        if self.payload:  # made for the server whose reused connection had been closed before
            self.body = [self.payload[self.payload.index(b"\r\n\r\n") + 4 :]]
            self.payload = b""
        self._ask(another)
        return True

    def _note_failed_attempt(self, server: "Server", why: str) -> None:
        record = self.exchange.record
        note = f"{server.backend.shown_name}:{why}"
        record.attempt_errors = note if record.attempt_errors is None else f"{record.attempt_errors},{note}"

    # A list of the models of several servers

    def _list_models(self) -> None:
        """Every server is asked, with what the client said, and the answer is ours."""
        self.exchange.record.attempts = len(self.ctx.fleet.servers)
        self.exchange.state = WAITING
        task = self.listing = self.ctx.loop.create_task(
            list_models(self.ctx.fleet, self._list_request, self.ctx.options.models_timeout_s)
        )
        task.add_done_callback(self._models_listed)

    def _list_request(self, server: "Server") -> bytes:
        request, client = self.request, self.client
        start = upstream_start(request, server.backend, trusted=client.trusted, plain_answer=True)
        return start + upstream_end(request, client_address=client.address, trusted=client.trusted, body_length=0)

    def _models_listed(self, task: "asyncio.Task[Listing]") -> None:
        if self.exchange.state is CLOSED or task.cancelled():
            return
        if task.exception() is not None:
            log.error("the models could not be listed", exc_info=task.exception())
            self._end(Cause.INTERNAL)
            return
        listing = task.result()
        record, missing = self.exchange.record, listing.missing_words
        record.attempt_errors = missing or None
        if missing:
            log.warning("left out of the list of models: %s", " ".join((missing, *listing.reasons)))
        if listing.body is None:
            self._end(Cause.NO_MODELS, " ".join((f"No backend listed its models: {missing}.", *listing.reasons)))
            return
        now = monotonic_ns()
        self.exchange.response_head(now, 200, None, None)
        record.response_bytes = len(listing.body)
        self.exchange.finish(now, now)
        record.upstream_status_code = None  # the answer is nobody's but ours
        self.keep_alive = self.keep_alive and self.body_complete and not self.client.is_last
        answer = json_answer(
            200,
            listing.body,
            record.request_id,
            self.request.version,
            self.keep_alive,
            extra=listing.missing_line + own_answer_lines(self.plan.cors),
        )
        self.ctx.recorder.closed(record, self.client.socket_writer, answer, self._answered)

    # From the upstream connection

    def informational(self, head: ResponseHead) -> None:
        """A 1xx head on the way to the final one (RFC 9110 section 15.2); HTTP/1.0 has none."""
        self.payload = b""  # it is never sent again; what of it still waits for the server's socket counts on
        if self.request.version == "1.1":
            self.client.write(informational_bytes(head, self.exchange.record.request_id))

    def response(
        self, head: ResponseHead | None, length: int | None, body: bytes, *, ended: bool, read_at: int
    ) -> None:
        """Everything one read of the upstream brought: perhaps the head, perhaps bytes of the body, perhaps the end."""
        exchange = self.exchange
        out = b"" if head is None else self._begin_response(head, length, read_at)
        shown = body if self.edits is None else self._edit(body, ended=ended)
        if shown:
            exchange.record.response_bytes += len(shown)
            chunked = self.framing is CHUNKED
            out += b"%x\r\n%b\r\n" % (len(shown), shown) if chunked else shown
        if ended:
            # The last bytes wait for the record; until then, looking at them costs the client nothing.
            if body:
                exchange.response_body(body, read_at, read_at)
            self.upstream = None
            if self.held_bytes:
                self._let_go_of_body()
            if self.server is not None:  # nothing comes after this, so that it need not be forgotten
                self.server.open_requests -= 1
            if self.framing is CHUNKED:
                out += LAST_CHUNK
            record = exchange.finish(monotonic_ns(), read_at)
            self.ctx.recorder.closed(record, self.client.socket_writer, out, self._answered)
            return
        if out:
            self.client.write(out)
        if body:
            exchange.response_body(body, read_at, monotonic_ns())

    def more_body(self, body: bytes, read_at: int) -> None:
        """A read that brought bytes of the body and nothing else: by far the most are such."""
        if self.edits is not None:
            self.response(None, None, body, ended=False, read_at=read_at)
            return
        exchange = self.exchange
        exchange.record.response_bytes += len(body)
        self.client.write(b"%x\r\n%b\r\n" % (len(body), body) if self.framing is CHUNKED else body)
        exchange.response_body(body, read_at, monotonic_ns())

    def _begin_response(self, head: ResponseHead, length: int | None, now: int) -> bytes:
        server = self.server
        if server is not None and (server.in_trouble or head.status > 500):
            server.answered(head.status)
        exchange = self.exchange
        for column, value in head.limits:
            setattr(exchange.record, column, value)
        coding = head.facts.get("content_encoding")
        reader = reader_for(self.plan.route.dialect, head.status, head.media)
        decoder = decoder_for(coding) if coding is not None and reader is not None else None
        exchange.response_head(now, head.status, reader, decoder)
        self.payload = b""
        if self.upstream is None or not self.upstream.is_backed_up:
            self.ctx.bodies.held_bytes -= self.held_bytes
            self.held_bytes = 0
        if self.edits is not None and (coding is not None or head.media not in EVENT_STREAM):
            self.edits = None
        self.framing = client_framing(head.framing, self.request.version, edited=self.edits is not None)
        if self.framing is UNTIL_CLOSE or not self.body_complete or self.client.is_last:
            self.keep_alive = False
        exchange.head_sent = True
        if self.plan.cors is not None:
            head = head._replace(start=readable(head.start, self.plan.cors))
        return head_bytes(
            head, self.framing, length, exchange.record.request_id, self.request.version, keep_alive=self.keep_alive
        )

    def _edit(self, body: bytes, *, ended: bool) -> bytes:
        assert self.edits is not None
        shown = self.edits.feed(body) if body else b""
        return shown + self.edits.finish() if ended else shown

    def _answered(self) -> None:
        """The last bytes are with the client's socket."""
        self.client.transaction_ended(self, keep_alive=self.keep_alive, lingering=not self.body_complete)

    # A connection that speaks another protocol after a 101

    @property
    def accepts_tunnel(self) -> bool:
        """The client asked for a WebSocket."""
        return self.request.websocket

    def tunnel_opened(self, head: ResponseHead, now: int) -> None:
        """Relay the 101; from now on bytes pass as they are, and are read on the side."""
        exchange, tunnel = self.exchange, Tunnel()
        self.tunnel = tunnel
        exchange.record.model = exchange.record.model or model_in_query(self.request.target)
        exchange.response_head(now, head.status, tunnel.reader, None)
        exchange.head_sent = True
        self.client.write(informational_bytes(head, exchange.record.request_id, _UPGRADED))
        self.client.tunnel_opened()

    def tunnel_from_client(self, data: bytes) -> None:
        """Bytes of the client's protocol."""
        self.received_bytes += len(data)
        self.exchange.record.request_bytes = self.received_bytes
        if self.upstream is not None:
            self.upstream.send(data)
        if self.tunnel is not None:
            self.tunnel.client_said(data)

    def tunnel_from_upstream(self, data: bytes, now: int) -> None:
        """Bytes of the server's protocol."""
        self.client.write(data)
        self.exchange.record.response_bytes += len(data)
        self.exchange.response_body(data, now, monotonic_ns())

    def tunnel_ended(self, now: int) -> None:
        """Either side closed: that is how such a connection ends. What the other side is still to get goes out."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.close()
        self._leave_server()
        if self.exchange.state is not CLOSED:
            if self.tunnel is not None:
                self.tunnel.describe(self.exchange.record)
            self.ctx.recorder.closed(self.exchange.finish(now, now), None, b"", self.client.close)

    # Ways to end

    def _refuse(self, cause: Cause, message: str | None = None) -> None:
        """Refuse a request whose head was accepted; its answer comes when its turn does."""
        if self.refused is None and self.exchange.state is not CLOSED:
            self.refused, self.refused_message = cause, message
            self._let_go_of_body()
            if self.started:
                self._end(cause, message)

    def _end(self, cause: Cause, message: str | None = None) -> None:
        exchange = self.exchange
        self._drop_upstream()
        self._let_go_of_body()
        if self.server is not None:
            self.server.failed(cause)
            self._leave_server()
        exchange.record.request_bytes = self.received_bytes
        beyond_reach = exchange.head_sent or ENDINGS[cause].status == 0
        record = exchange.fail(cause, monotonic_ns(), message)
        recorder = self.ctx.recorder
        if beyond_reach:
            clean_end = self.framing is UNTIL_CLOSE
            recorder.closed(record, None, b"", self.client.reset if clean_end else self.client.close)
            return
        status = ENDINGS[cause].status
        record.status_code = status
        keep = self.keep_alive and self.body_complete and not self.client.is_last and status != 400
        self.keep_alive = keep
        body = error_body(_CODES.get(cause, cause.value), record.error_message or "")
        head_only = self.request.method == b"HEAD"
        record.response_bytes = 0 if head_only else len(body)
        answer = json_answer(
            status,
            body,
            record.request_id,
            self.request.version,
            keep,
            head_only=head_only,
            extra=own_answer_lines(self.plan.cors),
        )
        recorder.closed(record, self.client.socket_writer, answer, self._answered)

    def _drop_upstream(self) -> None:
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()
        if self.listing is not None:
            self.listing.cancel()

    def _read_request(self) -> None:
        body = bytes(self.body[0]) if self.body else b""
        self.body = []
        if body:
            facts, sent, self.edits = read_body(self.plan, body, inject_usage=self.ctx.options.inject_usage)
            self.exchange.request_facts(facts)
            self.body = [sent]


_UPGRADED: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"

# What programs see as `code` where the record's word would say too little.
_CODES: Final = {
    Cause.FORBIDDEN: "path_not_allowed",
    Cause.MISDIRECTED: "misdirected_request",
    Cause.FOREIGN_ORIGIN: "origin_not_allowed",
    Cause.TOO_LARGE: "request_too_large",
}
