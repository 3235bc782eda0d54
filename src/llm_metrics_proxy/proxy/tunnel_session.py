"""A client's and a server's connection after a 101: bytes pass as they are, and are read on the side (``tunnel``)."""

import logging
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy.proxy.answers import ResponseHead, informational_bytes
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.exchange import CLOSED, Exchange
from llm_metrics_proxy.proxy.fleet import Server
from llm_metrics_proxy.proxy.parties import Client, UpstreamConnection
from llm_metrics_proxy.proxy.tunnel import Tunnel
from llm_metrics_proxy.wire.apis.openai_realtime import model_in_query
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.deflate import agreed
from llm_metrics_proxy.wire.dialects import Dialect

log = logging.getLogger(__name__)

_UPGRADED: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class TunnelSession:
    """Replaces the request that opened it. It has no timeout: either side closes when it likes."""

    keep_alive = False
    started = True
    accepts_tunnel = False

    def __init__(
        self,
        ctx: Context,
        client: Client,
        exchange: Exchange,
        server: Server | None,
        upstream: UpstreamConnection,
        *,
        dialect: Dialect | None,
        take_facts: Callable[[RequestFacts], None],
    ) -> None:
        """``take_facts``: of messages that ask for an answer."""
        self._recorder = ctx.recorder
        self._bodies = ctx.bodies
        self._held_bytes = 0  # of those
        self._client = client
        self._exchange = exchange
        self._server = server
        self._upstream: UpstreamConnection | None = upstream
        self._dialect = dialect
        self._take_facts = take_facts
        self._tunnel = Tunnel(dialect)

    def __repr__(self) -> str:
        return f"<TunnelSession {self._exchange!r} {self._tunnel!r}>"

    def begin(self, head: ResponseHead, target: bytes, now: int) -> None:
        """Relay the 101."""
        exchange = self._exchange
        self._tunnel = Tunnel(self._dialect, agreed(head.facts.get("websocket_extensions")))
        exchange.record.model = exchange.record.model or model_in_query(target)
        exchange.response_head(now, head.status, self._tunnel.reader, None)
        exchange.head_sent = True
        self._client.write(informational_bytes(head, exchange.record.request_id, _UPGRADED))

    def body_received(self, data: bytes) -> None:
        record = self._exchange.record
        record.request_bytes += len(data)
        if self._upstream is not None:
            self._upstream.send(data)
        try:
            facts = self._tunnel.client_said(data, monotonic_ns())
        except Exception:  # recording may fail, proxying goes on
            log.exception("%s: what the client sent could not be read", record.request_id)
            return
        if facts is not None:
            self._take_facts(facts)
        self._hold(self._tunnel.held_bytes)

    def server_said(self, data: bytes, now: int) -> None:
        self._client.write(data)
        self._exchange.record.response_bytes += len(data)
        self._tunnel.times.saw(self._exchange.response_body(data, now, monotonic_ns()), now)

    def ended(self, now: int) -> None:
        """Either side closed, which is how such a connection ends. What is on its way to the other still goes out."""
        if self._upstream is not None:
            self._upstream.close()
        self._leave()
        if self._exchange.state is not CLOSED:
            self._tunnel.describe(self._exchange.record)
            left = self._tunnel.reader.was_left
            record = self._exchange.fail(Cause.CLIENT_GONE, now) if left else self._exchange.finish(now, now)
            self._tunnel.describe_times(record)
            self._recorder.closed(record, None, b"", self._client.close)

    def client_gone(self) -> None:
        if self._exchange.state is not CLOSED:
            self._tunnel.client_left()
            self.ended(monotonic_ns())

    def abandon(self, cause: Cause) -> None:
        if self._exchange.state is not CLOSED:
            if self._upstream is not None:
                self._upstream.abort()
            self._leave()
            self._tunnel.describe(self._exchange.record)
            record = self._exchange.fail(cause, monotonic_ns())
            self._tunnel.describe_times(record)
            self._recorder.closed(record, None, b"", self._client.close)

    def client_is_slow(self, *, slow: bool) -> None:
        if self._upstream is not None:
            if slow:
                self._upstream.pause()
            else:
                self._upstream.resume()

    def _hold(self, size: int) -> None:
        """What is held of a request counts as bodies do; but it passes all the same where there is no room for it."""
        self._bodies.held_bytes += size - self._held_bytes
        self._held_bytes = size
        if size and not self._bodies.has_room(0):
            self._tunnel.let_go_of_request()
            self._hold(0)

    def _leave(self) -> None:
        self._hold(0)
        self._upstream = None
        server, self._server = self._server, None
        if server is not None:
            server.open_requests -= 1

    # What only a request has

    def start(self) -> None: ...

    def body_ended(self, now: int) -> None: ...

    def bad_body(self, message: str) -> None: ...

    def note_opened(self) -> None: ...

    def check(self, now: int) -> None: ...
