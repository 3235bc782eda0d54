"""Every dialect through a real socket: the same bytes for the client, and one record that tells what they said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from llm_metrics_proxy.record import RequestRecord
from tests.proxy.client import post
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    Close,
    FakeUpstream,
    Gate,
    Send,
    Step,
    chat_completion,
    chunk,
    head,
    json_response,
    response,
)  # fmt: skip
from tests.upstream.replies import Field
from tests.wire.apis.test_anthropic import ANSWER as MESSAGE
from tests.wire.streams import (
    ANTHROPIC,
    LLAMA,
    OLLAMA,
    OLLAMA_END,
    OUTPUT,
    RESPONSE,
    RESPONSE_USAGE,
    RESPONSES,
    TRANSCRIPT,
    line,
    named,
)

pytestmark = pytest.mark.system

NDJSON: Final[Field] = ("content-type", "application/x-ndjson")
_ASKED: Final = {"model": "asked", "messages": [{"role": "user", "content": "Hi"}]}


class Case(NamedTuple):
    """One dialect: its path, what is asked, how it streams, what it answers, and what both tell."""

    path: bytes
    asked: dict[str, Any]
    media_type: Field
    events: list[bytes]
    answer: Any
    error_event: bytes
    error_type: str
    facts: dict[str, Any]
    reasoning_first: bool = True


TIMES: Final = {
    "server_total_ms": 4883.583458, "server_load_ms": 1.334875, "server_prompt_ms": 342.546,
    "server_generation_ms": 4535.599,
}  # fmt: skip
CASES: Final = {
    "anthropic_messages": Case(
        b"/v1/messages", {**_ASKED, "max_tokens": 99}, EVENT_STREAM, ANTHROPIC,
        {**MESSAGE, "usage": {"input_tokens": 25, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 5,
                              "output_tokens": 89, "service_tier": "standard"}},
        named("error", error={"type": "overloaded_error", "message": "Overloaded"}), "overloaded_error",
        {"prompt_tokens": 40, "completion_tokens": 89, "total_tokens": 129, "cached_tokens": 5,
         "cache_write_tokens": 10, "finish_reason": "tool_use", "tool_call_count": 1, "service_tier": "standard",
         "response_id": "msg_1", "response_model": "claude-x", "max_tokens": 99},
    ),
    "ollama_chat": Case(
        b"/api/chat", {**_ASKED, "options": {"num_predict": 99}}, NDJSON, OLLAMA,
        {"model": "llama3.2", "message": {"content": "x", "tool_calls": [{}]}, **OLLAMA_END},
        b'{"error":"unexpected EOF"}\n', "error_event",
        {"prompt_tokens": 26, "completion_tokens": 282, "total_tokens": 308, "finish_reason": "stop",
         "tool_call_count": 1, "response_model": "llama3.2", "max_tokens": 99, **TIMES},
    ),
    "ollama_generate": Case(
        b"/api/generate", {"model": "asked", "prompt": "Hi"}, NDJSON,
        [*(line(thinking=word, done=False) for word in ("Hm", ".")),
         *(line(response=word, done=False) for word in ("The", " sky")), line(response="", **OLLAMA_END)],
        {"model": "llama3.2", "response": "The sky", **OLLAMA_END},
        b'{"error":"unexpected EOF"}\n', "error_event",
        {"prompt_tokens": 26, "completion_tokens": 282, "finish_reason": "stop", "tool_call_count": None, **TIMES},
    ),
    "openai_responses": Case(
        b"/v1/responses", {"model": "asked", "input": "Hi", "max_output_tokens": 99}, EVENT_STREAM, RESPONSES,
        {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": RESPONSE_USAGE, "service_tier": "default"},
        named("error", code="server_error", message="Sorry", param=None), "server_error",
        {"prompt_tokens": 37, "completion_tokens": 11, "total_tokens": 48, "cached_tokens": 16, "reasoning_tokens": 4,
         "finish_reason": "completed", "tool_call_count": 1, "service_tier": "default", "response_id": "resp_1",
         "response_model": "gpt-x", "max_tokens": 99},
    ),
}  # fmt: skip


def asked(case: Case, *, stream: bool) -> bytes:
    return post(json.dumps({**case.asked, "stream": stream}).encode(), path=case.path)


def stream_of(case: Case, events: list[bytes], end: bytes = LAST_CHUNK, cut: int | None = None) -> list[Step]:
    body = b"".join(map(chunk, events)) + end
    return [Send(head(200, case.media_type, CHUNKED)), Send(body, cut=cut)]


def assert_facts(record: RequestRecord, name: str) -> None:
    told = CASES[name].facts
    assert {fact: getattr(record, fact) for fact in told} == told
    assert (record.dialect, record.model, record.usage_source, record.message_count) == (name, "asked", "reported", 1)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("cut", [None, 50])
def test_a_stream_is_read_and_timed(stage: Stage, name: str, cut: int | None) -> None:
    case = CASES[name]
    with stage.play(stream_of(case, case.events, cut=cut)):
        assert stage.proxy.ask(asked(case, stream=True)).body == b"".join(case.events)
    record = stage.proxy.record()
    assert_facts(record, name)
    assert (record.outcome, record.is_streaming, record.error_type) == ("completed", True, None)
    assert record.content_chunks is not None
    assert record.content_chunks >= 4
    times = (record.time_to_first_token_ms, record.time_to_first_output_ms, record.time_to_last_token_ms)
    assert None not in times
    assert list(times) == sorted(times, key=lambda each: each or 0.0)


@pytest.mark.parametrize("name", ["ollama_chat", "ollama_generate"])
@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "text/plain", None])
@pytest.mark.parametrize("says_so", [True, False])
def test_ollamas_lines_are_a_stream_whatever_their_content_type(
    stage: Stage, name: str, media_type: str | None, says_so: bool
) -> None:
    """Ollama streams unless asked not to; held after its first line, which is the first token."""
    case, gate = CASES[name], Gate()
    first, rest = case.events[0], b"".join(case.events[1:])
    fields: list[Field] = [("content-type", media_type)] if media_type else []
    script: list[Step] = [Send(head(200, *fields, CHUNKED) + chunk(first)), gate.wait(), Send(chunk(rest) + LAST_CHUNK)]
    body = json.dumps({**case.asked, "stream": True} if says_so else case.asked).encode()
    with stage.play(script), stage.proxy.connect() as client:
        client.send(post(body, path=case.path))
        client.read_until(first)
        gate.open()
        client.read_until(LAST_CHUNK)
    record = stage.proxy.record()
    assert_facts(record, name)
    assert (record.outcome, record.is_streaming, record.content_chunks) == (
        "completed", True, len(case.events) - 1
    )  # fmt: skip
    assert record.time_to_first_token_ms is not None
    assert record.time_to_first_output_ms is not None
    assert record.time_to_last_token_ms is not None
    assert record.time_to_first_token_ms < record.time_to_first_output_ms <= record.time_to_last_token_ms


@pytest.mark.parametrize("events", [1, 3])
def test_ollamas_lines_under_the_wrong_type_that_break_off_are_truncated(stage: Stage, events: int) -> None:
    case = CASES["ollama_chat"]._replace(media_type=("content-type", "application/json"))
    with stage.play([*stream_of(case, case.events[:events], end=b""), Close()]):
        assert not stage.proxy.ask(asked(case, stream=True)).whole
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.content_chunks) == ("stream_truncated", "truncated", events)


@pytest.mark.parametrize("name", CASES)
def test_reasoning_is_a_token_and_no_output(stage: Stage, name: str) -> None:
    """Held at the first visible event: until then there was reasoning, and no output."""
    case, gate = CASES[name], Gate()
    events = case.events
    visible = {"anthropic_messages": 8, "ollama_chat": 2, "ollama_generate": 2, "openai_responses": 6}[name]
    first, rest = b"".join(events[:visible]), b"".join(events[visible:])
    length = ("content-length", str(len(first + rest)))
    script: list[Step] = [Send(head(200, case.media_type, length) + first), gate.wait(), Send(rest)]
    with stage.play(script), stage.proxy.connect() as client:
        client.send(asked(case, stream=True))
        client.head()
        assert client.read(len(first)) == first
        gate.open()
        assert client.read(len(rest)) == rest
    record = stage.proxy.record()
    assert record.time_to_first_token_ms is not None
    assert record.time_to_first_output_ms is not None
    assert record.time_to_first_token_ms < record.time_to_first_output_ms


@pytest.mark.parametrize("name", CASES)
def test_a_whole_answer_is_read(stage: Stage, name: str) -> None:
    case = CASES[name]
    sent = json_response(case.answer)
    with stage.play([Send(sent)]):
        assert stage.proxy.ask(asked(case, stream=False)).body == sent.split(b"\r\n\r\n", 1)[1]
    record = stage.proxy.record()
    assert_facts(record, name)
    assert (record.outcome, record.is_streaming, record.content_chunks) == ("completed", False, None)
    assert record.time_to_first_token_ms is None


@pytest.mark.parametrize("name", CASES)
def test_an_error_status_is_told_in_the_servers_words(stage: Stage, name: str) -> None:
    case = CASES[name]
    body = {"error": "model 'asked' not found"} if name.startswith("ollama") else {
        "type": "error", "error": {"type": "not_found_error", "message": "model 'asked' not found"},
    }  # fmt: skip
    with stage.play([Send(json_response(body, status=404))]):
        assert stage.proxy.ask(asked(case, stream=True)).status == 404
    record = stage.proxy.record()
    assert (record.outcome, record.status_code, record.error_message) == (
        "upstream_error", 404, "model 'asked' not found"
    )  # fmt: skip
    assert (record.dialect, record.usage_source, record.is_streaming) == (name, "none", True)


@pytest.mark.parametrize("name", CASES)
def test_an_error_in_the_middle_of_a_stream_is_an_error(stage: Stage, name: str) -> None:
    case = CASES[name]
    with stage.play(stream_of(case, [*case.events[:4], case.error_event])):
        stage.proxy.ask(asked(case, stream=True))
    record = stage.proxy.record()
    assert (record.outcome, record.status_code, record.error_type) == ("stream_error", 200, case.error_type)
    assert record.error_message


@pytest.mark.parametrize("name", CASES)
def test_a_stream_that_breaks_off_is_truncated(stage: Stage, name: str) -> None:
    case = CASES[name]
    script = [*stream_of(case, case.events[:4], end=b""), Close()]
    with stage.play(script):
        assert not stage.proxy.ask(asked(case, stream=True)).whole
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.completion_tokens) == ("stream_truncated", "truncated", None)


@pytest.mark.parametrize("name", CASES)
def test_a_stream_that_ends_without_its_end_is_truncated_too(stage: Stage, name: str) -> None:
    case = CASES[name]
    with stage.play(stream_of(case, case.events[:4])):
        assert stage.proxy.ask(asked(case, stream=True)).whole
    assert stage.proxy.record().outcome == "stream_truncated"


def test_tokens_that_are_only_counted_are_recorded_without_usage(stage: Stage) -> None:
    with stage.play([Send(json_response({"input_tokens": 14}))]):
        stage.proxy.ask(post(json.dumps(_ASKED).encode(), path=b"/v1/messages/count_tokens"))
    record = stage.proxy.record()
    assert (record.dialect, record.model, record.prompt_tokens, record.usage_source, record.outcome) == (
        "anthropic_count_tokens", "asked", None, "none", "completed"
    )  # fmt: skip


def test_azure_names_the_model_in_the_path(stage: Stage) -> None:
    with stage.play():
        stage.proxy.ask(post(b'{"messages":[]}', path=b"/openai/deployments/my-gpt/chat/completions?api-version=1"))
    record = stage.proxy.record()
    assert (record.model, record.response_model, record.dialect) == ("my-gpt", "fake-1", "openai_chat")


@pytest.mark.parametrize(
    ("path", "dialect", "answer", "total"),
    [
        (b"/v1/rerank", "rerank", {"id": "r", "model": "m", "results": [], "usage": {"total_tokens": 7}}, 7),
        (b"/v1/moderations", "openai_moderations", {"id": "r", "model": "m", "results": [{}]}, None),
        (b"/v1/images/generations", "openai_images",
         {"data": [{"b64_json": "A" * 400_000}], "usage": {"input_tokens": 3, "output_tokens": 4}}, 7),
        (b"/api/embed", "ollama_embed", {"model": "m", "embeddings": [[0.5]], "prompt_eval_count": 7}, None),
    ],
)  # fmt: skip
def test_other_operations_are_recorded(stage: Stage, path: bytes, dialect: str, answer: Any, total: int | None) -> None:
    with stage.play([Send(json_response(answer))]):
        stage.proxy.ask(post(b'{"model":"asked","input":"x"}', path=path))
    record = stage.proxy.record()
    assert (record.dialect, record.model, record.total_tokens, record.outcome) == (dialect, "asked", total, "completed")
    assert record.is_streaming is False


@pytest.mark.parametrize("path", [b"/completion", b"/completions", b"/infill"])
def test_llama_cpps_own_stream_is_read(stage: Stage, path: bytes) -> None:
    script = [Send(head(200, EVENT_STREAM, CHUNKED)), Send(b"".join(map(chunk, LLAMA)) + LAST_CHUNK)]
    with stage.play(script):
        stage.proxy.ask(post(b'{"prompt":"Hi","n_predict":3,"stream":true}', path=path))
    record = stage.proxy.record()
    assert (record.dialect, record.outcome, record.finish_reason) == ("llama_completion", "completed", "eos")
    assert (record.total_tokens, record.cached_tokens, record.server_prompt_ms) == (15, 8, 30.5)
    assert (record.content_chunks, record.max_tokens) == (3, 3)


@pytest.mark.parametrize(
    ("answer", "outcome", "error_type"),
    [
        ({"error": {"code": 429, "message": "Provider busy"}}, "upstream_error", "429"),  # OpenRouter
        ({"choices": [{"error": {"code": 502, "message": "Provider gone"}}]}, "upstream_error", "502"),
    ],
)
def test_an_error_inside_a_good_status_is_an_error(stage: Stage, answer: Any, outcome: str, error_type: str) -> None:
    with stage.play([Send(json_response(answer))]):
        assert stage.proxy.ask(post(path=b"/api/v1/chat/completions")).status == 200
    record = stage.proxy.record()
    assert (record.outcome, record.error_type, record.status_code) == (outcome, error_type, 200)


def test_a_server_that_keeps_the_connection_alive_with_blank_lines_is_read(stage: Stage) -> None:
    """DeepSeek, before a JSON body."""
    answer = {**chat_completion(), "usage": {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.5}}
    body = b"\n" * 3 + json.dumps(answer).encode()
    with stage.play([Send(head(200, ("content-type", "application/json"), CHUNKED)),
                     Send(b"".join(map(chunk, (b"\n", b"\n", body))) + LAST_CHUNK)]):  # fmt: skip
        assert stage.proxy.ask(post(path=b"/chat/completions")).body == b"\n\n" + body
    record = stage.proxy.record()
    assert (record.outcome, record.total_tokens, record.upstream_cost_usd) == ("completed", 7, 0.5)


def test_sound_passes_unread_with_its_size_and_time(stage: Stage) -> None:
    sound = bytes(range(256)) * 1000
    with stage.play([Send(response(sound, content_type="audio/mpeg"))]):
        assert stage.proxy.ask(post(b'{"model":"tts","input":"Hi"}', path=b"/v1/audio/speech")).body == sound
    record = stage.proxy.record()
    assert (record.dialect, record.model, record.response_bytes, record.usage_source) == (
        "openai_speech", "tts", len(sound), "none"
    )  # fmt: skip
    assert (record.outcome, record.content_chunks) == ("completed", None)
    assert record.time_to_first_byte_ms is not None


def test_an_upload_is_streamed_and_its_streamed_transcription_read(stage: Stage) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"\xff\xfb" * 50_000 + b"\r\n--b--\r\n"
    script = [Send(head(200, EVENT_STREAM, CHUNKED)), Send(b"".join(map(chunk, TRANSCRIPT)) + LAST_CHUNK)]
    sent = post(form, b"Content-Type: multipart/form-data; boundary=b", path=b"/v1/audio/transcriptions")
    with stage.play(script) as upstream:
        stage.proxy.ask(sent)
    assert upstream.requests[0].body == form
    record = stage.proxy.record()
    assert (record.dialect, record.model, record.request_bytes, record.total_tokens) == (
        "openai_transcriptions", None, len(form), 18
    )  # fmt: skip
    assert record.content_chunks == 2


@pytest.fixture(scope="module")
def injecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProxyWorker, list[Step], FakeUpstream]]:
    script: list[Step] = []
    with FakeUpstream(lambda _: list(script)) as upstream:
        folder: Path = tmp_path_factory.mktemp("injecting")
        with ProxyWorker(folder, upstream.url, inject_usage=True) as proxy:
            yield proxy, script, upstream


@pytest.mark.parametrize("name", CASES)
def test_asking_for_usage_changes_nothing_in_dialects_that_always_report_it(
    injecting: tuple[ProxyWorker, list[Step], FakeUpstream], name: str
) -> None:
    proxy, script, upstream = injecting
    proxy.forget()
    case = CASES[name]
    script[:] = stream_of(case, case.events)
    sent = asked(case, stream=True)
    assert proxy.ask(sent).body == b"".join(case.events)
    assert upstream.requests[-1].body == sent.split(b"\r\n\r\n", 1)[1]
    assert_facts(proxy.record(), name)
