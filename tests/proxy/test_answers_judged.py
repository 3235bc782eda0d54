"""Real clients, a server that answers wrongly, and the proxy between them: each record says whose failure it was."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import anthropic
import ollama
import openai
import pytest

from llm_metrics_proxy.metrics_service import judge
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.error_taxonomy import NEWEST, Classification
from tests.proxy.client import STREAMED_CHAT, post
from tests.proxy.conftest import Stage
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    Gate,
    Pause,
    Reset,
    Script,
    Send,
    Stall,
    Step,
    chat_completion,
    chat_event,
    chat_events,
    chunk,
    compressed,
    head,
    response,
    sse,
)
from tests.upstream.replies import Field
from tests.wire.streams import ANTHROPIC, OLLAMA, RESPONSES, named

pytestmark = pytest.mark.system

ASK: Any = [{"role": "user", "content": "Why is the sky blue?"}]
PAGE = b"<!doctype html><html><head><title>Log in</title></head></html>"


class Api(NamedTuple):
    """One API by its vendor's client; ``ask`` reads the answer to its end."""

    ask: Callable[[str, bool], None]
    stream: list[bytes]
    whole: bytes
    failed: bytes  # an event that says so
    error: type[Exception]
    kind: str = "text/event-stream"
    type: str = "overloaded"


def _openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0)


def _drain(answer: Any, stream: bool) -> None:
    for _ in answer if stream else ():
        pass


def _ask_chat(url: str, stream: bool) -> None:
    with _openai(url) as client:
        _drain(client.chat.completions.create(model="m", messages=ASK, stream=stream), stream)


def _ask_responses(url: str, stream: bool) -> None:
    with _openai(url) as client:
        _drain(client.responses.create(model="m", input="Hi", stream=stream), stream)


def _ask_messages(url: str, stream: bool) -> None:
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as client:
        _drain(client.messages.create(model="m", max_tokens=9, messages=ASK, stream=stream), stream)


def _ask_ollama(url: str, stream: bool) -> None:
    client: Any = ollama.Client(host=url)
    with client._client:
        _drain(client.chat(model="m", messages=ASK, stream=stream), stream)


_MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 2},
}  # fmt: skip
_RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [],
    "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
}  # fmt: skip
APIS = {
    "chat": Api(_ask_chat, chat_events(include_usage=True), json.dumps(chat_completion()).encode(),
                sse({"error": {"message": "Overloaded", "type": "overloaded_error"}}), openai.APIError),
    "responses": Api(_ask_responses, RESPONSES, json.dumps(_RESPONSE).encode(),
                     named("error", error={"type": "overloaded_error", "message": "Overloaded"}),
                     openai.APIError),
    "messages": Api(_ask_messages, ANTHROPIC, json.dumps(_MESSAGE).encode(),
                    named("error", error={"type": "overloaded_error", "message": "Overloaded"}), anthropic.APIError),
    "ollama": Api(_ask_ollama, OLLAMA, OLLAMA[-1], b'{"error":"Overloaded"}\n', ollama.ResponseError,
                  "application/x-ndjson", "error_event"),  # Ollama's errors are a text
}  # fmt: skip
EACH = pytest.mark.parametrize("name", APIS)


def verdict(record: RequestRecord) -> Classification:
    return judge(record, NEWEST)


def answering(body: bytes, kind: str | None, *more: Field, cut: int = 0) -> Script:
    """``body`` with success, in chunks of ``cut`` bytes, under the Content-Type ``kind``."""
    fields: list[Field] = [("content-type", kind)] if kind is not None else []
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)] if cut else [body]
    return [Send(head(200, *fields, *more, CHUNKED) + b"".join(map(chunk, pieces)) + LAST_CHUNK)]


@pytest.fixture
def url(stage: Stage) -> str:
    return f"http://127.0.0.1:{stage.proxy.port}"


@EACH
@pytest.mark.parametrize("pause_s", [0.0, 0.3])
def test_an_error_in_a_stream_is_the_servers_although_the_client_leaves_at_once(
    stage: Stage, url: str, name: str, pause_s: float
) -> None:
    """The clients raise as soon as they have read the error, and close before the stream has ended."""
    api = APIS[name]
    begun: list[Step] = [Send(head(200, ("content-type", api.kind), CHUNKED) + chunk(b"".join(api.stream[:2])))]
    script = [*begun, Pause(0.02), Send(chunk(api.failed)), Pause(pause_s), Send(LAST_CHUNK)]
    with stage.play(script), pytest.raises(api.error):
        api.ask(url, True)
    record = stage.proxy.record()
    found = verdict(record)
    assert (found.outcome, found.type) == ("upstream_error", api.type)
    assert (record.error_message, record.status_code) == ("Overloaded", 200)
    assert record.response_bytes >= len(b"".join(api.stream[:2]) + api.failed)


@EACH
@pytest.mark.parametrize("ends", [Reset(), Stall()])
def test_an_error_in_a_stream_outranks_how_the_connection_ended(stage: Stage, name: str, ends: Step) -> None:
    api, gate = APIS[name], Gate()
    path = {"chat": b"/v1/chat/completions", "responses": b"/v1/responses", "messages": b"/v1/messages"}
    begun = head(200, ("content-type", api.kind), CHUNKED) + chunk(b"".join(api.stream[:2])) + chunk(api.failed)
    with stage.play([Send(begun), gate.wait(), ends]), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT, path=path.get(name, b"/api/chat")))
        client.read_until(api.failed)
        if isinstance(ends, Reset):
            gate.open()
            client.ends()
        client.close()
        found = verdict(stage.proxy.record())
        gate.open()
    assert (found.outcome, found.type) == ("upstream_error", api.type)


@pytest.mark.parametrize("value", [
    {"detail": "Overloaded"},
    {"code": 500, "msg": "Overloaded", "success": False},
    {"status_code": 503, "message": "Overloaded"},
])  # fmt: skip
@pytest.mark.parametrize("ends", [Reset(), Stall()])
@pytest.mark.parametrize("after", [b"", chat_events()[1]])
def test_an_error_in_words_of_its_own_outranks_it_too_unless_more_came(
    stage: Stage, value: Any, ends: Step, after: bytes
) -> None:
    gate, said = Gate(), sse(value) + after
    begun = head(200, EVENT_STREAM, CHUNKED) + chunk(b"".join(chat_events()[:2])) + chunk(said)
    with stage.play([Send(begun), gate.wait(), ends]), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        client.read_until(said)
        if isinstance(ends, Reset):
            gate.open()
            client.ends()
        client.close()
        record = stage.proxy.record()
        gate.open()
    broken = "upstream_truncated" if isinstance(ends, Reset) else "client_disconnected"
    assert verdict(record).outcome == (broken if after else "upstream_error")
    assert (record.error_message == "Overloaded") is not bool(after)


@pytest.mark.parametrize("begun", [b"", b'{"error":{"message":"No cards left","type":"server_er'])
def test_leaving_in_the_middle_of_an_error_is_still_the_servers_error(stage: Stage, begun: bytes) -> None:
    script: list[Step] = [Send(head(503, ("content-type", "application/json"), ("content-length", "900")) + begun)]
    with stage.play([*script, Stall()]), stage.proxy.connect() as client:
        client.send(post(STREAMED_CHAT))
        client.head()
        client.read(len(begun))
        client.close()
        record = stage.proxy.record()
    assert (verdict(record).outcome, verdict(record).type) == ("upstream_error", "overloaded")
    assert (record.status_code, record.upstream_status_code) == (503, 503)


@EACH
@pytest.mark.parametrize("kind", ["application/json", "text/plain; charset=utf-8", "application/octet-stream", None])
@pytest.mark.parametrize("coding", [None, "gzip", "br", "zstd"])
def test_a_stream_under_another_type_is_read_as_one(
    stage: Stage, name: str, kind: str | None, coding: str | None
) -> None:
    api = APIS[name]
    body = b"".join(api.stream)
    more: list[Field] = [("content-encoding", coding)] if coding else []
    sent = compressed(body, coding) if coding else body
    path = {"chat": b"/v1/chat/completions", "responses": b"/v1/responses", "messages": b"/v1/messages"}
    records = []
    for told, fields, cut in ((api.kind, [], 0), (kind, more, 1)):
        with stage.play(answering(sent if fields else body, told, *fields, cut=cut)):
            stage.proxy.ask(post(STREAMED_CHAT, path=path.get(name, b"/api/chat")))
        records.append(stage.proxy.record())
        stage.proxy.forget()
    right, found = records
    assert found.outcome == right.outcome == "completed"
    assert found.time_to_first_token_ms is not None
    assert found.usage_reported is not None
    for fact in ("usage_reported", "finish_reason", "content_chunks", "response_model", "tool_call_count"):
        assert getattr(found, fact) == getattr(right, fact)


@EACH
@pytest.mark.parametrize("kind", ["text/event-stream", "application/x-ndjson", "text/plain", None])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_whole_answer_under_another_type_is_read_as_one(
    stage: Stage, name: str, kind: str | None, indent: int | None
) -> None:
    api = APIS[name]
    body = json.dumps(json.loads(api.whole), indent=indent).encode() + b"\n"
    path = {"chat": b"/v1/chat/completions", "responses": b"/v1/responses", "messages": b"/v1/messages"}
    with stage.play(answering(body, kind, cut=7)):
        stage.proxy.ask(post(STREAMED_CHAT, path=path.get(name, b"/api/chat")))
    record = stage.proxy.record()
    assert (record.outcome, record.error_type) == ("completed", None)
    assert record.finish_reason is not None
    assert record.usage_reported is not None
    if (name, kind, indent) != ("ollama", "application/x-ndjson", None):  # there, one line is a stream of one
        assert (record.content_chunks, record.time_to_first_token_ms) == (None, None)


@EACH
def test_a_page_in_place_of_an_answer_is_told_whatever_the_client_makes_of_it(
    stage: Stage, url: str, name: str
) -> None:
    for stream in (False, True):
        # each client makes of it what it can
        with stage.play([Send(response(PAGE, content_type="text/html"))]), suppress(Exception):
            APIS[name].ask(url, stream)
        record = stage.proxy.record()
        stage.proxy.forget()
        assert (verdict(record).outcome, verdict(record).type) == ("upstream_error", "not_an_answer")
        assert record.error_message == "An HTML page in place of an answer: Log in"
        assert (record.status_code, record.success) == (200, False)


AZURE = [
    sse({"choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]}), *chat_events(),
]  # fmt: skip
SOUND: dict[str, tuple[bytes, Script]] = {
    "Azure's first chunk": (b"/v1/chat/completions", answering(b"".join(AZURE), EVENT_STREAM[1])),
    "a filter": (b"/v1/chat/completions", answering(chat_event({}, "content_filter") + b"data: [DONE]\n\n", None)),
    "a queued response": (
        b"/v1/responses",
        answering(b'{"id":"r","status":"queued","output":[],"usage":null}', "application/json"),
    ),
    "counted tokens": (b"/v1/messages/count_tokens", answering(b'{"input_tokens":5}', "application/json")),
    "no content": (b"/v1/chat/completions", [Send(head(204))]),
    "accepted": (b"/v1/chat/completions", [Send(head(202, ("content-length", "0")))]),
    "sound": (b"/v1/audio/speech", answering(b"ID3\x04\x00\x00\x00" + b"\xff\xfb\x90" * 900, "audio/mpeg", cut=100)),
    "a text": (b"/v1/audio/transcriptions", answering(b"[BLANK_AUDIO]\n", "text/plain; charset=utf-8")),
    "subtitles": (b"/v1/audio/translations", answering(b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n", "text/vtt")),
    "a picture": (b"/v1/images/generations", answering(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image/png", cut=3)),
    "a list": (b"/rerank", answering(b'[{"index":0,"score":0.5}]', "application/json")),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_answer_is_never_called_an_error(stage: Stage, case: str) -> None:
    path, script = SOUND[case]
    with stage.play(script):
        stage.proxy.ask(post(STREAMED_CHAT, path=path))
    record = stage.proxy.record()
    found = verdict(record)
    assert (record.outcome, record.success, record.error_message) == ("completed", True, None)
    assert found.type in {None, "content_filter"}
