"""Reranking, moderation, speech, transcription and images: what JSON tells of them."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.other_operations import OtherBodyReader, OtherRequest, OtherStreamReader
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, RequestFacts
from tests.wire.counted import Read
from tests.wire.streams import TRANSCRIPT, facts_of, named


def facts(value: object) -> Read:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: OtherBodyReader(1), body)
    assert facts_of(OtherBodyReader, body) == large
    return large


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ({"model": "m", "id": "1", "usage": {"prompt_tokens": 5, "total_tokens": 5}, "results": [{}]}, (5, None, 5)),
        ({"id": "1", "meta": {"tokens": {"input_tokens": 9, "output_tokens": 0}}, "results": []}, (9, 0, 9)),
        ({"id": "1", "meta": {"billed_units": {"search_units": 1}}}, (None, None, None)),
        ({"created": 1, "data": [{"b64_json": "A" * 9000}], "usage": {"input_tokens": 50, "output_tokens": 50,
          "total_tokens": 100, "input_tokens_details": {"text_tokens": 10}}}, (50, 50, 100)),
        ({"text": "So be it", "usage": {"type": "duration", "seconds": 2}}, (None, None, None)),
        ({"id": "modr-1", "model": "omni", "results": [{"flagged": False}]}, (None, None, None)),
    ],
)  # fmt: skip
def test_token_counts_under_each_of_their_names(answer: Any, counts: tuple[int | None, ...]) -> None:
    found = facts(answer)
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == counts
    assert found.usage_source == (UsageSource.NONE if counts[2] is None else UsageSource.REPORTED)
    assert (found.response_id, found.response_model, found.terminal) == (answer.get("id"), answer.get("model"), True)


def test_a_streamed_transcription() -> None:
    assert facts_of(OtherStreamReader, *TRANSCRIPT) == Read(
        prompt_tokens=14, completion_tokens=4, total_tokens=18, usage_source=UsageSource.REPORTED, content_chunks=2,
        terminal=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "bits"),
    [
        (named("speech.audio.delta", audio="AAAA"), SAW_TOKEN | SAW_OUTPUT),
        (named("speech.audio.done", usage={"input_tokens": 1}), SAW_TERMINAL),
        (named("image_generation.partial_image", b64_json="AAAA"), SAW_TOKEN | SAW_OUTPUT),
        (named("image_edit.partial_image", b64_json="AAAA"), SAW_TOKEN | SAW_OUTPUT),
        (named("image_edit.completed", b64_json="AAAA"), SAW_TERMINAL | SAW_TOKEN | SAW_OUTPUT),
        (named("image_generation.completed", url="https://x"), SAW_TERMINAL | SAW_TOKEN | SAW_OUTPUT),
        (named("image_generation.completed", usage={"input_tokens": 1}), SAW_TERMINAL),
        (named("transcript.text.segment", text="So", speaker="A"), SAW_TOKEN | SAW_OUTPUT),
        (named("transcript.text.done", text="So be it"), SAW_TERMINAL | SAW_TOKEN | SAW_OUTPUT),
        (b'data: {"object":"transcription.chunk","choices":[{"delta":{"content":"So"}}]}\n\n', SAW_TOKEN | SAW_OUTPUT),
        (b'data: {"choices":[{"delta":{"content":""},"finish_reason":"stop"}]}\n\n', SAW_TERMINAL),
        (b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n', 0),
        (named("error", error={"message": "No."}), SAW_ERROR),
        (named("else"), 0),
    ],
)
def test_what_one_event_shows(event: bytes, bits: int) -> None:
    assert OtherStreamReader().feed(event) == bits


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "m", "query": "q", "documents": ["a", "b", "c"]}, RequestFacts(model="m", message_count=3)),
        ({"model": "m", "input": "x", "stream_format": "sse", "voice": "v"},
         RequestFacts(model="m", message_count=1, is_streaming=True)),
        ({"model": "m", "prompt": "a cat", "n": 2, "stream": True, "user": "u"},
         RequestFacts(model="m", user="u", message_count=1, choice_count=2, is_streaming=True)),
        ([], RequestFacts()),
    ],
)  # fmt: skip
def test_requests_are_read(body: object, expected: RequestFacts) -> None:
    assert OtherRequest.read(json.dumps(body).encode()) == expected
