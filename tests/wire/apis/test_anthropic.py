"""Anthropic Messages: requests, token counts, whole answers and streams."""

import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.anthropic import (
    AnthropicBodyReader,
    AnthropicRequest,
    AnthropicStreamReader,
    anthropic_tokens,
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
from llm_metrics_proxy.wire.identity import claimed
from llm_metrics_proxy.wire.usage_reports import UsageReports
from tests.wire.counted import Read
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


def usage(*reports: Any) -> Usage:
    found = UsageReports()
    for report in reports:
        found.take("usage", deepcopy(report))
    return anthropic_tokens(found.merged)


FULL = {"input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 7}


def test_the_prompt_holds_what_came_from_the_cache_and_what_went_there() -> None:
    assert usage(FULL) == Usage(35, 7, 42, cached_tokens=20, cache_write_tokens=10)


def test_a_later_report_replaces_and_is_never_added() -> None:
    assert usage(FULL, {"output_tokens": 9}, {"output_tokens": 12}) == Usage(
        35, 12, 47, cached_tokens=20, cache_write_tokens=10
    )
    assert usage({"input_tokens": 0}, {"input_tokens": 30, "output_tokens": 2}) == Usage(30, 2, 32)


@pytest.mark.parametrize("nothing", [0, None])
def test_a_zero_or_null_never_replaces_more(nothing: object) -> None:
    assert usage(FULL, dict.fromkeys(FULL, nothing)) == usage(FULL)


def test_the_first_report_of_a_stream_knows_no_output_yet() -> None:
    assert anthropic_tokens({"message.usage": {"input_tokens": 25, "output_tokens": 1}}) == Usage(25)


@pytest.mark.parametrize("value", ["12", -1, 2**41, True, 1.5, [], {}])
def test_nonsense_is_refused_and_told_and_spoils_no_sum(value: object) -> None:
    assert usage(FULL | {"output_tokens": value}) == Usage(
        35, None, None, cached_tokens=20, rejected=True, cache_write_tokens=10
    )
    assert usage(FULL | {"cache_read_input_tokens": value}) == Usage(
        None, 7, None, rejected=True, cache_write_tokens=10
    )
    assert usage(FULL | {"input_tokens": value}, {"input_tokens": 5}) == usage(FULL)


@pytest.mark.parametrize("report", [None, 7, "x", [], {}])
def test_what_is_no_report_reports_nothing(report: object) -> None:
    assert usage(report) == Usage()


COMPACTION: dict[str, Any] = {
    "type": "compaction", "input_tokens": 180, "output_tokens": 35, "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 8, "cache_creation": {"ephemeral_5m_input_tokens": 8},
}  # fmt: skip
MESSAGE = {"type": "message", "input_tokens": 5, "output_tokens": 7}


def test_a_compaction_is_in_no_top_level_count_and_is_added() -> None:
    found = usage(FULL | {"iterations": [COMPACTION, MESSAGE]})
    assert found == Usage(35 + 208, 42, 285, cached_tokens=40, cache_write_tokens=18, cache_write_5m_tokens=None)
    twice = usage({"input_tokens": 5, "output_tokens": 7, "iterations": [COMPACTION, MESSAGE, COMPACTION, MESSAGE]})
    assert (twice.prompt_tokens, twice.completion_tokens) == (5 + 2 * 180, 7 + 2 * 35)


@pytest.mark.parametrize("kind", ["message", "fallback_message", "advisor_message", "of_tomorrow", None, 7])
def test_other_iterations_are_counted_above_or_are_another_models(kind: object) -> None:
    assert usage(FULL | {"iterations": [MESSAGE | {"type": kind}]}) == usage(FULL)


@pytest.mark.parametrize("iterations", [None, 7, "x", {}, [None, 7, "x", []]])
def test_iterations_that_are_none_change_nothing(iterations: object) -> None:
    assert usage(FULL | {"iterations": iterations}) == usage(FULL)


def test_a_count_of_a_compaction_that_is_none_is_refused() -> None:
    found = usage(FULL | {"iterations": [COMPACTION | {"output_tokens": -1}]})
    assert (found.prompt_tokens, found.completion_tokens, found.rejected) == (243, None, True)


def test_thinking_is_the_reasoning_and_cache_writes_have_lifetimes() -> None:
    found = usage(FULL | {"output_tokens_details": {"thinking_tokens": 3},
                          "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 6},
                          "iterations": [COMPACTION]})  # fmt: skip
    assert (found.reasoning_tokens, found.cache_write_5m_tokens, found.cache_write_1h_tokens) == (3, 12, 6)


def test_the_end_of_a_stream_completes_what_its_beginning_said() -> None:
    start = {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 2}}
    found = anthropic_tokens({"message.usage": start, "usage": {"input_tokens": 5, "cache_read_input_tokens": 15,
                                                                "output_tokens": 5}})  # fmt: skip
    assert found == Usage(20, 5, 25, 15, cache_write_tokens=0, cache_write_1h_tokens=2)


ANSWER: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
    "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, {"type": "text", "text": "Hi!"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1, {"b": "}"}]}}],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 5, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 20, "output_tokens": 7,
              "service_tier": "priority", "cache_creation": {"ephemeral_5m_input_tokens": 10}},
}  # fmt: skip
FACTS = Read(
    response_model="claude-x", finish_reason="tool_use", prompt_tokens=35, completion_tokens=7, total_tokens=42,
    cached_tokens=20, cache_write_tokens=10, usage_source=UsageSource.REPORTED, terminal=True, tool_call_count=1,
    service_tier="priority", response_id="msg_1",
)  # fmt: skip


def whole_facts(body: bytes) -> Read:
    """The same for small and large bodies, or this fails."""
    large = facts_of(lambda: AnthropicBodyReader(1), body)
    assert facts_of(AnthropicBodyReader, body) == large
    return large


def test_a_whole_answer() -> None:
    assert whole_facts(json.dumps(ANSWER).encode()) == FACTS
    assert whole_facts(json.dumps(ANSWER, indent=2).encode()) == FACTS


def test_an_error_with_a_good_status_is_an_error() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert whole_facts(json.dumps(body).encode()).error == ErrorFacts(type="overloaded_error", message="Overloaded")


@pytest.mark.parametrize("field", list(ANSWER))
@pytest.mark.parametrize("wrong", [7, "x", None, [[]], {"a": 1}, True])
def test_a_wrongly_typed_value_costs_only_its_own_facts(field: str, wrong: object) -> None:
    found = whole_facts(json.dumps(ANSWER | {field: wrong}).encode())
    assert found.terminal
    assert (found.total_tokens == 42) == (field != "usage")
    assert (found.response_model == "claude-x") == (field != "model")


def test_a_request_is_read() -> None:
    body = {
        "model": "claude-x", "max_tokens": 1024, "stream": True, "temperature": 0.5, "top_p": 0.9, "system": "Be brief",
        "metadata": {"user_id": "u-1"}, "tools": [{"name": "f"}],
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
    }  # fmt: skip
    facts = AnthropicRequest.read(json.dumps(body).encode())
    assert claimed(facts.claims or {}, "metadata.user_id") == "u-1"
    assert msgspec.structs.replace(facts, claims=None) == RequestFacts(
        model="claude-x", is_streaming=True, max_tokens=1024, temperature=0.5, top_p=0.9, message_count=2,
        tool_count=1,
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"model":7,"messages":5,"metadata":"x"}'])
def test_an_odd_request_has_no_facts(body: bytes) -> None:
    facts = AnthropicRequest.read(body)
    assert claimed(facts.claims or {}, "metadata.user_id") is None
    assert msgspec.structs.replace(facts, claims=None) == RequestFacts()


VISIBLE = SAW_TOKEN | SAW_OUTPUT


def stream_facts(*events: bytes) -> Read:
    return facts_of(AnthropicStreamReader, *events)


def test_a_stream_with_thinking_text_and_a_tool_call() -> None:
    assert stream_facts(*ANTHROPIC) == Read(
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
        (block_start(type="compaction", content=None), 0),
        (block_start(type="compaction", content="So far: x"), SAW_TOKEN),
        (block_delta(type="compaction_delta", content="So far"), SAW_TOKEN),
        (block_start(type="web_search_tool_result", content=[{"title": "x"}]), 0),
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
    assert stream_facts(event).content_chunks == bool(bits & SAW_TOKEN)
    assert not stream_facts(event).malformed


def test_usage_in_message_delta_is_cumulative_and_replaces() -> None:
    found = stream_facts(
        MESSAGE_START, message_delta(None, output_tokens=5), message_delta(output_tokens=15), MESSAGE_STOP
    )
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (40, 15, 55)


def test_gateways_that_know_the_input_only_at_the_end_are_believed_then() -> None:
    start = named("message_start", message={"id": "m", "model": "x", "usage": {"input_tokens": 0, "output_tokens": 0}})
    end = message_delta(input_tokens=31, cache_read_input_tokens=9, output_tokens=4)
    assert stream_facts(start, end, MESSAGE_STOP).prompt_tokens == 40


def test_a_stream_that_breaks_off_knows_its_input_and_no_output() -> None:
    found = stream_facts(*ANTHROPIC[:10])
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (40, None, None)
    assert (found.terminal, found.finish_reason, found.tool_call_count) == (False, None, 0)


def test_an_error_in_the_middle_is_told_in_the_servers_words() -> None:
    found = stream_facts(*ANTHROPIC[:10], named("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert found.error == ErrorFacts(type="overloaded_error", message="Overloaded")
    assert not found.terminal


def test_a_stop_reason_without_its_last_event_is_an_end() -> None:
    assert stream_facts(MESSAGE_START, message_delta("max_tokens", output_tokens=4)).terminal
    assert stream_facts(MESSAGE_START, MESSAGE_STOP).terminal


def test_a_stream_without_its_beginning_is_read_all_the_same() -> None:
    found = stream_facts(text_delta("x"), message_delta(output_tokens=4), MESSAGE_STOP)
    assert (found.completion_tokens, found.response_model, found.tool_call_count) == (4, None, None)
