"""The data plane without sockets: connections fed by hand, transports that only take notes.

``Desk`` joins a real ``Downstream``, the real transactions and real ``Upstream`` connections with a pool and a recorder
of its own, so that a test can compare two of them byte by byte, thousands of times a second.
"""

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import msgspec

from llm_metrics_proxy.proxy.admission import Admission
from llm_metrics_proxy.proxy.answers import ResponseHead
from llm_metrics_proxy.proxy.asker import Askers
from llm_metrics_proxy.proxy.body_memory import BodyMemory
from llm_metrics_proxy.proxy.capacity import ClientCapacity
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.downstream import Downstream
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.fleet import Fleet
from llm_metrics_proxy.proxy.identity import KeyIds
from llm_metrics_proxy.proxy.plans import Plans, WholeMessage
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.proxy.routing import backends_of
from llm_metrics_proxy.proxy.upstream import Upstream
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.scoreboard import FIELDS, Slot
from tests.options import worker_options


class Transport:
    """Takes notes of what asyncio would do."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = False
        self.aborted = False
        self.reading = True

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.7", 5000) if name == "peername" else None

    def can_write_eof(self) -> bool:
        return False


class Forgetful(Plans[Any]):
    """Learns nothing, so everything goes through the parser."""

    def learn(self, message: WholeMessage, plan: Any) -> None:
        pass


class DeskPool:
    """One upstream connection after the other; a released one is used again."""

    max_header_bytes = 65536

    def __init__(self, plans: Plans[ResponseHead], upstreams: list[Upstream]) -> None:
        self.plans = plans
        self.upstreams = upstreams  # of every pool of the desk, in the order in which they were made
        self.idle: list[Upstream] = []

    def acquire(self, transaction: object, *, fresh: bool = False) -> Upstream:
        idle = None if fresh else self.take_idle()
        if idle is not None:
            return idle
        upstream = Upstream(self)  # type: ignore[arg-type]
        upstream.connection_made(Transport())  # type: ignore[arg-type]
        self.upstreams.append(upstream)
        return upstream

    @property
    def has_idle(self) -> bool:
        return bool(self.idle)

    def take_idle(self) -> Upstream | None:
        if not self.idle:
            return None
        upstream = self.idle.pop()
        upstream.reused = True
        return upstream

    def release(self, upstream: Upstream, *, reusable: bool) -> None:
        if reusable and upstream.usable:
            self.idle.append(upstream)
        else:
            upstream.close()

    def lost(self, upstream: Upstream) -> None:
        pass

    def why_lost(self, error: Exception | None) -> tuple[Cause, str | None]:
        return Cause.RESET, None


class DeskRecorder:
    """Keeps the records; hands out last bytes when told that the turn is over."""

    is_full = False

    def __init__(self) -> None:
        self.open = 0
        self.opened_as: list[RequestRecord] = []  # what would be known of each request if the worker died
        self.records: list[RequestRecord] = []
        self._sendings: list[tuple[Any, Any, bytes]] = []
        self._endings: list[tuple[Any, bytes, Callable[[], None] | None]] = []

    def opened(self, record: RequestRecord) -> None:
        self.open += 1
        self.opened_as.append(msgspec.structs.replace(record))

    def send(self, exchange: Any, socket_writer: Any, data: bytes) -> None:
        self.opened(exchange.record)
        self._sendings.append((exchange, socket_writer, data))

    def flush(self) -> None:
        """The slow way writes at once."""

    def closed(
        self, record: RequestRecord, transport: Any = None, last_bytes: bytes = b"",
        then: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.open -= 1
        assert self.open >= 0, "closed without having been opened"
        self.records.append(record)
        self._endings.append((transport, last_bytes, then))

    def end_turn(self) -> None:
        while self._sendings or self._endings:
            sendings, self._sendings = self._sendings, []
            for exchange, socket_writer, data in sendings:
                socket_writer.write(data)
                exchange.sent = monotonic_ns()
            endings, self._endings = self._endings, []
            for transport, last_bytes, then in endings:
                if transport is not None:
                    transport.write(last_bytes)
                if then is not None:
                    then()


class CountingIds:
    """Request ids that two desks share."""

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> str:
        self.count += 1
        return f"{self.count:032d}"


class Desk:
    """One worker's worth of data plane. ``learns``: whether heads seen before take the fast path.

    ``pool`` is the first backend's.
    """

    def __init__(self, *, learns: bool, on_loopback: bool = False, **options: Any) -> None:
        told = worker_options(backend="http://server:1", **options)
        self.recorder = DeskRecorder()
        fleet = Fleet(None, backends_of(told))  # type: ignore[arg-type]
        upstreams: list[Upstream] = []
        self.pools = [DeskPool(Plans() if learns else Forgetful(), upstreams) for _ in fleet.servers]
        self.pool = self.pools[0]
        for server, pool in zip(fleet.servers, self.pools, strict=True):
            server.pool = pool  # type: ignore[assignment]
        slot = Slot(memoryview(bytearray(8 * len(FIELDS))).cast("q"))
        self.context = Context(
            loop=None,  # type: ignore[arg-type]
            options=told,
            fleet=fleet,
            recorder=self.recorder,  # type: ignore[arg-type]
            slot=slot,
            policy=PathPolicy(),
            admission=Admission(
                host=told.host,
                on_loopback=on_loopback,
                allowed_hosts=told.allowed_hosts,
                allowed_origins=told.allowed_origins,
            ),
            key_ids=KeyIds(b"k"),
            askers=Askers(b"k"),
            health=lambda: {"status": "ok"},
            bodies=BodyMemory(slot, told.max_buffered_bytes),
            capacity=ClientCapacity(slot, told.max_connections),
            plans=Plans() if learns else Forgetful(),
            request_ids=CountingIds(),  # type: ignore[arg-type]
        )
        self.client = self._connect()
        self.transports: list[Transport] = []

    def _connect(self) -> Downstream:
        client = Downstream(self.context)
        client.connection_made(Transport())  # type: ignore[arg-type]
        return client

    def say(self, *reads: bytes) -> bytes:
        """The client sends ``reads``; what came back. A closed connection is replaced by a new one first."""
        transport = self.client.transport
        if transport is None or transport.is_closing() or not getattr(transport, "reading", True):
            if transport is not None:
                self.client.connection_lost(None)
                self.recorder.end_turn()
            self.client = self._connect()
        notes: Transport = self.client.transport  # type: ignore[assignment]
        before = len(notes.written)
        for data in reads:
            self.client.data_received(data)
            self.recorder.end_turn()
        return notes.written[before:]

    def leave(self) -> None:
        """The client goes away; nothing may stay open."""
        self.client.connection_lost(None)
        self.recorder.end_turn()
        assert self.recorder.open == 0

    def answer(self, *reads: bytes) -> bytes:
        """Every LLM server connection that owes an answer sends ``reads``; what the client got of it."""
        notes: Transport | None = self.client.transport  # type: ignore[assignment]
        before = len(notes.written) if notes is not None else 0
        for upstream in list(self.pool.upstreams):
            if upstream.owner is None:
                continue
            for data in reads:
                if upstream.usable:
                    upstream.data_received(data)
                    self.recorder.end_turn()
            if upstream.owner is not None and upstream.transport is not None:
                upstream.eof_received()
                upstream.connection_lost(None)
                self.recorder.end_turn()
        return notes.written[before:] if notes is not None else b""

    @property
    def sent_upstream(self) -> list[bytes]:
        """Everything that LLM servers got, connection by connection."""
        return [getattr(upstream.transport, "written", b"gone") for upstream in self.pool.upstreams]
