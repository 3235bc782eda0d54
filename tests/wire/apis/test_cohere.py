"""Cohere's version 2: requests, the two ways in which it counts, whole answers and streams."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.wire.apis.cohere import CohereBodyReader, CohereRequest, CohereStreamReader, cohere_tokens
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_TERMINAL,
    SAW_TOKEN,
    SAW_VISIBLE,
    ErrorFacts,
    RequestFacts,
)
from llm_metrics_proxy.wire.facts import Usage
from tests.wire.bedrock_streams import COHERE, COHERE_ANSWER, COHERE_USAGE, told
from tests.wire.counted import Read, counted
from tests.wire.streams import facts_of, named


@pytest.mark.parametrize(
    ("asked", "facts"),
    [
        ({"model": "command-a", "messages": [{}, {}], "stream": True, "max_tokens": 9, "temperature": 0.5, "p": 0.9,
          "tools": [{}]},
         RequestFacts(model="command-a", is_streaming=True, max_tokens=9, temperature=0.5, top_p=0.9, message_count=2,
                      tool_count=1)),
        ({"message": "Hi", "chat_history": [{}, {}]}, RequestFacts(message_count=3)),
        ({"prompt": "Hi", "num_generations": 2}, RequestFacts(message_count=1, choice_count=2)),
        ({"model": "embed-v4.0", "texts": ["a", "b"]}, RequestFacts(model="embed-v4.0", message_count=2)),
        ({"images": ["data:"]}, RequestFacts(message_count=1)),
        ({"inputs": [{"content": []}] * 3}, RequestFacts(message_count=3)),
    ],
)  # fmt: skip
def test_a_request(asked: dict[str, Any], facts: RequestFacts) -> None:
    assert CohereRequest.read(json.dumps(asked).encode()) == facts


BILLED = {"input_tokens": 431, "output_tokens": 20}
READ = {"input_tokens": 2190.0, "output_tokens": 24.0}


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        ({"billed_units": BILLED, "tokens": READ, "cached_tokens": 64}, Usage(431, 20, 451, 64)),
        ({"billed_units": BILLED, "tokens": READ, "cached_tokens": 2048.0}, Usage(431, 20, 451)),
        ({"tokens": READ, "cached_tokens": 2048}, Usage(2190, 24, 2214, 2048)),
        ({"billed_units": {"search_units": 1}, "tokens": {"input_tokens": 8}}, Usage(8)),
        ({"billed_units": {"input_tokens": 5}}, Usage(5)),
        ({"billed_units": {"search_units": 1}}, Usage()),
        ({"billed_units": {"input_tokens": 5, "output_tokens": 1.5}}, Usage(5, rejected=True)),
        ({"billed_units": {"input_tokens": -1, "output_tokens": 2}, "cached_tokens": 1}, Usage(None, 2, rejected=True)),
        ({"billed_units": BILLED, "cached_tokens": "x"}, Usage(431, 20, 451, rejected=True)),
        ({"billed_units": 7, "tokens": []}, Usage()),
    ],
)
def test_the_billed_tokens_count_and_the_models_own_only_without_them(report: dict[str, Any], usage: Usage) -> None:
    assert cohere_tokens({"usage": report}) == cohere_tokens({"meta": report}) == usage
    assert cohere_tokens({}) == Usage()


def body(answer: object) -> Read:
    return facts_of(CohereBodyReader, json.dumps(answer).encode())


def test_a_whole_answer() -> None:
    facts = body(COHERE_ANSWER)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens, facts.cached_tokens) == (431, 20, 451, 64)
    assert (facts.finish_reason, facts.tool_call_count, facts.response_id) == ("TOOL_CALL", 1, "29f14a5a")
    assert (facts.terminal, facts.error) == (True, None)


def test_embeddings_as_large_as_they_come_say_what_was_billed() -> None:
    vectors = {"float": [[0.123456] * 1536] * 40}
    facts = body({"id": "e", "embeddings": vectors, "meta": {"billed_units": {"input_tokens": 160, "image_tokens": 0}}})
    assert (facts.prompt_tokens, facts.completion_tokens, facts.response_id) == (160, None, "e")
    assert facts.tool_call_count is None


@pytest.mark.parametrize(
    ("reason", "kind"), [("ERROR", "error"), ("TIMEOUT", "timeout"), ("ERROR_TOXIC", "error_toxic")]
)
def test_an_answer_that_failed_is_an_error_whatever_its_status(reason: str, kind: str) -> None:
    assert body({**COHERE_ANSWER, "finish_reason": reason}).error == ErrorFacts(type=kind)
    reader = CohereStreamReader()
    end = named("message-end", delta={"finish_reason": reason, "error": "it broke"})
    assert reader.feed(end) == SAW_TERMINAL | SAW_ERROR
    assert reader.finish().error == ErrorFacts(type=kind, message="it broke")


def test_a_stream_is_read_and_a_tool_plan_is_reasoning() -> None:
    reader = CohereStreamReader()
    seen = [reader.feed(each) for each in COHERE]
    assert seen == [
        0, SAW_TOKEN, SAW_TOKEN, 0, SAW_TOKEN, 0, 0, SAW_VISIBLE, SAW_VISIBLE, SAW_VISIBLE, 0, 0, 0, SAW_VISIBLE,
        SAW_VISIBLE, SAW_VISIBLE, 0, SAW_TERMINAL,
    ]  # fmt: skip
    facts = facts_of(CohereStreamReader, *COHERE)
    assert facts == counted(reader)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens, facts.cached_tokens) == (431, 20, 451, 64)
    assert (facts.finish_reason, facts.tool_call_count, facts.response_id) == ("TOOL_CALL", 1, "29f14a5a")
    assert (facts.terminal, facts.malformed, facts.error, facts.content_chunks) == (True, False, None, 9)


def test_nothing_but_text_makes_no_output_of_citations_and_calls() -> None:
    reader = CohereStreamReader()
    assert reader.feed(told("citation-start", citations={"text": "Hello"})) == 0
    assert reader.feed(told("tool-call-delta", tool_calls={"function": {"arguments": ""}})) == 0
    assert reader.feed(named("debug", prompt="all of it")) == 0
    assert reader.feed(named("x", error={"message": "no"})) == SAW_ERROR


def test_an_end_without_a_report_has_no_counts() -> None:
    assert facts_of(CohereStreamReader, *COHERE[:-1]).usage_source == "none"
    assert COHERE_USAGE["tokens"] == READ
