"""The state machine of one request: events and their times come in, one record comes out. Pure; times are monotonic
nanoseconds (integers are exact, and cheaper to turn into milliseconds than floats).

    a held body      RECEIVING ──▶ WAITING ──▶ AWAITING ──▶ RESPONDING ──▶ CLOSED
    an upload        RECEIVING ──▶ UPLOADING ─▶ AWAITING ──▶ RESPONDING ──▶ CLOSED
    in the lane      RECEIVING ──────────────▶ AWAITING ────────────────▶ CLOSED
    sent again                     WAITING ◀── AWAITING
    answered here    RECEIVING ──▶ WAITING ────────────────▶ RESPONDING ──▶ CLOSED

In the lane the next request may follow upon CLOSED (``lane``); one that leaves it goes on from AWAITING as any other.

A JSON body is held until it is complete. Any other streams up as soon as there is a connection, and the server may
answer before its end; one that is complete before there is a connection goes the way of a held one. The tables below
say all that can happen: nobody but ``Exchange`` changes its state, and an event that a state does not have raises
``KeyError``, because it would leave a request with two records or none. Bytes of an answer change no state, come most
often, and are not checked.

What a failure means (outcome, error type, status for the client) is in ``endings``.
"""

import logging
from dataclasses import dataclass, field
from enum import IntEnum, auto
from operator import sub
from typing import Final

from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.endings import ENDINGS, JUDGED, Cause, answer_decides
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.wire.base import (
    SAW_OUTPUT,
    SAW_TOKEN,
    ResponseFacts,
    ResponseReader,
    copy_response_facts,
)
from llm_metrics_proxy.wire.content_coding import Decoder
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.first_bytes import FirstBytes
from llm_metrics_proxy.wire.head_counts import HeadCounts, with_head
from llm_metrics_proxy.wire.judgement import broken_off

log = logging.getLogger(__name__)

# Chunks of a stream wait to be looked at together: each alone would find what that needs gone from the core's caches.
# Larger ones wait for nobody: a stream that falls silent keeps 8 KiB of them at most.
_MOST_UNREAD: Final = 16
_LARGEST_UNREAD_BYTES: Final = 512


class ExchangeState(IntEnum):
    """Where an exchange stands. Integers, because an ordinary enum's members hash in Python."""

    RECEIVING = auto()  # the request's body is not complete, and nothing is sent
    UPLOADING = auto()  # the head is sent, and the body streams up
    WAITING = auto()  # the body is complete, and nothing is sent
    AWAITING = auto()  # all is sent; no final head yet
    RESPONDING = auto()
    CLOSED = auto()


# CPython 3.11 takes 45 ns to look one up in its class
RECEIVING, UPLOADING, WAITING, AWAITING, RESPONDING, CLOSED = ExchangeState


# Which state follows an event in each state. Plain dictionaries: looking one up takes 10 ns.
Transitions = dict[ExchangeState, ExchangeState]
BODY_COMPLETE: Final[Transitions] = {RECEIVING: WAITING, UPLOADING: AWAITING, RESPONDING: RESPONDING}
SENT: Final[Transitions] = {RECEIVING: UPLOADING, WAITING: AWAITING}
SENT_WHOLE: Final[Transitions] = {RECEIVING: AWAITING, CLOSED: AWAITING}
RETRIED: Final[Transitions] = {AWAITING: WAITING}
HEAD: Final[Transitions] = {UPLOADING: RESPONDING, AWAITING: RESPONDING}
ANSWERED_HERE: Final[Transitions] = {RECEIVING: RESPONDING, WAITING: RESPONDING}
ANSWERED: Final[Transitions] = {RESPONDING: CLOSED}
ANSWERED_WHOLE: Final[Transitions] = {AWAITING: CLOSED}
FAILED: Final[Transitions] = dict.fromkeys((RECEIVING, UPLOADING, WAITING, AWAITING, RESPONDING), CLOSED)

_COMPLETED: Final = Outcome.COMPLETED
_PLAIN_FACTS: Final = ResponseFacts(terminal=True)


@dataclass(slots=True, eq=False, repr=False)
class Exchange:
    """One request on its way to one record. Stamps are monotonic nanoseconds; 0 means "did not happen".

    Not a Struct, which is made faster but changed slower: 35 ns an attribute instead of 4, several times per chunk.
    """

    record: RequestRecord
    received: int
    state: ExchangeState = RECEIVING
    reader: ResponseReader | None = None
    first_bytes: FirstBytes | None = None  # chooses the reader, and judges in the end what came
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
    head_counts: HeadCounts | None = None  # what the answer's head reported, where the dialect's answers do
    unread: list[bytes] = field(default_factory=list)  # chunks behind the first token that nobody has looked at
    unread_since: list[int] = field(default_factory=list)  # when each of them came

    def __repr__(self) -> str:
        return f"<Exchange {self.record.request_id} {self.state.name} {self.record.method} {self.record.endpoint}>"

    def request_complete(self, now: int) -> None:
        """The last byte of the request's body was read."""
        self.state = BODY_COMPLETE[self.state]
        self.body_complete = now
        if stations.on:
            stations.reached(self, now, "request complete")

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
        self.state = SENT[self.state]
        self.sent = now
        if stations.on:
            stations.reached(self, now, "request sent")

    def sent_whole(self, record: RequestRecord, received: int, acquired: int) -> None:
        """A request that came in one read at ``received`` is handed on at once, on a connection that was idle.

        Used again, an exchange has changed only what ``answered_whole`` sets.
        """
        self.state = SENT_WHOLE[self.state]
        self.record = record
        self.received = self.body_complete = received
        self.acquired = self.sent = acquired  # the recorder corrects when it was sent
        self.headers = self.first_byte = self.last_read = self.forwarding = 0

    def answered_whole(self, status: int, facts: ResponseFacts, read_at: int, now: int) -> None:
        """The answer came in one read, which has a body, and is about to go to the client."""
        self.state = ANSWERED_WHOLE[self.state]
        self.headers = self.first_byte = self.last_read = read_at
        self.forwarding = now - read_at
        self.record.upstream_status_code = status
        self._conclude(facts, now)

    def retried(self) -> None:
        """The connection broke unanswered, and the request is going to be sent again."""
        self.state = RETRIED[self.state]

    def answered_here(self, now: int, status: int) -> None:
        """This proxy answers itself."""
        self.state = ANSWERED_HERE[self.state]
        self.headers = self.last_read = now
        self.record.upstream_status_code = status

    def response_head(
        self, now: int, status: int, reader: ResponseReader | FirstBytes | None, decoder: Decoder | None
    ) -> None:
        """The final response's head was parsed. ``reader`` takes the decoded body, if anybody can read it."""
        self.state = HEAD[self.state]
        self.headers = self.last_read = now
        self.record.upstream_status_code = status
        if isinstance(reader, FirstBytes):
            self.first_bytes = reader
        else:
            self.reader = reader
        self.decoder = decoder
        if stations.on:
            stations.reached(self, now, "answer begins: status %d", status)

    def response_body(self, body: bytes, read_at: int, forwarded_at: int) -> int:
        """Body bytes that came at ``read_at`` and were handed on at ``forwarded_at``: look, now that they are gone.

        Returns the reader's ``SAW_*``.
        """
        if self.unread:
            self._catch_up()
        self.last_read = read_at
        self.forwarding += forwarded_at - read_at
        return self._look(body, read_at)

    def chunk_passed(self, body: bytes, read_at: int, forwarded_at: int) -> None:
        """The same of one chunk, counted too; behind the first token it may wait for others to be looked at with."""
        if not self.first_token or len(body) > _LARGEST_UNREAD_BYTES:
            self.record.response_bytes += len(body)
            self.response_body(body, read_at, forwarded_at)
            return
        self.last_read = read_at
        self.forwarding += forwarded_at - read_at
        self.unread.append(body)
        self.unread_since.append(read_at)
        if len(self.unread) == _MOST_UNREAD:
            self._catch_up()

    def _catch_up(self) -> None:
        """Look at the chunks that waited: at all in one, if they are nothing but more of the same."""
        unread, since, reader = self.unread, self.unread_since, self.reader
        self.unread, self.unread_since = [], []
        self.record.response_bytes += sum(map(len, unread))
        if isinstance(reader, EventReader) and self.decoder is None and self.first_output and reader.feed_alike(unread):
            self.tokens_seen += len(since)
            self.largest_gap = max(self.largest_gap, *map(sub, since, (self.last_token, *since)))
            self.last_token = since[-1]
            return
        for body, read_at in zip(unread, since, strict=True):
            self._look(body, read_at)

    def _look(self, body: bytes, read_at: int) -> int:
        if not self.first_byte:
            self.first_byte = read_at
            if stations.on:
                stations.reached(self, read_at, "first byte of the body")
        reader = self.reader
        if reader is None and self.first_bytes is None:
            return 0
        try:
            if self.decoder is not None:
                body = self.decoder.feed(body)
            if reader is None:
                body = self._choose_reader(body)
                reader = self.reader
                if reader is None:
                    return 0
            saw = reader.feed(body)
        except Exception:  # noqa: BLE001 -- logged; recording may fail, proxying goes on
            self._give_up_reading()
            return 0
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
        return saw

    def finish(self, now: int, read_at: int) -> RequestRecord:
        """The upstream's answer is complete: its last bytes came at ``read_at`` and are about to go to the client."""
        self.state = ANSWERED[self.state]
        self.forwarding += now - read_at
        return self._conclude(self._facts(complete=True), now)

    def _conclude(self, facts: ResponseFacts, now: int) -> RequestRecord:
        record = self.record
        status = record.upstream_status_code or 0
        record.status_code = status
        if facts.error is not None and facts.error.verdict is not None:
            self._fail(JUDGED[facts.error.verdict], facts.error.verdict.value, facts.error.message)
        elif facts.error is not None or status >= 400:
            streamed = facts.content_chunks is not None and status < 400
            self._fail(Outcome.STREAM_ERROR if streamed else Outcome.UPSTREAM_ERROR, f"http_{status}", None)
            if facts.error is not None:
                record.upstream_error_code = facts.error.code
                record.upstream_error_type = facts.error.type or record.upstream_error_type  # AWS has it in the head
                record.error_type = facts.error.code or record.upstream_error_type or record.error_type
                record.error_message = facts.error.message
                if record.retry_after_ms is None:  # a header field says the same
                    record.retry_after_ms = facts.error.retry_after_ms
                if status < 400 and facts.error.code is None and facts.error.type is None:
                    record.error_type = "error_event" if streamed else "error_body"
        elif facts.content_chunks is not None and not facts.terminal:
            word = "malformed" if facts.malformed else "truncated"
            self._fail(Outcome.STREAM_TRUNCATED, word, "The stream ended without its terminal marker.")
        else:
            record.success = True
            record.outcome = _COMPLETED
            if facts.refused or facts.blocked:  # a flag on what is complete, as the taxonomy has it
                record.error_type = "refusal" if facts.refused else "content_filter"
        return self._close(facts, now)

    def fail(self, cause: Cause, now: int, message: str | None = None) -> RequestRecord:
        """It ended in any other way; ``message`` replaces the table's words when more is known."""
        was_responding = self.state is RESPONDING
        self.state = FAILED[self.state]
        facts = self._facts()
        record = self.record
        ending = ENDINGS[cause]
        if self.head_sent and was_responding:
            record.status_code = record.upstream_status_code
            if answer_decides(cause, record.upstream_status_code or 0, facts):
                return self._conclude(facts, now)
        self._fail(ending.outcome, ending.error_type or cause.value, message or ending.message)
        if cause is Cause.CLIENT_GONE:
            record.error_type = "disconnect_mid_stream" if self.first_byte else "disconnect_before_first_token"
        elif cause in {Cause.RESET, Cause.PROTOCOL} and was_responding:
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

    def _choose_reader(self, data: bytes) -> bytes:
        """Who reads, once that is known; returns what was held until then."""
        first = self.first_bytes
        assert first is not None
        data = first.take(data)
        self.reader = first.reader
        if first.passes:
            self.first_bytes = self.decoder = None
        return data

    def _facts(self, *, complete: bool = False) -> ResponseFacts:
        """The reader's facts; a reader whose decoder gave up must not pass for one that saw a broken stream."""
        if self.unread:
            self._catch_up()
        first = self.first_bytes
        reader = self.reader or first
        if reader is None:
            return _PLAIN_FACTS
        try:
            facts = reader.finish()
            if first is not None and (self.decoder is None or not self.decoder.failed):
                facts = first.judge(facts) if complete else broken_off(self.reader, facts)
        except Exception:  # noqa: BLE001 -- as above
            self._give_up_reading()
            return _PLAIN_FACTS
        if self.decoder is not None and self.decoder.failed:
            return ResponseFacts(response_model=facts.response_model, malformed=True, terminal=True)
        return facts

    def _give_up_reading(self) -> None:
        """A reader must not raise; if one does, the client still gets its answer, and we a record."""
        log.exception("%s: the answer could not be read", self.record.request_id)
        self.reader = self.first_bytes = None

    def _close(self, facts: ResponseFacts, now: int) -> RequestRecord:
        record = self.record
        received = self.received
        streamed = facts.content_chunks is not None
        copy_response_facts(facts if self.head_counts is None else with_head(facts, self.head_counts), record)
        # ``_since`` of what nearly every request has, in place: its calls would take 0.3 µs
        record.body_complete_ms = (self.body_complete - received) // 1000 / 1000 if self.body_complete else None
        record.upstream_acquired_ms = (self.acquired - received) // 1000 / 1000 if self.acquired else None
        record.request_sent_ms = (self.sent - received) // 1000 / 1000 if self.sent else None
        record.response_headers_ms = (self.headers - received) // 1000 / 1000 if self.headers else None
        record.time_to_first_byte_ms = (self.first_byte - received) // 1000 / 1000 if self.first_byte else None
        if streamed:
            record.time_to_first_token_ms = _since(received, self.first_token)
            record.time_to_first_output_ms = _since(received, self.first_output)
            record.time_to_last_token_ms = _since(received, self.last_token)
            record.inter_chunk_max_ms = _ms(self.largest_gap) if self.tokens_seen > 1 else None
        record.response_time_ms = (now - received) // 1000 / 1000
        # Overhead: waiting for a connection without making it, and handing bytes on, the last ones included.
        # The silence before a time-out or before the client left is the upstream's, not ours.
        overhead = self.forwarding
        waited = self.acquired - (self.body_complete or received) - self.connecting
        if waited > 0:  # not so where a body streamed through (it ended later), or another's connection became free
            overhead += waited
        record.proxy_overhead_ms = overhead // 1000 / 1000
        if stations.on:
            stations.ended(self, now)
        return record


def _ms(nanoseconds: int) -> float:
    return nanoseconds // 1000 / 1000


def _since(received: int, stamp: int) -> float | None:
    return (stamp - received) // 1000 / 1000 if stamp else None
