"""Anthropic's Message Batches: the request that makes one, and its results."""

from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.anthropic_batches import (
    ANTHROPIC_BATCH,
    ANTHROPIC_BATCH_FETCH,
    AnthropicBatchReader,
    BatchResultsReader,
)
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.first_bytes import FirstBytes
from tests.wire.counted import Read, counted
from tests.wire.streams import compact, facts_of

USAGE = {
    "input_tokens": 25, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 7,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0}, "service_tier": "batch",
}  # fmt: skip


def result(number: int, **changes: Any) -> bytes:
    message = {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-x", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi\n"}], "usage": {**USAGE, **changes},
    }  # fmt: skip
    return compact({"custom_id": f"c{number}", "result": {"type": "succeeded", "message": message}}) + b"\n"


ERRORED = compact({
    "custom_id": "e", "result": {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request"}}},
}) + b"\n"  # fmt: skip
RESULTS = [
    result(1), result(2, output_tokens=9), ERRORED, compact({"custom_id": "x", "result": {"type": "expired"}}) + b"\n",
]  # fmt: skip
SUMS: dict[str, Any] = {
    "response_model": "claude-x", "prompt_tokens": 80, "completion_tokens": 16, "total_tokens": 96,
    "cached_tokens": 10, "cache_write_tokens": 20, "usage_source": UsageSource.REPORTED, "service_tier": "batch",
    "terminal": True,
}  # fmt: skip


def test_the_usage_of_all_messages_is_summed() -> None:
    assert facts_of(BatchResultsReader, *RESULTS) == Read(**SUMS)


def test_the_last_line_need_not_end() -> None:
    assert facts_of(BatchResultsReader, RESULTS[0], RESULTS[1][:-1]) == Read(**SUMS)


def test_results_without_a_message_count_nothing() -> None:
    assert facts_of(BatchResultsReader, ERRORED) == Read(service_tier="batch", terminal=True)


def test_a_count_that_cannot_be_one_is_refused() -> None:
    found = facts_of(BatchResultsReader, result(1), result(2, output_tokens=-1))
    assert (found.prompt_tokens, found.completion_tokens, found.usage_rejected) == (80, None, True)


def test_a_long_line_counts_like_any_other() -> None:
    long = result(1).replace(b"Hi\\n", b"x" * 2_000_000)
    reader = BatchResultsReader()
    reader.feed(long + result(2))
    found = counted(reader)
    assert (len(long) > 2_000_000, found.prompt_tokens, found.malformed) == (True, 80, False)


def test_the_request_that_makes_one() -> None:
    body = {"requests": [{"custom_id": "a", "params": {"model": "claude-x", "messages": []}}, {"custom_id": "b"}]}
    assert ANTHROPIC_BATCH.read_request(compact(body)) == RequestFacts(model="claude-x", message_count=2)
    assert ANTHROPIC_BATCH.read_request(b'{"requests": []}') == RequestFacts(message_count=0)
    answer = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}
    assert facts_of(AnthropicBatchReader, compact(answer)) == Read(response_id="msgbatch_1", terminal=True)


@pytest.mark.parametrize(
    ("method", "path", "passes", "dialect"),
    [("POST", "/v1/messages/batches", True, "anthropic_batch"),
     ("GET", "/v1/messages/batches", True, None),
     ("GET", "/v1/messages/batches/msgbatch_1", True, None),
     ("POST", "/v1/messages/batches/msgbatch_1/cancel", True, None),
     ("GET", "/v1/messages/batches/msgbatch_1/results", True, "anthropic_batch_fetch"),
     ("DELETE", "/v1/messages/batches/msgbatch_1", False, None)],
)  # fmt: skip
def test_what_passes(method: str, path: str, passes: bool, dialect: str | None) -> None:
    route = PathPolicy().route(method.encode(), path.encode())
    assert route.allowed is passes
    assert (None if route.dialect is None else route.dialect.name) == dialect
    assert route.response_id == ("msgbatch_1" if path.endswith("results") else None)


@pytest.mark.parametrize("lines", [RESULTS, RESULTS[:1], [ERRORED], [ERRORED, ERRORED]])
def test_results_are_an_answer_whatever_is_in_them(lines: list[bytes]) -> None:
    for media in (b"application/x-jsonl", b"application/jsonl", b"application/json", b""):
        first = FirstBytes(ANTHROPIC_BATCH_FETCH, 200, media)
        rest = first.take(b"".join(lines))
        if first.reader is not None:
            first.reader.feed(rest)
        facts = first.judge((first.reader or first).finish())
        assert (facts.error, facts.service_tier) == (None, "batch")
