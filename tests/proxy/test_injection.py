"""Opt-in usage injection: token counts for every stream, and no trace of it in what the client sees."""

import json
from collections.abc import Iterator

import pytest

from tests.proxy.client import CHAT, STREAMED_CHAT, post
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    Request,
    Script,
    Send,
    chat_completion,
    chat_events,
    chunk,
    chunked,
    compressed,
    error_response,
    head,
    openai_handler,
)  # fmt: skip

pytestmark = pytest.mark.system

ASKED = b'{"model":"fake-1","stream":true,"stream_options":{"include_usage":true},"messages":[]}'


def handler(received: Request) -> Script:
    if "refuse" in received.target:
        return [Send(error_response(400, "stream_options is unknown here"))]
    if received.header("content-encoding"):
        return [Send(error_response(415, "I cannot read this"))]
    if received.header("x-coded"):
        body = compressed(b"".join(chat_events(include_usage=True)), "gzip")
        return [Send(head(200, EVENT_STREAM, CHUNKED, ("Content-Encoding", "gzip")) + chunked(body))]
    if received.header("x-whole"):
        body = b"".join(chat_events(include_usage=True))
        return [Send(head(200, EVENT_STREAM, ("Content-Length", str(len(body)))) + body, cut=50)]
    if kind := received.header("x-kind"):
        fields = [] if kind == "none" else [("Content-Type", kind)]
        events = json.dumps(chat_completion()).encode() if received.header("x-document") else _asked_for()
        return [Send(head(200, *fields, CHUNKED) + b"".join(map(chunk, cut(events))) + LAST_CHUNK)]
    return openai_handler(received)


def _asked_for() -> bytes:
    return b"".join(chat_events(include_usage=True))


def cut(body: bytes) -> list[bytes]:
    return [body[at : at + 50] for at in range(0, len(body), 50)]


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream(handler) as server:
        yield server


@pytest.fixture(scope="module")
def worker(upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyWorker]:
    with ProxyWorker(tmp_path_factory.mktemp("injection"), upstream.url, inject_usage=True) as proxy:
        yield proxy
        proxy.assert_every_request_has_one_record()


@pytest.fixture
def proxy(worker: ProxyWorker, upstream: FakeUpstream) -> ProxyWorker:
    worker.forget()
    upstream.requests.clear()
    return worker


def test_a_stream_that_did_not_ask_for_usage_is_recorded_with_it_and_does_not_show_it(
    proxy: ProxyWorker, upstream: FakeUpstream
) -> None:
    answer = proxy.ask(post(STREAMED_CHAT, b"Accept-Encoding: gzip, br"))
    assert answer.body == b"".join(chat_events())
    record = proxy.record()
    assert (record.total_tokens, record.usage_source, record.success) == (15, "reported", True)
    assert record.request_bytes == len(STREAMED_CHAT)
    assert record.response_bytes == len(answer.body)
    [received] = upstream.requests
    assert received.json()["stream_options"] == {"include_usage": True}
    assert {key: value for key, value in received.json().items() if key != "stream_options"} == {
        "model": "fake-1", "stream": True, "messages": [{"role": "user", "content": "Hi"}],
    }  # fmt: skip
    assert received.header("accept-encoding") == "identity"
    assert received.header("content-length") == str(len(received.body))


def test_known_heads_are_edited_like_new_ones(proxy: ProxyWorker, upstream: FakeUpstream) -> None:
    lines = (b"Accept-Encoding: gzip",)
    bodies = [proxy.ask(post(body, *lines)).body for body in (STREAMED_CHAT, CHAT, STREAMED_CHAT, CHAT)]
    assert bodies[0] == bodies[2] == b"".join(chat_events())
    assert bodies[1] == bodies[3]
    encodings = [received.header("accept-encoding") for received in upstream.requests]
    assert encodings == ["identity", "gzip", "identity", "gzip"]


def test_a_client_that_asked_for_usage_sees_it(proxy: ProxyWorker) -> None:
    assert proxy.ask(post(ASKED)).body == b"".join(chat_events(include_usage=True))


def test_a_stream_of_known_length_is_reframed(proxy: ProxyWorker) -> None:
    answer = proxy.ask(post(STREAMED_CHAT, b"X-Whole: 1"))
    assert (answer.header(b"transfer-encoding"), answer.header(b"content-length")) == (b"chunked", None)
    assert answer.body == b"".join(chat_events())
    old = proxy.ask(post(STREAMED_CHAT, b"X-Whole: 1", version=b"1.0"))
    assert (old.header(b"content-length"), old.body) == (None, answer.body)


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain; charset=utf-8", b"none"])
def test_a_stream_under_another_type_shows_no_trace_of_it_either(proxy: ProxyWorker, kind: bytes) -> None:
    assert proxy.ask(post(STREAMED_CHAT, b"X-Kind: " + kind)).body == b"".join(chat_events())
    assert proxy.record().total_tokens == 15


@pytest.mark.parametrize("kind", [b"application/json", b"text/event-stream", b"none"])
def test_a_document_in_place_of_a_stream_stays_as_it_is(proxy: ProxyWorker, kind: bytes) -> None:
    answer = proxy.ask(post(STREAMED_CHAT, b"X-Kind: " + kind, b"X-Document: 1"))
    assert answer.body == json.dumps(chat_completion()).encode()


def test_an_answer_that_is_compressed_all_the_same_stays_as_it_is(proxy: ProxyWorker) -> None:
    answer = proxy.ask(post(STREAMED_CHAT, b"X-Coded: 1"))
    assert answer.body == compressed(b"".join(chat_events(include_usage=True)), "gzip")
    assert proxy.record().total_tokens == 15


def test_a_compressed_request_stays_as_it_is(proxy: ProxyWorker, upstream: FakeUpstream) -> None:
    packed = compressed(b'{"model":"x"}', "gzip")
    assert proxy.ask(post(packed, b"Content-Encoding: gzip")).status == 415
    assert upstream.requests[0].body == packed


def test_an_error_answer_stays_as_it_is(proxy: ProxyWorker) -> None:
    answer = proxy.ask(post(STREAMED_CHAT, path=b"/v1/completions?refuse"))
    assert (answer.status, answer.json()["error"]["message"]) == (400, "stream_options is unknown here")


def test_requests_that_are_no_streams_are_not_touched(proxy: ProxyWorker, upstream: FakeUpstream) -> None:
    proxy.ask(post(CHAT))
    proxy.ask(post(b'{"model":"e","stream":true,"input":"x"}', path=b"/v1/embeddings"))
    assert [received.body for received in upstream.requests] == [CHAT, b'{"model":"e","stream":true,"input":"x"}']
