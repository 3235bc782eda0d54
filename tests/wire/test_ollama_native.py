"""Ollama's requests, and answers that are not streamed."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.ollama_native import OllamaBodyReader, OllamaEmbedRequest, OllamaRequest
from tests.wire.streams import OLLAMA_END, facts_of

COUNTED: dict[str, Any] = {
    "prompt_tokens": 26, "completion_tokens": 282, "total_tokens": 308, "usage_source": UsageSource.REPORTED,
    "server_total_ms": 4883.583458, "server_load_ms": 1.334875, "server_prompt_ms": 342.546,
    "server_generation_ms": 4535.599,
}  # fmt: skip


def facts(value: object) -> ResponseFacts:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: OllamaBodyReader(1), body)
    assert facts_of(OllamaBodyReader, body) == large
    return large


def test_a_chat_answer() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": {"b": 1}}}}] * 2
    answer = {"model": "m", "message": {"role": "assistant", "content": "Hi", "tool_calls": calls}, **OLLAMA_END}
    assert facts(answer) == ResponseFacts(
        response_model="m", finish_reason="stop", terminal=True, tool_call_count=2, **COUNTED
    )  # fmt: skip


def test_a_generated_answer_with_its_context() -> None:
    answer = {"model": "m", "response": "Hi", "context": list(range(5000)), **OLLAMA_END}
    assert facts(answer) == ResponseFacts(response_model="m", finish_reason="stop", terminal=True, **COUNTED)


def test_embeddings_have_a_prompt_only() -> None:
    answer = {"model": "m", "embeddings": [[0.1] * 500] * 3, "total_duration": 14_143_917, "load_duration": 1_019_500,
              "prompt_eval_count": 8}  # fmt: skip
    assert facts(answer) == ResponseFacts(
        response_model="m", prompt_tokens=8, usage_source=UsageSource.REPORTED, terminal=True,
        server_total_ms=14.143917, server_load_ms=1.0195,
    )  # fmt: skip
    assert facts({"embedding": [0.5] * 900}) == ResponseFacts(terminal=True)


def test_an_error_with_a_good_status_is_an_error() -> None:
    assert facts({"error": "model is too large"}).error == ErrorFacts(message="model is too large")


@pytest.mark.parametrize(
    ("stream", "expected"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_it_streams_unless_the_request_says_no(stream: dict[str, Any], expected: bool) -> None:
    assert OllamaRequest.read(json.dumps({"model": "m", **stream}).encode()).is_streaming is expected


def test_a_chat_request_is_read() -> None:
    body = {
        "model": "m", "messages": [{}, {}, {}], "tools": [{}], "think": True, "keep_alive": "5m",
        "options": {"num_predict": -1, "temperature": 0.5, "top_p": 0.9, "seed": 7},
    }  # fmt: skip
    assert OllamaRequest.read(json.dumps(body).encode()) == RequestFacts(
        model="m", is_streaming=True, max_tokens=-1, temperature=0.5, top_p=0.9, message_count=3, tool_count=1
    )


@pytest.mark.parametrize(
    ("body", "count"), [({"prompt": "Why?"}, 1), ({"input": "a"}, 1), ({"input": ["a", "b"]}, 2), ({}, None)]
)
def test_prompts_and_inputs_are_counted(body: dict[str, Any], count: int | None) -> None:
    found = OllamaEmbedRequest.read(json.dumps({"model": "m", **body}).encode())
    assert (found.message_count, found.is_streaming, found.model) == (count, False, "m")


@pytest.mark.parametrize("body", [b"", b"[]", b"x"])
def test_an_odd_request_has_no_facts(body: bytes) -> None:
    assert OllamaRequest.read(body) == OllamaEmbedRequest.read(body) == RequestFacts()
