"""Bedrock's InvokeModel: each maker's words, in whole answers and in streams."""

import base64
import json
from typing import Any

import pytest

from llm_metrics_proxy.wire.apis.bedrock_invoke import (
    InvokeBodyReader,
    InvokeRequest,
    InvokeStreamReader,
    InvokeStreamRequest,
    invoke_tokens,
)
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.head_counts import read_counts, with_head
from llm_metrics_proxy.wire.token_counts import tokens_from
from tests.wire.apis.test_anthropic import ANSWER as MESSAGE
from tests.wire.aws_messages import chunk, event, exception
from tests.wire.bedrock_streams import COHERE_V1_ANSWER, CONVERSE_ANSWER, INVOKED, INVOKED_CLAUDE, METRICS
from tests.wire.counted import Read, counted
from tests.wire.streams import facts_of

HELLO = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"anthropic_version": "bedrock-2023-05-31", "messages": HELLO, "max_tokens": 9, "top_p": 0.5, "tools": [{}]},
         RequestFacts(max_tokens=9, top_p=0.5, message_count=1, tool_count=1)),
        ({"messages": HELLO, "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25}},
         RequestFacts(max_tokens=9, temperature=0.5, top_p=0.25, message_count=1)),
        ({"messages": HELLO, "inferenceConfig": {"max_new_tokens": 9}}, RequestFacts(max_tokens=9, message_count=1)),
        ({"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 9, "temperature": 0.5, "topP": 1.0}},
         RequestFacts(max_tokens=9, temperature=0.5, top_p=1.0, message_count=1)),
        ({"prompt": "Hi", "max_gen_len": 9, "temperature": 0.5},
         RequestFacts(max_tokens=9, temperature=0.5, message_count=1)),
        ({"message": "Hi", "max_tokens": 9, "p": 0.5}, RequestFacts(max_tokens=9, top_p=0.5, message_count=1)),
        ({"texts": ["a", "b"], "input_type": "search_query"}, RequestFacts(message_count=2)),
        ({"messages": HELLO, "max_completion_tokens": 9}, RequestFacts(max_tokens=9, message_count=1)),
        ([], RequestFacts()),
    ],
)  # fmt: skip
def test_a_request_in_any_makers_words(asked: object, told: RequestFacts) -> None:
    assert InvokeRequest.read(json.dumps(asked).encode()) == told


def test_its_path_says_whether_it_streams() -> None:
    assert InvokeStreamRequest.read(b'{"prompt":"Hi"}').is_streaming


ANSWERS: dict[str, tuple[dict[str, Any], Usage | None, str | None, int | None]] = {
    "claude": ({**MESSAGE, "stop_reason": "tool_use",
                "usage": {"input_tokens": 5, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 10,
                          "output_tokens": 7}},
               Usage(35, 7, 42, 20, cache_write_tokens=10), "tool_use", 1),
    "nova": ({key: CONVERSE_ANSWER[key] for key in ("output", "stopReason", "usage")},
             Usage(7520, 386, 7906, 2, cache_write_tokens=7500), "tool_use", 1),
    "titan": ({"inputTextTokenCount": 5,
               "results": [{"tokenCount": 3, "outputText": "Hi", "completionReason": "FINISH"}]},
              Usage(5, 3, 8), "FINISH", 0),
    "titan embeddings": ({"embedding": [0.1] * 9, "inputTextTokenCount": 5}, Usage(5), None, None),
    "llama": ({"generation": "Hi", "prompt_token_count": 5, "generation_token_count": 3, "stop_reason": "stop"},
              Usage(5, 3, 8), "stop", None),
    "mistral": ({"outputs": [{"text": "Hi", "stop_reason": "length"}]}, None, "length", 0),
    "mistral chat": ({"choices": [{"index": 0, "message": {"content": "", "tool_calls": [{}, {}]},
                                   "stop_reason": "tool_calls"}]}, None, "tool_calls", 2),
    "gpt-oss": ({"id": "c", "model": "m", "choices": [{"finish_reason": "stop", "message": {"content": "Hi"}}],
                 "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}, Usage(5, 3, 8), "stop", 0),
    "command": ({"generations": [{"finish_reason": "COMPLETE", "text": "Hi"}], "id": "c", "prompt": "Hi"},
                None, "COMPLETE", 0),
    "command-r": ({key: COHERE_V1_ANSWER[key] for key in ("text", "finish_reason", "tool_calls", "generation_id")},
                  None, "COMPLETE", 1),
    "pictures": ({"images": ["A" * 400_000]}, None, None, None),
}  # fmt: skip


def counts(facts: Read) -> Usage | None:
    found = Usage(
        facts.prompt_tokens, facts.completion_tokens, facts.total_tokens, facts.cached_tokens,
        facts.reasoning_tokens, facts.usage_rejected, facts.cache_write_tokens,
    )  # fmt: skip
    return None if found == Usage() else found


@pytest.mark.parametrize("name", ANSWERS)
def test_a_whole_answer_in_any_makers_words(name: str) -> None:
    answer, usage, reason, calls = ANSWERS[name]
    facts = facts_of(InvokeBodyReader, json.dumps(answer).encode())
    assert counts(facts) == usage
    assert (facts.finish_reason, facts.tool_call_count) == (reason, calls)
    assert (facts.terminal, facts.malformed, facts.error) == (True, False, None)


@pytest.mark.parametrize("odd", [[], {}, 7, [[[]]]])
@pytest.mark.parametrize("name", ["type", "stop_reason", "finish_reason", "message", "text", "toolUse", "tokenCount"])
def test_a_value_of_another_type_costs_no_other(name: str, odd: object) -> None:
    parts = [{name: odd}, {"type": "tool_use", "finish_reason": "stop"}]
    usage = {"input_tokens": 5, "output_tokens": 3}
    answer = {"content": parts, "choices": parts, "output": {"message": {"content": parts}}, name: odd, "usage": usage}
    facts = facts_of(InvokeBodyReader, json.dumps(answer).encode())
    assert (facts.prompt_tokens, facts.tool_call_count, facts.finish_reason) == (5, 1, "stop")


HEAD = {
    "x-amzn-bedrock-input-token-count": b"70", "x-amzn-bedrock-output-token-count": b"30",
    "x-amzn-bedrock-cache-read-input-token-count": b"5", "x-amzn-bedrock-invocation-latency": b"926",
}  # fmt: skip


def with_head_counted(answer: object, fields: dict[str, bytes]) -> tuple[ResponseFacts, Usage | None]:
    """The facts of an answer with such a head, and its counts."""
    reader, counts = InvokeBodyReader(), read_counts(fields)
    assert counts is not None
    reader.feed(json.dumps(answer).encode())
    facts = with_head(reader.finish(), counts)
    return facts, tokens_from(facts.usage_reported or "", "bedrock_invoke")


@pytest.mark.parametrize("name", ANSWERS)
def test_what_the_head_counted_counts(name: str) -> None:
    """As much as the body says where it says anything; all there is where it does not."""
    facts, usage = with_head_counted(ANSWERS[name][0], HEAD)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.cached_tokens) == (75, 30, 105, 5)
    assert facts.further == {"server_total_ms": 926}


def test_an_embeddings_answers_head_counts_its_input_alone() -> None:
    answer = {"embeddings": [[0.5]], "response_type": "embeddings_floats"}
    assert with_head_counted(answer, {"x-amzn-bedrock-input-token-count": b"7"})[1] == Usage(7)


@pytest.mark.parametrize("name", INVOKED)
def test_a_stream_of_any_maker(name: str) -> None:
    stream, reason = INVOKED[name]
    facts = facts_of(InvokeStreamReader, *stream)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens) == (5, 3, 8)
    assert (facts.finish_reason, facts.further) == (reason, {"server_total_ms": 900})
    assert (facts.terminal, facts.malformed, facts.error, facts.usage_source) == (True, False, None, "reported")
    assert facts.content_chunks in {1, 2}


def test_claudes_stream_is_read_as_anthropics_and_bedrocks_counts_are_its_counts() -> None:
    facts = facts_of(InvokeStreamReader, *INVOKED_CLAUDE)
    assert counts(facts) == Usage(7 + 14486 + 2238, 126, 16857, 14486, cache_write_tokens=2238)
    assert (facts.response_model, facts.response_id, facts.finish_reason) == (
        "claude-sonnet-4-5",
        "msg_bdrk_1",
        "tool_use",
    )
    assert (facts.tool_call_count, facts.content_chunks, facts.further) == (1, 4, {"server_total_ms": 4069})


@pytest.mark.parametrize("name", [name for name in INVOKED if not name.startswith(("mistral", "deepseek", "command"))])
def test_a_makers_own_counts_stand_in_for_missing_ones_of_bedrock(name: str) -> None:
    inner = [
        json.loads(base64.b64decode(json.loads(each[each.index(b'{"') : -4])["bytes"])) for each in INVOKED[name][0]
    ]
    inner[-1].pop("amazon-bedrock-invocationMetrics")
    facts = facts_of(InvokeStreamReader, *map(chunk, inner))
    assert (facts.prompt_tokens, facts.completion_tokens, facts.further) == (5, 3, None)


def test_a_stream_that_broke_off_after_its_first_event_knows_no_output() -> None:
    assert counts(facts_of(InvokeStreamReader, INVOKED_CLAUDE[0])) == Usage(
        16731, None, None, 14486, cache_write_tokens=2238
    )


@pytest.mark.parametrize("value", ["12", -1, 2**41, True, 1.5])
def test_nonsense_is_refused_and_told(value: object) -> None:
    found = invoke_tokens({"amazon-bedrock-invocationMetrics": {**METRICS, "outputTokenCount": value}})
    assert found == Usage(16731, None, None, 14486, rejected=True, cache_write_tokens=2238)


def test_errors_of_bedrock_and_of_the_maker_are_errors() -> None:
    reader = InvokeStreamReader()
    reader.feed(INVOKED_CLAUDE[0])
    assert reader.feed(exception("modelStreamErrorException", {"message": "m"})) == SAW_ERROR
    assert reader.finish().error == ErrorFacts(type="modelStreamErrorException", message="m")
    reader = InvokeStreamReader()
    overloaded = chunk({"type": "error", "error": {"type": "overloaded_error", "message": "o"}})
    assert reader.feed(INVOKED_CLAUDE[0] + overloaded) == SAW_ERROR
    assert reader.finish().error == ErrorFacts(type="overloaded_error", message="o")


@pytest.mark.parametrize(
    "odd",
    [
        event("chunk", {"bytes": "*"}),
        event("chunk", {"bytes": 7}),
        event("chunk", {"bytes": "ä"}),
        chunk(b"no JSON"),
        chunk(b"[1]"),
    ],
)
def test_a_chunk_that_cannot_be_read_is_told_and_spoils_no_other(odd: bytes) -> None:
    facts = facts_of(InvokeStreamReader, INVOKED_CLAUDE[0], odd, *INVOKED_CLAUDE[1:])
    assert (facts.malformed, facts.completion_tokens, facts.content_chunks) == (True, 126, 4)


def test_an_empty_chunk_is_nothing() -> None:
    assert InvokeStreamReader().feed(event("chunk", {"p": "abc"})) == 0
    assert InvokeStreamReader().finish() == ResponseFacts(content_chunks=0)


def test_bedrocks_counts_end_a_stream_though_its_maker_is_not_known() -> None:
    reader = InvokeStreamReader()
    assert reader.feed(chunk({"new": 1, "amazon-bedrock-invocationMetrics": METRICS})) == SAW_TERMINAL
    assert counted(reader).completion_tokens == 126
