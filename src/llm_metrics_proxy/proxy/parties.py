"""What the parts of the data plane see of each other, as protocols, so that none of them imports its neighbour.

Client                the client's connection: ``downstream``
  Work                what it answers, one after the other: ``transaction``, ``local``, ``tunnel_session``
Owner                 who waits for an upstream connection or has one: ``transaction``, ``fetch``
  UpstreamConnection  that connection: ``upstream``
    Home              where it belongs: ``pool``
"""

from typing import Protocol

from llm_metrics_proxy.proxy.answers import ResponseHead
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.plans import Plans
from llm_metrics_proxy.proxy.socket_writer import SocketWriter


class Work(Protocol):
    """One request in its turn among those of a client's connection."""

    keep_alive: bool  # another request may follow
    started: bool

    @property
    def accepts_tunnel(self) -> bool:
        """May be answered with 101."""

    def start(self) -> None:
        """It is its turn to be answered. Called once."""

    def body_received(self, data: bytes) -> None:
        """Bytes of the request's body, or behind a 101 whatever the client sends."""

    def body_ended(self, now: int) -> None:
        """The body is complete."""

    def bad_body(self, message: str) -> None:
        """The body cannot be read, nor what follows it."""

    def note_opened(self) -> None:
        """A read has been worked through: if this process dies now, what is known is recorded."""

    def client_is_slow(self, *, slow: bool) -> None:
        """Back-pressure from the client's socket."""

    def client_gone(self) -> None:
        """The client closed its connection."""

    def check(self, now: int) -> None:
        """A few times a second, when it is its turn: end what has taken too long."""

    def abandon(self, cause: Cause) -> None:
        """End it now."""


class Client(Protocol):
    """A client's connection, as its work and its worker see it."""

    address: bytes
    trusted: bool  # may say whom it forwards for
    socket_writer: SocketWriter | None
    forwarding_cache: tuple[object, bytes] | None  # the plan and the forwarding lines of its newest request

    @property
    def is_last(self) -> bool:
        """The answer being given is the last one here."""

    def write(self, data: bytes) -> None:
        """Bytes for the client, unless it is gone."""

    def pause(self) -> None:
        """Read no more of the request's body."""

    def resume(self) -> None:
        """Read on."""

    def work_ended(self, work: object, *, keep_alive: bool, lingering: bool) -> None:
        """The answer is on its way. ``lingering``: the request was not read to its end."""

    def tunnel_opened(self, session: Work) -> None:
        """A 101 is on its way: ``session`` takes the place of the request."""

    def close(self) -> None:
        """Send what is buffered, then close."""

    def reset(self) -> None:
        """Close so that it cannot pass for the end of a body that only closing would end."""

    def abort(self) -> None:
        """Close without sending what is buffered."""

    # The worker's side

    def forget_plans(self) -> None:
        """The settings that plans followed from are not in use any more."""

    def check(self, now: int) -> None:
        """End what has taken too long."""

    def drain(self) -> None:
        """Close once what is being answered is."""

    def abandon(self) -> None:
        """The time for draining is over."""


class TunnelEnd(Protocol):
    """Who takes what a server sends behind a 101."""

    def server_said(self, data: bytes, now: int) -> None:
        """Bytes of the other protocol."""

    def ended(self, now: int) -> None:
        """The server closed the connection."""


class UpstreamConnection(Protocol):
    """A connection to a server, as its owner and its pool see it."""

    reused: bool
    connect_ns: int
    established: bool  # the pool counts it; until then a failure is an exception
    idle_since: float
    unsent: bool  # it broke, and nothing of the newest request reached the server
    is_backed_up: bool  # the server's socket takes no more for now
    is_paused: bool  # nothing is read from it for now

    @property
    def usable(self) -> bool:
        """May carry another request."""

    @property
    def all_delivered(self) -> bool:
        """The server's system has all that was written."""

    def begin(self, owner: "Owner", method: bytes, data: bytes) -> None:
        """Send a request, or the head of an upload: from now on the connection has an owner."""

    def take(self, owner: "Owner", method: bytes, size_bytes: int) -> SocketWriter:
        """As ``begin``, but the owner writes the request, of that size, to what is returned."""

    def send(self, data: bytes) -> None:
        """More of the request's body, or of the tunnel."""

    def pause(self) -> None:
        """Read no more until ``resume``."""

    def resume(self) -> None:
        """Read on."""

    def abort(self) -> None:
        """Drop the connection, so that the server stops working on the request."""

    def close(self) -> None:
        """Close the connection once what is buffered is out."""


class Owner(Protocol):
    """From the pool it gets a connection or a failure; from the connection an answer, piece by piece, or a failure."""

    @property
    def is_waiting(self) -> bool:
        """Still wants a connection."""

    @property
    def request_is_sent(self) -> bool:
        """The whole request went out; if not, its connection cannot carry another one."""

    def upstream_ready(self, upstream: UpstreamConnection) -> None:
        """Here is a connection."""

    def upstream_failed(self, cause: Cause, message: str | None, *, answered: bool) -> None:
        """There is none, or it broke. ``answered``: nothing is gained by asking again."""

    def upstream_is_slow(self, *, slow: bool) -> None:
        """Back-pressure from the upstream's socket."""

    def informational(self, head: ResponseHead) -> None:
        """A 1xx head."""

    def response(
        self, head: ResponseHead | None, length: int | None, body: bytes, *, ended: bool, read_at: int
    ) -> None:
        """Everything one read brought: perhaps the head, perhaps bytes of the body, perhaps the end."""

    def chunk(self, data: bytes, body: bytes, read_at: int) -> None:
        """A read that was one chunk, framed by its size alone; ``body``: what of it are bytes of the body."""

    def more_body(self, body: bytes, read_at: int) -> None:
        """Any other read that brought bytes of the body and nothing else."""

    def tunnel_opened(self, head: ResponseHead, now: int) -> TunnelEnd | None:
        """The server switched protocols; ``None``: unsolicited."""


class Home(Protocol):
    """The pool, as its connections see it."""

    plans: Plans[ResponseHead]
    max_header_bytes: int
    has_answered: bool  # this server, ever

    def release(self, upstream: UpstreamConnection, *, reusable: bool) -> None:
        """Its answer is complete."""

    def lost(self, upstream: UpstreamConnection) -> None:
        """It is gone."""

    def why_lost(self, error: Exception | None) -> tuple[Cause, str | None]:
        """What a connection that closed unanswered means."""


class Sharer(Protocol):
    """A pool, as the allowance sees it that it shares with others."""

    @property
    def descriptors(self) -> int:
        """What its connections take."""

    def close_idle(self) -> bool:
        """Close the connection that has been idle longest; whether there was one."""

    def open_for_waiting(self) -> bool:
        """Connect for the one that waits longest; whether any did."""
