"""Google's Interactions API: requests, whole answers, streams, and its counts."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.gemini_interactions import (
    InteractionBodyReader,
    InteractionRequest,
    InteractionStreamReader,
    interaction_tokens,
)
from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, RequestFacts
from llm_metrics_proxy.wire.facts import Usage
from tests.wire.counted import Read
from tests.wire.streams import INTERACTION_USAGE, INTERACTIONS, facts_of, interaction, step_delta

VISIBLE = SAW_TOKEN | SAW_OUTPUT
FACTS: dict[str, Any] = {
    "response_model": "gemini-x", "response_id": "int-1", "service_tier": "standard", "prompt_tokens": 15,
    "completion_tokens": 17, "reasoning_tokens": 9, "cached_tokens": 4, "total_tokens": 32,
    "usage_source": UsageSource.REPORTED, "tool_call_count": 1, "finish_reason": "requires_action", "terminal": True,
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "id": "int-1", "object": "interaction", "model": "gemini-x", "status": "requires_action",
    "steps": [
        {"type": "thought", "signature": "x" * 5000, "summary": [{"type": "text", "text": "Weather."}]},
        {"type": "model_output", "content": [{"type": "text", "text": "It is cold"}]},
        {"type": "function_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}},
        {"type": "google_search_result", "result": [{"url": "https://example.org"}]},
    ],
    "service_tier": "standard", "usage": INTERACTION_USAGE,
}  # fmt: skip


def whole_facts(value: object) -> Read:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: InteractionBodyReader(1), body)
    assert facts_of(InteractionBodyReader, body) == large
    return large


def test_it_passes_and_is_read() -> None:
    policy = PathPolicy()
    for path in (b"/v1beta/interactions", b"/v1/interactions"):
        dialect = policy.route(b"POST", path).dialect
        assert dialect is not None
        assert dialect.name == "gemini_interactions"
    assert policy.route(b"GET", b"/v1beta/interactions/int-1").allowed
    assert policy.route(b"POST", b"/v1beta/interactions/int-1/cancel").allowed
    assert not policy.route(b"DELETE", b"/v1beta/interactions/int-1").allowed
    assert not policy.route(b"POST", b"/interactions").allowed


def test_a_request_is_read() -> None:
    body = {
        "model": "gemini-2.5-pro", "stream": True, "input": [{"type": "text", "text": "a"}] * 2,
        "tools": [{"type": "function", "name": "weather"}, {"type": "google_search"}],
        "generation_config": {"max_output_tokens": 100, "temperature": 0.5, "top_p": 0.9},
    }  # fmt: skip
    assert InteractionRequest.read(json.dumps(body).encode()) == RequestFacts(
        model="gemini-2.5-pro", is_streaming=True, max_tokens=100, temperature=0.5, top_p=0.9, message_count=2,
        tool_count=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"agent": "deep-research-pro", "input": "Hi", "background": True},
         RequestFacts(model="deep-research-pro", message_count=1)),
        ({"model": "g", "input": {"type": "text", "text": "Hi"}}, RequestFacts(model="g", message_count=1)),
        ({"model": 7, "input": 7, "generation_config": []}, RequestFacts()),
    ],
)  # fmt: skip
def test_other_requests(body: dict[str, Any], facts: RequestFacts) -> None:
    assert InteractionRequest.read(json.dumps(body).encode()) == facts


def test_an_answer() -> None:
    assert whole_facts(ANSWER) == Read(**FACTS)


def test_a_stream() -> None:
    assert facts_of(InteractionStreamReader, *INTERACTIONS) == Read(**FACTS, content_chunks=7)


def test_one_in_the_background_has_not_ended() -> None:
    facts = whole_facts({"id": "int-1", "status": "in_progress", "model": "g"})
    assert (facts.finish_reason, facts.terminal, facts.error) == (None, True, None)


def test_one_that_failed_is_an_error() -> None:
    failed = {"id": "int-1", "status": "failed", "errors": [{"code": "13", "message": "Internal"}]}
    assert whole_facts(failed).error == ErrorFacts(code="13", message="Internal")
    assert whole_facts({"status": "failed"}).error == ErrorFacts()
    event = interaction("interaction.completed", interaction={"id": "int-1", "status": "failed"})
    assert facts_of(InteractionStreamReader, *INTERACTIONS[:5], event).error == ErrorFacts()


def test_an_error_in_the_middle() -> None:
    event = interaction("error", error={"code": "resource_exhausted", "message": "Slower"})
    facts = facts_of(InteractionStreamReader, *INTERACTIONS[:8], event)
    assert facts.error == ErrorFacts(code="resource_exhausted", message="Slower")
    assert (facts.terminal, facts.content_chunks) == (False, 3)


@pytest.mark.parametrize(
    ("event", "bits"),
    [
        (step_delta(0, type="text", text="Hi"), VISIBLE),
        (step_delta(0, type="text", text=""), 0),
        (step_delta(0, type="thought_summary", content={}), SAW_TOKEN),
        (step_delta(0, type="thought_signature", signature="x"), 0),
        (step_delta(0, type="image", data="iVBO", mime_type="image/png"), VISIBLE),
        (step_delta(0, type="arguments_delta", arguments="{"), VISIBLE),
        (step_delta(0, type="google_search_result", result=[]), 0),
        (step_delta(0, type="text_annotation_delta", annotations=[]), 0),
        (interaction("step.start", index=0, step={"type": "google_search_call"}), VISIBLE),
        (interaction("step.start", index=0, step={"type": "model_output"}), 0),
        (interaction("interaction.status_update", interaction_id="i", status="in_progress"), 0),
        (interaction("interaction.status_update", interaction_id="i", status="cancelled"), SAW_TERMINAL),
    ],
)
def test_what_an_event_shows(event: bytes, bits: int) -> None:
    assert InteractionStreamReader().feed(event) == bits


def test_the_counts() -> None:
    assert interaction_tokens({}) == Usage()
    assert interaction_tokens({"usage": {"total_input_tokens": 3, "total_output_tokens": 4}}) == Usage(3, 4, 7)
    assert interaction_tokens({"usage": {"total_input_tokens": -3}}) == Usage(rejected=True)
