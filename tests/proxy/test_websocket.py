"""WebSockets (OpenAI Realtime) are relayed raw once the LLM server has agreed; other upgrades are ignored."""

import pytest

from llm_metrics_proxy.metrics_service import judge
from llm_metrics_proxy.record import RequestRecord
from tests.proxy.client import get, post
from tests.proxy.conftest import Stage
from tests.upstream import (
    Close,
    Echo,
    Gate,
    HalfClose,
    Receive,
    Request,
    Reset,
    Script,
    Send,
    Stall,
    Step,
    error_response,
    head,
    json_response,
    openai_handler,
)  # fmt: skip
from tests.wire.apis.test_openai_realtime import failed, told
from tests.wire.test_websocket import CLOSE as CLOSE_FRAME
from tests.wire.test_websocket import event, frame

pytestmark = pytest.mark.system

ASK = get(
    b"/v1/realtime?model=m",
    b"Upgrade: WebSocket",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Key: abc",
    b"Sec-WebSocket-Version: 13",
)
AGREED = head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "xyz"))


def test_bytes_are_relayed_both_ways_once_the_server_has_agreed(stage: Stage) -> None:
    with stage.play([Send(AGREED), Echo()]) as upstream, stage.proxy.connect() as client:
        client.send(ASK)
        answer = client.head()
        assert (answer.status, answer.header(b"sec-websocket-accept")) == (101, b"xyz")
        assert (answer.header(b"upgrade"), answer.header(b"connection")) == (b"websocket", b"Upgrade")
        for size in (1, 100, 200_000):
            client.send(b"\x00\xff\r\n" * size)
            assert client.read(4 * size) == b"\x00\xff\r\n" * size
        client.close()
        assert upstream.connections[0].peer_closed.wait(10)
        record = stage.proxy.record()
    asked = upstream.requests[0]
    assert asked.target == "/v1/realtime?model=m"
    assert (asked.header("upgrade"), asked.header("connection")) == ("websocket", "Upgrade")
    assert asked.header("sec-websocket-key") == "abc"
    assert asked.header("content-length") is None
    assert (record.outcome, record.status_code, record.upstream_status_code) == ("completed", 101, 101)
    assert record.request_bytes == record.response_bytes == 4 * 200_101
    assert record.request_id == answer.request_id


def test_what_the_server_says_with_its_agreement_arrives(stage: Stage) -> None:
    with stage.play([Send(AGREED + b"hello"), Receive(3), Send(b"bye"), Close()]), stage.proxy.connect() as client:
        client.send(ASK)
        client.head()
        assert client.read(5) == b"hello"
        client.send(b"one")
        assert client.read_to_end() == b"bye"
    record = stage.proxy.record()
    assert (record.outcome, record.request_bytes, record.response_bytes) == ("completed", 3, 8)


def test_what_an_impatient_client_says_is_kept_until_the_server_has_agreed(stage: Stage) -> None:
    gate = Gate()
    script: list[Step] = [gate.wait(), Send(AGREED), Receive(9), Send(b"got it"), Close()]
    with stage.play(script) as upstream, stage.proxy.connect() as client:
        client.send(ASK + b"early")
        assert gate.reached.wait(10)
        client.send(b"late")
        assert bytes(upstream.connections[0].received).endswith(b"\r\n\r\n")
        gate.open()
        client.head()
        assert client.read_to_end() == b"got it"
    assert bytes(upstream.connections[0].received).endswith(b"\r\n\r\nearlylate")
    assert stage.proxy.record().request_bytes == 9


def test_the_last_words_of_a_client_that_leaves_arrive(stage: Stage) -> None:
    with stage.play([Send(AGREED), Receive(300_000), Stall()]) as upstream, stage.proxy.connect() as client:
        client.send(ASK)
        client.head()
        client.send(b"x" * 300_000)
        client.close()
        assert upstream.connections[0].peer_closed.wait(10)
    assert bytes(upstream.connections[0].received).count(b"x") >= 300_000
    assert stage.proxy.record().request_bytes == 300_000


@pytest.mark.parametrize("end", [Close(), Reset(), HalfClose()])
def test_the_clients_connection_ends_with_the_servers(stage: Stage, end: Close | Reset | HalfClose) -> None:
    with stage.play([Send(AGREED), Receive(1), end]), stage.proxy.connect() as client:
        client.send(ASK)
        client.head()
        client.send(b"x")
        assert client.ends() == b""
    assert stage.proxy.record().outcome == "completed"


def test_a_server_that_declines_is_heard_and_the_connection_ends(stage: Stage) -> None:
    with stage.play([Send(error_response(401, "No."))]), stage.proxy.connect() as client:
        client.send(ASK + b"\x81\x02hi")
        answer = client.answer()
        assert (answer.status, answer.header(b"connection")) == (401, b"close")
        assert client.ends() == b""
    assert stage.proxy.record().outcome == "upstream_error"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(json_response({"object": "list", "data": []}), "completed"),
     (error_response(426, "Use HTTP.", type_="invalid_request_error"), "upstream_error")],
)  # fmt: skip
def test_a_server_without_responses_over_websocket_is_heard(stage: Stage, answer: bytes, outcome: str) -> None:
    """Codex asks for it first, and goes on with HTTP."""
    with stage.play([Send(answer)]), stage.proxy.connect() as client:
        client.send(ASK.replace(b"/v1/realtime?model=m", b"/v1/responses"))
        heard = client.answer()
        record = stage.proxy.record()
    assert answer.endswith(heard.body)
    assert (record.dialect, record.outcome, record.status_code) == (
        "openai_responses_websocket", outcome, heard.status,
    )  # fmt: skip


def test_a_websocket_where_none_may_pass_is_refused(stage: Stage) -> None:
    asked = get(b"/api/pull", b"Upgrade: websocket", b"Connection: Upgrade")
    with stage.proxy.connect() as client:
        client.send(asked)
        assert client.answer(b"GET").status == 403
        assert client.ends() == b""
    assert stage.proxy.record().outcome == "rejected"


def test_a_websocket_behind_other_requests_waits_for_its_turn(stage: Stage) -> None:
    def handler(received: Request) -> Script:
        return [Send(AGREED), Echo()] if "realtime" in received.target else openai_handler(received)

    with stage.play(handler), stage.proxy.connect() as client:
        client.send(post() + ASK + b"ping")
        assert client.answer().status == 200
        assert client.head().status == 101
        assert client.read(4) == b"ping"
    assert len(stage.proxy.records(2)) == 2


@pytest.mark.parametrize("offer", [b"h2c", b"websocket, h2c", b"TLS/1.0"])
def test_any_other_upgrade_is_ignored(stage: Stage, offer: bytes) -> None:
    with stage.play(openai_handler) as upstream, stage.proxy.connect() as client:
        for _ in range(2):
            client.send(get(b"/v1/models", b"Upgrade: " + offer, b"Connection: Upgrade"))
            assert client.answer(b"GET").status == 200
    assert {received.header("upgrade") for received in upstream.requests} == {None}


def test_a_websocket_can_only_be_asked_for_with_get(stage: Stage) -> None:
    with stage.play(openai_handler), stage.proxy.connect() as client:
        client.send(post(b'{"a":1}', b"Upgrade: websocket", b"Connection: Upgrade") + get())
        assert [client.answer().status, client.answer(b"GET").status] == [200, 200]
    assert [record.request_bytes for record in stage.proxy.records(2)] == [7, 0]


def test_a_session_leaves_one_record_with_its_frames_and_the_sum_of_its_usage(stage: Stage) -> None:
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cached_tokens": 4}}
    done = event("response.done", response={"usage": usage, "output": []})
    said = event("session.created", session={"model": "gpt-realtime"}) + done + event("x", pad="y" * 70_000) + done
    asked = frame(b'{"type":"response.create"}', mask=b"abcd")
    script: list[Step] = [Send(AGREED), Receive(2 * len(asked)), Send(said, cut=9000), Receive(len(asked)), Close()]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(ASK)
        client.head()
        client.send(asked * 2)
        assert client.read(len(said)) == said
        client.send(asked)
        assert client.ends() == b""
    record = stage.proxy.record()
    assert (record.dialect, record.model, record.response_model) == ("openai_realtime", "m", "gpt-realtime")
    assert (record.websocket_frames_received, record.websocket_frames_sent) == (3, 4)
    assert (record.request_bytes, record.response_bytes) == (3 * len(asked), len(said))
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (20, 10, 8)
    assert (record.outcome, record.usage_source, record.content_chunks) == ("completed", "reported", None)


def test_what_is_no_websocket_passes_all_the_same_and_its_frames_are_unknown(stage: Stage) -> None:
    with stage.play([Send(AGREED + b"\xff\xff hello"), Receive(5), Close()]), stage.proxy.connect() as client:
        client.send(ASK)
        client.head()
        assert client.read(8) == b"\xff\xff hello"
        client.send(b"\x3f\x3f\x3f\x3f\x3f")
        assert client.ends() == b""
    record = stage.proxy.record()
    assert (record.websocket_frames_received, record.websocket_frames_sent, record.outcome) == (
        None, None, "completed"
    )  # fmt: skip


CREATED = event("session.created", session={"model": "gpt-realtime"})
DONE = event("response.done", response={"status": "completed", "usage": {"input_tokens": 10, "output_tokens": 5}})
LEAVING = frame(b"", CLOSE_FRAME)


def held(stage: Stage, said: bytes, *, by_server: bool, closing: bool) -> RequestRecord:
    """The record of a session in which the server said that, ended by either side, with close frames or without."""
    farewell = LEAVING if closing else b""
    by_client = frame(b"", CLOSE_FRAME, mask=b"abcd") if closing else b""
    if by_server:
        script: list[Step] = [Send(AGREED + said + farewell), Close()]
    else:
        script = [Send(AGREED + said), *((Receive(len(by_client)), Send(farewell)) if closing else ()), Stall()]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(ASK)
        client.head()
        assert client.read(len(said)) == said
        if by_server:
            assert client.ends() == farewell
        else:
            client.send(by_client)
            assert client.read(len(farewell)) == farewell
            client.close()
        return stage.proxy.record()


@pytest.mark.parametrize("closing", [True, False])
@pytest.mark.parametrize("by_server", [True, False])
@pytest.mark.parametrize("after", [DONE, CREATED])
def test_a_session_that_goes_on_after_an_error_is_complete_and_keeps_its_words(
    stage: Stage, by_server: bool, closing: bool, after: bytes
) -> None:
    record = held(stage, CREATED + told() + after, by_server=by_server, closing=closing)
    assert (record.outcome, record.success, record.error_type) == ("completed", True, None)
    assert (record.upstream_error_code, record.upstream_error_type, record.error_message) == (
        "invalid_value", "invalid_request_error", "No such voice"
    )  # fmt: skip
    verdict = judge(record)
    assert (verdict.outcome, verdict.category, verdict.type) == ("completed", None, None)


@pytest.mark.parametrize("closing", [True, False])
@pytest.mark.parametrize("by_server", [True, False])
@pytest.mark.parametrize(
    ("said", "category", "kind"),
    [
        (CREATED + failed(), "limit", "quota"),
        (told(), "request", "invalid"),
        (told({"message": "Something broke", "type": None, "code": None}), "stream", "error_event"),
    ],
    ids=["a failed response", "an error with words", "an error without"],
)
def test_a_session_that_came_to_nothing_but_an_error_failed(
    stage: Stage, said: bytes, category: str, kind: str, by_server: bool, closing: bool
) -> None:
    record = held(stage, said, by_server=by_server, closing=closing)
    assert (record.outcome, record.status_code) == ("upstream_error", 101)
    assert record.error_message
    verdict = judge(record)
    assert (verdict.outcome, verdict.category, verdict.type) == ("upstream_error", category, kind)
    assert (record.websocket_frames_sent or 0) >= 1


@pytest.mark.parametrize("closing", [True, False])
@pytest.mark.parametrize(("by_server", "outcome"), [(True, "upstream_error"), (False, "completed")])
def test_after_answers_it_is_a_failure_only_if_the_server_ended_it_with_an_error(
    stage: Stage, by_server: bool, outcome: str, closing: bool
) -> None:
    error = {"type": "invalid_request_error", "code": "session_expired", "message": "60 minutes are over."}
    record = held(stage, CREATED + DONE + told(error), by_server=by_server, closing=closing)
    assert (record.outcome, record.upstream_error_code, record.total_tokens) == (outcome, "session_expired", 15)
