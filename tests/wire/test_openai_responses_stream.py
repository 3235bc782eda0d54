"""Streams of the Responses API, event by event."""

import pytest

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.openai_responses_stream import ResponsesStreamReader
from tests.wire.streams import COMPLETED, OUTPUT, RESPONSE_USAGE, RESPONSES, facts_of, named, response_delta
from tests.wire.streams import response_event as whole
from tests.wire.test_openai_responses import COUNTED

VISIBLE = SAW_TOKEN | SAW_OUTPUT


def facts(*events: bytes) -> ResponseFacts:
    return facts_of(ResponsesStreamReader, *events)


def test_a_stream_with_reasoning_text_and_a_call() -> None:
    assert facts(*RESPONSES) == ResponseFacts(
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
    assert facts(event).content_chunks == bool(bits & SAW_TOKEN)
    assert not facts(event).malformed


def test_a_refusal_is_told_beside_a_common_end() -> None:
    refusing = [response_delta("response.refusal.delta", text, number) for number, text in enumerate(("I", " cannot"))]
    told = facts(*refusing, whole("response.completed", status="completed"))
    assert (told.finish_reason, told.refused) == ("completed", True)
    output = [{"type": "message", "content": [{"type": "refusal", "refusal": "I cannot"}]}]
    told = facts(whole("response.completed", status="completed", output=output))
    assert (told.finish_reason, told.refused) == ("completed", True)
    for ended in ([], [whole("response.failed", status="failed")]):
        told = facts(*refusing, *ended)
        assert (told.finish_reason, told.refused) == (None, False)


def test_an_incomplete_response_says_why_and_has_its_usage() -> None:
    end = whole(
        "response.incomplete", status="incomplete", incomplete_details={"reason": "max_output_tokens"},
        usage=RESPONSE_USAGE,
    )  # fmt: skip
    found = facts(*RESPONSES[:8], end)
    assert (found.finish_reason, found.total_tokens, found.terminal, found.error) == (
        "max_output_tokens", 48, True, None
    )  # fmt: skip


@pytest.mark.parametrize("name", [b"event: error\n", b""])
def test_a_flat_error_is_told_in_the_servers_words(name: bytes) -> None:
    data = b'data: {"type":"error","code":"rate_limit_exceeded","message":"Slow down","param":null}\n\n'
    assert facts(*RESPONSES[:8], name + data).error == ErrorFacts(code="rate_limit_exceeded", message="Slow down")


def test_a_response_that_failed_is_an_error() -> None:
    end = whole("response.failed", status="failed", error={"code": "server_error", "message": "Sorry"})
    found = facts(*RESPONSES[:8], end)
    assert (found.error, found.terminal) == (ErrorFacts(code="server_error", message="Sorry"), True)


def test_calls_are_counted_as_they_begin_and_in_the_end_by_the_whole_output() -> None:
    begun = named("response.output_item.added", item={"type": "web_search_call"})
    assert facts(whole("response.created"), begun, begun).tool_call_count == 2
    assert facts(begun, COMPLETED).tool_call_count == 1
    assert facts(begun, whole("response.completed", status="completed")).tool_call_count == 1
    assert facts(response_delta("response.output_text.delta", "x")).tool_call_count is None
    assert len(OUTPUT) == 3


def test_a_last_event_too_long_to_be_held_does_not_make_the_stream_look_cut_off() -> None:
    reader = ResponsesStreamReader()
    reader.feed(b"".join(RESPONSES[:8]) + b"data: ")
    for _ in range(9):
        reader.feed(b"x" * 1024 * 1024)
    reader.feed(b"\n\n")
    found = reader.finish()
    assert (found.terminal, found.malformed, found.total_tokens) == (True, True, None)
