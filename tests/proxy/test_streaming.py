"""Streams reach the client event by event, and what they say is recorded."""

import time
from itertools import pairwise

import pytest

from tests.proxy.client import CHAT, STREAMED_CHAT, post
from tests.proxy.conftest import Stage
from tests.upstream import (
    CHUNKED,
    DONE,
    EVENT_STREAM,
    LAST_CHUNK,
    Close,
    Gate,
    Pause,
    Reset,
    Send,
    Step,
    chat_completion,
    chat_event,
    chat_events,
    chunk,
    compressed,
    error_response,
    head,
    json_response,
    response,
    sse,
    stream_script,
)  # fmt: skip

pytestmark = pytest.mark.system

STREAM_HEAD = head(200, EVENT_STREAM, CHUNKED)


def test_every_event_reaches_the_client_before_the_next_one_is_sent(stage: Stage) -> None:
    events = chat_events(include_usage=True)
    gates = [Gate() for _ in events]
    script: list[Step] = [Send(STREAM_HEAD)]
    for gate, event in zip(gates, events, strict=True):
        script += [gate.wait(), Send(chunk(event))]
    with stage.play([*script, Send(LAST_CHUNK)]), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        assert client.head().status == 200
        for gate, event in zip(gates, events, strict=True):
            assert gate.reached.wait(10)
            assert client.is_quiet(0.005)
            gate.open()
            assert client.read(len(chunk(event))) == chunk(event)
        assert client.read(5) == LAST_CHUNK
    record = stage.proxy.record()
    assert (record.outcome, record.finish_reason, record.usage_source) == ("completed", "stop", "reported")
    assert (record.prompt_tokens, record.completion_tokens, record.total_tokens) == (12, 3, 15)
    assert record.content_chunks == 3
    assert record.is_streaming


def test_the_stamps_of_a_stream_tell_what_happened_when(stage: Stage) -> None:
    role, *tokens, finish, done = chat_events()
    script: list[Step] = [Pause(0.15), Send(STREAM_HEAD), Pause(0.15), Send(chunk(role)), Pause(0.15)]
    for token in tokens:
        script += [Send(chunk(token)), Pause(0.15)]
    with stage.play([*script, Send(chunk(finish) + chunk(done) + LAST_CHUNK)]):
        asked = time.monotonic()
        stage.proxy.ask(post(STREAMED_CHAT))
        whole_ms = (time.monotonic() - asked) * 1000
    record = stage.proxy.record()
    times = (
        record.request_sent_ms, record.response_headers_ms, record.time_to_first_byte_ms, record.time_to_first_token_ms,
        record.time_to_last_token_ms, record.response_time_ms,
    )  # fmt: skip
    steps = [(later or 0) - (earlier or 0) for earlier, later in pairwise(times)]
    for step, pause_ms in zip(steps, (150, 150, 150, 300, 150), strict=True):
        assert step > pause_ms - 100  # a wrong stamp makes one step far too short; a busy machine makes some longer
    assert (record.response_time_ms or 0) <= whole_ms
    assert record.time_to_first_output_ms == record.time_to_first_token_ms
    assert 50 < (record.inter_chunk_max_ms or 0) <= steps[3]
    assert (record.proxy_overhead_ms or 0) < 100


def test_reasoning_is_a_token_but_no_output(stage: Stage) -> None:
    """Held between the two until the client has the first, so that they come in two reads."""
    thought, *rest = [chat_event({"reasoning_content": "hm"}), chat_event({"content": "So."}), chat_event({}, "stop")]
    gate = Gate()
    script: list[Step] = [Send(STREAM_HEAD + chunk(thought)), gate.wait()]
    script.append(Send(b"".join(map(chunk, (*rest, DONE))) + LAST_CHUNK))
    with stage.play(script), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        client.read_until(thought)
        gate.open()
        client.read_until(LAST_CHUNK)
    record = stage.proxy.record()
    assert record.time_to_first_token_ms is not None
    assert record.time_to_first_output_ms is not None
    assert record.time_to_first_token_ms < record.time_to_first_output_ms


@pytest.mark.parametrize("cut", [1, 2, 9])
def test_a_stream_cut_anywhere_gives_the_same_bytes_and_the_same_facts(stage: Stage, cut: int) -> None:
    events = chat_events(("Grüße", " 🎈", "!"), include_usage=True)
    with stage.play(stream_script(events, cut=cut)):
        answer = stage.proxy.ask(post(STREAMED_CHAT))
    assert answer.body == b"".join(events)
    record = stage.proxy.record()
    assert (record.content_chunks, record.total_tokens, record.finish_reason) == (3, 15, "stop")


def test_an_answer_that_is_not_streamed_has_no_token_times(stage: Stage) -> None:
    with stage.play():
        stage.proxy.ask(post(CHAT))
    record = stage.proxy.record()
    assert record.success
    assert (record.total_tokens, record.finish_reason, record.response_model) == (15, "stop", "fake-1")
    assert record.time_to_first_byte_ms is not None
    assert (record.time_to_first_token_ms, record.time_to_last_token_ms, record.content_chunks) == (None, None, None)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
def test_compressed_answers_go_through_as_they_are_and_are_read(stage: Stage, coding: str) -> None:
    packed = compressed(json_response(chat_completion()).split(b"\r\n\r\n", 1)[1], coding)
    stream = compressed(b"".join(chat_events(include_usage=True)), coding)
    with stage.play([Send(response(packed, ("Content-Encoding", coding)))]):
        assert stage.proxy.ask(post()).body == packed
    script: list[Step] = [
        Send(head(200, EVENT_STREAM, CHUNKED, ("Content-Encoding", coding)) + chunk(stream) + LAST_CHUNK)
    ]
    with stage.play(script):
        assert stage.proxy.ask(post(STREAMED_CHAT)).body == stream
    whole, streamed = stage.proxy.records(2)
    assert whole.total_tokens == streamed.total_tokens == 15
    assert whole.success
    assert streamed.success


def test_a_coding_that_nobody_knows_goes_through_unread(stage: Stage) -> None:
    with stage.play([Send(response(b"\x00\x01", ("Content-Encoding", "rot13")))]):
        assert stage.proxy.ask(post()).body == b"\x00\x01"
    record = stage.proxy.record()
    assert (record.outcome, record.total_tokens, record.usage_source) == ("completed", None, "none")


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_compressed_requests_go_through_as_they_are_and_are_read(stage: Stage, coding: str) -> None:
    packed = compressed(STREAMED_CHAT, coding)
    with stage.play(stream_script(chat_events())) as upstream:
        stage.proxy.ask(post(packed, b"Content-Encoding: " + coding.encode()))
    assert upstream.requests[0].body == packed
    record = stage.proxy.record()
    assert (record.model, record.is_streaming, record.request_bytes) == ("fake-1", True, len(packed))


def test_an_error_of_the_llm_server_is_passed_on_and_recorded_in_its_own_words(stage: Stage) -> None:
    sent = error_response(429, "Slow down.", ("Retry-After", "7"), code="rate_limit_exceeded")
    with stage.play([Send(sent)]):
        answer = stage.proxy.ask(post())
    assert (answer.status, answer.header(b"retry-after")) == (429, b"7")
    record = stage.proxy.record()
    assert (record.outcome, record.status_code, record.upstream_status_code) == ("upstream_error", 429, 429)
    assert (record.error_type, record.error_message) == ("rate_limit_exceeded", "Slow down.")


def test_an_error_event_in_a_stream_is_passed_on_and_recorded(stage: Stage) -> None:
    events = [*chat_events()[:2], sse({"error": {"message": "Out of memory", "type": "server_error"}}), DONE]
    with stage.play(stream_script(events)):
        assert stage.proxy.ask(post(STREAMED_CHAT)).body == b"".join(events)
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.error_message) == (
        "stream_error",
        "server_error",
        "Out of memory",
    )
    assert (record.status_code, record.content_chunks) == (200, 1)


def test_a_stream_that_ends_without_its_marker_is_recorded_as_truncated(stage: Stage) -> None:
    with stage.play(stream_script(chat_events()[:2])):
        assert stage.proxy.ask(post(STREAMED_CHAT)).whole
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.status_code) == ("stream_truncated", "truncated", 200)


@pytest.mark.parametrize("end", [Close(), Reset()])
def test_a_chunked_stream_that_breaks_off_never_ends_cleanly(stage: Stage, end: Close | Reset) -> None:
    first, second, *_ = chat_events()
    with stage.play([Send(STREAM_HEAD + chunk(first) + chunk(second)), Pause(0.03), end]):
        answer = stage.proxy.ask(post(STREAMED_CHAT))
    assert not answer.whole
    assert answer.body == first + second
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.status_code) == ("stream_truncated", "truncated", 200)
    assert record.content_chunks == 1


@pytest.mark.parametrize("end", [Close(), Reset()])
def test_a_body_shorter_than_its_length_never_ends_cleanly(stage: Stage, end: Close | Reset) -> None:
    with stage.play([Send(response(b"{}", length=10)), Pause(0.03), end]):
        answer = stage.proxy.ask(post())
    assert (answer.whole, answer.body) == (False, b"{}")
    record = stage.proxy.record()
    assert (record.outcome, record.status_code, record.response_bytes) == ("stream_truncated", 200, 2)


def test_a_body_that_only_closing_ends_is_reset_for_http_1_0_when_it_breaks_off(stage: Stage) -> None:
    script: list[Step] = [Send(head(200, CHUNKED) + chunk(b"half")), Pause(0.03), Reset()]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(post(CHAT, version=b"1.0"))
        assert client.head().header(b"transfer-encoding") is None
        assert client.is_reset() in {b"half", b""}
    assert stage.proxy.record().outcome == "stream_truncated"


def test_a_reset_of_a_body_that_only_closing_ends_is_no_end(stage: Stage) -> None:
    with stage.play([Send(head(200) + b"half"), Pause(0.03), Reset()]):
        assert not stage.proxy.ask(post()).whole
    assert stage.proxy.record().outcome == "stream_truncated"


def test_a_broken_chunk_in_the_middle_is_an_abort(stage: Stage) -> None:
    first, second, *_ = chat_events()
    with stage.play([Send(STREAM_HEAD + chunk(first)), Pause(0.02), Send(chunk(second) + b"xyz\r\n")]):
        answer = stage.proxy.ask(post(STREAMED_CHAT))
    assert (answer.whole, answer.body) == (False, first + second)
    record = stage.proxy.record()
    assert (record.outcome, record.error_type) == ("stream_truncated", "protocol")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("garbage", b"I am not a web server\r\n\r\n"),
        ("two lengths", head(200, ("Content-Length", "1"), ("Content-Length", "2")) + b"ab"),
        ("a length that is none", head(200, ("Content-Length", "1x")) + b"a"),
        ("a negative length", head(200, ("Content-Length", "-1")) + b"a"),
        ("length and coding", head(200, ("Content-Length", "1"), CHUNKED) + b"1\r\na\r\n0\r\n\r\n"),
        ("a folded field", b"HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\nContent-Length: 0\r\n\r\n"),
        ("NUL in a field", head(200, ("A", "1\x002"), ("Content-Length", "0"))),
        ("101 that nobody asked for", head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade"))),
        ("101 without saying to what", head(101)),
        ("a status below 100", b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"),
        ("a header bomb", b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000),
        ("one endless field", b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 400_000),
        ("a flood of 1xx", head(103, ("Link", "<a>")) * 20_000),
        ("a slow flood of 1xx", head(102) * 100),
    ],
)
def test_answers_that_are_not_http_become_502(stage: Stage, name: str, data: bytes) -> None:
    cut = 250 if name.startswith("a slow") else None
    with stage.play([Send(data, cut=cut), Pause(1)]), stage.proxy.connect() as client:
        client.send(post())
        answer = client.answer()
        while answer.status < 200:
            answer = client.answer()
        assert (answer.status, answer.error_code) == (502, "protocol"), answer
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.status_code) == ("upstream_protocol_error", "protocol", 502)
    assert record.upstream_status_code is None
    assert record.request_id == answer.request_id


@pytest.mark.parametrize("end", [Close(), Reset()])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_an_llm_server_that_leaves_before_its_head_is_complete_becomes_502(
    stage: Stage, end: Close | Reset, before: bytes
) -> None:
    with stage.play([Send(before), Pause(0.02), end]), stage.proxy.connect() as client:
        client.send(post())
        answer = client.answer()
        assert (answer.status, answer.error_code) == (502, "reset")
        assert client.is_quiet()  # the client's connection is still good
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.retries) == ("upstream_protocol_error", "reset", 0)
