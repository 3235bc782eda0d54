"""Cohere's version 1: whole answers, and streams of lines or of server-sent events."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.wire.apis.cohere_v1 import CohereV1BodyReader, CohereV1StreamReader
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, SAW_VISIBLE, ErrorFacts
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.sse import SseReader
from tests.wire.bedrock_streams import COHERE_META, COHERE_V1, COHERE_V1_ANSWER
from tests.wire.counted import Read, counted
from tests.wire.streams import compact, facts_of


def body(answer: object) -> Read:
    return facts_of(CohereV1BodyReader, json.dumps(answer).encode())


def test_a_whole_answer_of_chat() -> None:
    facts = body(COHERE_V1_ANSWER)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens) == (13, 3, 16)
    assert (facts.finish_reason, facts.tool_call_count, facts.response_id) == ("COMPLETE", 1, "r")


def test_a_whole_answer_of_generate() -> None:
    generations = [{"id": "1", "text": "Hi", "finish_reason": "MAX_TOKENS"}, {"id": "2", "text": "Ho"}]
    facts = body({"id": "g", "generations": generations, "prompt": "Hi", "meta": COHERE_META})
    assert (facts.prompt_tokens, facts.finish_reason, facts.response_id) == (13, "MAX_TOKENS", "g")
    assert body({"generations": [{"finish_reason": "ERROR"}]}).error == ErrorFacts(type="error")


def event_stream(lines: list[bytes]) -> list[bytes]:
    return [b"event: x\ndata: " + line + b"\n" for line in lines]


@pytest.mark.parametrize(("stream", "frame"), [(COHERE_V1, NdjsonReader), (event_stream(COHERE_V1), SseReader)])
def test_a_stream_of_lines_or_of_events(stream: list[bytes], frame: type[NdjsonReader | SseReader]) -> None:
    def make() -> CohereV1StreamReader:
        made = CohereV1StreamReader()
        made.frame_by(frame)
        return made

    reader = make()
    assert [reader.feed(each) for each in stream] == [0, SAW_VISIBLE, SAW_VISIBLE, SAW_VISIBLE, SAW_TERMINAL]
    facts = facts_of(make, *stream)
    assert facts == counted(reader)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.total_tokens) == (13, 3, 16)
    assert (facts.finish_reason, facts.tool_call_count, facts.response_id) == ("COMPLETE", 1, "r")
    assert (facts.terminal, facts.malformed, facts.content_chunks) == (True, False, 3)


def test_a_last_line_without_its_end_is_read() -> None:
    assert facts_of(CohereV1StreamReader, b"".join(COHERE_V1)[:-1]).prompt_tokens == 13


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (
            {"event_type": "stream-error", "finish_reason": "ERROR", "err": "broke"},
            ErrorFacts(type="error", message="broke"),
        ),
        ({"event_type": "stream-error", "err": "broke"}, ErrorFacts(message="broke")),
        ({"event_type": "stream-end", "finish_reason": "ERROR_TOXIC"}, ErrorFacts(type="error_toxic")),
    ],
)
def test_an_error_in_a_stream_is_told(last: dict[str, Any], error: ErrorFacts) -> None:
    reader = CohereV1StreamReader()
    reader.feed(COHERE_V1[1])
    assert reader.feed(compact(last) + b"\n") & SAW_ERROR
    facts = reader.finish()
    assert (facts.error, facts.content_chunks) == (error, 1)


def test_the_id_of_the_first_event_serves_where_the_last_has_none() -> None:
    end = compact({"is_finished": True, "finish_reason": "COMPLETE"}) + b"\n"
    facts = facts_of(CohereV1StreamReader, *COHERE_V1[:2], end)
    assert (facts.response_id, facts.finish_reason, facts.terminal) == ("g", "COMPLETE", True)
    assert facts.usage_source == "none"


def test_pieces_of_a_call_are_output() -> None:
    line = compact({"event_type": "tool-calls-chunk", "tool_call_delta": {"name": "look", "index": 0}}) + b"\n"
    assert CohereV1StreamReader().feed(line) == SAW_VISIBLE
