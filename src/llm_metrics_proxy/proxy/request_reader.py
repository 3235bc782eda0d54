"""Bytes from a client into requests: the strict parser (llhttp) for heads, and what it leaves to its user.

Each head has its own parser, which gets exactly its bytes; bodies are counted or, where they are chunked, read
by ``chunked``. So nothing that llhttp believes of a body, an upgrade or the request before can matter to what follows.

A whole read is worked through at once, so several requests may come out of one ``feed``. The reader knows nothing of
answers; what it finds goes to a ``RequestSink``, in order: ``head_begun``, then ``head_read`` or ``head_refused``, then
``body_read`` any number of times, then ``message_read``; or ``malformed``, after which nothing follows.
"""

import logging
from typing import Final, Protocol

import httptools

from llm_metrics_proxy.proxy import request_line
from llm_metrics_proxy.proxy.chunked import ChunkedError, ChunkedReader
from llm_metrics_proxy.proxy.headers import Field, HeadRefusal
from llm_metrics_proxy.proxy.inbound import InboundRequest, read_head

log = logging.getLogger(__name__)

_HEAD_TOO_LARGE: Final = HeadRefusal(
    431, "header_too_large", "The request's header has more bytes or fields than allowed."
)
_UNKNOWN_METHOD: Final = HeadRefusal(501, "method_not_supported", "This method is not supported.")
_END: Final = b"\r\n\r\n"


class RequestSink(Protocol):
    """Who takes the requests."""

    def head_begun(self) -> None:
        """The first byte of a request is in."""

    def head_read(self, head: InboundRequest) -> None:
        """A head that may be answered."""

    def head_refused(self, refusal: HeadRefusal) -> None:
        """A head that may not. The sink stops the reader."""

    def body_read(self, body: bytes) -> None:
        """Part of the body of the request whose head came last."""

    def message_read(self) -> bool:
        """That request is complete. Whether another may follow it."""

    def malformed(self, reason: str) -> None:
        """What came is not HTTP. The sink stops the reader."""

    def tunnel_asked(self, rest: bytes) -> bool:
        """The request is for a WebSocket, and ``rest`` came behind it. False: treat it like others."""


class RequestReader:
    """Reads one connection. ``stopped``: nothing that follows can be understood."""

    __slots__ = (
        "_chunks", "_closing", "_end_seen", "_fields", "_head", "_head_bytes", "_head_read_bytes", "_left", "_line",
        "_max_fields", "_max_head_bytes", "_parser", "_read_bytes", "_sink", "_take", "_target", "_too_large",
        "at_boundary", "in_head", "stopped",
    )  # fmt: skip

    def __init__(self, sink: RequestSink, *, max_head_bytes: int, max_fields: int) -> None:
        self._sink = sink
        self._max_head_bytes = max_head_bytes
        self._max_fields = max_fields
        self._take = self._take_line  # what the next bytes are part of
        self._line = b""  # what has come of the first line
        self._end_seen = b""  # the head's last bytes, which may be the beginning of its end
        self._left = 0  # bytes of a body of known length
        self._chunks: ChunkedReader | None = None
        self._closing = False  # the newest request was the last one (RFC 9112 section 9.6)
        self.at_boundary = True  # the next byte is the first of a request
        self.in_head = False
        self.stopped = False
        self._parser: httptools.HttpRequestParser | None = None  # of the head that is being read
        self._head: InboundRequest | None = None
        self._fields: list[Field] = []
        self._target = b""
        self._read_bytes = 0  # of the read that is being parsed
        self._head_bytes = 0  # of the head's fields so far
        self._head_read_bytes = 0  # of the reads that the head has taken after its first one
        self._too_large = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes; the sink hears what they hold."""
        self._read_bytes = read_bytes = len(data)
        while data and not self.stopped and not self._closing:
            data = self._take(data)
        if self.in_head:
            self._head_read_bytes += read_bytes
            too_large = self._too_large or self._head_read_bytes > self._max_head_bytes
            if too_large and not self.stopped:
                self._sink.head_refused(_HEAD_TOO_LARGE)

    # What the next bytes may be part of: each takes what is its own and returns the rest

    def _take_line(self, data: bytes) -> bytes:
        if not self.in_head:
            data = data.lstrip(b"\r\n")  # empty lines before a request (RFC 9112 section 2.2)
            if not data:
                return b""
            self._begin()
        line = self._line + data
        end = line.find(b"\r\n")
        if end < 0:
            self._line = line
            if not request_line.may_begin(line):
                self._sink.head_refused(request_line.NOT_A_LINE)
            elif len(line) > self._max_head_bytes:
                self._too_large = True
            return b""
        self._line = b""
        first = line[:end]
        found = request_line.checked(first)
        if isinstance(found, HeadRefusal):
            self._sink.head_refused(found)
            return b""
        self._take = self._take_head
        return self._take_head(line if found is first else found + line[end:])

    def _take_head(self, data: bytes) -> bytes:
        seen = self._end_seen + data
        end = seen.find(_END)
        if end < 0:
            self._end_seen = seen[-3:]
            self._parse(data)
            return b""
        end += len(_END) - len(self._end_seen)
        self._end_seen = b""
        self._parse(data[:end])
        head, rest = self._head, data[end:]
        if head is None or self.stopped:
            return b""
        if head.chunked:
            self._chunks = ChunkedReader(self._max_head_bytes)
            self._take = self._take_chunks
        elif length := head.content_length:
            self._left = length
            self._take = self._take_body
        else:
            self._message_ends()
            if head.websocket and self._sink.tunnel_asked(rest):
                return b""
        return rest

    def _take_body(self, data: bytes) -> bytes:
        left = self._left
        body = data[:left]
        self._left = left - len(body)
        self._sink.body_read(body)
        if not self._left:
            self._message_ends()
        return data[left:]

    def _take_chunks(self, data: bytes) -> bytes:
        chunks, parts = self._chunks, []  # type: ignore[var-annotated]
        assert chunks is not None
        try:
            chunks.feed(data, parts)
        except ChunkedError as error:
            self._give_body(parts)
            if not self.stopped:
                self._sink.malformed(str(error))
            return b""
        self._give_body(parts)
        if not chunks.ended:
            return b""
        self._chunks = None
        self._message_ends()
        return chunks.rest

    def _give_body(self, parts: list[bytes]) -> None:
        if parts:
            self._sink.body_read(parts[0] if len(parts) == 1 else b"".join(parts))

    def _message_ends(self) -> None:
        self._take = self._take_line
        self.at_boundary = self._sink.message_read()
        self._closing = not self.at_boundary

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._head = None
        self._fields = []
        self._target = b""
        self._head_bytes = 0
        self._head_read_bytes = -self._read_bytes  # the read in which it begins may hold much else
        self._too_large = False
        self.in_head = True
        self.at_boundary = False
        self._sink.head_begun()

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # so it stops after a head with Upgrade, which is whole here anyway
        except httptools.HttpParserCallbackError as error:
            log.error("internal error while reading a request", exc_info=error.__context__)  # noqa: TRY400 -- its cause
            self._refused_by_parser(error)
        except httptools.HttpParserError as error:
            self._refused_by_parser(error)

    def _refused_by_parser(self, error: httptools.HttpParserError) -> None:
        if self.stopped:
            return
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            self._sink.head_refused(_UNKNOWN_METHOD)
        else:
            self._sink.malformed(str(error))

    # The parser's side

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))
        self._head_bytes += len(name) + len(value) + 4
        if len(self._fields) > self._max_fields or self._head_bytes > self._max_head_bytes:
            self._fields.pop()
            self._too_large = True

    def on_headers_complete(self) -> None:
        self.in_head = False
        if self.stopped:
            return
        if self._too_large or len(self._target) > self._max_head_bytes:
            self._sink.head_refused(_HEAD_TOO_LARGE)
            return
        parser = self._parser
        assert parser is not None
        head = read_head(
            parser.get_method(),
            self._target,
            parser.get_http_version(),
            self._fields,
            parser.should_keep_alive(),
            parser.should_upgrade(),
        )
        if isinstance(head, HeadRefusal):
            self._sink.head_refused(head)
            return
        self._head = head
        self._sink.head_read(head)
