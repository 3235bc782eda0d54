"""The server's side: one connection to an LLM server.

Bytes come in; what they mean (a head, body bytes, the end, a fault) goes to the owner that the connection has at the
time, from ``begin`` to the end of the answer or of the connection. All that may end that ownership stays in this file;
``connecting`` opens a connection, ``pool`` keeps it, ``response_reader`` reads it.
"""

import asyncio
import os
from contextlib import suppress
from time import monotonic_ns
from typing import cast

import httptools

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.proxy import delivery
from llm_metrics_proxy.proxy.answers import CHUNKED, LENGTH, UNTIL_CLOSE, ResponseHead
from llm_metrics_proxy.proxy.chunked import ChunkedError, one_chunk
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.parties import Home, Owner, TunnelEnd
from llm_metrics_proxy.proxy.plans import KnownHead, NewestHead, WholeMessage, stream_begun, whole_message
from llm_metrics_proxy.proxy.response_reader import HttpResponseReader
from llm_metrics_proxy.proxy.socket_writer import SocketWriter


class Upstream(asyncio.Protocol):
    """One connection to the LLM server."""

    __slots__ = (
        "_begins_at", "_bytes_out", "_home", "_newest_head", "_newest_stream", "_reader", "_socket_writer", "_tls_fd",
        "_tunnel", "connect_ns", "established", "idle_since", "is_backed_up", "is_paused", "owner", "reused",
        "transport", "unsent",
    )  # fmt: skip

    def __init__(self, home: Home) -> None:
        self._home = home
        self._reader = HttpResponseReader(home.max_header_bytes)
        self._newest_head: NewestHead[ResponseHead] = NewestHead()
        self._newest_stream: KnownHead[ResponseHead] | None = None
        self.transport: asyncio.Transport | None = None
        self._socket_writer: SocketWriter | None = None
        self.owner: Owner | None = None
        self.reused = False
        self.connect_ns = 0
        self.established = False
        self.idle_since = 0.0
        self.unsent = False
        self._bytes_out = delivery.FIRST_BYTE
        self._begins_at = 0  # which of the connection's bytes the newest request begins with
        self.is_backed_up = False
        self._tls_fd = -1
        self._tunnel: TunnelEnd | None = None
        self.is_paused = False

    def __repr__(self) -> str:
        state = "closed" if self.transport is None else "idle" if self.owner is None else "busy"
        return f"<Upstream {state} reused={self.reused}>"

    # The owner's side

    def begin(self, owner: Owner, method: bytes, data: bytes) -> None:
        self.take(owner, method, len(data)).write(data)

    def take(self, owner: Owner, method: bytes, size_bytes: int) -> SocketWriter:
        writer = self._socket_writer
        assert writer is not None
        self._begins_at = begins_at = self._bytes_out
        self._bytes_out = begins_at + size_bytes
        if writer.fd < 0:  # TLS: what it adds cannot be counted here
            now = delivery.sent(self._tls_fd)
            self._begins_at = 0 if now is None else now.taken
        if self._reader.untouched:
            self._reader.method = method
        else:
            self._reader.expect(method)
        self.owner = owner
        return writer

    def send(self, data: bytes) -> None:
        if self._socket_writer is not None:
            self._bytes_out += len(data)
            self._socket_writer.write(data)

    def pause(self) -> None:
        if self.transport is not None and not self.is_paused:
            self.is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.is_paused and self.transport is not None and not self.transport.is_closing():
            self.is_paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        self.owner = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        self.owner = None
        if self.transport is not None:
            self.transport.close()

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    @property
    def all_delivered(self) -> bool:
        """Where the system does not say: our kernel has it."""
        transport = self.transport
        if transport is None or transport.get_write_buffer_size():
            return False
        now = delivery.sent(self._descriptor())
        return now is None or now.taken == now.acknowledged

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses of it
        self._socket_writer = SocketWriter(transport)
        if transport.get_extra_info("sslcontext") is not None:
            # TLS has closed its descriptor by the time that it says so; this one still knows what became of a request.
            with suppress(OSError):
                self._tls_fd = os.dup(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        owner = self.owner
        if owner is None:  # unsolicited bytes: whatever this is, it is not the next answer
            self.abort()
            return
        reader = self._reader
        if reader.between_chunks:
            body = one_chunk(data)
            if body is not None:
                owner.chunk(data, body, now)
                return
        elif self._tunnel is not None:
            self._tunnel.server_said(data, now)
            return
        if not reader.untouched or reader.method == b"HEAD":
            self._take_apart(owner, data, None, now)
            return
        stream, message = self._newest_stream, None
        if stream is None or not data.startswith(stream.before):
            known = self._newest_head.match(data)
            if known is None:
                message = whole_message(data)
                if message is not None:
                    known = self._newest_head.look_up(self._home.plans, message, data)
            if known is not None:
                head, body = known
                self.owner = None
                owner.response(head, len(body), body, ended=True, read_at=now)
                self._home.release(self, reusable=owner.request_is_sent)
                return
            stream = self._home.plans.get(stream_begun(data))
        if stream is not None:
            self._newest_stream = stream
            reader.begin_chunks()
            data = data[len(stream.before) :]
            first = one_chunk(data) if data else b""
            if first is not None:
                owner.response(stream.plan, None, first, ended=False, read_at=now)
                return
            reader.head = stream.plan
        self._take_apart(owner, data, message, now)

    def _take_apart(self, owner: Owner, data: bytes, message: WholeMessage | None, now: int) -> None:
        """A read that the shorter ways above are not for."""
        reader, switched, fault = self._reader, None, None
        had_begun = not reader.untouched
        try:
            switched = reader.feed(data)
        except (httptools.HttpParserError, ChunkedError) as error:
            fault = error
        if reader.informational:
            for head in reader.informational:
                owner.informational(head)
            reader.informational = ()
        if not reader.in_head:
            self._home.has_answered = True
        if fault is not None:
            if not reader.complete:
                self._hand_over(owner, now)
                self._fail(*_no_http(data, fault, begun=had_begun))
                return
            reader.keep_alive = False  # garbage after a whole answer: the answer counts, the connection does not
        elif switched is not None:
            self._switch_protocols(owner, switched, now)
            return
        elif reader.in_head and reader.head_is_too_large:
            self._fail(Cause.PROTOCOL, "The LLM server's header is larger than this proxy allows.")
            return
        if reader.head is not None:
            if reader.head.status < 200:
                self._fail(Cause.PROTOCOL, f"The LLM server answered with status {reader.head.status:03d} unasked.")
                return
            if reader.keep_alive and not had_begun:
                self._learn(reader.head, data, message)
        self._hand_over(owner, now)

    def _learn(self, head: ResponseHead, data: bytes, message: WholeMessage | None) -> None:
        """The first read of an answer had its whole head, behind which the connection is kept."""
        reader = self._reader
        if message is not None and reader.complete and reader.framing is LENGTH:
            self._home.plans.learn(message, head)
        elif reader.framing is CHUNKED and not reader.informational_count and (start := stream_begun(data)):
            self._home.plans.learn((start, len(start), 0), head)

    def _hand_over(self, owner: Owner, now: int) -> None:
        """Give the owner everything that this read brought, in one call when it can be."""
        reader = self._reader
        parts = reader.body
        if reader.head is None and len(parts) == 1 and not reader.complete:
            owner.more_body(parts.pop(), now)
            return
        head, reader.head = reader.head, None
        body = b""
        if parts:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
        if reader.complete:
            self.owner = None
            reusable = reader.keep_alive and reader.framing is not UNTIL_CLOSE and owner.request_is_sent
            owner.response(head, reader.length, body, ended=True, read_at=now)
            self._home.release(self, reusable=reusable)
        elif head is not None or body:
            owner.response(head, reader.length, body, ended=False, read_at=now)

    def _switch_protocols(self, owner: Owner, rest: bytes, now: int) -> None:
        head = self._reader.head
        tunnel = None if head is None else owner.tunnel_opened(head, now)
        if tunnel is None:
            self._fail(Cause.PROTOCOL, "The LLM server switched protocols without being asked to.")
            return
        self._tunnel = tunnel
        if rest:
            tunnel.server_said(rest, now)

    def _fail(self, cause: Cause, message: str | None = None) -> None:
        owner = self.owner
        self.abort()
        if owner is not None:
            owner.upstream_failed(cause, message, answered=True)

    def eof_received(self) -> bool:
        if self.owner is not None and self._reader.ends_with_connection:
            self._reader.complete = True
            self._hand_over(self.owner, monotonic_ns())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        owner, self.owner = self.owner, None
        answered = not self._reader.untouched
        if owner is not None and not answered:
            self.unsent = self._is_unsent(exc)
        self.transport = self._socket_writer = None
        if self._tls_fd >= 0:
            os.close(self._tls_fd)
            self._tls_fd = -1
        self._home.lost(self)
        if owner is None:
            return
        if self._tunnel is not None:
            self._tunnel.ended(monotonic_ns())
        else:
            owner.upstream_failed(*self._home.why_lost(None if answered else exc), answered=answered)

    def _is_unsent(self, exc: Exception | None) -> bool:
        """Called while there is a descriptor."""
        writer = self._socket_writer
        seen_errno = (writer and writer.errno) or (exc.errno if isinstance(exc, OSError) else 0) or 0
        return delivery.is_unsent(delivery.sent(self._descriptor(), seen_errno), self._begins_at)

    def _descriptor(self) -> int:
        writer = self._socket_writer
        return self._tls_fd if writer is None or writer.fd < 0 else writer.fd

    def pause_writing(self) -> None:
        self.is_backed_up = True
        if self.owner is not None:
            self.owner.upstream_is_slow(slow=True)

    def resume_writing(self) -> None:
        self.is_backed_up = False
        if self.owner is not None:
            self.owner.upstream_is_slow(slow=False)


def _no_http(data: bytes, error: httptools.HttpParserError | ChunkedError, *, begun: bool) -> tuple[Cause, str]:
    """What is wrong with bytes that are not an answer, or (``begun``) do not continue one."""
    if not begun and tls_reasons.is_tls(data):
        return Cause.TLS, f"The LLM server {tls_reasons.SPEAKS_TLS}."
    return Cause.PROTOCOL, f"The LLM server's answer is not valid HTTP: {error}."
