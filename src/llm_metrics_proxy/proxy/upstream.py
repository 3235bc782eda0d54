"""The server's side: one connection to the LLM server, and the only file that opens one.

Bytes come in; what they mean (a head, body bytes, the end, a fault) goes to the transaction that owns the connection
at the time. A connection has one owner from ``begin`` to ``response_end`` or ``lost``.
"""

import asyncio
import errno
import os
import socket
import ssl
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, cast

import httptools

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.proxy import delivery
from llm_metrics_proxy.proxy.answers import CHUNKED, LENGTH, NONE, UNTIL_CLOSE, ResponseHead, response_head
from llm_metrics_proxy.proxy.chunked import ChunkedError, ChunkedReader
from llm_metrics_proxy.proxy.exchange import Cause
from llm_metrics_proxy.proxy.headers import RESPONSE_RULES, Field, sort_fields, tokens
from llm_metrics_proxy.proxy.owner import Owner
from llm_metrics_proxy.proxy.plans import WholeMessage, whole_message
from llm_metrics_proxy.proxy.routing import Backend
from llm_metrics_proxy.proxy.socket_writer import SocketWriter

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.pool import Pool

_SWITCHING_PROTOCOLS: Final = 101
_HTTP_1: Final = b"HTTP/1."
_USUAL_BEGINNINGS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_END: Final = b"\r\n\r\n"
_OWN_SHORTAGES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}  # no server's fault
_MAX_INFORMATIONAL: Final = 64  # 1xx heads before a final one; a server that sends more is broken


class Upstream(asyncio.Protocol):
    """One connection to the LLM server."""

    __slots__ = (
        "_begins_at",
        "_begun",
        "_body",
        "_bytes_out",
        "_chunks",
        "_complete",
        "_end_seen",
        "_fields",
        "_framing",
        "_head",
        "_head_bytes",
        "_in_head",
        "_informational",
        "_keep_alive",
        "_length",
        "_method",
        "_parser",
        "_paused",
        "_peer_closed",
        "_pool",
        "_reason",
        "_socket_writer",
        "_start",
        "_tls_fd",
        "_tunnel",
        "_untouched",
        "connect_ns",
        "established",
        "idle_since",
        "is_backed_up",
        "owner",
        "reused",
        "transport",
        "unsent",
    )

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self.transport: asyncio.Transport | None = None
        self._socket_writer: SocketWriter | None = None
        self.owner: Owner | None = None
        self.reused = False
        self.connect_ns = 0
        self.established = False  # counted by the pool; until then a failure is told by an exception
        self.idle_since = 0.0
        self.unsent = False  # it broke, and nothing of the newest request reached the server
        self._bytes_out = delivery.FIRST_BYTE
        self._begins_at = 0  # which of the connection's bytes the newest request begins with
        self._peer_closed = False
        self.is_backed_up = False  # the server's socket takes no more for now
        self._tls_fd = -1
        self._tunnel = False
        self._paused = False
        self._expect(b"")

    def __repr__(self) -> str:
        state = "closed" if self.transport is None else "idle" if self.owner is None else "busy"
        return f"<Upstream {state} reused={self.reused}>"

    def _expect(self, method: bytes) -> None:
        """Make ready for the answer to a request with that method."""
        self._untouched = True  # nothing of what is set here has changed since
        self._method = method
        self._fields: list[Field] = []
        self._reason = b""
        self._body: list[bytes] = []
        self._head: ResponseHead | None = None
        self._head_bytes = 0
        self._start = b""  # of a head, until its version is here
        self._begun = False  # the parser has its beginning
        self._end_seen = b""  # its last bytes, which may be the beginning of its end
        self._chunks: ChunkedReader | None = None
        self._informational = 0
        self._framing = NONE
        self._length: int | None = None
        self._in_head = True
        self._complete = False
        self._keep_alive = False

    # The owner's side

    def begin(self, owner: Owner, method: bytes, data: bytes) -> None:
        """Send a request (or, for a streamed upload, its head) on this connection, which from now on has an owner."""
        self.take(owner, method, len(data)).write(data)

    def take(self, owner: Owner, method: bytes, size_bytes: int) -> SocketWriter:
        """This connection has an owner from now on, who writes the request, of that size, to what is returned."""
        socket_writer = self._socket_writer
        assert socket_writer is not None
        self._begins_at = begins_at = self._bytes_out
        self._bytes_out = begins_at + size_bytes
        if socket_writer.fd < 0:  # TLS: what it adds cannot be counted here
            now = delivery.sent(self._tls_fd)
            self._begins_at = 0 if now is None else now.taken
        if self._untouched:
            self._method = method
        else:
            self._expect(method)
        self.owner = owner
        return socket_writer

    def send(self, data: bytes) -> None:
        """More of the request's body."""
        if self._socket_writer is not None:
            self._bytes_out += len(data)
            self._socket_writer.write(data)

    def pause(self) -> None:
        """Back-pressure: read no more until ``resume``."""
        if self.transport is not None and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """The client can take more."""
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection at once: the server should stop working on the request."""
        self.owner = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close the connection once what is buffered has gone out."""
        self.owner = None
        if self.transport is not None:
            self.transport.close()

    @property
    def usable(self) -> bool:
        """May carry another request."""
        return self.transport is not None and not self.transport.is_closing()

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses of it
        self._socket_writer = SocketWriter(transport)
        if transport.get_extra_info("sslcontext") is not None:
            # TLS has closed its descriptor by the time that it tells us; what became of a request is asked of this one.
            with suppress(OSError):
                self._tls_fd = os.dup(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        owner = self.owner
        if owner is None:  # bytes that nobody asked for: whatever this is, it is not the next answer
            self.abort()
            return
        chunks = self._chunks
        if chunks is not None:
            chunk = chunks.whole_chunk(data)
            if chunk is not None:
                owner.more_body(chunk, now)
                return
        elif self._tunnel:
            owner.tunnel_from_upstream(data, now)
            return
        message = None
        if self._in_head and not self._head_bytes and self._method != b"HEAD":
            message = whole_message(data)
            if message is not None:
                known = self._pool.plans.get(message[0])
                if known is not None:
                    self.owner = None
                    owner.response(known, message[2], data[message[1] :], ended=True, read_at=now)
                    self._pool.release(self, reusable=owner.request_is_sent)
                    return
        self._untouched = False
        self._take_apart(owner, data, message, now)

    def _take_apart(self, owner: Owner, data: bytes, message: WholeMessage | None, now: int) -> None:
        """A read that the shorter ways above are not for."""
        try:
            switched = self._read(data)
        except (httptools.HttpParserError, ChunkedError) as error:
            if not self._complete:
                begun = self._head_bytes > 0 or not self._in_head
                self._hand_over(owner, now)
                self._fail(*_no_http(data, error, begun=begun))
                return
            self._keep_alive = False  # garbage after a whole answer: the answer counts, the connection does not
            switched = None
        if switched is not None:
            self._switch_protocols(owner, switched, now)
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self._pool.max_header_bytes or self._informational > _MAX_INFORMATIONAL:
                self._fail(Cause.PROTOCOL, "The LLM server's header is larger than this proxy allows.")
                return
        elif self._head is not None and self._head.status < 200:
            self._fail(Cause.PROTOCOL, f"The LLM server answered with status {self._head.status:03d} unasked.")
            return
        if message is not None and self._complete and self._keep_alive and self._framing is LENGTH:
            assert self._head is not None
            self._pool.plans.learn(message, self._head)
        self._hand_over(owner, now)

    def _read(self, data: bytes) -> bytes | None:
        """Take one read apart. If the server switched protocols, what came behind its head; else none."""
        while data:
            if self._chunks is not None:
                data = self._read_chunks(self._chunks, data)
            elif self._complete:
                self._keep_alive = False  # nobody asked for more
                break
            elif not self._in_head:
                self._parser.feed_data(data)
                break
            else:
                data = self._begin_head(data)
                if not data:
                    break
                end = self._head_end(data)
                try:
                    self._parser.feed_data(data[:end])
                except httptools.HttpParserUpgrade:
                    return data[end:]
                data = data[end:]
        return None

    def _begin_head(self, data: bytes) -> bytes:
        """What of the head the parser may see: nothing, until its first bytes tell the version.

        The parser knows neither HTTP/1.2, which is to be read as HTTP/1.1 (RFC 9110 section 2.5), nor that RTSP is not
        HTTP.
        """
        if self._begun:
            return data
        if not self._start and data.startswith(_USUAL_BEGINNINGS):
            self._begun = True
            return data
        start = self._start + data
        if not self._start:
            start = start.lstrip(b"\r\n")
        if start[: len(_HTTP_1)] != _HTTP_1[: len(start)]:
            raise httptools.HttpParserError("it does not begin with HTTP/1.1")
        if len(start) <= len(_HTTP_1):
            self._start = start
            return b""
        self._begun, self._start = True, b""
        minor = start[len(_HTTP_1) : len(_HTTP_1) + 1]
        return _HTTP_1 + b"1" + start[len(_HTTP_1) + 1 :] if b"1" < minor <= b"9" else start

    def _head_end(self, data: bytes) -> int:
        """How many bytes of ``data`` belong to the head."""
        seen = self._end_seen + data
        end = seen.find(_END)
        if end < 0:
            self._end_seen = seen[-3:]
            return len(data)
        end += len(_END) - len(self._end_seen)
        self._end_seen, self._begun = b"", False  # after a 1xx comes another
        return end

    def _read_chunks(self, chunks: ChunkedReader, data: bytes) -> bytes:
        chunks.feed(data, self._body)
        if not chunks.ended:
            return b""
        self._chunks = None
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)  # the old one would still wait for the body
        return chunks.rest

    def _hand_over(self, owner: Owner, now: int) -> None:
        """Give the owner everything that this read brought, in one call when it can be."""
        parts = self._body
        if self._head is None and len(parts) == 1 and not self._complete:
            owner.more_body(parts.pop(), now)
            return
        head, self._head = self._head, None
        body = b""
        if parts:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
        if self._complete:
            self.owner = None
            reusable = self._keep_alive and self._framing is not UNTIL_CLOSE and owner.request_is_sent
            owner.response(head, self._length, body, ended=True, read_at=now)
            self._pool.release(self, reusable=reusable)
        elif head is not None or body:
            owner.response(head, self._length, body, ended=False, read_at=now)

    def _fail(self, cause: Cause, message: str | None = None) -> None:
        owner, self.owner = self.owner, None
        if self.transport is not None:
            self.transport.abort()
        if owner is not None:
            owner.upstream_failed(cause, message, answered=True)

    def eof_received(self) -> bool:
        self._peer_closed = True
        if self.owner is not None and self._framing is UNTIL_CLOSE and not self._in_head and not self._complete:
            self._complete = True
            self._keep_alive = False
            self._hand_over(self.owner, monotonic_ns())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        owner, self.owner = self.owner, None
        answered = self._head_bytes > 0 or not self._in_head or self._informational > 0
        if owner is not None and not answered:
            self.unsent = self._is_unsent(exc)
        self.transport = self._socket_writer = None
        if self._tls_fd >= 0:
            os.close(self._tls_fd)
            self._tls_fd = -1
        self._pool.lost(self)
        if owner is None:
            return
        if self._tunnel:
            owner.tunnel_ended(monotonic_ns())
        else:
            owner.upstream_failed(*self._pool.why_lost(None if answered else exc), answered=answered)

    def _is_unsent(self, exc: Exception | None) -> bool:
        """Asked while there is a descriptor."""
        socket_writer = self._socket_writer
        fd = self._tls_fd if socket_writer is None or socket_writer.fd < 0 else socket_writer.fd
        first_errno = (socket_writer and socket_writer.errno) or (exc.errno if isinstance(exc, OSError) else 0)
        peer_ended = self._peer_closed or first_errno in delivery.ENDED
        return delivery.is_unsent(delivery.sent(fd), self._begins_at, peer_ended=peer_ended)

    @property
    def all_delivered(self) -> bool:
        """The server's system has acknowledged all that was written; where that is not known: our kernel has it."""
        transport, socket_writer = self.transport, self._socket_writer
        if transport is None or socket_writer is None or transport.get_write_buffer_size():
            return False
        now = delivery.sent(socket_writer.fd if socket_writer.fd >= 0 else self._tls_fd)
        return now is None or now.taken == now.acknowledged

    def pause_writing(self) -> None:
        self.is_backed_up = True
        if self.owner is not None:
            self.owner.upstream_is_slow(slow=True)

    def resume_writing(self) -> None:
        self.is_backed_up = False
        if self.owner is not None:
            self.owner.upstream_is_slow(slow=False)

    # The parser's side

    def on_message_begin(self) -> None:
        if self._complete:
            self._keep_alive = False  # a second answer to one request

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head and not self._complete:  # later ones are trailers, which are hop-by-hop here
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        status = self._parser.get_status_code()
        fields = sort_fields(self._fields, RESPONSE_RULES)
        reason, self._reason, self._fields = self._reason, b"", []
        head = response_head(status, reason, fields, self._method)
        if 100 <= status < 200 and status != _SWITCHING_PROTOCOLS:
            self._informational += 1
            if self._informational <= _MAX_INFORMATIONAL and self.owner is not None:
                self.owner.informational(head)
            return
        self._pool.has_answered = True
        self._in_head = False
        self._head = head
        self._framing = head.framing
        length = head.facts.get("content_length")
        self._length = None if length is None else int(length)
        if head.framing is CHUNKED:
            coding = head.facts["transfer_encoding"]
            if coding == b"chunked" or tokens(coding)[-1:] == [b"chunked"]:
                self._chunks = ChunkedReader(self._pool.max_header_bytes)
        if self._method == b"HEAD":
            # The parser cannot know that no body follows; it is told by being replaced.
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._body.append(body)
        else:
            self._keep_alive = False  # a body in answer to HEAD

    def on_message_complete(self) -> None:
        if not self._in_head and not self._complete:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()

    def _switch_protocols(self, owner: Owner, rest: bytes, now: int) -> None:
        head, self._head = self._head, None
        if head is None or not owner.accepts_tunnel:
            self._fail(Cause.PROTOCOL, "The LLM server switched protocols without being asked to.")
            return
        self._tunnel = True
        self._complete = False
        owner.tunnel_opened(head, now)
        if rest:
            owner.tunnel_from_upstream(rest, now)


def _no_http(data: bytes, error: httptools.HttpParserError | ChunkedError, *, begun: bool) -> tuple[Cause, str]:
    """What is wrong with bytes that are no answer, or (``begun``) do not go on with one."""
    if not begun and tls_reasons.is_tls(data):
        return Cause.TLS, f"The LLM server {tls_reasons.SPEAKS_TLS}."
    return Cause.PROTOCOL, f"The LLM server's answer is not valid HTTP: {error}."


class ConnectError(Exception):
    """A connection could not be made; ``cause`` says how it is recorded."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def tls_failed(backend: Backend, error: ssl.SSLError) -> ConnectError:
    """In plain words."""
    reason = tls_reasons.why(error, backend.server_name or backend.address.host, tls_reasons.BACKEND)
    return ConnectError(Cause.TLS, f"TLS with {backend.address.label} failed: it {reason}.")


async def connect(pool: "Pool", backend: Backend, tls: ssl.SSLContext | None, timeout_s: float) -> Upstream:
    """Open one connection; raises ``ConnectError`` with the reason in the taxonomy's words."""
    loop = asyncio.get_running_loop()
    address = backend.address
    began = monotonic_ns()
    try:
        async with asyncio.timeout(timeout_s):
            _, upstream = await loop.create_connection(
                lambda: Upstream(pool),
                address.host,
                address.port,
                ssl=tls,
                server_hostname=(backend.server_name or address.host) if tls else None,
            )
    except TimeoutError:
        raise ConnectError(Cause.CONNECT_TIMEOUT, f"Connecting to {address.label} took over {timeout_s:g} s.") from None
    except socket.gaierror as error:
        raise ConnectError(Cause.DNS, f"{address.host} could not be resolved: {error.strerror}.") from None
    except ssl.SSLError as error:
        raise tls_failed(backend, error) from None
    except (
        ValueError
    ) as error:  # a name that IDNA or TLS cannot express; certificate errors (above) are ValueErrors too
        raise ConnectError(Cause.DNS, f"{address.host} is not a host name: {error}.") from None
    except ConnectionRefusedError:
        raise ConnectError(Cause.CONNECT_REFUSED, f"{address.label} refused the connection.") from None
    except (ConnectionResetError, ConnectionAbortedError, BrokenPipeError) as error:
        if tls is not None:  # the handshake, as whoever accepts a connection seldom resets it before a word was said
            raise ConnectError(Cause.TLS, f"TLS with {address.label} failed: it {tls_reasons.CLOSED}.") from None
        raise ConnectError(Cause.CONNECT_FAILED, f"{address.label}: {error.strerror or error}.") from None
    except OSError as error:
        if error.errno in _OWN_SHORTAGES:
            raise ConnectError(Cause.SATURATED, f"This proxy cannot open a connection: {error.strerror}.") from None
        raise ConnectError(Cause.CONNECT_FAILED, f"{address.label}: {error.strerror or error}.") from None
    if not upstream.usable:
        raise ConnectError(Cause.CONNECT_FAILED, f"{address.label} closed the connection at once.")
    upstream.connect_ns = monotonic_ns() - began
    upstream.established = True
    return upstream
