"""Requests to the Responses API, and answers that are not streamed."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.openai_responses import ResponsesBodyReader, ResponsesRequest
from tests.wire.streams import OUTPUT, RESPONSE, RESPONSE_USAGE, facts_of

ANSWER: dict[str, Any] = {
    **RESPONSE, "status": "completed", "output": OUTPUT, "usage": RESPONSE_USAGE, "service_tier": "default",
}  # fmt: skip
COUNTED: dict[str, Any] = {
    "prompt_tokens": 37, "completion_tokens": 11, "total_tokens": 48, "cached_tokens": 16, "reasoning_tokens": 4,
    "usage_source": UsageSource.REPORTED,
}  # fmt: skip


def facts(value: object) -> ResponseFacts:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: ResponsesBodyReader(1), body)
    assert facts_of(ResponsesBodyReader, body) == large
    return large


def test_a_whole_answer() -> None:
    assert facts(ANSWER) == ResponseFacts(
        response_model="gpt-x", finish_reason="completed", terminal=True, tool_call_count=1, service_tier="default",
        response_id="resp_1", **COUNTED,
    )  # fmt: skip


def test_one_that_is_incomplete_says_why() -> None:
    found = facts(ANSWER | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}})
    assert (found.finish_reason, found.error) == ("max_output_tokens", None)


def says(*parts: object) -> dict[str, Any]:
    return {"output": [*OUTPUT, {"type": "message", "content": list(parts)}]}


def test_a_refusal_is_told_beside_a_common_end() -> None:
    refusal = {"type": "refusal", "refusal": "I cannot help with that."}
    told = facts(ANSWER | says({"type": "output_text", "text": "Well"}, refusal))
    assert (told.finish_reason, told.refused, told.error, told.tool_call_count) == ("completed", True, None, 1)
    cut_off = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    told = facts(ANSWER | says(refusal) | cut_off)
    assert (told.finish_reason, told.refused) == ("max_output_tokens", True)
    filtered = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    told = facts(ANSWER | says(refusal) | filtered)
    assert (told.finish_reason, told.refused) == ("content_filter", False)
    assert not facts(ANSWER | says({"type": "output_text", "text": "the refusal"})).refused


@pytest.mark.parametrize("content", ["text", None, 7, {"type": "refusal"}, [None], [7], ["refusal"], [[]]])
def test_content_of_another_kind_is_no_refusal_and_spoils_nothing(content: object) -> None:
    found = facts(ANSWER | {"output": [{"type": "function_call", "name": "f", "content": content}]})
    assert (found.refused, found.total_tokens, found.tool_call_count) == (False, 48, 1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "Sorry"}},
         ErrorFacts(code="server_error", message="Sorry")),
        ({"status": "failed"}, ErrorFacts(type="failed")),
    ],
)  # fmt: skip
def test_one_that_failed_is_an_error(changes: dict[str, Any], error: ErrorFacts) -> None:
    assert facts(ANSWER | changes).error == error
    assert facts(ANSWER | changes).finish_reason is None


def test_one_that_goes_on_in_the_background_has_no_end_yet() -> None:
    found = facts(RESPONSE | {"status": "queued"})
    assert (found.finish_reason, found.usage_source, found.error, found.response_id) == (None, "none", None, "resp_1")


@pytest.mark.parametrize("field", list(ANSWER))
@pytest.mark.parametrize("wrong", [7, "x", None, [[]], {"a": 1}, True])
def test_a_wrongly_typed_value_costs_only_its_own_facts(field: str, wrong: object) -> None:
    found = facts(ANSWER | {field: wrong})
    assert found.terminal
    assert (found.total_tokens == 48) == (field != "usage")


@pytest.mark.parametrize(("given", "count"), [("Hi", 1), ([{}, {}], 2), (None, None)])
def test_a_request_is_read(given: object, count: int | None) -> None:
    body = {
        "model": "gpt-x", "input": given, "stream": True, "max_output_tokens": 50, "temperature": 1, "top_p": 0.5,
        "user": "u", "tools": [{"type": "web_search"}], "instructions": "Be brief",
    }  # fmt: skip
    assert ResponsesRequest.read(json.dumps(body).encode()) == RequestFacts(
        model="gpt-x", user="u", is_streaming=True, max_tokens=50, temperature=1.0, top_p=0.5, message_count=count,
        tool_count=1,
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b"{}"])
def test_an_odd_request_has_no_facts(body: bytes) -> None:
    assert ResponsesRequest.read(body) == RequestFacts()
