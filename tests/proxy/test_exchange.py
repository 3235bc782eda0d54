"""Whatever happens in whatever order, an exchange ends as one record that agrees with itself."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llm_metrics_proxy.proxy import exchange
from llm_metrics_proxy.proxy.endings import ENDINGS, Cause
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.proxy.exchange import ExchangeState as State
from llm_metrics_proxy.record import Outcome, RequestRecord, UsageSource
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_OUTPUT,
    SAW_TERMINAL,
    SAW_TOKEN,
    ErrorFacts,
    ResponseFacts,
    Verdict,
)  # fmt: skip
from llm_metrics_proxy.wire.first_bytes import reader_for
from tests.examples import examples
from tests.proxy.harness import assert_consistent

MS = 1_000_000
START = 5_000 * MS


class Reader:
    """Says what the test wants it to have seen."""

    def __init__(self, facts: ResponseFacts, saw: int = 0) -> None:
        self.facts = facts
        self.saw = saw
        self.fed = b""

    def feed(self, data: bytes) -> int:
        self.fed += data
        return self.saw

    def finish(self) -> ResponseFacts:
        return self.facts


class Decoder:
    """A content coding that can be given up."""

    failed = True

    def feed(self, data: bytes) -> bytes:
        return b""


def streamed(**facts: Any) -> ResponseFacts:
    return ResponseFacts(**{"content_chunks": 1, "terminal": True, **facts})


def exchange_in(state: State, facts: ResponseFacts | None = None, status: int = 200) -> Exchange:
    """An exchange that went the ordinary way as far as ``state``, one millisecond a step."""
    exchange = Exchange(RequestRecord(request_id="i", timestamp="t", method="POST", endpoint="/"), START)
    if state is State.RECEIVING:
        return exchange
    if state is State.UPLOADING:
        exchange.upstream_ready(START + 2 * MS, reused=True, connect_ns=7 * MS)
        exchange.request_sent(START + 3 * MS)
        return exchange
    exchange.request_complete(START + 1 * MS)
    if state is State.WAITING:
        return exchange
    exchange.upstream_ready(START + 2 * MS, reused=True, connect_ns=7 * MS)
    exchange.request_sent(START + 3 * MS)
    if state is State.AWAITING:
        return exchange
    exchange.response_head(START + 4 * MS, status, None if facts is None else Reader(facts), None)
    exchange.head_sent = True
    return exchange


OPEN = tuple(state for state in State if state is not State.CLOSED)


def expected(cause: Cause, state: State) -> tuple[Outcome, str, int | None]:
    """What the record must say; the status of one whose head was not sent is the caller's to fill in."""
    if cause is Cause.CLIENT_GONE:
        return Outcome.CLIENT_DISCONNECTED, "disconnect_before_first_token", 200 if state is State.RESPONDING else None
    if state is State.RESPONDING and cause in {Cause.RESET, Cause.PROTOCOL}:
        return Outcome.STREAM_TRUNCATED, "truncated" if cause is Cause.RESET else "protocol", 200
    return ENDINGS[cause].outcome, ENDINGS[cause].error_type or cause.value, 200 if state is State.RESPONDING else None


@pytest.mark.parametrize("state", OPEN)
@pytest.mark.parametrize("cause", Cause)
def test_every_cause_in_every_state(cause: Cause, state: State) -> None:
    exchange = exchange_in(state)
    record = exchange.fail(cause, START + 9 * MS)
    assert exchange.state is State.CLOSED
    assert (record.outcome, record.error_type, record.status_code) == expected(cause, state)
    assert record.error_message
    assert record.response_time_ms == 9
    assert_consistent(record)


def test_every_cause_has_an_ending_with_words_and_a_status() -> None:
    assert set(ENDINGS) == set(Cause)
    for ending in ENDINGS.values():
        assert ending.message.endswith(".") or "--" in ending.message
        assert ending.status == 0 or 400 <= ending.status < 600
        assert ending.outcome is not Outcome.COMPLETED


def test_the_words_of_the_moment_replace_the_tables() -> None:
    record = exchange_in(State.AWAITING).fail(Cause.PROTOCOL, START + 9 * MS, "Not HTTP.")
    assert record.error_message == "Not HTTP."


@pytest.mark.parametrize(
    ("facts", "status", "outcome", "error_type"),
    [
        (None, 200, "completed", None),
        (None, 404, "upstream_error", "http_404"),
        (None, 503, "upstream_error", "http_503"),
        (streamed(), 200, "completed", None),
        (streamed(terminal=False), 200, "stream_truncated", "truncated"),
        (streamed(error=ErrorFacts(code="c", type="t")), 200, "stream_error", "c"),
        (streamed(error=ErrorFacts(type="t")), 200, "stream_error", "t"),
        (streamed(error=ErrorFacts(message="m")), 200, "stream_error", "error_event"),
        (ResponseFacts(terminal=True, error=ErrorFacts(message="m")), 200, "upstream_error", "error_body"),
        (ResponseFacts(terminal=True, error=ErrorFacts(message="m")), 500, "upstream_error", "http_500"),
        (ResponseFacts(error=ErrorFacts(code="rate")), 429, "upstream_error", "rate"),
        (ResponseFacts(malformed=True), 200, "completed", None),
    ],
)
def test_how_a_complete_answer_is_judged(
    facts: ResponseFacts | None, status: int, outcome: str, error_type: str | None
) -> None:
    record = exchange_in(State.RESPONDING, facts, status).finish(START + 9 * MS, START + 8 * MS)
    assert (record.outcome, record.error_type, record.status_code) == (outcome, error_type, status)
    assert_consistent(record)


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        (streamed(), "completed"),
        (streamed(error=ErrorFacts(message="m")), "stream_error"),
        (streamed(terminal=False), "client_disconnected"),
        (ResponseFacts(terminal=True), "client_disconnected"),
        (None, "client_disconnected"),
    ],
)
def test_a_client_that_leaves_after_the_end_marker_has_all_there_is(facts: ResponseFacts | None, outcome: str) -> None:
    exchange = exchange_in(State.RESPONDING, facts)
    exchange.response_body(b"x", START + 5 * MS, START + 5 * MS)
    record = exchange.fail(Cause.CLIENT_GONE, START + 9 * MS)
    assert record.outcome == outcome
    if outcome == "client_disconnected":
        assert record.error_type == "disconnect_mid_stream"
    assert_consistent(record)


# Rows of STANDARDS: the first terminal event, then how the connection ended. What this proxy did itself is its own.
AN_ERROR_DECIDES = [
    Cause.CLIENT_GONE, Cause.CLIENT_STALLED, Cause.RESET, Cause.PROTOCOL, Cause.IDLE_TIMEOUT, Cause.SHUTDOWN,
    Cause.SLOW_BODY, Cause.BAD_BODY, Cause.TOO_LARGE,
]  # fmt: skip


@pytest.mark.parametrize("cause", AN_ERROR_DECIDES)
@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (streamed(terminal=False, error=ErrorFacts(type="overloaded_error", message="Overloaded")), 200),
        (ResponseFacts(error=ErrorFacts(type="overloaded_error", message="Overloaded")), 200),
        (ResponseFacts(terminal=True, error=ErrorFacts(type="overloaded_error", message="Overloaded")), 529),
    ],
)
def test_an_error_that_was_read_decides_whoever_closes_first(cause: Cause, facts: ResponseFacts, status: int) -> None:
    exchange = exchange_in(State.RESPONDING, facts, status)
    exchange.response_body(b"x", START + 5 * MS, START + 5 * MS)
    record = exchange.fail(cause, START + 9 * MS)
    assert record.outcome in {"upstream_error", "stream_error"}
    assert (record.upstream_error_type, record.error_message) == ("overloaded_error", "Overloaded")
    assert (record.error_type, record.status_code, record.success) == ("overloaded_error", status, False)
    assert_consistent(record)


def test_an_error_status_decides_before_a_byte_of_its_body() -> None:
    record = exchange_in(State.RESPONDING, ResponseFacts(error=ErrorFacts()), 503).fail(Cause.CLIENT_GONE, START + MS)
    assert (record.outcome, record.error_type, record.status_code) == ("upstream_error", "http_503", 503)


@pytest.mark.parametrize("verdict", Verdict)
def test_what_was_no_answer_is_no_success_and_no_words_of_the_server(verdict: Verdict) -> None:
    facts = ResponseFacts(terminal=True, error=ErrorFacts(verdict=verdict, message="An HTML page"))
    record = exchange_in(State.RESPONDING, facts).finish(START + 9 * MS, START + 8 * MS)
    assert (record.success, record.error_type, record.error_message) == (False, verdict.value, "An HTML page")
    assert (record.upstream_error_code, record.upstream_error_type, record.status_code) == (None, None, 200)
    assert record.outcome == ("upstream_error" if verdict is Verdict.NOT_AN_ANSWER else "stream_truncated")


def test_what_came_is_judged_once_it_is_complete_and_never_if_it_broke_off() -> None:
    page = b"<html><title>Log in</title></html>"
    for end, outcome in (("complete", "upstream_error"), (Cause.CLIENT_GONE, "client_disconnected")):
        exchange = exchange_in(State.AWAITING)
        exchange.response_head(START + 4 * MS, 200, reader_for(OPENAI_CHAT, 200, b"text/html"), None)
        exchange.head_sent = True
        exchange.response_body(page[:9], START + 5 * MS, START + 5 * MS)
        exchange.response_body(page[9:], START + 6 * MS, START + 6 * MS)
        now = START + 9 * MS
        record = exchange.fail(end, now) if isinstance(end, Cause) else exchange.finish(now, START + 8 * MS)
        assert record.outcome == outcome
        assert (record.error_type == "not_an_answer") == (end == "complete")


def decided(cause: Cause, status: int, facts: ResponseFacts) -> str:
    """The slow oracle: what happened, in order; the first that ends the request decides."""
    happened = ["head"]
    if status >= 400:
        happened.append("error")
    if facts.error is not None:
        happened.append("error")
    elif facts.content_chunks is not None and facts.terminal:
        happened.append("end marker")
    happened.append(cause)
    for event in happened:
        if event == "error" and cause not in {
            Cause.DNS, Cause.CONNECT_REFUSED, Cause.CONNECT_FAILED, Cause.CONNECT_TIMEOUT, Cause.TLS, Cause.INTERNAL,
            Cause.FIRST_BYTE_TIMEOUT, Cause.FORBIDDEN, Cause.MISDIRECTED, Cause.FOREIGN_ORIGIN, Cause.REFUSED,
            Cause.NO_BACKEND, Cause.NO_MODELS, Cause.SATURATED,
        }:  # fmt: skip
            return "error"
        if event == "end marker" and cause is Cause.CLIENT_GONE:
            return "completed"
    return "cause"


@examples(400)
@given(
    cause=st.sampled_from(Cause),
    status=st.sampled_from((200, 201, 302, 400, 404, 429, 500, 503)),
    chunks=st.none() | st.integers(0, 3),
    terminal=st.booleans(),
    error=st.sampled_from([None, ErrorFacts(), ErrorFacts(code="c", message="m")]),
)
def test_what_decides_is_what_the_slow_oracle_says(
    cause: Cause, status: int, chunks: int | None, terminal: bool, error: ErrorFacts | None
) -> None:
    facts = ResponseFacts(content_chunks=chunks, terminal=terminal, error=error)
    record = exchange_in(State.RESPONDING, facts, status).fail(cause, START + 9 * MS)
    right = decided(cause, status, facts)
    if right == "error":
        assert record.outcome in {"upstream_error", "stream_error"}
        assert record.status_code == status
    elif right == "completed":
        assert (record.outcome, record.success) == ("completed", True)
    else:
        assert record.outcome not in {"upstream_error", "stream_error", "completed"}


def test_stamps_and_gaps() -> None:
    exchange = exchange_in(State.RESPONDING, streamed(content_chunks=3))
    reader = exchange.reader
    assert isinstance(reader, Reader)
    for at_ms, saw in (
        (10, 0), (20, SAW_TOKEN), (25, SAW_TOKEN | SAW_OUTPUT), (65, SAW_TOKEN | SAW_OUTPUT), (90, SAW_TERMINAL),
        (95, SAW_ERROR),
    ):  # fmt: skip
        reader.saw = saw
        exchange.response_body(b"x", START + at_ms * MS, START + at_ms * MS + MS // 2)
    record = exchange.finish(START + 101 * MS, START + 100 * MS)
    assert reader.fed == b"xxxxxx"
    assert (record.body_complete_ms, record.upstream_acquired_ms, record.request_sent_ms) == (1, 2, 3)
    assert (record.response_headers_ms, record.time_to_first_byte_ms) == (4, 10)
    assert (record.time_to_first_token_ms, record.time_to_first_output_ms, record.time_to_last_token_ms) == (20, 25, 65)
    assert (record.inter_chunk_max_ms, record.response_time_ms) == (40, 101)
    assert record.proxy_overhead_ms == 1 + 6 * 0.5 + 1  # waiting, six times forwarding, the end
    assert (record.connect_ms, record.upstream_reused) == (None, True)


def test_what_a_filter_stopped_is_a_word_beside_a_complete_answer() -> None:
    record = exchange_in(State.RESPONDING, streamed(blocked=True, finish_reason="OTHER")).finish(START, START)
    assert (record.outcome, record.success, record.error_type) == (Outcome.COMPLETED, True, "content_filter")


def test_when_to_come_back_is_taken_from_the_error_unless_a_field_said_so() -> None:
    error = ErrorFacts(code="429", type="RESOURCE_EXHAUSTED", retry_after_ms=34074.5)
    exchange = exchange_in(State.RESPONDING, streamed(error=error))
    assert exchange.finish(START, START).retry_after_ms == 34074.5
    exchange = exchange_in(State.RESPONDING, streamed(error=error))
    exchange.record.retry_after_ms = 7000.0
    assert exchange.finish(START, START).retry_after_ms == 7000.0


def test_a_refusal_is_a_word_beside_a_complete_answer_and_never_beside_a_failure() -> None:
    record = exchange_in(State.RESPONDING, streamed(refused=True, finish_reason="stop")).finish(START, START)
    assert (record.outcome, record.success, record.error_type) == (Outcome.COMPLETED, True, "refusal")
    assert (record.finish_reason, record.error_message) == ("stop", None)
    record = exchange_in(State.RESPONDING, streamed(refused=True)).fail(Cause.IDLE_TIMEOUT, START + 90 * MS)
    assert (record.success, record.error_type) == (False, "idle_timeout")


def test_overhead_leaves_out_connecting_and_the_servers_silence() -> None:
    exchange = exchange_in(State.WAITING)
    exchange.upstream_ready(START + 51 * MS, reused=False, connect_ns=48 * MS)
    exchange.request_sent(START + 51 * MS)
    exchange.response_head(START + 60 * MS, 200, None, None)
    exchange.response_body(b"x", START + 70 * MS, START + 71 * MS)
    record = exchange.fail(Cause.IDLE_TIMEOUT, START + 5000 * MS)
    assert record.connect_ms == 48
    assert record.proxy_overhead_ms == 2 + 1


def test_overhead_of_an_upload_that_streamed_through_is_not_negative() -> None:
    exchange = exchange_in(State.RECEIVING)
    exchange.upstream_ready(START + 2 * MS, reused=True, connect_ns=0)
    exchange.request_sent(START + 2 * MS)
    exchange.request_complete(START + 900 * MS)
    exchange.response_head(START + 910 * MS, 200, None, None)
    assert exchange.finish(START + 912 * MS, START + 911 * MS).proxy_overhead_ms == 1


def test_one_chunk_has_no_gap_and_an_answer_that_is_no_stream_no_token_times() -> None:
    exchange = exchange_in(State.RESPONDING, streamed())
    assert isinstance(exchange.reader, Reader)
    exchange.reader.saw = SAW_TOKEN | SAW_OUTPUT
    exchange.response_body(b"x", START + 10 * MS, START + 10 * MS)
    assert exchange.finish(START + 11 * MS, START + 11 * MS).inter_chunk_max_ms is None
    exchange = exchange_in(State.RESPONDING, ResponseFacts(terminal=True))
    assert isinstance(exchange.reader, Reader)
    exchange.reader.saw = SAW_TOKEN | SAW_OUTPUT
    exchange.response_body(b"x", START + 10 * MS, START + 10 * MS)
    record = exchange.finish(START + 11 * MS, START + 11 * MS)
    assert (record.time_to_first_token_ms, record.time_to_last_token_ms) == (None, None)
    assert record.time_to_first_byte_ms == 10


def test_an_answer_that_could_not_be_decoded_has_no_facts_and_is_not_blamed() -> None:
    exchange = exchange_in(State.AWAITING)
    reader = Reader(streamed(response_model="m", terminal=False, usage_reported='{"usage":{}}'))
    exchange.response_head(START + 4 * MS, 200, reader, Decoder())  # type: ignore[arg-type]
    exchange.response_body(b"\x00", START + 5 * MS, START + 5 * MS)
    record = exchange.finish(START + 6 * MS, START + 6 * MS)
    assert (record.outcome, record.response_model, record.usage_reported) == ("completed", "m", None)
    assert record.usage_source == UsageSource.NONE


def test_a_reader_that_raises_costs_its_facts_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Reader):
        def feed(self, data: bytes) -> int:
            raise RecursionError(data)

        def finish(self) -> ResponseFacts:
            raise ValueError("never")

    for feed in (True, False):
        exchange = exchange_in(State.RESPONDING)
        exchange.reader = Broken(streamed())
        if feed:
            exchange.response_body(b"x", START + 5 * MS, START + 5 * MS)
        record = exchange.finish(START + 6 * MS, START + 6 * MS)
        assert (record.outcome, record.usage_reported, record.content_chunks) == ("completed", None, None)
    assert caplog.text.count("could not be read") == 2


EVENTS: dict[str, Callable[[Exchange, int], Any]] = {
    "body complete": Exchange.request_complete,
    "sent": Exchange.request_sent,
    "sent whole": lambda exchange, now: exchange.sent_whole(exchange.record, now, now),
    "answered whole": lambda exchange, now: exchange.answered_whole(200, ResponseFacts(terminal=True), now, now),
    "retried": lambda exchange, now: exchange.retried(),
    "head": lambda exchange, now: exchange.response_head(now, 200, None, None),
    "answered here": lambda exchange, now: exchange.answered_here(now, 200),
    "answered": lambda exchange, now: exchange.finish(now, now),
    "failed": lambda exchange, now: exchange.fail(Cause.RESET, now),
}


TRANSITIONS: dict[str, exchange.Transitions] = {
    "body complete": exchange.BODY_COMPLETE, "sent": exchange.SENT, "sent whole": exchange.SENT_WHOLE,
    "retried": exchange.RETRIED, "head": exchange.HEAD, "answered here": exchange.ANSWERED_HERE,
    "answered": exchange.ANSWERED, "answered whole": exchange.ANSWERED_WHOLE, "failed": exchange.FAILED,
}  # fmt: skip


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", EVENTS)
def test_an_event_leads_where_its_table_says_and_else_raises_and_changes_nothing(event: str, state: State) -> None:
    one = exchange_in(State.RESPONDING if state is State.CLOSED else state)
    if state is State.CLOSED:
        one.finish(START + 8 * MS, START + 8 * MS)
    before = msgspec.json.encode(one.record)
    follows = TRANSITIONS[event].get(state)
    if follows is not None:
        EVENTS[event](one, START + 9 * MS)
        assert one.state is follows
    else:
        with pytest.raises(KeyError):
            EVENTS[event](one, START + 9 * MS)
        assert one.state is state
        assert msgspec.json.encode(one.record) == before


class AnyEvent(RuleBasedStateMachine):
    """Every event at every moment: what a state stands for follows from the events that were taken, not the tables."""

    def __init__(self) -> None:
        super().__init__()
        self.exchange = exchange_in(State.RECEIVING)
        self.taken: list[str] = []

    @rule(event=st.sampled_from(sorted(EVENTS)))
    def happens(self, event: str) -> None:
        had_ended = self.exchange.state is State.CLOSED
        with suppress(KeyError):
            EVENTS[event](self.exchange, START + MS * (len(self.taken) + 1))
            if had_ended:
                self.taken.clear()  # used again
            self.taken.append(event)

    @invariant()
    def the_state_is_what_has_happened(self) -> None:
        state, taken = self.exchange.state, self.taken
        since_retry = taken[len(taken) - taken[::-1].index("retried") :] if "retried" in taken else taken
        is_sent = not {"sent", "sent whole"}.isdisjoint(since_retry)
        is_complete = not {"body complete", "sent whole"}.isdisjoint(taken)
        has_ended = not {"answered", "answered whole", "failed"}.isdisjoint(taken)
        has_head = not {"head", "answered here"}.isdisjoint(taken)
        assert (state is State.CLOSED) == has_ended
        assert sum(taken.count(end) for end in ("answered", "answered whole", "failed")) <= 1
        assert sum(taken.count(begin) for begin in ("head", "answered here")) <= 1
        if not has_ended:
            assert (state is State.RESPONDING) == has_head
            if not has_head:
                assert (state in {State.UPLOADING, State.AWAITING}) == is_sent
                assert (state in {State.WAITING, State.AWAITING}) == is_complete
                assert taken.count("body complete") + taken.count("sent whole") == int(is_complete)
        if "head" in taken:
            assert is_sent


TestAnyEvent = AnyEvent.TestCase
TestAnyEvent.settings = examples(200)


class AnyOrder(RuleBasedStateMachine):
    """Events in any order that two peers and a pool can bring about, with the clock standing still or running."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.exchange = exchange_in(State.RECEIVING)
        self.received_all = False
        self.connected = False
        self.record: RequestRecord | None = None

    def tick(self, ms: int) -> int:
        self.now += ms * MS
        return self.now

    @property
    def is_open(self) -> bool:
        return self.record is None

    @property
    def is_responding(self) -> bool:
        return self.is_open and self.exchange.state is State.RESPONDING

    @initialize(ms=st.integers(0, 3))
    def begin(self, ms: int) -> None:
        self.tick(ms)

    @precondition(lambda self: self.is_open and not self.received_all)
    @rule(ms=st.integers(0, 3))
    def body_ends(self, ms: int) -> None:
        self.received_all = True
        self.exchange.request_complete(self.tick(ms))

    @precondition(lambda self: self.is_open and not self.connected and self.exchange.state is not State.RESPONDING)
    @rule(ms=st.integers(0, 3), reused=st.booleans(), connect=st.integers(0, 9))
    def connection_comes(self, ms: int, reused: bool, connect: int) -> None:
        self.connected = True
        now = self.tick(ms)
        self.exchange.upstream_ready(now, reused=reused, connect_ns=min(connect * MS, now - START))
        self.exchange.request_sent(self.tick(ms))

    @precondition(lambda self: self.is_open and self.connected and self.exchange.state is State.AWAITING)
    @rule()
    def connection_goes(self) -> None:
        self.connected = False
        self.exchange.record.retries = 1
        self.exchange.retried()

    @precondition(lambda self: self.connected and self.exchange.state in {State.UPLOADING, State.AWAITING})
    @rule(
        ms=st.integers(0, 3), status=st.sampled_from((200, 204, 302, 404, 500)), terminal=st.booleans(),
        stream=st.booleans(), error=st.booleans(), known=st.booleans(),
    )  # fmt: skip
    def head_comes(self, ms: int, status: int, terminal: bool, stream: bool, error: bool, known: bool) -> None:
        facts = ResponseFacts(
            terminal=terminal, content_chunks=2 if stream else None, error=ErrorFacts(message="m") if error else None
        )
        self.exchange.response_head(self.tick(ms), status, Reader(facts) if known else None, None)
        self.exchange.head_sent = True

    @precondition(lambda self: self.is_responding)
    @rule(ms=st.integers(0, 3), saw=st.integers(0, 15))
    def bytes_come(self, ms: int, saw: int) -> None:
        if isinstance(self.exchange.reader, Reader):
            self.exchange.reader.saw = saw
        read_at = self.tick(ms)
        self.exchange.response_body(b"x", read_at, self.tick(0))

    @precondition(lambda self: self.is_responding)
    @rule(ms=st.integers(0, 3))
    def answer_ends(self, ms: int) -> None:
        read_at = self.tick(ms)
        self.record = self.exchange.finish(self.tick(ms), read_at)

    @precondition(lambda self: self.is_open)
    @rule(ms=st.integers(0, 3), cause=st.sampled_from(Cause))
    def it_fails(self, ms: int, cause: Cause) -> None:
        self.record = self.exchange.fail(cause, self.tick(ms))

    @precondition(lambda self: not self.is_open)
    @rule()
    def it_stays_closed(self) -> None:
        assert self.exchange.state is State.CLOSED

    def teardown(self) -> None:
        record = self.record or self.exchange.fail(Cause.SHUTDOWN, self.tick(1))
        assert record is self.exchange.record
        assert self.exchange.state is State.CLOSED
        assert_consistent(record)
        assert record.response_time_ms == (self.now - START) / MS
        if record.time_to_first_output_ms is not None:
            assert record.time_to_first_token_ms is not None
            assert record.time_to_first_token_ms <= record.time_to_first_output_ms
        if record.inter_chunk_max_ms is not None:
            assert record.inter_chunk_max_ms <= (record.time_to_last_token_ms or 0) - (
                record.time_to_first_token_ms or 0
            )


AnyOrder.TestCase.settings = examples(150, stateful_step_count=15)
TestAnyOrder = AnyOrder.TestCase
