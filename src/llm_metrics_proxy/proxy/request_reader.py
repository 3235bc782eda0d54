"""Bytes from a client into requests: the strict parser (llhttp), and what it leaves to its user.

The parser works through a whole read at once, so several requests may come out of one ``feed``. It knows nothing of
answers; what it finds goes to a ``RequestSink``, in order: ``head_begun``, then ``head_read`` or ``head_refused``, then
``body_read`` any number of times, then ``message_read``; or ``malformed``, after which nothing follows.
"""

from typing import Final, Protocol

import httptools

from llm_metrics_proxy.proxy.headers import Field, Refusal
from llm_metrics_proxy.proxy.inbound import InboundRequest, read_head

_HEAD_TOO_LARGE: Final = Refusal(431, "header_too_large", "The request's header has more bytes or fields than allowed.")


class RequestSink(Protocol):
    """Who takes the requests."""

    def head_begun(self) -> None:
        """The first byte of a request is in."""

    def head_read(self, head: InboundRequest) -> None:
        """A head that may be answered."""

    def head_refused(self, refusal: Refusal) -> None:
        """A head that may not. The sink stops the reader."""

    def body_read(self, body: bytes) -> None:
        """Part of the body of the request whose head came last."""

    def message_read(self) -> bool:
        """That request is complete. Whether another may follow it."""

    def malformed(self, error: httptools.HttpParserError) -> None:
        """What came is not HTTP. The sink stops the reader."""

    def tunnel_asked(self, rest: bytes) -> bool:
        """The request asks for a WebSocket, and ``rest`` came behind it. False: it is a request like others."""


class RequestReader:
    """Reads one connection. ``stopped``: nothing that follows can be understood."""

    __slots__ = (
        "_fields",
        "_head_bytes",
        "_head_read_bytes",
        "_max_fields",
        "_max_head_bytes",
        "_parser",
        "_priming",
        "_read_bytes",
        "_sink",
        "_skipped_body",
        "_target",
        "_too_large",
        "_wants_tunnel",
        "at_boundary",
        "in_head",
        "stopped",
    )

    def __init__(self, sink: RequestSink, *, max_head_bytes: int, max_fields: int) -> None:
        self._sink = sink
        self._max_head_bytes = max_head_bytes
        self._max_fields = max_fields
        self._parser = httptools.HttpRequestParser(self)
        self.at_boundary = True  # the next byte is the first of a request
        self.in_head = False
        self.stopped = False
        self._fields: list[Field] = []
        self._target = b""
        self._read_bytes = 0  # of the read that is being parsed
        self._head_bytes = 0  # of the head's fields so far
        self._head_read_bytes = 0  # of the reads that the head has taken after its first one
        self._too_large = False
        self._wants_tunnel = False
        self._skipped_body = b""  # how the body is framed that the parser takes for another protocol
        self._priming = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes; the sink hears what they hold."""
        self._read_bytes = read_bytes = len(data)
        while data:
            try:
                self._parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = self._upgrade_asked(data[upgrade.args[0] :])
            except httptools.HttpParserError as error:
                if not self.stopped:
                    self._sink.malformed(error)
                break
        if self.in_head:
            self._head_read_bytes += read_bytes
            too_large = self._too_large or self._head_read_bytes > self._max_head_bytes
            if too_large and not self.stopped:
                self._sink.head_refused(_HEAD_TOO_LARGE)

    # The parser's side

    def on_message_begin(self) -> None:
        if self._priming:
            return
        self._fields = []
        self._target = b""
        self._head_bytes = 0
        self._head_read_bytes = -self._read_bytes  # the read in which it begins may hold much else
        self._too_large = False
        self.in_head = True
        self.at_boundary = False
        self._sink.head_begun()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            return  # a trailer: dropped, as any proxy may (RFC 9110 section 6.5.1)
        self._fields.append((name, value))
        self._head_bytes += len(name) + len(value) + 4
        if len(self._fields) > self._max_fields or self._head_bytes > self._max_head_bytes:
            self._fields.pop()
            self._too_large = True

    def on_headers_complete(self) -> None:
        self.in_head = False
        if self.stopped or self._priming:
            return
        self._wants_tunnel = False
        if self._too_large or len(self._target) > self._max_head_bytes:
            self._sink.head_refused(_HEAD_TOO_LARGE)
            return
        parser = self._parser
        head = read_head(
            parser.get_method(),
            self._target,
            parser.get_http_version(),
            self._fields,
            parser.should_keep_alive(),
            parser.should_upgrade(),
        )
        if isinstance(head, Refusal):
            self._sink.head_refused(head)
            return
        self._wants_tunnel = head.websocket
        if parser.should_upgrade() and not head.websocket:
            self._skipped_body = _framing_line(head)
        self._sink.head_read(head)

    def on_body(self, body: bytes) -> None:
        self._sink.body_read(body)

    def on_message_complete(self) -> None:
        if not self._skipped_body:  # else the body is still to come
            self.at_boundary = self._sink.message_read()

    def _upgrade_asked(self, rest: bytes) -> bytes:
        """The parser stops after a request with Upgrade; what of ``rest`` is still to be parsed.

        A WebSocket may get its tunnel. Any other upgrade is ignored (RFC 9110 section 7.8), and the request is one like
        others: it may have a body, which the parser skips. Java's HttpClient offers h2c with every POST.
        """
        if self._wants_tunnel and self._sink.tunnel_asked(rest):
            return b""
        if self.stopped:
            return b""
        self._parser = httptools.HttpRequestParser(self)
        framing, self._skipped_body = self._skipped_body, b""
        if framing:
            self._priming = True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
            self._priming = False
        return rest


def _framing_line(head: InboundRequest) -> bytes:
    """The field that frames a request's body; empty if it has none."""
    if head.chunked:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % length if (length := head.content_length) else b""
