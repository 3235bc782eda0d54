"""The answer's way down to the client, and every other way in which a request ends.

Bytes are forwarded before they are read; the last ones wait for the record, which needs their facts. However
a request ends, it leads through the recorder once: whoever may still end it has looked whether it is ``CLOSED``.
"""

from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy.proxy.admission import own_answer_lines, readable
from llm_metrics_proxy.proxy.answers import (
    CHUNKED,
    LAST_CHUNK,
    NONE,
    UNTIL_CLOSE,
    Framing,
    ResponseHead,
    client_framing,
    error_body,
    head_bytes,
    informational_bytes,
    own_answer,
)
from llm_metrics_proxy.proxy.endings import ENDINGS, Cause
from llm_metrics_proxy.proxy.exchange import CLOSED
from llm_metrics_proxy.proxy.socket_writer import SocketWriter
from llm_metrics_proxy.proxy.upload import Upload
from llm_metrics_proxy.wire.base import EVENT_STREAM
from llm_metrics_proxy.wire.content_coding import decoder_for
from llm_metrics_proxy.wire.first_bytes import reader_for

# What programs see as `code` where the record's word would say too little.
_CODES: Final = {
    Cause.FORBIDDEN: "path_not_allowed",
    Cause.MISDIRECTED: "misdirected_request",
    Cause.FOREIGN_ORIGIN: "origin_not_allowed",
    Cause.TOO_LARGE: "request_too_large",
}


@dataclass(slots=True, eq=False, repr=False)
class Download(Upload):
    """The half of a ``Transaction`` that leads to the client."""

    framing: Framing = NONE  # of the answer, for the client
    chunk_writer: SocketWriter | None = None  # the client's, if the server's chunks may pass to it as they are

    # From the upstream connection

    def informational(self, head: ResponseHead) -> None:
        """RFC 9110 section 15.2; HTTP/1.0 has none."""
        self.payload = b""  # it is never sent again; what of it still waits for the server's socket counts on
        if self.plan.request.version == "1.1":
            self.client.write(informational_bytes(head, self.exchange.record.request_id))

    def response(
        self, head: ResponseHead | None, length: int | None, body: bytes, *, ended: bool, read_at: int
    ) -> None:
        exchange = self.exchange
        out = b"" if head is None else self._begin_response(head, length, read_at)
        shown = body if self.edits is None else self._edit(body, ended=ended)
        if shown:
            exchange.record.response_bytes += len(shown)
            out += b"%x\r\n%b\r\n" % (len(shown), shown) if self.framing is CHUNKED else shown
        if ended:
            # The last bytes wait for the record; until then, looking at them costs the client nothing.
            if body:
                exchange.response_body(body, read_at, read_at)
            self.upstream = None
            if self.held_bytes:
                self.let_go_of_body()
            if self.server is not None:  # nothing comes after this, so that it need not be forgotten
                self.server.open_requests -= 1
            if self.framing is CHUNKED:
                out += LAST_CHUNK
            record = exchange.finish(monotonic_ns(), read_at)
            self.ctx.recorder.closed(record, self.client.socket_writer, out, self._answered)
            return
        if out:
            self.client.write(out)
        if body:
            exchange.response_body(body, read_at, monotonic_ns())

    def chunk(self, data: bytes, body: bytes, read_at: int) -> None:
        """By far the most reads."""
        if self.chunk_writer is None:
            self.more_body(body, read_at)
            return
        self.chunk_writer.write(data)
        self.exchange.chunk_passed(body, read_at, monotonic_ns())

    def more_body(self, body: bytes, read_at: int) -> None:
        if self.edits is not None:
            self.response(None, None, body, ended=False, read_at=read_at)
            return
        exchange = self.exchange
        exchange.record.response_bytes += len(body)
        self.client.write(b"%x\r\n%b\r\n" % (len(body), body) if self.framing is CHUNKED else body)
        exchange.response_body(body, read_at, monotonic_ns())

    def _begin_response(self, head: ResponseHead, length: int | None, now: int) -> bytes:
        exchange, server, request = self.exchange, self.server, self.plan.request
        if server is not None and (server.in_trouble or head.status > 500):
            server.answered(head.status)
        for column, value in head.limits:
            setattr(exchange.record, column, value)
        coding = head.facts.get("content_encoding")
        dialect = self.plan.route.dialect
        reader = reader_for(dialect, head.status, head.media)
        decoder = decoder_for(coding) if coding is not None and reader is not None else None
        exchange.response_head(now, head.status, reader, decoder)
        if head.counts is not None and dialect is not None and dialect.counts_in_head and head.status < 300:
            exchange.head_counts = head.counts
        self.payload = b""
        if self.upstream is None or not self.upstream.is_backed_up:
            self.ctx.bodies.held_bytes -= self.held_bytes
            self.held_bytes = 0
        # Streams come under any type; a length, with another type than theirs, is a document's.
        if self.edits is not None and (coding is not None or (head.media not in EVENT_STREAM and length is not None)):
            self.edits = None
        self.framing = client_framing(head.framing, request.version, edited=self.edits is not None)
        if self.framing is CHUNKED and self.edits is None:
            self.chunk_writer = self.client.socket_writer
        if self.framing is UNTIL_CLOSE or not self.body_complete or self.client.is_last:
            self.keep_alive = False
        exchange.head_sent = True
        if self.plan.cors is not None:
            head = head._replace(start=readable(head.start, self.plan.cors))
        return head_bytes(
            head, self.framing, length, exchange.record.request_id, request.version, keep_alive=self.keep_alive
        )

    def _edit(self, body: bytes, *, ended: bool) -> bytes:
        assert self.edits is not None
        shown = self.edits.feed(body) if body else b""
        return shown + self.edits.finish() if ended else shown

    def _answered(self) -> None:
        """The last bytes are with the client's socket."""
        self.client.work_ended(self, keep_alive=self.keep_alive, lingering=not self.body_complete)

    # Ways to end

    def client_gone(self) -> None:
        """Stop the upstream at once: GPU time is money."""
        if self.exchange.state is not CLOSED:
            self.let_go()
            self.ctx.recorder.closed(self.exchange.fail(Cause.CLIENT_GONE, monotonic_ns()))

    def abandon(self, cause: Cause) -> None:
        if self.exchange.state is not CLOSED:
            self.end(cause)

    def end(self, cause: Cause, message: str | None = None) -> None:
        exchange, recorder, request = self.exchange, self.ctx.recorder, self.plan.request
        if self.server is not None:
            self.server.failed(cause)
        self.let_go()
        status = ENDINGS[cause].status
        beyond_reach = exchange.head_sent or status == 0
        record = exchange.fail(cause, monotonic_ns(), message)
        if beyond_reach:
            clean_end = self.framing is UNTIL_CLOSE
            recorder.closed(record, None, b"", self.client.reset if clean_end else self.client.close)
            return
        record.status_code = status
        self.keep_alive = self.keep_alive and self.body_complete and not self.client.is_last and status != 400
        body = error_body(_CODES.get(cause, cause.value), record.error_message or "")
        head_only = request.method == b"HEAD"
        record.response_bytes = 0 if head_only else len(body)
        self.answer(status, body, own_answer_lines(self.plan.cors), head_only=head_only)

    def answer(self, status: int, body: bytes, lines: bytes, *, head_only: bool = False) -> None:
        """Give an answer of this proxy's own; the record is complete."""
        record, version = self.exchange.record, self.plan.request.version
        answer = own_answer(status, body, record.request_id, version, self.keep_alive, lines=lines, head_only=head_only)
        self.ctx.recorder.closed(record, self.client.socket_writer, answer, self._answered)

    def let_go(self) -> None:
        """Of everything that it holds; the record alone is left."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.abort()
        self.let_go_of_body()
        self.leave_server()
        self.exchange.record.request_bytes = self.received_bytes

    def leave_server(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            server.open_requests -= 1
