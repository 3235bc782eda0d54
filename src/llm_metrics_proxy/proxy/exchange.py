"""The state machine of one request: it is told what happened and when, and ends as one record. Pure; the clock is
passed in as monotonic nanoseconds (integers: exact, and cheaper to turn into milliseconds than floats).

    RECEIVING ──body complete──▶ WAITING ──sent──▶ AWAITING ──head──▶ RESPONDING ──last byte──▶ CLOSED
        └───────────────┴──────────────┴───────────────┴──── any Cause ───────────────────────▶ CLOSED

What each way to end means (outcome, error type, status for the client) is the table ``ENDINGS``.
"""

import logging
from enum import Enum, StrEnum, auto
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.wire.base import (
    SAW_OUTPUT,
    SAW_TOKEN,
    RequestFacts,
    ResponseFacts,
    ResponseReader,
    copy_request_facts,
    copy_response_facts,
)
from llm_metrics_proxy.wire.content_coding import Decoder

log = logging.getLogger(__name__)


class ExchangeState(Enum):
    """Where an exchange stands."""

    RECEIVING = auto()  # the request's body is not complete
    WAITING = auto()  # for an upstream connection
    AWAITING = auto()  # the request is sent; no final head yet
    RESPONDING = auto()
    CLOSED = auto()


RECEIVING, WAITING, AWAITING, RESPONDING, CLOSED = ExchangeState  # CPython 3.11 takes 45 ns to look one up in its class


class Cause(StrEnum):
    """Why an exchange ended, other than by the upstream's answer being complete. The value is the `error_type`."""

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    RESET = "reset"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    PROTOCOL = "protocol"
    CLIENT_GONE = "disconnect"
    CLIENT_STALLED = "send_timeout"
    SLOW_BODY = "slow_request"
    BAD_BODY = "bad_http"
    TOO_LARGE = "too_large"
    FORBIDDEN = "forbidden"
    MISDIRECTED = "misdirected"
    FOREIGN_ORIGIN = "foreign_origin"
    REFUSED = "refused"
    NO_BACKEND = "no_backend_for_model"
    NO_MODELS = "no_models"
    SATURATED = "saturated"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal"


class Ending(NamedTuple):
    """What a cause means. ``status`` is what the client gets if no head was sent yet (0: it is beyond reach).

    ``error_type`` is the record's word where the taxonomy has one for several causes.
    """

    outcome: Outcome
    status: int
    message: str
    error_type: str = ""


ENDINGS: Final[dict[Cause, Ending]] = {
    Cause.DNS: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The LLM server's host name could not be resolved."),
    Cause.CONNECT_REFUSED: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The LLM server refused the connection."),
    Cause.CONNECT_FAILED: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The LLM server could not be connected to."),
    Cause.CONNECT_TIMEOUT: Ending(Outcome.UPSTREAM_TIMEOUT, 504, "Connecting to the LLM server took too long."),
    Cause.TLS: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The TLS handshake with the LLM server failed."),
    Cause.RESET: Ending(Outcome.UPSTREAM_PROTOCOL_ERROR, 502, "The LLM server closed the connection unanswered."),
    Cause.FIRST_BYTE_TIMEOUT: Ending(Outcome.UPSTREAM_TIMEOUT, 504, "The LLM server did not begin to answer in time."),
    Cause.IDLE_TIMEOUT: Ending(Outcome.UPSTREAM_TIMEOUT, 504, "The LLM server stopped sending in the middle."),
    Cause.PROTOCOL: Ending(Outcome.UPSTREAM_PROTOCOL_ERROR, 502, "The LLM server's answer is not valid HTTP."),
    Cause.CLIENT_GONE: Ending(Outcome.CLIENT_DISCONNECTED, 0, "The client closed the connection."),
    Cause.CLIENT_STALLED: Ending(Outcome.CLIENT_DISCONNECTED, 0, "The client stopped reading the answer."),
    Cause.SLOW_BODY: Ending(Outcome.CLIENT_ERROR, 408, "The request's body did not arrive in time."),
    Cause.BAD_BODY: Ending(Outcome.CLIENT_ERROR, 400, "The request's body is not valid HTTP."),
    Cause.TOO_LARGE: Ending(Outcome.REJECTED, 413, "The request's body is larger than this proxy allows."),
    Cause.FORBIDDEN: Ending(
        Outcome.REJECTED, 403, "Only inference paths may pass; an operator can allow others with --allow-paths."
    ),
    Cause.MISDIRECTED: Ending(
        Outcome.REJECTED,
        421,
        "This proxy answers to localhost, to loopback addresses and to the names in its settings, and the header Host "
        "has another: ask by one of these, or have the operator add the name with --allowed-hosts.",
        "forbidden",
    ),
    Cause.FOREIGN_ORIGIN: Ending(
        Outcome.REJECTED,
        403,
        "A web page of another site asked, and pages of its origin may not use this proxy; an operator can allow them "
        "with --allowed-origins.",
        "forbidden",
    ),
    Cause.REFUSED: Ending(Outcome.REJECTED, 400, "The request was refused."),
    Cause.NO_BACKEND: Ending(Outcome.REJECTED, 404, "No backend in the settings serves what was asked for."),
    Cause.NO_MODELS: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "No backend listed its models."),
    Cause.SATURATED: Ending(Outcome.PROXY_ERROR, 503, "This proxy has no capacity left; try again later."),
    Cause.SHUTDOWN: Ending(Outcome.PROXY_ERROR, 503, "This proxy is shutting down."),
    Cause.INTERNAL: Ending(Outcome.PROXY_ERROR, 502, "This proxy failed; its log says why."),
}

_COMPLETED: Final = Outcome.COMPLETED
_PLAIN_FACTS: Final = ResponseFacts(terminal=True)


class Exchange(msgspec.Struct):
    """One request on its way to one record. Stamps are monotonic nanoseconds; 0 stands for "did not happen".

    A Struct, because its defaults are filled in by C: a hand-written ``__init__`` took longer than parsing a head.
    """

    record: RequestRecord
    received: int
    state: ExchangeState = RECEIVING
    reader: ResponseReader | None = None
    decoder: Decoder | None = None
    head_sent: bool = False  # the client has part of an answer; from now on a fault can only abort
    body_complete: int = 0
    acquired: int = 0
    connecting: int = 0  # duration; 0 on a reused connection
    sent: int = 0
    headers: int = 0
    first_byte: int = 0
    first_token: int = 0
    first_output: int = 0
    last_token: int = 0
    last_read: int = 0
    largest_gap: int = 0
    forwarding: int = 0  # time between reading and writing, summed
    tokens_seen: int = 0  # reads of the upstream that brought tokens

    def __repr__(self) -> str:
        return f"<Exchange {self.record.request_id} {self.state.name} {self.record.method} {self.record.endpoint}>"

    def request_facts(self, facts: RequestFacts) -> None:
        """What the request's body said."""
        record = self.record
        named_by_path = record.model
        copy_request_facts(facts, record)
        if facts.model is None:
            record.model = named_by_path

    def request_complete(self, now: int) -> None:
        """The last byte of the request's body was read."""
        self.body_complete = now
        if stations.on:
            stations.reached(self, now, "request complete")
        if self.state is RECEIVING:
            self.state = WAITING

    def upstream_ready(self, now: int, *, reused: bool, connect_ns: int) -> None:
        """A connection is ours. After a retry the later one counts."""
        self.acquired = now
        self.record.upstream_reused = reused
        self.connecting = 0 if reused else connect_ns
        self.record.connect_ms = None if reused else _ms(connect_ns)
        if stations.on:
            stations.reached(self, now, "connection reused" if reused else "connected")

    def request_sent(self, now: int) -> None:
        """Everything (or, for a streamed upload, the head) was handed to the upstream's socket."""
        self.sent = now
        self.state = AWAITING
        if stations.on:
            stations.reached(self, now, "request sent")

    def response_head(self, now: int, status: int, reader: ResponseReader | None, decoder: Decoder | None) -> None:
        """The final response's head was parsed. ``reader`` takes the decoded body, if anybody can read it."""
        self.headers = self.last_read = now
        self.state = RESPONDING
        self.record.upstream_status_code = status
        self.reader = reader
        self.decoder = decoder
        if stations.on:
            stations.reached(self, now, "answer begins: status %d", status)

    def response_body(self, body: bytes, read_at: int, forwarded_at: int) -> None:
        """Body bytes that came at ``read_at`` and were handed on at ``forwarded_at``: look, now that they are gone."""
        self.last_read = read_at
        self.forwarding += forwarded_at - read_at
        if not self.first_byte:
            self.first_byte = read_at
            if stations.on:
                stations.reached(self, read_at, "first byte of the body")
        reader = self.reader
        if reader is None:
            return
        try:
            saw = reader.feed(body if self.decoder is None else self.decoder.feed(body))
        except Exception:  # noqa: BLE001 -- logged; recording may fail, proxying goes on
            self._give_up_reading()
            return
        if saw & SAW_TOKEN:
            self.tokens_seen += 1
            if not self.first_token:
                self.first_token = read_at
                if stations.on:
                    stations.reached(self, read_at, "first token")
            elif read_at - self.last_token > self.largest_gap:
                self.largest_gap = read_at - self.last_token
            self.last_token = read_at
            if saw & SAW_OUTPUT and not self.first_output:
                self.first_output = read_at

    def finish(self, now: int, read_at: int) -> RequestRecord:
        """The upstream's answer is complete: its last bytes came at ``read_at`` and are about to go to the client."""
        self.forwarding += now - read_at
        return self._conclude(self._facts(), now)

    def _conclude(self, facts: ResponseFacts, now: int) -> RequestRecord:
        record = self.record
        status = record.upstream_status_code or 0
        record.status_code = status
        if facts.error is not None or status >= 400:
            streamed = facts.content_chunks is not None and status < 400
            self._fail(Outcome.STREAM_ERROR if streamed else Outcome.UPSTREAM_ERROR, f"http_{status}", None)
            if facts.error is not None:
                record.upstream_error_code, record.upstream_error_type = facts.error.code, facts.error.type
                record.error_type = facts.error.code or facts.error.type or record.error_type
                record.error_message = facts.error.message
                if status < 400 and facts.error.code is None and facts.error.type is None:
                    record.error_type = "error_event" if streamed else "error_body"
        elif facts.content_chunks is not None and not facts.terminal:
            word = "malformed" if facts.malformed else "truncated"
            self._fail(Outcome.STREAM_TRUNCATED, word, "The stream ended without its terminal marker.")
        else:
            record.success = True
            record.outcome = _COMPLETED
            if facts.refused:  # a flag on what is complete, as the taxonomy has it
                record.error_type = "refusal"
        return self._close(facts, now)

    def fail(self, cause: Cause, now: int, message: str | None = None) -> RequestRecord:
        """It ended in any other way; ``message`` replaces the table's words when more is known."""
        facts = self._facts()
        record = self.record
        ending = ENDINGS[cause]
        if self.head_sent and self.state is RESPONDING:
            record.status_code = record.upstream_status_code
            if cause is Cause.CLIENT_GONE and facts.terminal and facts.content_chunks is not None:
                # SDKs hang up at the end marker, before the last empty chunk: they have all there is.
                return self._conclude(facts, now)
        self._fail(ending.outcome, ending.error_type or cause.value, message or ending.message)
        if cause is Cause.CLIENT_GONE:
            record.error_type = "disconnect_mid_stream" if self.first_byte else "disconnect_before_first_token"
        elif cause in {Cause.RESET, Cause.PROTOCOL} and self.state is RESPONDING:
            record.outcome = Outcome.STREAM_TRUNCATED
            record.error_type = "truncated" if cause is Cause.RESET else cause.value
            record.error_message = message or "The LLM server broke off in the middle of its answer."
        return self._close(facts, now)

    def _fail(self, outcome: Outcome, error_type: str, message: str | None) -> None:
        record = self.record
        record.success = False
        record.outcome = outcome
        record.error_type = error_type
        record.error_message = message

    def _facts(self) -> ResponseFacts:
        """The reader's verdict; a reader whose decoder gave up must not pass for one that saw a broken stream."""
        if self.reader is None:
            return _PLAIN_FACTS
        try:
            facts = self.reader.finish()
        except Exception:  # noqa: BLE001 -- as above
            self._give_up_reading()
            return _PLAIN_FACTS
        if self.decoder is not None and self.decoder.failed:
            return ResponseFacts(response_model=facts.response_model, malformed=True, terminal=True)
        return facts

    def _give_up_reading(self) -> None:
        """A reader must not raise; should one do so all the same, the client still gets its answer, and we a record."""
        log.exception("%s: the answer could not be read", self.record.request_id)
        self.reader = None

    def _close(self, facts: ResponseFacts, now: int) -> RequestRecord:
        record = self.record
        received = self.received
        streamed = facts.content_chunks is not None
        copy_response_facts(facts, record)
        record.body_complete_ms = _since(received, self.body_complete)
        record.upstream_acquired_ms = _since(received, self.acquired)
        record.request_sent_ms = _since(received, self.sent)
        record.response_headers_ms = _since(received, self.headers)
        record.time_to_first_byte_ms = _since(received, self.first_byte)
        if streamed:
            record.time_to_first_token_ms = _since(received, self.first_token)
            record.time_to_first_output_ms = _since(received, self.first_output)
            record.time_to_last_token_ms = _since(received, self.last_token)
            record.inter_chunk_max_ms = _ms(self.largest_gap) if self.tokens_seen > 1 else None
        record.response_time_ms = _ms(now - received)
        record.proxy_overhead_ms = self._overhead_ms()
        self.state = CLOSED
        if stations.on:
            stations.ended(self, now)
        return record

    def _overhead_ms(self) -> float:
        """Waiting for a connection without making it, and handing bytes on, the last ones included.

        The silence before a time-out or before the client left is the upstream's, not ours.
        """
        overhead = self.forwarding
        waited = self.acquired - (self.body_complete or self.received) - self.connecting
        if waited > 0:  # not so where a body streamed through (it ended later), or another's connection became free
            overhead += waited
        return _ms(overhead)


def _ms(nanoseconds: int) -> float:
    return nanoseconds // 1000 / 1000


def _since(received: int, stamp: int) -> float | None:
    return (stamp - received) // 1000 / 1000 if stamp else None
