"""Anthropic's streams, event by event."""

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.anthropic_stream import AnthropicStreamReader
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, ResponseFacts
from tests.wire.streams import (
    ANTHROPIC,
    MESSAGE_START,
    MESSAGE_STOP,
    PING,
    block_delta,
    block_start,
    facts_of,
    message_delta,
    named,
    text_delta,
)

VISIBLE = SAW_TOKEN | SAW_OUTPUT


def facts(*events: bytes) -> ResponseFacts:
    return facts_of(AnthropicStreamReader, *events)


def test_a_stream_with_thinking_text_and_a_tool_call() -> None:
    assert facts(*ANTHROPIC) == ResponseFacts(
        response_model="claude-x", finish_reason="tool_use", prompt_tokens=40, completion_tokens=89, total_tokens=129,
        cached_tokens=5, cache_write_tokens=10, usage_source=UsageSource.REPORTED, content_chunks=8, terminal=True,
        tool_call_count=1, service_tier="standard", response_id="msg_1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "bits"),
    [
        (MESSAGE_START, 0),
        (PING, 0),
        (text_delta("x"), VISIBLE),
        (text_delta(""), 0),
        (block_delta(type="thinking_delta", thinking="x"), SAW_TOKEN),
        (block_delta(type="signature_delta", signature="x"), 0),
        (block_delta(type="citations_delta", citation={"cited_text": "x"}), 0),
        (block_delta(type="input_json_delta", partial_json='{"'), VISIBLE),
        (block_delta(type="input_json_delta", partial_json=""), 0),
        (block_start(type="text", text=""), 0),
        (block_start(type="text", text="x"), VISIBLE),
        (block_start(type="tool_use", name="f", input={}), VISIBLE),
        (block_start(type="server_tool_use", name="web_search"), VISIBLE),
        (block_start(type="redacted_thinking", data="x"), SAW_TOKEN),
        (block_start(type="web_search_tool_result", content=[{"text": "x"}]), 0),
        (named("content_block_stop", index=0), 0),
        (named("something_new", text="x"), 0),
        (message_delta(None, output_tokens=3), 0),
        (message_delta("end_turn", output_tokens=3), SAW_TERMINAL),
        (MESSAGE_STOP, SAW_TERMINAL),
        (named("error", error={"type": "overloaded_error", "message": "Overloaded"}), SAW_ERROR),
        (b'data: {"type":"content_block_delta","delta":{"text":"no event name"}}\n\n', VISIBLE),
        (b'data: {"type": "content_block_delta", "delta": {"text": "spaced"}}       \n\n', VISIBLE),
    ],
)
def test_what_one_event_shows(event: bytes, bits: int) -> None:
    assert AnthropicStreamReader().feed(event) == bits
    assert facts(event).content_chunks == bool(bits & SAW_TOKEN)
    assert not facts(event).malformed


def test_usage_in_message_delta_is_cumulative_and_replaces() -> None:
    found = facts(MESSAGE_START, message_delta(None, output_tokens=5), message_delta(output_tokens=15), MESSAGE_STOP)
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (40, 15, 55)


def test_gateways_that_know_the_input_only_at_the_end_are_believed_then() -> None:
    start = named("message_start", message={"id": "m", "model": "x", "usage": {"input_tokens": 0, "output_tokens": 0}})
    end = message_delta(input_tokens=31, cache_read_input_tokens=9, output_tokens=4)
    assert facts(start, end, MESSAGE_STOP).prompt_tokens == 40


def test_a_stream_that_breaks_off_knows_its_input_and_no_output() -> None:
    found = facts(*ANTHROPIC[:10])
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (40, None, None)
    assert (found.terminal, found.finish_reason, found.tool_call_count) == (False, None, 0)


def test_an_error_in_the_middle_is_told_in_the_servers_words() -> None:
    found = facts(*ANTHROPIC[:10], named("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert found.error == ErrorFacts(type="overloaded_error", message="Overloaded")
    assert not found.terminal


def test_a_stop_reason_without_its_last_event_is_an_end() -> None:
    assert facts(MESSAGE_START, message_delta("max_tokens", output_tokens=4)).terminal
    assert facts(MESSAGE_START, MESSAGE_STOP).terminal


def test_a_stream_without_its_beginning_is_read_all_the_same() -> None:
    found = facts(text_delta("x"), message_delta(output_tokens=4), MESSAGE_STOP)
    assert (found.completion_tokens, found.response_model, found.tool_call_count) == (4, None, None)
