"""Anthropic's requests, and answers that are not streamed."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.anthropic_messages import AnthropicBodyReader, AnthropicRequest
from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts, ResponseFacts
from tests.wire.streams import facts_of

ANSWER: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
    "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "text", "text": "Hi!"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, {"b": "}"}]}}],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 7,
              "service_tier": "priority", "cache_creation": {"ephemeral_5m_input_tokens": 10}},
}  # fmt: skip
FACTS = ResponseFacts(
    response_model="claude-x", finish_reason="tool_use", prompt_tokens=35, completion_tokens=7, total_tokens=42,
    cached_tokens=20, cache_write_tokens=10, usage_source=UsageSource.REPORTED, terminal=True, tool_call_count=1,
    service_tier="priority", response_id="msg_1",
)  # fmt: skip


def facts(body: bytes) -> ResponseFacts:
    """The same for small and large bodies, or this fails."""
    large = facts_of(lambda: AnthropicBodyReader(1), body)
    assert facts_of(AnthropicBodyReader, body) == large
    return large


def test_a_whole_answer() -> None:
    assert facts(json.dumps(ANSWER).encode()) == FACTS
    assert facts(json.dumps(ANSWER, indent=2).encode()) == FACTS


def test_an_error_with_a_good_status_is_an_error() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert facts(json.dumps(body).encode()).error == ErrorFacts(type="overloaded_error", message="Overloaded")


@pytest.mark.parametrize("field", list(ANSWER))
@pytest.mark.parametrize("wrong", [7, "x", None, [[]], {"a": 1}, True])
def test_a_wrongly_typed_value_costs_only_its_own_facts(field: str, wrong: object) -> None:
    found = facts(json.dumps(ANSWER | {field: wrong}).encode())
    assert found.terminal
    assert (found.total_tokens == 42) == (field != "usage")
    assert (found.response_model == "claude-x") == (field != "model")


def test_a_request_is_read() -> None:
    body = {
        "model": "claude-x", "max_tokens": 1024, "stream": True, "temperature": 0.5, "top_p": 0.9, "system": "Be brief",
        "metadata": {"user_id": "u-1"}, "tools": [{"name": "f"}],
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    }  # fmt: skip
    assert AnthropicRequest.read(json.dumps(body).encode()) == RequestFacts(
        model="claude-x", user="u-1", is_streaming=True, max_tokens=1024, temperature=0.5, top_p=0.9, message_count=2,
        tool_count=1,
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"model":7,"messages":5,"metadata":"x"}'])
def test_an_odd_request_has_no_facts(body: bytes) -> None:
    assert AnthropicRequest.read(body) == RequestFacts()
