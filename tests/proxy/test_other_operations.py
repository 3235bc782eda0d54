"""Rerank, images, audio and moderations when they go wrong: one record each, with the type that fits."""

import json
from typing import Any, Final, NamedTuple

import pytest

from llm_metrics_proxy.metrics_service import judge
from llm_metrics_proxy.record import RequestRecord
from tests.proxy.client import Client, post
from tests.proxy.conftest import Stage
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    Close,
    Gate,
    Reset,
    Script,
    Send,
    Stall,
    chunk,
    error_response,
    head,
    json_response,
    response,
    sse,
)  # fmt: skip

pytestmark = pytest.mark.system

FORM: Final = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"\xff\xfb" * 50_000 + b"\r\n--b--\r\n"
SOUND: Final = bytes(range(256)) * 400


class Operation(NamedTuple):
    """What is asked, and a whole answer: its Content-Type and body."""

    path: bytes
    dialect: str
    asked: bytes
    media_type: str
    body: bytes

    @property
    def request(self) -> bytes:
        is_form = self.asked.startswith(b"--b")
        return post(self.asked, *([b"Content-Type: multipart/form-data; boundary=b"] * is_form), path=self.path)

    @property
    def model(self) -> str | None:
        """Uploads are not looked into."""
        return None if self.asked.startswith(b"--b") else "asked"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_USAGE: Final = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
OPERATIONS: Final = {
    "rerank": Operation(
        b"/v1/rerank", "rerank", _json({"model": "asked", "query": "q", "documents": ["a", "b"]}), "application/json",
        _json({"id": "r", "results": [{"index": 0, "relevance_score": 0.5}] * 200, "usage": {"total_tokens": 7}}),
    ),
    "moderations": Operation(
        b"/v1/moderations", "openai_moderations", _json({"model": "asked", "input": "x"}), "application/json",
        _json({"id": "m", "model": "m", "results": [{"flagged": False, "categories": {"hate": False}}] * 100}),
    ),
    "images": Operation(
        b"/v1/images/generations", "openai_images", _json({"model": "asked", "prompt": "x"}), "application/json",
        _json({"created": 1, "data": [{"b64_json": "A" * 300_000}], "usage": _USAGE}),
    ),
    "edits": Operation(
        b"/v1/images/edits", "openai_images", FORM, "application/json",
        _json({"created": 1, "data": [{"b64_json": "A" * 300_000}], "usage": _USAGE}),
    ),
    "speech": Operation(
        b"/v1/audio/speech", "openai_speech", _json({"model": "asked", "input": "Hi"}), "audio/mpeg", SOUND,
    ),
    "transcription": Operation(
        b"/v1/audio/transcriptions", "openai_transcriptions", FORM, "application/json",
        _json({"text": "Hi there. " * 500, "usage": {"type": "tokens", **_USAGE}}),
    ),
    "subtitles": Operation(
        b"/v1/audio/transcriptions", "openai_transcriptions", FORM, "text/plain", b"WEBVTT\n" * 500,
    ),
    "translation": Operation(
        b"/v1/audio/translations", "openai_translations", FORM, "application/json", _json({"text": "Hi. " * 500}),
    ),
}  # fmt: skip
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def assert_ended(record: RequestRecord, operation: Operation, *expected: str | None) -> None:
    """Dialect, model and upload are known however it ended; ``expected``: outcome, category, type, phase."""
    assert (record.dialect, record.model, record.request_bytes) == (
        operation.dialect, operation.model, len(operation.asked)
    )  # fmt: skip
    verdict = judge(record)
    assert (verdict.outcome, verdict.category, verdict.type, verdict.phase) == expected


def read_body(client: Client, count: int, *, chunked: bool) -> None:
    """That many bytes of an answer's body, in however many chunks they come."""
    while chunked and count > 0:
        size = int(client.read_until(b"\r\n"), 16)
        client.read(size + 2)
        count -= size
    client.read(count)


BREAKING_OFF: dict[str, Any] = {"close": Close(), "reset": Reset()}


@each_operation
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("end", BREAKING_OFF.values(), ids=BREAKING_OFF)
def test_an_answer_that_breaks_off_is_truncated(
    stage: Stage, operation: Operation, framing: str, end: Close | Reset
) -> None:
    half = operation.body[: len(operation.body) // 2]
    gate = Gate()  # an RST may overtake what was sent: the client has all of it before
    begun = (
        response(half, length=len(operation.body), content_type=operation.media_type)
        if framing == "length"
        else head(200, ("content-type", operation.media_type), CHUNKED) + chunk(half)
    )
    with stage.play([Send(begun), gate.wait(), end]), stage.proxy.connect() as client:
        client.send(operation.request)
        assert client.head().status == 200
        read_body(client, len(half), chunked=framing == "chunked")
        gate.open()
        assert LAST_CHUNK not in client.ends()
    record = stage.proxy.record()
    assert_ended(record, operation, "upstream_truncated", "stream", "truncated", "mid_stream")
    assert (record.status_code, record.upstream_status_code, record.response_bytes) == (200, 200, len(half))
    assert (record.usage_source, record.time_to_first_token_ms) == ("none", None)


@each_operation
def test_an_answer_that_breaks_off_in_its_head_was_none(stage: Stage, operation: Operation) -> None:
    with stage.play([Send(b"HTTP/1.1 200 OK\r\ncontent-type: "), Close()]):
        assert stage.proxy.ask(operation.request).status == 502
    assert_ended(stage.proxy.record(), operation, "network_error", "network", "reset", "before_first_token")


@each_operation
@pytest.mark.parametrize(
    ("answer", "category", "kind"),
    [
        (error_response(500, "boom"), "upstream", "internal"),
        (response(b"<html><title>Bad Gateway</title></html>", status=502, content_type="text/html"),
         "upstream", "bad_gateway"),
        (error_response(503, "Loading model", type_="unavailable_error"), "upstream", "overloaded"),
        (error_response(429, "slower", type_="requests", code="rate_limit_exceeded"), "limit", "rate_limit"),
        (error_response(429, "pay", code="insufficient_quota"), "limit", "quota"),
        (error_response(401, "no key", code="invalid_api_key"), "auth", "unauthenticated"),
        (error_response(400, "blocked", code="moderation_blocked"), "policy", "content_filter"),
        (json_response({"detail": [{"loc": ["body", "file"], "msg": "Field required", "type": "missing"}]}, status=422),
         "request", "invalid"),
        (json_response({"message": "model 'asked' not found"}, status=404), "request", "model_not_found"),
        (response(b"", status=500), "upstream", "internal"),
    ],
)  # fmt: skip
def test_a_servers_error_gets_its_type(
    stage: Stage, operation: Operation, answer: bytes, category: str, kind: str
) -> None:
    with stage.play([Send(answer)]):
        stage.proxy.ask(operation.request)
    assert_ended(stage.proxy.record(), operation, "upstream_error", category, kind, "before_first_token")


@pytest.mark.parametrize("name", ["rerank", "moderations", "images", "transcription"])
def test_an_error_inside_a_good_status_is_an_error(stage: Stage, name: str) -> None:
    operation = OPERATIONS[name]
    with stage.play([Send(json_response({"error": {"message": "out of memory", "type": "server_error"}}))]):
        assert stage.proxy.ask(operation.request).status == 200
    assert_ended(
        stage.proxy.record(), operation, "upstream_error", "upstream", "internal", "before_first_token"
    )  # fmt: skip


STREAMS: dict[str, tuple[Script, tuple[str, ...]]] = {
    "an error": (
        [Send(chunk(sse({"type": "error", "error": {"message": "boom", "type": "server_error"}})) + LAST_CHUNK)],
        ("upstream_error", "upstream", "internal", "mid_stream"),
    ),
    "broken off": ([Close()], ("upstream_truncated", "stream", "truncated", "mid_stream")),
    "no end marker": ([Send(LAST_CHUNK)], ("upstream_truncated", "stream", "truncated", "mid_stream")),
}


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("speech", {"type": "speech.audio.delta", "audio": "AAAA"}),
        ("transcription", {"type": "transcript.text.delta", "delta": "Hi"}),
        ("images", {"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0}),
    ],
)
@pytest.mark.parametrize("case", STREAMS.values(), ids=STREAMS)
def test_a_stream_that_goes_wrong_gets_its_type(
    stage: Stage, name: str, event: Any, case: tuple[Script, tuple[str, ...]]
) -> None:
    script, expected = case
    with stage.play([Send(head(200, EVENT_STREAM, CHUNKED) + chunk(sse(event))), *script]):
        stage.proxy.ask(OPERATIONS[name].request)
    record = stage.proxy.record()
    assert_ended(record, OPERATIONS[name], *expected)
    assert record.content_chunks == 1


@each_operation
def test_a_client_that_leaves_in_the_middle_gets_its_type(stage: Stage, operation: Operation) -> None:
    half = operation.body[: len(operation.body) // 2]
    begun = response(half, length=len(operation.body), content_type=operation.media_type)
    with stage.play([Send(begun), Stall()]) as upstream:
        with stage.proxy.connect() as client:
            client.send(operation.request)
            client.head()
            client.read_until(half)
        assert upstream.connections[0].peer_closed.wait(10)
    record = stage.proxy.record()
    assert_ended(record, operation, "client_disconnected", "client", "disconnect_mid_stream", "mid_stream")


@pytest.mark.parametrize("name", ["edits", "transcription"])
def test_an_upload_whose_server_answers_early_and_leaves_is_that_servers_error(stage: Stage, name: str) -> None:
    operation = OPERATIONS[name]
    sent = operation.request
    script: Script = [Send(error_response(413, "too much", ("connection", "close"))), Close()]
    with stage.play(script, early=True), stage.proxy.connect() as client:
        client.send(sent[: len(sent) // 2])
        assert client.answer().status == 413
    record = stage.proxy.record()
    verdict = judge(record)
    assert (verdict.outcome, verdict.category, verdict.type) == ("upstream_error", "request", "too_large")
    assert (record.dialect, record.model) == (operation.dialect, None)
