"""Bytes from a server into an answer: the strict parser (llhttp) for heads and plain bodies, ``chunked`` for the rest.

Pure: no socket and no clock. One reader reads the answer to one request; what a read brought is left in its attributes,
for the connection to hand over. It is what ``request_reader`` is on the other side, and differs as answers do: heads of
1xx may come before the final one, and only the end of the connection may end a body.
"""

from typing import Final

import httptools

from llm_metrics_proxy.proxy.answers import CHUNKED, NONE, UNTIL_CLOSE, ResponseHead, response_head
from llm_metrics_proxy.proxy.chunked import ChunkedReader
from llm_metrics_proxy.proxy.headers import RESPONSE_RULES, Field, sort_fields, tokens

_SWITCHING_PROTOCOLS: Final = 101
_HTTP_1: Final = b"HTTP/1."
_USUAL_BEGINNINGS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_END: Final = b"\r\n\r\n"
_MAX_INFORMATIONAL: Final = 64  # 1xx heads before a final one; a server that sends more is broken


class HttpResponseReader:
    """Reads one answer after the other. ``head`` and ``body`` are what the newest read brought of it."""

    __slots__ = (
        "_begun", "_chunks", "_end_seen", "_fields", "_head_bytes", "_max_head_bytes", "_parser", "_reason", "_start",
        "between_chunks", "body", "complete", "framing", "head", "in_head", "informational", "informational_count",
        "keep_alive", "length", "method", "untouched",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int) -> None:
        self._max_head_bytes = max_head_bytes
        self._parser = httptools.HttpResponseParser(self)
        self.expect(b"")

    def expect(self, method: bytes) -> None:
        """Make ready for the answer to a request with that method."""
        self.method = method
        self.untouched = True  # nothing was read
        self.head: ResponseHead | None = None
        self.body: list[bytes] = []
        self.informational: tuple[ResponseHead, ...] = ()  # heads of 1xx
        self.informational_count = 0
        self._chunks: ChunkedReader | None = None
        self.between_chunks = False  # the next byte is the first of a chunk: ``one_chunk`` may take it
        self.framing = NONE
        self.length: int | None = None
        self.in_head = True
        self.complete = False
        self.keep_alive = False  # as far as is known: once it is complete, the connection may carry another answer
        self._fields: list[Field] = []
        self._reason = b""
        self._head_bytes = 0
        self._start = b""  # of a head, until its version is here
        self._begun = False  # the parser has its beginning
        self._end_seen = b""  # its last bytes, which may be the beginning of its end

    def begin_chunks(self) -> None:
        """Its head is here and was seen before: what follows are chunks, and then the connection is kept."""
        self.untouched = self.in_head = False
        self.framing, self.keep_alive = CHUNKED, True
        self._chunks, self.between_chunks = ChunkedReader(self._max_head_bytes), True

    @property
    def head_is_too_large(self) -> bool:
        """The head, or what came before it, is beyond the bounds."""
        return self._head_bytes > self._max_head_bytes or self.informational_count > _MAX_INFORMATIONAL

    @property
    def ends_with_connection(self) -> bool:
        """Its body goes on until the server closes."""
        return self.framing is UNTIL_CLOSE and not self.in_head and not self.complete

    def feed(self, data: bytes) -> bytes | None:
        """Take one read. If the server switched protocols, what came behind its head; else none.

        Raises ``httptools.HttpParserError`` or ``ChunkedError`` for anything but HTTP.
        """
        self.untouched = False
        size = len(data)
        while data:
            if self._chunks is not None:
                data = self._read_chunks(self._chunks, data)
            elif self.complete:
                self.keep_alive = False  # unsolicited
                break
            elif not self.in_head:
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
        if self.in_head:
            self._head_bytes += size
        return None

    def _begin_head(self, data: bytes) -> bytes:
        """What of the head the parser may see: nothing until its first bytes show the version.

        The parser knows neither HTTP/1.2, which must be read as HTTP/1.1 (RFC 9110 section 2.5), nor that RTSP is not
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
        chunks.feed(data, self.body)
        self.between_chunks = chunks.between_chunks
        if not chunks.ended:
            return b""
        self._chunks = None
        self.complete = True
        return chunks.rest

    def _leave_parser(self) -> None:
        """It would wait for a body: of a head that has none, or one that ``chunked`` reads."""
        self.keep_alive = self._parser.should_keep_alive()
        self._parser = httptools.HttpResponseParser(self)

    # The parser's side

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False  # a second answer to one request

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head and not self.complete:  # later ones are trailers, which are hop-by-hop here
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._parser.get_status_code()
        fields = sort_fields(self._fields, RESPONSE_RULES)
        reason, self._reason, self._fields = self._reason, b"", []
        head = response_head(status, reason, fields, self.method)
        if 100 <= status < 200 and status != _SWITCHING_PROTOCOLS:
            self.informational_count += 1
            if self.informational_count <= _MAX_INFORMATIONAL:
                self.informational = (*self.informational, head)
            return
        self.in_head = False
        self.head = head
        self.framing = head.framing
        length = head.facts.get("content_length")
        self.length = None if length is None else int(length)
        if head.framing is CHUNKED:
            coding = head.facts["transfer_encoding"]
            if coding == b"chunked" or tokens(coding)[-1:] == [b"chunked"]:
                self._chunks, self.between_chunks = ChunkedReader(self._max_head_bytes), True
                self._leave_parser()
        elif self.method == b"HEAD":
            self.complete = True
            self._leave_parser()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.body.append(body)
        else:
            self.keep_alive = False  # a body in answer to HEAD

    def on_message_complete(self) -> None:
        if not self.in_head and not self.complete:
            self.complete = True
            self.keep_alive = self._parser.should_keep_alive()
