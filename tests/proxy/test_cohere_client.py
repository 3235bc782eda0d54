"""Cohere's own client, a server that answers as Cohere does, and the proxy between them: nothing is lost on the way."""

from collections.abc import Iterator
from typing import Any

import cohere
import pytest

from tests.proxy.conftest import Stage
from tests.upstream import CHUNKED, EVENT_STREAM, FakeUpstream, Request, Script, Send, chunked, head, json_response
from tests.wire.bedrock_streams import COHERE, COHERE_ANSWER, COHERE_META, COHERE_V1, COHERE_V1_ANSWER
from tests.wire.streams import named

pytestmark = pytest.mark.system

HELLO: Any = [{"role": "user", "content": "Hi"}]
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {}}}
BROKEN = named("message-end", delta={"finish_reason": "ERROR", "error": "it broke"})
CLASSIFIED = {"id": "c", "meta": {"api_version": {"version": "1"}, "billed_units": {"classifications": 1}},
              "classifications": [{"id": "1", "input": "a", "prediction": "x", "confidence": 0.9, "predictions": ["x"],
                                   "confidences": [0.9], "labels": {"x": {"confidence": 0.9}},
                                   "classification_type": "single-label"}]}  # fmt: skip
RANKED = {"id": "r", "results": [{"index": 0, "relevance_score": 0.9}],
          "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}  # fmt: skip
EMBEDDED = {"id": "e", "texts": ["a", "b"], "embeddings": {"float": [[0.25], [0.5]]},
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 8}}}  # fmt: skip


def cohere_handler(request: Request) -> Script:
    """Cohere's API reference, version 2, and chat and generate of version 1."""
    asked = request.json()
    if asked.get("model") == "missing":
        return [
            Send(json_response({"id": "x", "message": "model 'missing' not found, make sure it is right"}, status=404))
        ]
    if request.target == "/v2/embed":
        return [Send(json_response(EMBEDDED))]
    if request.target == "/v1/classify":
        return [Send(json_response(CLASSIFIED))]
    if request.target == "/v2/rerank":
        return [Send(json_response(RANKED))]
    if request.target == "/v1/generate":
        generations = [{"id": "1", "text": "Hi", "finish_reason": "COMPLETE"}]
        return [Send(json_response({"id": "g", "generations": generations, "prompt": "Hi", "meta": COHERE_META}))]
    if request.target == "/v1/chat":
        if not asked.get("stream"):
            return [Send(json_response(COHERE_V1_ANSWER))]
        return [Send(head(200, ("content-type", "application/stream+json"), CHUNKED) + chunked(*COHERE_V1))]
    assert request.target == "/v2/chat"
    if not asked.get("stream"):
        return [Send(json_response(COHERE_ANSWER))]
    events = [*COHERE[:8], BROKEN] if asked["model"] == "breaks" else COHERE
    return [Send(head(200, EVENT_STREAM, CHUNKED) + chunked(*events), cut=300)]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(cohere_handler) as upstream:
        yield upstream


@pytest.fixture
def playing(stage: Stage) -> Iterator[Stage]:
    with stage.play(cohere_handler):
        yield stage


CALLS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat": ("v2.chat", {"messages": HELLO, "max_tokens": 50, "p": 0.5, "tools": [TOOL]},
             {"dialect": "cohere_chat", "is_streaming": False, "max_tokens": 50, "top_p": 0.5, "tool_count": 1,
              "prompt_tokens": 431, "completion_tokens": 20, "total_tokens": 451, "cached_tokens": 64,
              "finish_reason": "TOOL_CALL", "tool_call_count": 1, "response_id": "29f14a5a", "message_count": 1}),
    "chat-streamed": ("v2.chat_stream", {"messages": HELLO},
                      {"dialect": "cohere_chat", "is_streaming": True, "content_chunks": 9, "prompt_tokens": 431,
                       "completion_tokens": 20, "finish_reason": "TOOL_CALL", "tool_call_count": 1}),
    "embed": ("v2.embed", {"texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"]},
              {"dialect": "cohere_embed", "prompt_tokens": 8, "completion_tokens": None, "message_count": 2}),
    "rerank": ("v2.rerank", {"query": "q", "documents": ["a", "b"]}, {"dialect": "rerank", "message_count": 2}),
    "classify": ("classify", {"inputs": ["a"], "examples": [{"text": "b", "label": "x"}] * 2},
                 {"dialect": "classify", "usage_source": "none"}),
    "v1-chat": ("chat", {"message": "Hi", "chat_history": [{"role": "USER", "message": "Ho"}]},
                {"dialect": "cohere_v1_chat", "prompt_tokens": 13, "completion_tokens": 3, "message_count": 2}),
    "v1-chat-streamed": ("chat_stream", {"message": "Hi"},
                         {"dialect": "cohere_v1_chat", "is_streaming": True, "content_chunks": 3, "total_tokens": 16}),
    "v1-generate": ("generate", {"prompt": "Hi"}, {"dialect": "cohere_v1_generate", "total_tokens": 16}),
}  # fmt: skip


def told(url: str, method: str, model: str, **asked: Any) -> list[Any]:
    """All that the client makes of an answer."""
    with cohere.Client(api_key="co-key-1", base_url=url, timeout=60) as client:
        call: Any = client
        for part in method.split("."):
            call = getattr(call, part)
        answer = call(model=model, **asked)
        parts = list(answer) if method.endswith("_stream") else [answer]
        return [part.model_dump() for part in parts]


@pytest.mark.parametrize("name", CALLS)
def test_the_client_is_told_the_same_and_the_record_what_happened(
    name: str, server: FakeUpstream, playing: Stage
) -> None:
    method, asked, facts = CALLS[name]
    through = told(f"http://127.0.0.1:{playing.proxy.port}", method, "command-a", **asked)
    assert through == told(server.url, method, "command-a", **asked)
    record = playing.proxy.record()
    assert {fact: getattr(record, fact) for fact in facts} == facts
    assert (record.outcome, record.model) == ("completed", "command-a")
    assert (record.time_to_first_token_ms is None) is not record.is_streaming
    assert record.api_key_id is not None


def test_a_missing_model_is_told_in_the_servers_words(playing: Stage) -> None:
    with pytest.raises(cohere.NotFoundError, match="'missing' not found"):
        told(f"http://127.0.0.1:{playing.proxy.port}", "v2.chat", "missing", messages=HELLO)
    record = playing.proxy.record()
    assert (record.outcome, record.status_code) == ("upstream_error", 404)
    assert (record.error_message or "").startswith("model 'missing' not found")


def test_an_error_at_the_end_of_a_stream_is_no_success(playing: Stage) -> None:
    events = told(f"http://127.0.0.1:{playing.proxy.port}", "v2.chat_stream", "breaks", messages=HELLO)
    assert events[-1]["delta"]["finish_reason"] == "ERROR"
    record = playing.proxy.record()
    assert (record.outcome, record.upstream_error_type, record.error_message) == ("stream_error", "error", "it broke")
    assert record.finish_reason == "ERROR"
