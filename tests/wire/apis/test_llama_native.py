"""llama.cpp's own completions, streamed and not."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.llama_native import LlamaBodyReader, LlamaRequest, LlamaStreamReader
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, RequestFacts
from tests.wire.counted import Read
from tests.wire.streams import compact, facts_of

END: dict[str, Any] = {
    "content": "", "stop": True, "model": "q.gguf", "tokens_predicted": 3, "tokens_evaluated": 12, "stop_type": "limit",
    "truncated": False, "tokens_cached": 14, "generation_settings": {"seed": 1},
    "timings": {"cache_n": 8, "prompt_n": 4, "prompt_ms": 30.5, "predicted_n": 3, "predicted_ms": 66.0},
}  # fmt: skip
COUNTED: dict[str, Any] = {
    "response_model": "q.gguf", "finish_reason": "limit", "prompt_tokens": 12, "completion_tokens": 3,
    "total_tokens": 15, "cached_tokens": 8, "usage_source": UsageSource.REPORTED,
    "further": {"server_prompt_ms": 30.5, "server_generation_ms": 66.0}, "terminal": True,
}  # fmt: skip


def event(**members: Any) -> bytes:
    return b"data: " + compact(members) + b"\n\n"


def said(text: str) -> bytes:
    return event(index=0, content=text, tokens=[7], stop=False, id_slot=0, tokens_predicted=1, tokens_evaluated=12)


def facts(*events: bytes) -> Read:
    return facts_of(LlamaStreamReader, *events)


def test_a_stream() -> None:
    assert facts(said("The"), said(" sky"), said("!"), event(**END)) == Read(content_chunks=3, **COUNTED)


def test_a_whole_answer() -> None:
    body = json.dumps({**END, "content": "The sky!"}).encode()
    assert facts_of(LlamaBodyReader, body) == facts_of(lambda: LlamaBodyReader(1), body) == Read(**COUNTED)


@pytest.mark.parametrize(
    ("piece", "bits"),
    [
        (said("x"), SAW_TOKEN | SAW_OUTPUT),
        (said(""), 0),
        (event(**END), SAW_TERMINAL),
        (event(content="", stop=True), SAW_TERMINAL),
        (event(content="x", stop_type="none", stop=False), SAW_TOKEN | SAW_OUTPUT),
        (event(error={"code": 500, "message": "slot"}), SAW_ERROR),
        (b'error: {"code":500,"message":"slot"}\n\n', SAW_ERROR),
    ],
)
def test_what_one_event_shows(piece: bytes, bits: int) -> None:
    assert LlamaStreamReader().feed(piece) == bits


def test_a_stream_that_breaks_off_has_no_counts_and_no_end() -> None:
    found = facts(said("The"), said(" sky"))
    assert (found.terminal, found.usage_source, found.content_chunks) == (False, UsageSource.NONE, 2)


def test_a_server_that_answers_as_openai_does_is_understood_too() -> None:
    stream = [
        event(id="cmpl-1", model="m", choices=[{"index": 0, "text": "x", "finish_reason": None}]),
        event(id="cmpl-1", model="m", choices=[{"index": 0, "text": "", "finish_reason": "stop"}]),
        event(choices=[], usage={"prompt_tokens": 4, "completion_tokens": 1}),
        b"data: [DONE]\n\n",
    ]
    assert facts(*stream) == Read(
        response_model="m", finish_reason="stop", prompt_tokens=4, completion_tokens=1, total_tokens=5,
        content_chunks=1, usage_source=UsageSource.REPORTED, terminal=True, response_id="cmpl-1",
    )  # fmt: skip


def test_requests_are_read() -> None:
    asked = {"prompt": "Hi", "n_predict": -1, "temperature": 0.5, "top_p": 0.9, "stream": True}
    assert LlamaRequest.read(json.dumps(asked).encode()) == RequestFacts(
        is_streaming=True, max_tokens=-1, temperature=0.5, top_p=0.9, message_count=1
    )
    assert LlamaRequest.read(b"[]") == RequestFacts()


def test_several_prompts_give_a_list_of_answers_whose_counts_are_summed() -> None:
    body = json.dumps([{**END, "index": number, "content": "x" * 9000} for number in range(40)]).encode()
    for make in (LlamaBodyReader, lambda: LlamaBodyReader(64)):
        found = facts_of(make, body)
        assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (480, 120, 320)
        assert (found.finish_reason, found.response_model, found.terminal) == ("limit", "q.gguf", True)
