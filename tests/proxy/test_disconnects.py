"""A client that leaves stops the LLM server's work at once; the record says how far it got."""

from collections.abc import Callable

import pytest

from tests.proxy.client import STREAMED_CHAT, Client, get, post, request
from tests.proxy.conftest import Stage
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    Gate,
    Pause,
    ReadBody,
    Request,
    Script,
    Send,
    Stall,
    Step,
    chat_events,
    chunk,
    head,
    openai_handler,
    response,
    stream_script,
)  # fmt: skip

pytestmark = pytest.mark.system

LEAVE = pytest.mark.parametrize("leave", [Client.close, Client.reset, Client.half_close])


@LEAVE
def test_leaving_before_the_answer_aborts_the_llm_server(stage: Stage, leave: Callable[[Client], None]) -> None:
    with stage.play([Stall()]) as upstream, stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        upstream.wait_for_requests(1)
        leave(client)
        assert upstream.connections[0].peer_closed.wait(10)
        record = stage.proxy.record()
    assert (record.outcome, record.error_type) == ("client_disconnected", "disconnect_before_first_token")
    assert (record.status_code, record.upstream_status_code) == (None, None)
    assert (record.model, record.request_bytes) == ("fake-1", len(STREAMED_CHAT))


@LEAVE
def test_leaving_in_the_middle_of_a_stream_aborts_the_llm_server(stage: Stage, leave: Callable[[Client], None]) -> None:
    first, second, *_ = chat_events()
    script: list[Step] = [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(first) + chunk(second)), Stall()]
    with stage.play(script) as upstream, stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        client.head()
        client.read_until(second)
        leave(client)
        assert upstream.connections[0].peer_closed.wait(10)
        record = stage.proxy.record()
    assert (record.outcome, record.error_type) == ("client_disconnected", "disconnect_mid_stream")
    assert (record.status_code, record.upstream_status_code, record.content_chunks) == (200, 200, 1)
    assert record.time_to_first_token_ms is not None


def test_leaving_after_the_end_marker_is_a_completed_request(stage: Stage) -> None:
    events = chat_events(include_usage=True)
    gate = Gate()
    script: list[Step] = [*stream_script(events)[:-1], gate.wait(), Send(LAST_CHUNK)]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        client.read_until(b"[DONE]")
        client.close()
        record = stage.proxy.record()
    assert (record.outcome, record.finish_reason, record.total_tokens) == ("completed", "stop", 15)
    assert record.status_code == 200


def test_leaving_after_an_error_event_is_still_an_error(stage: Stage) -> None:
    failed = b'data: {"error":{"message":"no memory","type":"server_error"}}\n\ndata: [DONE]\n\n'
    script: list[Step] = [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(chat_events()[1]) + chunk(failed)), Stall()]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        client.read_until(b"[DONE]")
        client.close()
        record = stage.proxy.record()
    assert (record.outcome, record.error_type) == ("stream_error", "server_error")


def test_leaving_in_the_middle_of_ones_own_request_is_recorded_with_what_came(stage: Stage) -> None:
    with stage.play(early=True), stage.proxy.connect() as client:
        client.send(post(b"x" * 100)[:-40])
        assert client.is_quiet()
        client.close()
        record = stage.proxy.record()
    assert (record.outcome, record.request_bytes, record.body_complete_ms) == ("client_disconnected", 60, None)


def test_leaving_in_the_middle_of_an_upload_aborts_it(stage: Stage) -> None:
    with stage.play([ReadBody()], early=True) as upstream, stage.proxy.connect() as client:
        client.send(post(b"x" * 100_000, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")[:-40])
        upstream.wait_for_requests(1)
        client.close()
        assert upstream.connections[0].peer_closed.wait(10)
        record = stage.proxy.record()
    assert (record.outcome, record.request_bytes) == ("client_disconnected", 99_960)


def test_leaving_with_pipelined_requests_records_each_of_them(stage: Stage) -> None:
    with stage.play([Stall()]) as upstream, stage.proxy.connect() as client:
        client.send(post() * 5)
        upstream.wait_for_requests(1)
        client.close()
        records = stage.proxy.records(5)
    assert {record.outcome for record in records} == {"client_disconnected"}
    assert len(upstream.requests) == 1
    assert [record.upstream_acquired_ms is None for record in records] == [False, True, True, True, True]


def test_leaving_before_a_request_is_complete_leaves_no_record(stage: Stage) -> None:
    with stage.proxy.connect() as client:
        client.send(post()[:30])
        assert client.is_quiet(0.02)
    with stage.proxy.connect():
        pass
    with stage.play():
        assert stage.proxy.ask(get()).status == 200
    assert stage.proxy.record().endpoint == "/v1/models"


def test_a_connection_survives_what_happened_to_others(stage: Stage) -> None:
    def handler(received: Request) -> Script:
        return [Pause(0.01), *openai_handler(received)]

    with stage.play(handler), stage.proxy.connect() as survivor:
        for _ in range(20):
            with stage.proxy.connect() as victim:
                victim.send(post())
                victim.reset()
            survivor.send(post())
            assert survivor.answer().status == 200


def test_an_answer_that_comes_before_the_upload_ends_is_passed_on_and_ends_the_connection(stage: Stage) -> None:
    with (
        stage.play([Send(response(b'{"error":"no"}', status=401)), Pause(0.2)], early=True),
        stage.proxy.connect() as client,
    ):
        client.send(
            request(b"POST", b"/v1/audio/speech", b"Content-Type: audio/wav", b"Content-Length: 1000000") + b"x"
        )
        answer = client.answer()
        assert (answer.status, answer.body) == (401, b'{"error":"no"}')
        assert answer.header(b"connection") == b"close"
        client.send_as_far_as_possible(b"x" * 10_000, 50)
        assert client.ends() == b""
    record = stage.proxy.record()
    assert (record.outcome, record.status_code) == ("upstream_error", 401)


def test_an_answer_that_streams_while_the_upload_ends_is_still_timed_as_an_answer(stage: Stage) -> None:
    gate = Gate()
    script: list[Step] = [Send(head(200, CHUNKED) + chunk(b"part 1")), gate.wait(), Send(chunk(b"part 2") + LAST_CHUNK)]
    with stage.play(script, early=True), stage.proxy.connect() as client:
        upload = post(b"x" * 1000, b"Content-Type: audio/wav", path=b"/v1/audio/transcriptions")
        client.send(upload[:-10])
        assert client.head().status == 200
        client.read_until(b"part 1\r\n")
        client.send(upload[-10:])
        assert client.is_quiet(0.03)
        client.close()
        record = stage.proxy.record()
        gate.open()
    assert (record.outcome, record.error_type) == ("client_disconnected", "disconnect_mid_stream")
    assert (record.status_code, record.upstream_status_code) == (200, 200)
