"""OpenAI Responses: requests, whole answers and streams."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.openai_responses import (
    ResponsesBodyReader,
    ResponsesRequest,
    ResponsesStreamReader,
    responses_tokens,
)
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_OUTPUT,
    SAW_TERMINAL,
    SAW_TOKEN,
    ErrorFacts,
    RequestFacts,
)
from llm_metrics_proxy.wire.facts import Usage
from tests.wire.counted import Read
from tests.wire.streams import COMPLETED, OUTPUT, RESPONSE, RESPONSE_USAGE, RESPONSES, facts_of, named, response_delta
from tests.wire.streams import response_event as whole

ANSWER: dict[str, Any] = {
    **RESPONSE, "status": "completed", "output": OUTPUT, "usage": RESPONSE_USAGE, "service_tier": "default",
}  # fmt: skip
COUNTED: dict[str, Any] = {
    "prompt_tokens": 37, "completion_tokens": 11, "total_tokens": 48, "cached_tokens": 16, "reasoning_tokens": 4,
    "usage_source": UsageSource.REPORTED,
}  # fmt: skip


def whole_facts(value: object) -> Read:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: ResponsesBodyReader(1), body)
    assert facts_of(ResponsesBodyReader, body) == large
    return large


def test_a_whole_answer() -> None:
    assert whole_facts(ANSWER) == Read(
        response_model="gpt-x", finish_reason="completed", terminal=True, tool_call_count=1, service_tier="default",
        response_id="resp_1", **COUNTED,
    )  # fmt: skip


def test_one_that_is_incomplete_says_why() -> None:
    found = whole_facts(ANSWER | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}})
    assert (found.finish_reason, found.error) == ("max_output_tokens", None)


def says(*parts: object) -> dict[str, Any]:
    return {"output": [*OUTPUT, {"type": "message", "content": list(parts)}]}


def test_a_refusal_is_told_beside_a_common_end() -> None:
    refusal = {"type": "refusal", "refusal": "I cannot help with that."}
    told = whole_facts(ANSWER | says({"type": "output_text", "text": "Well"}, refusal))
    assert (told.finish_reason, told.refused, told.error, told.tool_call_count) == ("completed", True, None, 1)
    cut_off = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    told = whole_facts(ANSWER | says(refusal) | cut_off)
    assert (told.finish_reason, told.refused) == ("max_output_tokens", True)
    filtered = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    told = whole_facts(ANSWER | says(refusal) | filtered)
    assert (told.finish_reason, told.refused) == ("content_filter", False)
    assert not whole_facts(ANSWER | says({"type": "output_text", "text": "the refusal"})).refused


@pytest.mark.parametrize("content", ["text", None, 7, {"type": "refusal"}, [None], [7], ["refusal"], [[]]])
def test_content_of_another_kind_is_no_refusal_and_spoils_nothing(content: object) -> None:
    found = whole_facts(ANSWER | {"output": [{"type": "function_call", "name": "f", "content": content}]})
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
    assert whole_facts(ANSWER | changes).error == error
    assert whole_facts(ANSWER | changes).finish_reason is None


def test_one_that_goes_on_in_the_background_has_no_end_yet() -> None:
    found = whole_facts(RESPONSE | {"status": "queued"})
    assert (found.finish_reason, found.usage_source, found.error, found.response_id) == (None, "none", None, "resp_1")


@pytest.mark.parametrize("field", list(ANSWER))
@pytest.mark.parametrize("wrong", [7, "x", None, [[]], {"a": 1}, True])
def test_a_wrongly_typed_value_costs_only_its_own_facts(field: str, wrong: object) -> None:
    found = whole_facts(ANSWER | {field: wrong})
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


VISIBLE = SAW_TOKEN | SAW_OUTPUT


def stream_facts(*events: bytes) -> Read:
    return facts_of(ResponsesStreamReader, *events)


def test_a_stream_with_reasoning_text_and_a_call() -> None:
    assert stream_facts(*RESPONSES) == Read(
        response_model="gpt-x", finish_reason="completed", content_chunks=7, terminal=True, tool_call_count=1,
        service_tier="default", response_id="resp_1", **COUNTED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "bits"),
    [
        (whole("response.created"), 0),
        (whole("response.queued"), 0),
        (response_delta("response.output_text.delta", "x"), VISIBLE),
        (response_delta("response.output_text.delta", ""), 0),
        (response_delta("response.refusal.delta", "No."), VISIBLE),
        (response_delta("response.function_call_arguments.delta", "{"), VISIBLE),
        (response_delta("response.reasoning_text.delta", "x"), SAW_TOKEN),
        (response_delta("response.reasoning_summary_text.delta", "x"), SAW_TOKEN),
        (named("response.output_text.done", text="x"), 0),
        (named("response.output_item.added", item={"type": "function_call", "name": "f"}), VISIBLE),
        (named("response.output_item.added", item={"type": "web_search_call"}), 0),
        (named("response.output_item.added", item={"type": "message"}), 0),
        (named("response.output_item.added", item={"type": {"no": "word"}, "name": "f"}), 0),
        (named("response.something_new", delta_of="x"), 0),
        (COMPLETED, SAW_TERMINAL),
        (whole("response.incomplete", status="incomplete"), SAW_TERMINAL),
        (whole("response.failed", status="failed"), SAW_TERMINAL | SAW_ERROR),
        (named("error", code="x", message="boom", param=None), SAW_ERROR),
        (b'data: {"type":"error","error":{"message":"nested"}}\n\n', SAW_ERROR),
        (b'data: {"error":{"message":"OpenAI\'s older form"}}\n\n', SAW_ERROR),
    ],
)
def test_what_one_event_shows(event: bytes, bits: int) -> None:
    assert ResponsesStreamReader().feed(event) == bits
    assert stream_facts(event).content_chunks == bool(bits & SAW_TOKEN)
    assert not stream_facts(event).malformed


def test_a_streamed_refusal_is_told_beside_a_common_end() -> None:
    refusing = [response_delta("response.refusal.delta", text, number) for number, text in enumerate(("I", " cannot"))]
    told = stream_facts(*refusing, whole("response.completed", status="completed"))
    assert (told.finish_reason, told.refused) == ("completed", True)
    output = [{"type": "message", "content": [{"type": "refusal", "refusal": "I cannot"}]}]
    told = stream_facts(whole("response.completed", status="completed", output=output))
    assert (told.finish_reason, told.refused) == ("completed", True)
    for ended in ([], [whole("response.failed", status="failed")]):
        told = stream_facts(*refusing, *ended)
        assert (told.finish_reason, told.refused) == (None, False)


def test_an_incomplete_response_says_why_and_has_its_usage() -> None:
    end = whole(
        "response.incomplete", status="incomplete", incomplete_details={"reason": "max_output_tokens"},
        usage=RESPONSE_USAGE,
    )  # fmt: skip
    found = stream_facts(*RESPONSES[:8], end)
    assert (found.finish_reason, found.total_tokens, found.terminal, found.error) == (
        "max_output_tokens", 48, True, None
    )  # fmt: skip


@pytest.mark.parametrize("name", [b"event: error\n", b""])
def test_a_flat_error_is_told_in_the_servers_words(name: bytes) -> None:
    data = b'data: {"type":"error","code":"rate_limit_exceeded","message":"Slow down","param":null}\n\n'
    assert stream_facts(*RESPONSES[:8], name + data).error == ErrorFacts(
        code="rate_limit_exceeded", message="Slow down"
    )


def test_a_response_that_failed_is_an_error() -> None:
    end = whole("response.failed", status="failed", error={"code": "server_error", "message": "Sorry"})
    found = stream_facts(*RESPONSES[:8], end)
    assert (found.error, found.terminal) == (ErrorFacts(code="server_error", message="Sorry"), True)


def test_calls_are_counted_as_they_begin_and_in_the_end_by_the_whole_output() -> None:
    begun = named("response.output_item.added", item={"type": "web_search_call"})
    assert stream_facts(whole("response.created"), begun, begun).tool_call_count == 2
    assert stream_facts(begun, COMPLETED).tool_call_count == 1
    assert stream_facts(begun, whole("response.completed", status="completed")).tool_call_count == 1
    assert stream_facts(response_delta("response.output_text.delta", "x")).tool_call_count is None
    assert len(OUTPUT) == 3


@pytest.mark.parametrize("where", ["usage", "response.usage"])
def test_what_was_written_to_a_cache_and_what_xai_adds_is_read(where: str) -> None:
    written = {"input_tokens": 15377, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 15374}}
    found = responses_tokens({where: written | {"output_tokens": 9}})
    assert found == Usage(15377, 9, 15386, 0, cache_write_tokens=15374)
    xai = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 45, "cost_in_usd_ticks": 10_000_000_000}
    details = {"output_tokens_details": {"reasoning_tokens": 30}}
    assert responses_tokens({where: xai | details}) == Usage(10, 35, 45, None, 30, cost_usd=1.0)
    chat = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}
    assert responses_tokens({where: chat}) == Usage(9, 4, 13, 5)  # of gateways that turn one API into the other


WRITTEN = SAW_TOKEN | SAW_OUTPUT


@pytest.mark.parametrize(
    ("event", "shows"),
    [
        (
            named("response.image_generation_call.partial_image", partial_image_b64="iVBORw0", partial_image_index=0),
            WRITTEN,
        ),
        (named("response.image_generation_call.partial_image", partial_image_b64=""), 0),
        (named("response.image_generation_call.generating"), 0),
        (response_delta("response.audio.delta", "UklGRg"), WRITTEN),
        (response_delta("response.output_audio.delta", "UklGRg"), WRITTEN),
        (response_delta("response.output_audio_transcript.delta", "Hi"), WRITTEN),
        (response_delta("response.mcp_call_arguments.delta", "{"), WRITTEN),
        (response_delta("response.code_interpreter_call_code.delta", "import"), WRITTEN),
        (response_delta("response.custom_tool_call_input.delta", "*** Begin"), WRITTEN),
        (response_delta("response.shell_call_command.delta", "ls"), WRITTEN),
        (response_delta("response.reasoning_text.delta", "Hm"), SAW_TOKEN),
        (response_delta("response.reasoning_summary_text.delta", "Hm"), SAW_TOKEN),
        (response_delta("response.shell_call_output_content.delta", {"stdout": "a"}), 0),  # the server's own tool
        (named("response.web_search_call.searching"), 0),
        (response_delta("response.output_text.delta", ""), 0),
    ],
)
def test_everything_that_a_model_puts_out_is_content(event: bytes, shows: int) -> None:
    reader = ResponsesStreamReader()
    reader.feed(whole("response.created"))
    assert reader.feed(event) == shows
    assert reader.content_chunks == bool(shows)
