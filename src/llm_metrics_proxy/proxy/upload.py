"""A request's way up: its body, held or streamed, and the bytes that a server gets.

A JSON body is held until it is complete, because the record and the choice of a backend need it, and until an answer
begins, because it may have to be sent again. Any other streams through, no faster than the server takes it. Where the
type does not say JSON, the first bytes tell which of the two it is. An uploaded form streams too; with several servers
to choose from it is held until it has named its model.
"""

from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy.proxy.answers import LAST_CHUNK
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.exchange import AWAITING, Exchange
from llm_metrics_proxy.proxy.fleet import Server
from llm_metrics_proxy.proxy.headers import forwarding_lines
from llm_metrics_proxy.proxy.inbound import RequestPlan, framing_lines, start_for, upstream_start
from llm_metrics_proxy.proxy.parties import Client, UpstreamConnection
from llm_metrics_proxy.proxy.request_body import read_body
from llm_metrics_proxy.proxy.retries import stale_window_ns
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.multipart import FormReader
from llm_metrics_proxy.wire.usage_injection import UsageFilter

_WORTH_LETTING_GO_BYTES: Final = 16 * 1024


@dataclass(slots=True, eq=False, repr=False)
class Upload:
    """The half of a ``Transaction`` that leads to the server. A base, not a part: an object more for every request
    would cost more than most of what it does."""

    ctx: Context
    client: Client
    plan: RequestPlan
    exchange: Exchange
    length: int | None  # of the body, as announced; None: chunked
    keep_alive: bool
    refused: Cause | None  # it must not pass, and is refused when its turn comes
    upload_activity: int  # the newest bytes of the body, or the end of a wait that was not the client's
    upload_since: int  # the client could have sent since then, except waits that were not its own
    held: bool  # its body is, until it is complete; else it streams through
    refused_message: str | None = None
    form: FormReader | None = None  # the body is a form
    started: bool = False
    opened: bool = False  # the recorder has its opened frame
    body: tuple[bytes | bytearray, ...] = ()
    held_bytes: int = 0  # of the body, as counted in ``Context.bodies``
    body_complete: bool = False
    received_bytes: int = 0
    payload: bytes = b""  # what was sent upstream, kept until an answer begins, for the one retry
    upstream: UpstreamConnection | None = None
    server: Server | None = None  # that is to answer, while the request counts as open there
    edits: UsageFilter | None = None
    paused_since: int = 0  # the client takes nothing
    blocked_since: int = 0  # the upstream takes nothing

    # The body

    def note_opened(self) -> None:
        if not self.opened:
            self.opened = True
            self.ctx.recorder.opened(self.exchange.record)

    def hold(self, data: bytes) -> bool:
        """Keep part of the body; false if there is no room for it."""
        bodies, body = self.ctx.bodies, self.body
        if not bodies.has_room(len(data)):
            bodies.refused()
            return False
        bodies.held_bytes += len(data)
        self.held_bytes += len(data)
        if not self.held:
            self.body = (*body, data)
            self.client.pause()  # until the upstream connection is there
        elif not body:
            self.body = (data,)
        else:  # many small pieces would each take several times their size
            whole = body[0]
            if isinstance(whole, bytes):
                whole = bytearray(whole)
                self.body = (whole,)
            whole += data
        return True

    def let_go_of_body(self) -> None:
        """Nobody will need it again."""
        self.body, self.payload = (), b""
        self.ctx.bodies.held_bytes -= self.held_bytes
        self.held_bytes = 0

    def let_go_if_delivered(self, now: int) -> None:
        """A large body need not be held while the server works on it: once it has arrived, it is never sent again."""
        upstream, exchange = self.upstream, self.exchange
        if len(self.payload) < _WORTH_LETTING_GO_BYTES or exchange.state is not AWAITING or upstream is None:
            return
        if now - exchange.sent > stale_window_ns(upstream.connect_ns) and upstream.all_delivered:
            self.let_go_of_body()

    def read_body(self) -> None:
        """Take the facts of a held body that is complete, and edit it where the settings say so."""
        if self.body and self.form is None:
            body = bytes(self.body[0])
            self.body = ()  # free the pieces before what is made of them
            facts, sent, self.edits = read_body(self.plan, body, inject_usage=self.ctx.options.inject_usage)
            self.take_facts(facts)
            self.body = (sent,)

    def take_facts(self, facts: RequestFacts) -> None:
        """What the body says is in the record from here on."""
        self.ctx.askers.take(self.exchange.record, self.plan.asker, facts)

    @property
    def request_is_sent(self) -> bool:
        return self.body_complete

    # What the server gets

    def make_payload(self) -> None:
        """Put the head and what has come of the body together; for a retry that is done already."""
        if self.payload:
            return
        plan, server, pieces = self.plan, self.server, self.body
        assert server is not None
        length = self.length
        if self.held:
            length = sum(map(len, pieces))
        else:
            pieces = tuple(self.framed(bytes(data)) for data in pieces)
            if self.body_complete and length is None:
                pieces += (LAST_CHUNK,)
        if self.edits is None:
            start = start_for(plan, server, trusted=self.client.trusted)
        else:
            start = upstream_start(plan.request, server.backend, trusted=self.client.trusted, plain_answer=True)
        end = framing_lines(plan.request, length)
        self.payload = b"%b%b%b%b" % (start, self.forwarding_lines(), end, b"".join(pieces))
        self.body = ()

    def forwarding_lines(self) -> bytes:
        """Whom we forward for; the same for all requests of a client that have one plan."""
        client, plan = self.client, self.plan
        cached = client.forwarding_cache
        if cached is None or cached[0] is not plan:
            lines = forwarding_lines(plan.request.facts, client.address, trusted=client.trusted)
            cached = client.forwarding_cache = (plan, lines)
        return cached[1]

    def framed(self, data: bytes) -> bytes:
        """Part of a body as the server gets it."""
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
