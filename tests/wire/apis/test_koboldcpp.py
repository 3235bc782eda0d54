"""KoboldCpp's own text generation, streamed and not."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.koboldcpp import (
    KOBOLD_GENERATE,
    KOBOLD_STREAM,
    KoboldBodyReader,
    KoboldStreamReader,
)
from llm_metrics_proxy.wire.base import SAW_TERMINAL, SAW_VISIBLE, RequestFacts
from tests.wire.counted import Read
from tests.wire.streams import compact, facts_of


def event(token: str, reason: str | None = None) -> bytes:
    return b"event: message\ndata: " + json.dumps({"token": token, "finish_reason": reason}).encode() + b"\n\n"


STREAM = [event("Hel"), event("lo"), event("!"), event("", "stop")]
ANSWER: dict[str, Any] = {
    "results": [
        {"text": "Hello!", "tool_calls": [], "finish_reason": "length", "logprobs": None, "prompt_tokens": 5,
         "completion_tokens": 2},
    ],
}  # fmt: skip


def test_a_stream_has_times_and_an_end_and_no_counts() -> None:
    found = facts_of(KoboldStreamReader, *STREAM)
    assert found == Read(content_chunks=3, finish_reason="stop", terminal=True)


def test_a_last_event_may_bring_text() -> None:
    assert KoboldStreamReader().feed(event("Hi", "length")) == SAW_VISIBLE | SAW_TERMINAL
    assert facts_of(KoboldStreamReader, *STREAM[:-1]).terminal is False


def test_a_whole_answer() -> None:
    assert facts_of(KoboldBodyReader, compact(ANSWER)) == Read(
        finish_reason="length", prompt_tokens=5, completion_tokens=2, total_tokens=7,
        usage_source=UsageSource.REPORTED, terminal=True,
    )  # fmt: skip


def test_several_results_are_summed_and_older_builds_count_nothing() -> None:
    both = facts_of(KoboldBodyReader, compact({"results": ANSWER["results"] * 2}))
    assert (both.prompt_tokens, both.completion_tokens) == (10, 4)
    old = facts_of(KoboldBodyReader, compact({"results": [{"text": "Hi", "finish_reason": "null"}]}))
    assert (old.usage_source, old.finish_reason, old.terminal) == (UsageSource.NONE, None, True)


def test_requests_are_read() -> None:
    body = compact({"prompt": "x", "max_length": 80, "max_context_length": 4096, "temperature": 0.7, "top_p": 0.9})
    asked: dict[str, Any] = {"max_tokens": 80, "temperature": 0.7, "top_p": 0.9, "message_count": 1}
    assert KOBOLD_GENERATE.read_request(body) == RequestFacts(**asked)
    assert KOBOLD_STREAM.read_request(body) == RequestFacts(is_streaming=True, **asked)


@pytest.mark.parametrize(
    ("method", "path", "passes"),
    [("POST", "/api/v1/generate", True), ("POST", "/api/extra/generate/stream", True),
     ("POST", "/api/extra/generate/check", True), ("GET", "/api/v1/model", True), ("GET", "/api/extra/perf", True),
     ("GET", "/api/extra/true_max_context_length", True), ("POST", "/api/extra/tokencount", True),
     ("POST", "/api/extra/abort", False), ("POST", "/api/admin/reload_config", False),
     ("PUT", "/api/v1/model", False)],
)  # fmt: skip
def test_what_passes(method: str, path: str, passes: bool) -> None:
    assert PathPolicy().route(method.encode(), path.encode()).allowed is passes
