"""LM Studio's own chat, streamed and not; events as its "Streaming events" page shows them."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.lmstudio import LMSTUDIO_CHAT, LmStudioBodyReader, LmStudioStreamReader
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, SAW_TOKEN, SAW_VISIBLE, RequestFacts
from tests.wire.counted import Read, counted
from tests.wire.streams import facts_of, named

STATS = {
    "input_tokens": 329, "total_output_tokens": 268, "reasoning_output_tokens": 5, "tokens_per_second": 43.73,
    "time_to_first_token_seconds": 0.781, "model_load_time_seconds": 12.34,
}  # fmt: skip
RESULT: dict[str, Any] = {
    "model_instance_id": "openai/gpt-oss-20b",
    "output": [
        {"type": "reasoning", "content": "Need to call function."},
        {"type": "tool_call", "tool": "model_search", "arguments": {"limit": 1}, "output": "[]", "provider_info": {}},
        {"type": "message", "content": "The current top-trending model is..."},
    ],
    "stats": STATS,
    "response_id": "resp_02b2",
}
CALL = {"tool": "model_search", "provider_info": {"type": "ephemeral_mcp", "server_label": "huggingface"}}
STREAM = [
    named("chat.start", model_instance_id="openai/gpt-oss-20b"),
    named("model_load.start", model_instance_id="openai/gpt-oss-20b"),
    named("model_load.progress", model_instance_id="openai/gpt-oss-20b", progress=0.65),
    named("model_load.end", model_instance_id="openai/gpt-oss-20b", load_time_seconds=12.34),
    named("prompt_processing.start"),
    named("prompt_processing.progress", progress=0.5),
    named("prompt_processing.end"),
    named("reasoning.start"),
    named("reasoning.delta", content="Need to"),
    named("reasoning.delta", content=" call function."),
    named("reasoning.end"),
    named("tool_call.start", **CALL),
    named("tool_call.arguments", arguments={"limit": 1}, **CALL),
    named("tool_call.success", arguments={"limit": 1}, output="[]", **CALL),
    named("message.start"),
    named("message.delta", content="The current"),
    named("message.delta", content=" top-trending"),
    named("message.end"),
    named("chat.end", result=RESULT),
]
COUNTED: dict[str, Any] = {
    "response_model": "openai/gpt-oss-20b", "prompt_tokens": 329, "completion_tokens": 268, "total_tokens": 597,
    "reasoning_tokens": 5, "usage_source": UsageSource.REPORTED, "tool_call_count": 1, "response_id": "resp_02b2",
    "further": {"server_load_ms": 12340.0}, "terminal": True,
}  # fmt: skip


def test_a_stream() -> None:
    assert facts_of(LmStudioStreamReader, *STREAM) == Read(content_chunks=5, **COUNTED)


def test_a_whole_answer() -> None:
    assert facts_of(LmStudioBodyReader, json.dumps(RESULT).encode()) == Read(**COUNTED)


@pytest.mark.parametrize(
    ("piece", "bits"),
    [
        (named("chat.start", model_instance_id="m"), 0),
        (named("prompt_processing.progress", progress=0.5), 0),
        (named("reasoning.delta", content="Hm"), SAW_TOKEN),
        (named("message.delta", content="Hi"), SAW_VISIBLE),
        (named("message.delta", content=""), 0),
        (named("tool_call.start", **CALL), SAW_VISIBLE),
        (named("tool_call.success", output="[]", **CALL), 0),
        (named("tool_call.failure", reason="no such tool", metadata={}), 0),
        (named("chat.end", result=RESULT), SAW_TERMINAL),
        (named("error", error={"type": "internal_error", "message": "out of memory"}), SAW_ERROR),
    ],
)
def test_what_one_event_shows(piece: bytes, bits: int) -> None:
    assert LmStudioStreamReader().feed(piece) == bits


def test_an_error_stays_one_though_the_stream_ends_as_announced() -> None:
    error = {"type": "model_not_found", "message": "no such model", "code": "x", "param": "model"}
    found = facts_of(LmStudioStreamReader, STREAM[0], named("error", error=error), named("chat.end", result=RESULT))
    assert found.error is not None
    assert (found.error.type, found.error.code, found.error.message) == ("model_not_found", "x", "no such model")
    assert (found.prompt_tokens, found.completion_tokens, found.terminal) == (329, 268, True)


def test_a_stream_that_breaks_off_has_no_counts_and_no_end() -> None:
    found = facts_of(LmStudioStreamReader, *STREAM[:-1])
    assert (found.terminal, found.prompt_tokens, found.usage_source) == (False, None, UsageSource.NONE)
    assert (found.content_chunks, found.response_model) == (5, "openai/gpt-oss-20b")


@pytest.mark.parametrize("wrong", [-1, "329", 1.5, True, 2**41])
def test_a_count_that_cannot_be_one_is_refused(wrong: object) -> None:
    result = {**RESULT, "stats": {**STATS, "input_tokens": wrong}}
    found = facts_of(LmStudioBodyReader, json.dumps(result).encode())
    assert (found.prompt_tokens, found.completion_tokens, found.usage_rejected) == (None, 268, True)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"model": "q", "input": "x", "stream": True, "max_output_tokens": 9, "temperature": 0, "top_p": 0.5},
         RequestFacts(model="q", is_streaming=True, max_tokens=9, temperature=0.0, top_p=0.5, message_count=1)),
        ({"model": "q", "input": [{"type": "message", "content": "x"}, {"type": "image"}], "integrations": ["mcp/x"]},
         RequestFacts(model="q", message_count=2, tool_count=1)),
    ],
)  # fmt: skip
def test_requests_are_read(body: dict[str, Any], facts: RequestFacts) -> None:
    assert LMSTUDIO_CHAT.read_request(json.dumps(body).encode()) == facts


def test_its_path_passes_and_its_model_loading_does_not() -> None:
    policy = PathPolicy()
    assert policy.route(b"POST", b"/api/v1/chat").dialect is LMSTUDIO_CHAT
    assert policy.route(b"GET", b"/api/v1/models").allowed
    assert not any(policy.route(b"POST", b"/api/v1/models/" + verb).allowed for verb in (b"load", b"unload"))


def test_the_last_event_may_be_large() -> None:
    long = {**RESULT, "output": [*RESULT["output"], {"type": "message", "content": "x" * 2_000_000}]}
    reader = LmStudioStreamReader()
    for piece in (*STREAM[:-1], named("chat.end", result=long)):
        reader.feed(piece)
    assert counted(reader) == Read(content_chunks=5, **COUNTED)
