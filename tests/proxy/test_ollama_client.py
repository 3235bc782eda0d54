"""Ollama's own client, a server that answers as Ollama does, and the proxy between them: nothing is lost on the way."""

import json
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from tests.proxy.conftest import Stage
from tests.upstream import CHUNKED, FakeUpstream, Request, Script, Send, chunked, head, json_response
from tests.wire.streams import OLLAMA_END, line

pytestmark = pytest.mark.system

HELLO: Any = [{"role": "user", "content": "Why is the sky blue?"}]
WORDS = ("The", " sky", " is", " blün")
CALL = {"function": {"name": "look", "arguments": {"at": "sky"}}}


def ollama_handler(request: Request) -> Script:
    """Ollama's API reference: NDJSON unless ``stream`` is false, numbers in the last line, errors as a bare text."""
    asked = request.json()
    if asked["model"] == "missing":
        return [Send(json_response({"error": "model 'missing' not found"}, status=404))]
    if request.target in {"/api/embed", "/api/embeddings"}:
        if request.target == "/api/embed":
            return [Send(json_response({"model": "llama3.2", "embeddings": [[0.25, -0.5]] * len(asked["input"]),
                                        "total_duration": 14_143_917, "prompt_eval_count": 8}))]  # fmt: skip
        return [Send(json_response({"embedding": [0.25, -0.5]}))]
    key = "message" if request.target == "/api/chat" else "response"

    def told(text: str, **more: Any) -> dict[str, Any]:
        return {key: {"role": "assistant", "content": text, **more} if key == "message" else text}

    if asked.get("stream") is False:
        whole = {"model": "llama3.2", "created_at": "2025-08-04T08:52:19Z", **told("".join(WORDS)), **OLLAMA_END}
        return [Send(json_response(whole))]
    lines = [line(**told(word), done=False) for word in WORDS]
    if asked["model"] == "breaks":
        lines = [*lines[:2], b'{"error":"an error was encountered while running the model: unexpected EOF"}\n']
    else:
        if asked.get("tools"):
            lines.append(line(**told("", tool_calls=[CALL]), done=False))
        lines.append(line(**told(""), **OLLAMA_END))
    return [Send(head(200, ("content-type", "application/x-ndjson"), CHUNKED) + chunked(*lines))]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(ollama_handler) as upstream:
        yield upstream


@pytest.fixture
def playing(stage: Stage) -> Iterator[Stage]:
    with stage.play(ollama_handler):
        yield stage


@pytest.fixture
def through(playing: Stage) -> Iterator[ollama.Client]:
    client = ollama.Client(f"http://127.0.0.1:{playing.proxy.port}")
    yield client
    client._client.close()


@pytest.fixture
def direct(server: FakeUpstream) -> Iterator[ollama.Client]:
    client = ollama.Client(server.url)
    yield client
    client._client.close()


CALLS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat": ("chat", {"messages": HELLO, "options": {"num_predict": 50, "temperature": 0.5}},
             {"dialect": "ollama_chat", "is_streaming": False, "max_tokens": 50, "temperature": 0.5,
              "total_tokens": 308, "server_total_ms": 4883.583458}),
    "streamed": ("chat", {"messages": HELLO, "stream": True},
                 {"dialect": "ollama_chat", "is_streaming": True, "total_tokens": 308, "content_chunks": 4,
                  "tool_call_count": 0, "server_generation_ms": 4535.599}),
    "tools": ("chat", {"messages": HELLO, "stream": True, "tools": [{"function": {"name": "look"}}]},
              {"dialect": "ollama_chat", "tool_call_count": 1, "tool_count": 1, "content_chunks": 5}),
    "generate": ("generate", {"prompt": "Why?"}, {"dialect": "ollama_generate", "total_tokens": 308}),
    "generate-streamed": ("generate", {"prompt": "Why?", "stream": True},
                          {"dialect": "ollama_generate", "is_streaming": True, "content_chunks": 4}),
    "embed": ("embed", {"input": ["a", "b"]},
              {"dialect": "ollama_embed", "prompt_tokens": 8, "message_count": 2, "server_total_ms": 14.143917}),
    "embeddings": ("embeddings", {"prompt": "a"}, {"dialect": "ollama_embed", "usage_source": "none"}),
}  # fmt: skip


def told_by(client: ollama.Client, method: str, call: dict[str, Any]) -> list[Any]:
    answer = getattr(client, method)(model="llama3.2", **call)
    return [part.model_dump() for part in answer] if call.get("stream") else [answer.model_dump()]


@pytest.mark.parametrize("name", CALLS)
def test_the_client_is_told_the_same_and_the_record_what_happened(
    name: str, direct: ollama.Client, through: ollama.Client, playing: Stage
) -> None:
    method, call, told = CALLS[name]
    assert told_by(through, method, call) == told_by(direct, method, call)
    record = playing.proxy.record()
    assert {fact: getattr(record, fact) for fact in told} == told
    assert (record.outcome, record.model) == ("completed", "llama3.2")
    assert record.user_agent is not None
    assert record.user_agent.startswith("ollama-python")


def test_a_missing_model_is_told_in_the_servers_words(through: ollama.Client, playing: Stage) -> None:
    with pytest.raises(ollama.ResponseError, match="'missing' not found"):
        through.chat(model="missing", messages=HELLO)
    record = playing.proxy.record()
    assert (record.outcome, record.status_code, record.error_message) == (
        "upstream_error", 404, "model 'missing' not found"
    )  # fmt: skip


def test_an_error_in_the_middle_reaches_the_client_and_the_record(through: ollama.Client, playing: Stage) -> None:
    with pytest.raises(ollama.ResponseError, match="unexpected EOF"):
        list(through.chat(model="breaks", messages=HELLO, stream=True))
    record = playing.proxy.record()
    assert (record.outcome, record.content_chunks) == ("stream_error", 2)
    assert "unexpected EOF" in (record.error_message or "")
    assert json.dumps(record.total_tokens) == "null"
