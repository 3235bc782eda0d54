"""Request bodies: JSON is read whole and described, anything else streams through."""

import gzip
import threading

import pytest

from tests.proxy.client import CHAT, post, request
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    FakeUpstream,
    Gate,
    ReadBody,
    Request,
    Script,
    Send,
    Step,
    chat_completion,
    chunk,
    chunked,
    json_response,
    response,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

OK = Send(response(b"{}"))
WAV = b"Content-Type: audio/wav"
TRANSCRIBE = b"/v1/audio/transcriptions"


def test_a_multipart_upload_goes_through_as_it_is(stage: Stage) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + bytes(range(256)) * 2000 + b"\r\n--x--\r\n"
    with stage.play([OK]) as upstream:
        assert (
            stage.proxy.ask(post(body, b"Content-Type: multipart/form-data; boundary=x", path=TRANSCRIBE)).status == 200
        )
    assert upstream.requests[0].body == body
    assert upstream.requests[0].header("content-length") == str(len(body))
    record = stage.proxy.record()
    assert (record.request_bytes, record.model, record.success) == (len(body), None, True)


def test_an_upload_reaches_the_llm_server_while_it_is_still_being_sent(stage: Stage) -> None:
    seen = Gate()
    script: list[Step] = [ReadBody(limit=5), seen.wait(), ReadBody(), OK]
    with stage.play(script, early=True), stage.proxy.connect() as client:
        client.send(request(b"POST", TRANSCRIBE, WAV, b"Content-Length: 10") + b"first")
        assert seen.reached.wait(10)
        seen.open()
        client.send(b"lasts")
        assert client.answer().status == 200
    record = stage.proxy.record()
    assert record.request_bytes == 10
    assert (record.upstream_acquired_ms or 0) <= (record.body_complete_ms or 0) <= (record.response_headers_ms or 0)


def test_a_chunked_upload_stays_chunked_and_keeps_its_bytes(stage: Stage) -> None:
    pieces = [b"a", b"bb" * 5000, b"ccc"]
    with stage.play([OK]) as upstream, stage.proxy.connect() as client:
        for _ in range(2):
            head = request(b"POST", TRANSCRIBE, WAV, b"Transfer-Encoding: chunked")
            client.send(head + b"".join(chunk(piece, b";x=y") for piece in pieces) + b"0\r\nX-T: 1\r\n\r\n")
            assert client.answer().status == 200
    for received in upstream.requests:
        assert received.body == b"".join(pieces)
        assert received.header("transfer-encoding") == "chunked"
        assert received.header("content-length") is None
    assert [record.request_bytes for record in stage.proxy.records(2)] == [len(b"".join(pieces))] * 2


def test_a_chunked_json_body_is_read_and_sent_with_its_length(stage: Stage) -> None:
    with stage.play([OK]) as upstream, stage.proxy.connect() as client:
        lines = (b"Content-Type: application/json", b"Transfer-Encoding: chunked")
        client.send(request(b"POST", b"/v1/chat/completions", *lines) + chunked(CHAT[:7], CHAT[7:8], CHAT[8:]))
        assert client.answer().status == 200
    assert upstream.requests[0].body == CHAT
    assert upstream.requests[0].header("content-length") == str(len(CHAT))
    assert upstream.requests[0].header("transfer-encoding") is None
    assert stage.proxy.record().model == "fake-1"


FORM = b"Content-Type: application/x-www-form-urlencoded"
TYPES = [
    FORM, b"Content-Type: text/plain; charset=UTF-8", b"Content-Type: application/octet-stream", b"Content-Type: ",
    b"Content-Type: text/json", b"Content-Type: application/json, application/json", b"Content-Type: nonsense",
]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_a_json_body_is_read_whatever_its_type_says(stage: Stage, kind: bytes) -> None:
    body = b' \r\n{"model":"m-1","stream":false,"max_tokens":5,"messages":[{},{}]}'
    with stage.play([OK]) as upstream, stage.proxy.connect() as client:
        for _ in range(2):  # the second one by the plan that the first one left
            client.send(post(body, kind))
            assert client.answer().status == 200
        client.send(request(b"POST", b"/v1/chat/completions", kind, b"Transfer-Encoding: chunked"))
        for piece in (b" ", b'\n{"mo', b'del":"m-1","max_tokens":5,"messages":[1,2]}'):
            client.send(chunk(piece))
        client.send(b"0\r\n\r\n")
        assert client.answer().status == 200
    assert [received.body for received in upstream.requests[:2]] == [body] * 2
    assert {received.header("content-type") for received in upstream.requests} == {kind.partition(b": ")[2].decode()}
    for record in stage.proxy.records(3):
        assert (record.model, record.message_count, record.max_tokens) == ("m-1", 2, 5)


def test_curl_is_answered_by_the_server_of_its_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("curl")
    asked = b'{"model":"qwen3","prompt":"x"}'
    with FakeUpstream([OK]) as one, FakeUpstream([OK]) as two:
        backends = [
            {"name": "one", "url": one.url, "models": ["llama*"]}, {"name": "two", "url": two.url, "models": ["qwen*"]},
        ]  # fmt: skip
        with ProxyWorker(folder, "", backends=backends, max_body_bytes=2000) as proxy:
            for path in (b"/api/generate", b"/api/show", b"/v1/chat/completions", b"/completion"):
                assert proxy.ask(post(asked, FORM, path=path)).status == 200
            packed = gzip.compress(asked)
            assert proxy.ask(post(packed, FORM, b"Content-Encoding: gzip", path=b"/api/generate")).status == 200
            long = asked[:-1] + b',"images":["' + b"A" * 100_000 + b'"]}'  # cannot be held: streams once it is known
            assert proxy.ask(post(long, FORM, path=b"/api/generate")).status == 200
            assert {(record.model, record.backend_name) for record in proxy.records(6)} == {("qwen3", "two")}
        assert not one.requests
        assert two.requests[-1].body == long


def test_a_real_form_streams_through_and_is_not_read(stage: Stage) -> None:
    seen = Gate()
    script: list[Step] = [ReadBody(limit=7), seen.wait(), ReadBody(), OK]
    with stage.play(script, early=True) as upstream, stage.proxy.connect() as client:
        client.send(request(b"POST", b"/v1/chat/completions", FORM, b"Content-Length: 16") + b"model=m")
        assert seen.reached.wait(10)  # before it is complete
        seen.open()
        client.send(b"&stream=1")
        assert client.answer().status == 200
    assert upstream.requests[0].body == b"model=m&stream=1"
    record = stage.proxy.record()
    assert (record.model, record.request_bytes) == (None, 16)


@pytest.mark.parametrize("kind", [b"application/json", b"audio/wav"])
def test_empty_bodies_stay_empty(stage: Stage, kind: bytes) -> None:
    framings = ((b"Content-Length: 0", b""), (b"X-None: 1", b""), (b"Transfer-Encoding: chunked", b"0\r\n\r\n"))
    with stage.play([OK]) as upstream, stage.proxy.connect() as client:
        for line, body in framings:
            client.send(request(b"POST", TRANSCRIBE, b"Content-Type: " + kind, line) + body)
            assert client.answer().status == 200
    assert [received.body for received in upstream.requests] == [b""] * 3
    assert {record.request_bytes for record in stage.proxy.records(3)} == {0}


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[1]", b'{"model": 5}', b'{"model":', b"\xff\xfe", b'{"model":"a","messages":"x"}', b"[" * 5000],
)
def test_bodies_that_are_not_what_their_path_promises_go_through_all_the_same(stage: Stage, body: bytes) -> None:
    with stage.play([OK]) as upstream:
        assert stage.proxy.ask(post(body)).status == 200
    assert upstream.requests[0].body == body
    assert stage.proxy.record().request_bytes == len(body)


def test_what_a_request_says_of_itself_is_recorded(stage: Stage) -> None:
    body = (
        b'{"model":"m-1","user":"ann","stream":false,"max_tokens":50,"temperature":0.5,"top_p":0.9,"n":2,'
        b'"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}],"tools":[{}]}'
    )
    lines = (
        b"Authorization: Bearer sk-secret", b"User-Agent: OpenAI/Python 2.1 (linux)", b"Referer: https://u:p@app.example/x?y",
    )  # fmt: skip
    with stage.play([Send(json_response(chat_completion(model="m-1-2026")))]):
        stage.proxy.ask(post(body, *lines))
        stage.proxy.ask(post(body, b"X-Api-Key: sk-secret"))
    first, second = stage.proxy.records(2)
    assert (first.model, first.response_model, first.user) == ("m-1", "m-1-2026", "ann")
    assert (first.max_tokens, first.temperature, first.top_p, first.choice_count) == (50, 0.5, 0.9, 2)
    assert (first.message_count, first.tool_count, first.is_streaming) == (2, 1, False)
    assert (first.user_agent, first.origin) == ("OpenAI/Python 2.1", "https://app.example")
    assert first.api_key_id == second.api_key_id
    assert first.client_address is None
    assert "sk-secret" not in repr(first)
    assert first.backend == f"127.0.0.1:{stage.port}"
    assert first.timestamp.endswith("Z")


def test_the_clients_address_is_recorded_only_if_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("address")
    with FakeUpstream() as upstream, ProxyWorker(folder, upstream.url, record_client_address=True) as proxy:
        proxy.ask(post())
        assert proxy.record().client_address == "127.0.0.1"


def test_an_upload_to_a_slow_server_and_a_stream_to_a_slow_client_do_not_hinder_others(stage: Stage) -> None:
    def handler(received: Request) -> Script:
        slow = received.target == TRANSCRIBE.decode()
        return [ReadBody(piece=8192, pause_s=0.002), OK] if slow else [ReadBody(), OK]

    body = b"x" * 2_000_000
    with stage.play(handler, early=True, receive_buffer_bytes=8192) as upstream, stage.proxy.connect() as slow:
        sending = threading.Thread(target=slow.send, args=(post(body, WAV, path=TRANSCRIBE),))
        sending.start()
        for _ in range(20):
            assert stage.proxy.ask(post()).status == 200
        assert slow.answer().status == 200
        sending.join()
        wait_until(lambda: any(request.body == body for request in list(upstream.requests)))  # in any order
    assert len(stage.proxy.records(21)) == 21
