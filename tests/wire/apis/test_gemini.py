"""The Gemini API: requests, whole answers, streams of both kinds, and what its counts are."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.gemini import (
    GEMINI_STREAM,
    GeminiArrayReader,
    GeminiBodyReader,
    GeminiRequest,
    GeminiStreamReader,
    GeminiStreamRequest,
    gemini_tokens,
)
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_OUTPUT,
    SAW_TERMINAL,
    SAW_TOKEN,
    ErrorFacts,
    RequestFacts,
    ResponseFacts,
    Verdict,
)
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.first_bytes import FirstBytes
from tests.wire.counted import Read, counted
from tests.wire.cuts import three_ways
from tests.wire.streams import GEMINI, facts_of, gemini_usage, generated, google_array, google_sse

VISIBLE = SAW_TOKEN | SAW_OUTPUT
COUNTED: dict[str, Any] = {
    "prompt_tokens": 12, "completion_tokens": 17, "total_tokens": 29, "cached_tokens": 4, "reasoning_tokens": 9,
    "usage_source": UsageSource.REPORTED,
}  # fmt: skip
NAMED: dict[str, Any] = {"response_model": "gemini-x", "response_id": "r1", "service_tier": "ON_DEMAND"}


def whole_facts(value: object) -> Read:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: GeminiBodyReader(1), body)
    assert facts_of(GeminiBodyReader, body) == large
    return large


# Requests


def test_a_request_is_read() -> None:
    body = {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}] * 3,
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "tools": [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}, {"googleSearch": {}}],
        "generationConfig": {
            "maxOutputTokens": 100, "temperature": 0.5, "topP": 0.9, "candidateCount": 2,
            "thinkingConfig": {"thinkingBudget": 0},
        },
    }  # fmt: skip
    assert GeminiRequest.read(json.dumps(body).encode()) == RequestFacts(
        max_tokens=100, temperature=0.5, top_p=0.9, choice_count=2, message_count=3, tool_count=3
    )


def test_names_may_be_written_with_underscores() -> None:
    body = {
        "contents": {"parts": [{"text": "Hi"}]}, "tools": [{"function_declarations": [{"name": "a"}, {"name": "b"}]}],
        "generation_config": {"max_output_tokens": 100, "temperature": 1, "top_p": 0.9, "candidate_count": 2},
    }  # fmt: skip
    assert GeminiRequest.read(json.dumps(body).encode()) == RequestFacts(
        max_tokens=100, temperature=1.0, top_p=0.9, choice_count=2, message_count=1, tool_count=2
    )


def test_the_path_says_the_model_and_whether_it_streams_not_the_body() -> None:
    body = json.dumps({"model": "models/other", "stream": True, "contents": []}).encode()
    assert GeminiRequest.read(body) == RequestFacts(message_count=0)
    assert GeminiStreamRequest.read(body) == RequestFacts(message_count=0, is_streaming=True)


@pytest.mark.parametrize("body", [b"", b"[]", b"x", b'{"contents": 7, "tools": {}, "generationConfig": 3}'])
def test_an_odd_request_has_no_facts(body: bytes) -> None:
    assert GeminiRequest.read(body) == RequestFacts()


def test_one_wrong_value_costs_that_value_alone() -> None:
    body = b'{"contents": [{}], "generationConfig": {"maxOutputTokens": "many", "topP": 0.5}}'
    assert GeminiRequest.read(body) == RequestFacts(message_count=1, top_p=0.5)


# Counts


@pytest.mark.parametrize(
    ("report", "usage"),
    [
        # The sum of all four is the total; what was cached is part of the prompt.
        ({"promptTokenCount": 500, "toolUsePromptTokenCount": 300, "candidatesTokenCount": 120,
          "thoughtsTokenCount": 10, "cachedContentTokenCount": 40, "totalTokenCount": 930},
         Usage(800, 130, 930, 40, 10)),
        # Thoughts that are counted among the candidates: the total says so.
        ({"promptTokenCount": 5, "candidatesTokenCount": 32, "thoughtsTokenCount": 30, "totalTokenCount": 37},
         Usage(5, 32, 37, None, 30)),
        # All was thought: the limit came before any text.
        ({"promptTokenCount": 5, "thoughtsTokenCount": 30, "totalTokenCount": 35}, Usage(5, 30, 35, None, 30)),
        # Counts that are zero are left out; what came is not known from this.
        ({"promptTokenCount": 11, "totalTokenCount": 11}, Usage(11, None, 11)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 2}, Usage(5, 2, 7)),
        ({"trafficType": "ON_DEMAND"}, Usage()),
        ({}, Usage()),
        # Nonsense is refused.
        ({"promptTokenCount": -1, "candidatesTokenCount": 2, "totalTokenCount": 3}, Usage(None, 2, 3, rejected=True)),
        ({"promptTokenCount": 5, "candidatesTokenCount": True, "thoughtsTokenCount": 1},
         Usage(5, None, None, None, 1, rejected=True)),
        ({"promptTokenCount": "5", "candidatesTokenCount": 2.0}, Usage(None, 2, None, rejected=True)),
    ],
)  # fmt: skip
def test_the_counts_of_a_report(report: dict[str, Any], usage: Usage) -> None:
    assert gemini_tokens({"usageMetadata": report}) == usage


def test_no_report_has_no_counts() -> None:
    assert gemini_tokens({}) == Usage()


# Whole answers


def test_an_answer() -> None:
    answer = {
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Let me see.", "thought": True}, {"text": "Hello"},
                {"functionCall": {"name": "f", "args": {"a": [{"b": "x" * 9000}]}}, "thoughtSignature": "A" * 9000},
                {"functionCall": {"id": "2", "name": "g"}},
                {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                {"inlineData": {"mimeType": "image/png", "data": "iVBO" * 4000}},
            ]},
            "finishReason": "STOP", "avgLogprobs": -0.1, "safetyRatings": [{"category": "X", "probability": "LOW"}],
            "groundingMetadata": {"groundingChunks": [{"web": {"uri": "https://example.org"}}] * 50},
        }],
        "usageMetadata": gemini_usage(12, cachedContentTokenCount=4, thoughtsTokenCount=9, candidatesTokenCount=8,
                                      totalTokenCount=29),
        "modelVersion": "gemini-x", "responseId": "r1",
    }  # fmt: skip
    assert whole_facts(answer) == Read(**NAMED, **COUNTED, finish_reason="STOP", tool_call_count=3, terminal=True)


def test_an_answer_of_many_megabytes_of_pictures_is_read() -> None:
    parts = [{"inlineData": {"mimeType": "image/png", "data": "A" * 2_000_000}}] * 3
    body = json.dumps(generated(*parts, finish="STOP", usage={"promptTokenCount": 3, "candidatesTokenCount": 2580}))
    reader = GeminiBodyReader()
    for start in range(0, len(body), 1 << 16):
        reader.feed(body[start : start + (1 << 16)].encode())
    facts = counted(reader)
    assert (facts.prompt_tokens, facts.completion_tokens, facts.finish_reason) == (3, 2580, "STOP")
    assert facts.terminal
    assert not facts.malformed


def test_the_first_candidates_reason_counts() -> None:
    candidates = [
        {"index": 1, "finishReason": "MAX_TOKENS", "content": {"parts": [{"text": "b"}]}},
        {"finishReason": "STOP", "content": {"parts": [{"text": "a"}]}},
        {"index": 2, "finishReason": "OTHER"},
    ]
    assert whole_facts({"candidates": candidates}).finish_reason == "STOP"


@pytest.mark.parametrize(
    ("reason", "blocked"),
    [
        *((reason, False) for reason in ("STOP", "MAX_TOKENS", "LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL",
                                         "UNEXPECTED_TOOL_CALL", "NO_IMAGE")),
        *((reason, True) for reason in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
                                        "IMAGE_SAFETY", "IMAGE_RECITATION", "IMAGE_PROHIBITED_CONTENT")),
    ],
)  # fmt: skip
def test_what_a_filter_stopped_is_flagged(reason: str, blocked: bool) -> None:
    facts = whole_facts({"candidates": [{"finishReason": reason}]})
    assert (facts.finish_reason, facts.blocked) == (reason, blocked)
    streamed = facts_of(GeminiStreamReader, *google_sse({"candidates": [{"finishReason": reason}]}))
    assert (streamed.finish_reason, streamed.blocked, streamed.terminal) == (reason, blocked, True)


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "PROHIBITED_CONTENT", "MODEL_ARMOR"])
def test_a_prompt_that_was_blocked_is_an_answer_that_a_filter_stopped(reason: str) -> None:
    answer = {
        "promptFeedback": {"blockReason": reason, "safetyRatings": []},
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}, "modelVersion": "gemini-x",
    }  # fmt: skip
    expected = Read(
        response_model="gemini-x", finish_reason=reason, blocked=True, terminal=True, prompt_tokens=7, total_tokens=7,
        usage_source=UsageSource.REPORTED,
    )  # fmt: skip
    assert whole_facts(answer) == expected
    for reader, pieces in ((GeminiStreamReader, google_sse(answer)), (GeminiArrayReader, google_array(answer))):
        facts = facts_of(reader, *pieces)
        assert (facts.finish_reason, facts.blocked, facts.terminal, facts.content_chunks) == (reason, True, True, 0)


def test_feedback_without_a_reason_blocks_nothing() -> None:
    answer = {"promptFeedback": {"safetyRatings": []}, "candidates": [{"finishReason": "STOP"}]}
    assert whole_facts(answer).blocked is False


def test_an_error_with_a_good_status_is_an_error() -> None:
    error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
    expected = ErrorFacts(code="503", type="UNAVAILABLE", message="The model is overloaded.")
    assert whole_facts({"error": error}).error == expected


# Streams

STREAMS: dict[str, tuple[Callable[[], Any], Callable[..., list[bytes]]]] = {
    "sse": (GeminiStreamReader, google_sse),
    "array": (GeminiArrayReader, google_array),
}


@pytest.fixture(params=STREAMS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stream_facts(kind: str, *answers: dict[str, Any]) -> Read:
    make, written = STREAMS[kind]
    return facts_of(make, *written(*answers))


def test_a_stream_with_thoughts_text_and_a_call(kind: str) -> None:
    assert stream_facts(kind, *GEMINI) == Read(
        **NAMED, **COUNTED, finish_reason="STOP", content_chunks=3, terminal=True, tool_call_count=1
    )


@pytest.mark.parametrize(
    ("part", "bits"),
    [
        ({"text": "Hi"}, VISIBLE),
        ({"text": ""}, 0),
        ({"text": "", "thoughtSignature": "Eo8B"}, 0),
        ({"text": "Hm", "thought": True}, SAW_TOKEN),
        ({"functionCall": {"name": "f", "args": {}}}, VISIBLE),
        ({"functionCall": {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": True}}, VISIBLE),
        ({"inlineData": {"mimeType": "image/png", "data": "iVBO"}}, VISIBLE),
        ({"inlineData": {"mimeType": "image/png", "data": "iVBO"}, "thought": True}, SAW_TOKEN),
        ({"fileData": {"fileUri": "gs://b/o"}}, VISIBLE),
        ({"executableCode": {"code": "1"}}, VISIBLE),
        ({"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {}}}, VISIBLE),
        ({"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB"}}, 0),
        ({"codeExecutionResult": {"outcome": "OUTCOME_OK"}}, 0),
        ({"inlineData": None}, 0),
        ({}, 0),
    ],
)
def test_what_a_part_shows(part: dict[str, Any], bits: int, kind: str) -> None:
    make, written = STREAMS[kind]
    seen = [make_reader.feed(piece) for make_reader in [make()] for piece in written(generated(part))]
    assert seen[0] == bits


def test_a_call_whose_arguments_are_streamed_is_one(kind: str) -> None:
    calls = [{"name": "f", "willContinue": True}, {"partialArgs": [], "willContinue": True}, {}]
    facts = stream_facts(kind, *(generated({"functionCall": call}) for call in calls), generated(finish="STOP"))
    assert (facts.tool_call_count, facts.content_chunks) == (1, 3)


def test_an_event_shows_its_end() -> None:
    reader = GeminiStreamReader()
    first, last = google_sse(generated({"text": "Hi"}), generated({"text": "!"}, finish="MAX_TOKENS"))
    assert (reader.feed(first), reader.feed(last)) == (VISIBLE, VISIBLE | SAW_TERMINAL)


def test_a_reason_in_every_event_is_that_of_the_last(kind: str) -> None:
    events = [generated({"text": "a"}, finish="STOP"), generated({"text": "b"}, finish="SAFETY")]
    assert stream_facts(kind, *events).finish_reason == "SAFETY"


def test_the_last_report_counts_and_no_zero_replaces_more(kind: str) -> None:
    facts = stream_facts(
        kind,
        generated({"text": "a"}, usage={"promptTokenCount": 5, "cachedContentTokenCount": 3, "totalTokenCount": 5}),
        generated({"text": "b"}, usage={"promptTokenCount": 5, "candidatesTokenCount": 4, "totalTokenCount": 9}),
        generated(finish="STOP", usage={"promptTokenCount": 0, "candidatesTokenCount": 4, "totalTokenCount": 9}),
    )
    assert (facts.prompt_tokens, facts.completion_tokens, facts.cached_tokens, facts.total_tokens) == (5, 4, 3, 9)


def test_a_stream_that_breaks_off_keeps_the_report_so_far_and_is_not_whole(kind: str) -> None:
    make, written = STREAMS[kind]
    facts = facts_of(make, *written(*GEMINI)[:2])
    assert (facts.terminal, facts.content_chunks, facts.completion_tokens, facts.malformed) == (False, 2, 11, False)


def test_an_error_in_the_middle(kind: str) -> None:
    error = {"error": {"code": 429, "message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}
    facts = stream_facts(kind, GEMINI[0], error)
    assert facts.error == ErrorFacts(code="429", type="RESOURCE_EXHAUSTED", message="Resource has been exhausted")
    assert facts.content_chunks == 1
    make, written = STREAMS[kind]
    reader = make()
    assert [reader.feed(piece) & SAW_ERROR for piece in written(GEMINI[0], error)][1] == SAW_ERROR


def test_an_array_that_was_closed_is_whole_without_a_reason() -> None:
    assert facts_of(GeminiArrayReader, *google_array(generated({"text": "a"}))).terminal
    assert not facts_of(GeminiStreamReader, *google_sse(generated({"text": "a"}))).terminal


def test_an_array_with_pictures_of_many_megabytes_is_read_in_little_memory() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 3_000_000}}
    last = generated(picture, finish="STOP", usage={"promptTokenCount": 3, "candidatesTokenCount": 1290})
    body = b"".join(google_array(generated(picture), last))
    reader = GeminiArrayReader()
    seen = [reader.feed(body[start : start + (1 << 16)]) for start in range(0, len(body), 1 << 16)]
    assert sum(bits & SAW_TOKEN for bits in seen) == 2
    facts = counted(reader)
    assert (facts.content_chunks, facts.completion_tokens, facts.terminal, facts.malformed) == (2, 1290, True, False)


def test_an_event_with_a_picture_of_many_megabytes_is_read() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 3_000_000}}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1290}
    body = b"".join(google_sse(generated(picture, finish="STOP", usage=usage)))
    reader = GeminiStreamReader()
    for start in range(0, len(body), 1 << 16):
        reader.feed(body[start : start + (1 << 16)])
    facts = counted(reader)
    assert (facts.content_chunks, facts.completion_tokens, facts.terminal, facts.malformed) == (1, 1290, True, False)


def test_an_empty_body_has_no_facts() -> None:
    for make in (GeminiBodyReader, GeminiStreamReader, GeminiArrayReader):
        assert facts_of(make, b"").terminal is False
    assert facts_of(GeminiArrayReader, b"[]").content_chunks == 0


# Which reader, and whether it was an answer


def judged(*pieces: bytes, media: bytes = b"application/json") -> ResponseFacts:
    """As the data plane reads and judges an answer."""
    found = []
    for cut in (list(pieces), *three_ways(b"".join(pieces))):
        first = FirstBytes(GEMINI_STREAM, 200, media)
        for piece in cut:
            if first.reader is None:
                rest = first.take(piece)
                if first.reader is not None and rest:
                    first.reader.feed(rest)
            else:
                first.reader.feed(piece)
        facts = first.finish() if first.reader is None else first.reader.finish()
        found.append(first.judge(facts))
    assert all(other == found[0] for other in found)
    return found[0]


@pytest.mark.parametrize("media", [b"application/json", b"text/event-stream", b"", b"text/plain"])
def test_the_first_bytes_decide_whether_it_is_a_stream(media: bytes) -> None:
    for pieces in (google_sse(*GEMINI), google_array(*GEMINI)):
        facts = judged(*pieces, media=media)
        assert (facts.content_chunks, facts.finish_reason, facts.error) == (3, "STOP", None)
    whole = judged(json.dumps(GEMINI[3], indent=2).encode(), media=media)
    assert (whole.content_chunks, whole.finish_reason, whole.error) == (None, "STOP", None)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b"<html><title>502</title></html>", Verdict.NOT_AN_ANSWER),
        (b'{"detail_of_another_api": 1}', Verdict.NOT_AN_ANSWER),
        (b'{"candidates": [], "usageMetadata": {"promptTokenCount": 3}}', Verdict.EMPTY),
        (b"[]", Verdict.EMPTY),
        (b"", Verdict.EMPTY),
        (b'{"candidates": [{"content": {"parts": [{"te', Verdict.TRUNCATED),
    ],
)
def test_what_is_no_answer_is_said(body: bytes, verdict: Verdict) -> None:
    error = judged(body).error
    assert error is not None
    assert error.verdict is verdict


@pytest.mark.parametrize("reason", ["STOP", "MALFORMED_FUNCTION_CALL", "MAX_TOKENS"])
def test_an_answer_that_says_why_it_has_no_content_is_one(reason: str) -> None:
    answer = {"candidates": [{"content": {}, "finishReason": reason}]}
    for body in (json.dumps(answer).encode(), *map(b"".join, (google_sse(answer), google_array(answer)))):
        assert judged(body).error is None
