"""Bedrock's Converse: requests, token counts, whole answers and streams."""

import json
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.wire.apis.bedrock_converse import (
    ConverseBodyReader,
    ConverseRequest,
    ConverseStreamReader,
    ConverseStreamRequest,
    converse_tokens,
)
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_OUTPUT,
    SAW_TERMINAL,
    SAW_TOKEN,
    SAW_VISIBLE,
    ErrorFacts,
    RequestFacts,
)
from llm_metrics_proxy.wire.facts import Usage
from tests.wire.aws_messages import error, event, exception
from tests.wire.bedrock_streams import CONVERSE, CONVERSE_ANSWER, delta
from tests.wire.counted import Read, counted
from tests.wire.streams import facts_of

ASKED: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": "Hi"}]}] * 3, "system": [{"text": "Be brief."}],
    "inferenceConfig": {"maxTokens": 99, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
    "toolConfig": {"tools": [{"toolSpec": {}}, {"toolSpec": {}}]},
}  # fmt: skip


def test_a_request_says_what_it_asks_for_and_its_path_whether_it_streams() -> None:
    body = json.dumps(ASKED).encode()
    told = RequestFacts(max_tokens=99, temperature=0.5, top_p=0.9, message_count=3, tool_count=2)
    assert ConverseRequest.read(body) == told
    assert ConverseStreamRequest.read(body).is_streaming
    assert ConverseRequest.read(b"{}") == RequestFacts()
    assert ConverseRequest.read(b'{"inferenceConfig":7,"toolConfig":[],"messages":"x"}') == RequestFacts()


def test_the_prompt_holds_what_came_from_the_cache_and_what_went_there() -> None:
    counts = {"inputTokens": 18, "outputTokens": 386, "totalTokens": 7906}
    cached = {"cacheReadInputTokens": 2, "cacheWriteInputTokens": 7500}
    assert converse_tokens({"usage": counts | cached}) == Usage(7520, 386, 7906, 2, cache_write_tokens=7500)
    assert converse_tokens({"usage": {"inputTokens": 5, "outputTokens": 2}}) == Usage(5, 2, 7)


@pytest.mark.parametrize("value", ["12", -1, 2**41, True, 1.5, [], {}])
def test_nonsense_is_refused_and_told(value: object) -> None:
    assert converse_tokens({"usage": {"inputTokens": 5, "outputTokens": value}}) == Usage(5, rejected=True)
    counts = {"inputTokens": 5, "cacheReadInputTokens": value, "outputTokens": 2}
    assert converse_tokens({"usage": counts}) == Usage(None, 2, rejected=True)


def body(answer: object) -> Read:
    return facts_of(ConverseBodyReader, json.dumps(answer).encode())


def test_a_whole_answer() -> None:
    facts = body(CONVERSE_ANSWER)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens) == (7520, 386, 7906)
    assert (facts.cached_tokens, facts.cache_write_tokens, facts.usage_source) == (2, 7500, "reported")
    assert (facts.finish_reason, facts.tool_call_count, facts.service_tier) == ("tool_use", 1, "priority")
    assert (facts.response_model, facts.further) == ("arn:aws:bedrock:::m", {"server_total_ms": 1207})
    assert (facts.terminal, facts.malformed, facts.error, facts.content_chunks) == (True, False, None, None)


def test_a_large_answer_says_the_same() -> None:
    content = [{"text": "x" * 700_000}, *CONVERSE_ANSWER["output"]["message"]["content"]]
    large = {**CONVERSE_ANSWER, "output": {"message": {"content": content}}}
    assert body(large) == body(CONVERSE_ANSWER)


def test_a_picture_of_many_megabytes_passes_in_bounded_memory_and_all_behind_it_is_read() -> None:
    """By its checksum too: the message is not held."""
    picture = delta(3, image={"source": {"bytes": "A" * 3_000_000}})
    facts = facts_of(ConverseStreamReader, *CONVERSE[:6], picture, *CONVERSE[6:])
    assert facts == msgspec.structs.replace(facts_of(ConverseStreamReader, *CONVERSE), content_chunks=7)
    spoilt = bytearray(picture)
    spoilt[2_000_000] ^= 1
    facts = facts_of(ConverseStreamReader, *CONVERSE[:6], bytes(spoilt), *CONVERSE[6:])
    assert (facts.malformed, facts.terminal, facts.content_chunks) == (True, False, 3)


def test_a_stream_is_read_and_only_what_was_generated_is_a_token() -> None:
    reader = ConverseStreamReader()
    seen = [reader.feed(each) for each in CONVERSE]
    nothing, text = 0, SAW_VISIBLE
    assert seen == [
        nothing, SAW_TOKEN, nothing, nothing, text, text, nothing, text, nothing, text, text, nothing, SAW_TERMINAL, 0
    ]  # fmt: skip
    facts = facts_of(ConverseStreamReader, *CONVERSE)
    assert facts == counted(reader)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens) == (7520, 386, 7906)
    assert (facts.finish_reason, facts.tool_call_count, facts.content_chunks) == ("tool_use", 1, 6)
    assert (facts.service_tier, facts.further) == ("priority", {"server_total_ms": 1207})
    assert (facts.terminal, facts.malformed, facts.error) == (True, False, None)


def test_a_picture_and_hidden_thoughts_are_generated_and_results_of_the_servers_tools_are_not() -> None:
    reader = ConverseStreamReader()
    assert reader.feed(delta(0, image={"source": {"bytes": "AAAA"}})) & SAW_OUTPUT
    assert reader.feed(delta(0, reasoningContent={"redactedContent": "AAAA"})) == SAW_TOKEN
    assert reader.feed(delta(0, toolResult=[{"text": "found"}])) == 0
    assert reader.feed(delta(0, citation={"title": "t"})) == 0
    assert reader.feed(event("contentBlockStart", {"start": {"toolResult": {"toolUseId": "t"}}})) == 0


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        (exception("throttlingException", {"message": "Too many"}), "throttlingException", "Too many"),
        (exception("modelStreamErrorException", {"message": "m", "originalStatusCode": 500}),
         "modelStreamErrorException", "m"),
        (exception("validationException", {}), "validationException", None),
        (error("InternalFailure", "Sorry"), "InternalFailure", "Sorry"),
    ],
)  # fmt: skip
def test_an_exception_in_the_middle_is_an_error_with_its_type(message: bytes, kind: str, words: str | None) -> None:
    reader = ConverseStreamReader()
    reader.feed(b"".join(CONVERSE[:6]))
    assert reader.feed(message) == SAW_ERROR
    facts = reader.finish()
    assert (facts.error, facts.terminal, facts.content_chunks) == (ErrorFacts(type=kind, message=words), False, 3)


def test_a_stream_with_a_wrong_checksum_is_malformed_and_not_whole() -> None:
    spoilt = bytearray(b"".join(CONVERSE))
    spoilt[len(CONVERSE[0]) + 40] ^= 1
    facts = facts_of(ConverseStreamReader, bytes(spoilt))
    assert (facts.malformed, facts.terminal, facts.content_chunks, facts.prompt_tokens) == (True, False, 0, None)


@pytest.mark.parametrize("payload", [7, [], {"delta": 7}, {"usage": "x"}, {"start": 7}, {"stopReason": 7}])
def test_events_of_odd_shapes_say_nothing_and_spoil_nothing(payload: object) -> None:
    facts = facts_of(ConverseStreamReader, CONVERSE[0], event("odd", payload), *CONVERSE[1:])
    assert (facts.prompt_tokens, facts.finish_reason, facts.content_chunks) == (7520, "tool_use", 6)


def test_a_stream_that_breaks_off_anywhere_does_not_pass_for_whole() -> None:
    stream = b"".join(CONVERSE)
    for end in range(0, len(stream), 7):
        reader = ConverseStreamReader()
        reader.feed(stream[:end])
        found = reader.finish()
        assert not found.malformed
        assert found.terminal == (found.finish_reason is not None)
