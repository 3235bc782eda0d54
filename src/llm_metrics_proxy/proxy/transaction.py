"""One request in flight: joins the client's connection, the pool, the exchange and the recorder.

    Upload       the body, and what the server gets         ``upload``
      Download   the answer, and every way to end           ``download``
        Transaction  what happens when: the client's events, the choice of a server, connections, retries

Three classes, one object: its halves share who may still end the request, and an allocation each would cost more than
most of what they do. It decides nothing about formats (``inbound``, ``answers``, ``wire``) and nothing about meaning
(``exchange``).
"""

from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.answers import CONTINUE, LAST_CHUNK, ResponseHead
from llm_metrics_proxy.proxy.choice import model_in_target
from llm_metrics_proxy.proxy.download import Download
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.exchange import AWAITING, CLOSED, RECEIVING, RESPONDING, WAITING
from llm_metrics_proxy.proxy.fleet import Server
from llm_metrics_proxy.proxy.parties import TunnelEnd, UpstreamConnection
from llm_metrics_proxy.proxy.request_body import may_be_json, read_begun
from llm_metrics_proxy.proxy.retries import IDEMPOTENT, NOT_REPEATED, repeatable
from llm_metrics_proxy.proxy.tunnel_session import TunnelSession

_NO_ROOM: Final = "The request bodies that this worker holds have reached max_buffered_bytes; try again later."


@dataclass(slots=True, eq=False, repr=False)
class Transaction(Download):
    """One request on one client connection: ``Work`` to that, an ``Owner`` to the pool and the upstream connection."""

    tried: tuple[Server, ...] = ()  # could not be connected to

    def __repr__(self) -> str:
        return f"<Transaction {self.exchange!r} held={self.held} upstream={self.upstream!r}>"

    # From the client's connection

    def start(self) -> None:
        self.started = True
        if self.exchange.state is CLOSED:
            return  # draining ended it before its turn
        if self.refused is not None:
            self.end(self.refused, self.refused_message)
        elif not self.body_complete:
            self.upload_activity = self.upload_since = monotonic_ns()  # until now it was not its turn to arrive
            if self.plan.request.expects_continue:
                self.client.write(CONTINUE)
            if not self.held:
                self.forward()
        else:
            self.forward()

    def body_received(self, data: bytes) -> None:
        if self.refused is not None or self.exchange.state is CLOSED:
            return
        self.received_bytes += len(data)
        if self.form is not None and self.form.feed(data):
            self.take_facts(self.form.facts())
        if self.received_bytes > self.plan.limit_bytes:
            self._refuse(Cause.TOO_LARGE)
        elif not self.held and self.upstream is not None:
            self.upstream.send(self.framed(data))
        elif not self.hold(data):
            self._refuse(Cause.SATURATED, _NO_ROOM)
        elif self.held and self.plan.held_limit_bytes is not None:
            self._look_at_body(self.plan.held_limit_bytes)
        self.upload_activity = monotonic_ns()

    def body_ended(self, now: int) -> None:
        self.body_complete = True
        if self.refused is not None or self.exchange.state is CLOSED:
            return
        self.exchange.request_complete(now)
        self.exchange.record.request_bytes = self.received_bytes
        if self.held:
            self.read_body()
            if self.started:
                self.forward()
        elif self.upstream is not None and self.length is None:
            self.upstream.send(LAST_CHUNK)

    def _look_at_body(self, limit_bytes: int) -> None:
        """Of a type that is not JSON's: let it stream through if it is none, or too long to be held."""
        begun, form, fits = self.body[0], self.form, self.received_bytes <= limit_bytes
        may_say_more = may_be_json(self.plan, begun) if form is None else not (form.ended or form.model)
        if fits and may_say_more:
            return
        if form is None and not fits:
            self.take_facts(read_begun(self.plan, bytes(begun)))
        self.held = False
        self.client.pause()  # until the upstream connection is there
        if self.started:
            self.forward()

    def bad_body(self, message: str) -> None:
        self.keep_alive = False
        self.note_opened()
        self._refuse(Cause.BAD_BODY, message)

    def _refuse(self, cause: Cause, message: str | None = None) -> None:
        """Refuse a request whose head was accepted; its answer comes when its turn does."""
        if self.refused is None and self.exchange.state is not CLOSED:
            self.refused, self.refused_message = cause, message
            self.let_go_of_body()
            if self.started:
                self.end(cause, message)

    def client_is_slow(self, *, slow: bool) -> None:
        now = monotonic_ns()
        self.paused_since = self.paused_since or now if slow else 0
        if self.upstream is None:
            return
        if slow:
            self.upstream.pause()
        else:
            self.exchange.last_read = self.exchange.last_read and now
            self.upstream.resume()

    def check(self, now: int) -> None:
        cause = self.overdue(now)
        if cause is None:
            self.let_go_if_delivered(now)
        else:
            self.abandon(cause)
            if cause is Cause.CLIENT_STALLED:
                self.client.abort()

    def overdue(self, now: int) -> Cause | None:
        """Which timeout it has passed, if any. Checked a few times a second: a timer each would cost more."""
        options, exchange, server = self.ctx.options, self.exchange, self.server
        if exchange.state is CLOSED:
            return None
        if self.paused_since:
            since, limit_s, cause = self.paused_since, options.send_timeout_s, Cause.CLIENT_STALLED
        elif exchange.state is RESPONDING and server is not None:
            since, limit_s, cause = exchange.last_read, server.backend.limits.idle_timeout_s, Cause.IDLE_TIMEOUT
        elif self.blocked_since and server is not None:
            since, limit_s = self.blocked_since, server.backend.limits.first_byte_timeout_s
            cause = Cause.FIRST_BYTE_TIMEOUT
        elif not self.body_complete:
            since, limit_s, cause = self.upload_activity, options.body_timeout_s, Cause.SLOW_BODY
            least = options.body_min_bytes_per_s
            if least and now - self.upload_since > (limit_s + self.received_bytes / least) * 1e9:
                return cause  # a byte now and then is not a body
        elif exchange.state is AWAITING and server is not None:
            since, limit_s = max(exchange.sent, self.upload_activity), server.backend.limits.first_byte_timeout_s
            cause = Cause.FIRST_BYTE_TIMEOUT
        else:
            return None  # waiting for a connection: the pool has its own limits
        return cause if now - since > limit_s * 1e9 else None

    # To a server

    def forward(self) -> None:
        server = self.plan.server or self._choose()
        if server is None:
            model, path = self._model(), self.plan.route.endpoint
            asked = path if model is None else f"the model {model!r}"
            self.end(Cause.NO_BACKEND, f"No backend in the settings serves {asked} by {path}.")
        else:
            self._acquire(server)

    def _model(self) -> str | None:
        return self.exchange.record.model or model_in_target(self.plan.request.target)

    def _choose(self) -> Server | None:
        return self.ctx.fleet.choose(self._model(), self.plan.route.endpoint, self.tried)

    def _acquire(self, server: Server) -> None:
        self.server = server
        server.open_requests += 1
        record = self.exchange.record
        record.attempts = (record.attempts or 0) + 1
        if server is not self.plan.server:  # else the head has named it
            record.backend, record.backend_name = server.backend.address.label, server.backend.rule.name

        if stations.on:
            stations.chosen(self.exchange, monotonic_ns())
        upstream = server.pool.acquire(self)
        if upstream is not None:
            self.upstream_ready(upstream)

    @property
    def is_waiting(self) -> bool:
        return self.upstream is None and self.exchange.state in {RECEIVING, WAITING}

    @property
    def accepts_tunnel(self) -> bool:
        return self.plan.request.websocket

    def upstream_ready(self, upstream: UpstreamConnection) -> None:
        """Send the request, or its head and the body so far."""
        exchange = self.exchange
        exchange.upstream_ready(monotonic_ns(), reused=upstream.reused, connect_ns=upstream.connect_ns)
        self.upstream = upstream
        self.make_payload()
        self.note_opened()
        self.ctx.recorder.flush()
        upstream.begin(self, self.plan.request.method, self.payload)
        exchange.request_sent(monotonic_ns())
        if not self.held:
            self.let_go_of_body()
            self.upload_since = monotonic_ns()
            self.client.resume()

    def upstream_failed(self, cause: Cause, message: str | None, *, answered: bool) -> None:
        """Send again what no server can have begun with."""
        upstream, self.upstream = self.upstream, None
        server = self.server
        if server is not None and upstream is None:
            if self._fail_over(server, cause, cause.value):
                return
        elif server is not None and upstream is not None and not answered:
            note = self._repeatable(upstream, cause)
            if note is None:
                message = message or (None if self.plan.request.method in IDEMPOTENT else NOT_REPEATED)
            else:
                self.exchange.retried()
                if not self.exchange.record.retries:
                    self._try_afresh(server, note)
                    return
                if self._fail_over(server, cause, note):
                    return
        self.end(cause, message)

    def _repeatable(self, upstream: UpstreamConnection, cause: Cause) -> str | None:
        if not self.payload:
            return None
        return repeatable(
            self.ctx.options.retry_unsafe,
            self.plan.request.method,
            cause.value,
            unsent=upstream.unsent,
            reused=upstream.reused,
            first=not self.exchange.record.retries,
            after_ns=monotonic_ns() - self.exchange.sent,
            connect_ns=upstream.connect_ns,
        )

    def _try_afresh(self, server: Server, note: str) -> None:
        record = self.exchange.record
        record.retries += 1
        self._note_failed_attempt(server, note)
        record.attempts = (record.attempts or 0) + 1
        if stations.on:
            stations.chosen(self.exchange, monotonic_ns())
        server.pool.acquire(self, fresh=True)

    def _fail_over(self, server: Server, cause: Cause, note: str) -> bool:
        """This server cannot have begun with the request: another one may have it whole."""
        if self.plan.server is not None:
            return False
        self.tried = (*self.tried, server)
        another = self._choose()
        if another is None:
            return False
        self._note_failed_attempt(server, note)
        server.failed(cause)
        self.leave_server()
        if self.payload:  # made for the server whose reused connection had been closed before
            self.body = (self.payload[self.payload.index(b"\r\n\r\n") + 4 :],)
            self.payload = b""
        self._acquire(another)
        return True

    def _note_failed_attempt(self, server: Server, why: str) -> None:
        record = self.exchange.record
        note = f"{server.backend.shown_name}:{why}"
        record.attempt_errors = note if record.attempt_errors is None else f"{record.attempt_errors},{note}"
        if stations.on:
            stations.reached(self.exchange, monotonic_ns(), "attempt %d failed: %s", record.attempts, note)

    def tunnel_opened(self, head: ResponseHead, now: int) -> TunnelEnd | None:
        upstream = self.upstream
        if not self.accepts_tunnel or upstream is None:
            return None
        dialect = self.plan.route.dialect
        session = TunnelSession(
            self.ctx, self.client, self.exchange, self.server, upstream, dialect=dialect, take_facts=self.take_facts
        )
        session.begin(head, self.plan.request.target, now)
        self.client.tunnel_opened(session)
        return session
