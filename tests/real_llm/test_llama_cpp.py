"""A real language model, if a tiny one, behind the proxy: llama.cpp computes every token of these answers.

At temperature 0 the same prompt gives the same tokens, so bodies with and without the proxy are equal but for ids and
creation times. llama-cpp-python takes ``n`` and ``stream_options`` without heeding them and reports no usage in
streams.
"""

import re
import time
from collections.abc import Iterator
from typing import Any, Final

import openai
import pytest

from tests.openai_client import Story, ask, assert_times_are_in_order, same
from tests.stack import Stack

pytestmark = [pytest.mark.real_server, pytest.mark.system]

HELLO: Final[Any] = [{"role": "user", "content": "Hi there, ünïcödé 🙂"}]
TOO_LONG: Final[Any] = [{"role": "user", "content": "word " * 3_000}]  # more than 4096 tokens
ORIGIN: Final = "x-llm-metrics-origin"
SURE: Final[Any] = {"temperature": 0, "seed": 1}
LIMITED: Final = {"outcome": "completed", "success": True, "status_code": 200, "finish_reason": "length"}
UNCOUNTED: Final = {"total_tokens": None, "tokens_per_second": None, "usage_source": "none"}

STORIES: Final = (
    Story("whole", "chat.completions", {"messages": HELLO, "max_tokens": 12, **SURE},
          {**LIMITED, "dialect": "openai_chat", "max_tokens": 12, "temperature": 0, "usage_source": "reported"}),
    Story("streamed", "chat.completions", {"messages": HELLO, "max_tokens": 30, "stream": True, **SURE},
          {**LIMITED, **UNCOUNTED, "dialect": "openai_chat", "is_streaming": True}),
    Story("usage-asked-for", "chat.completions",
          {"messages": HELLO, "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}, **SURE},
          {**LIMITED, **UNCOUNTED, "is_streaming": True}),
    Story("completion", "completions", {"prompt": "Once", "max_tokens": 9, **SURE},
          {**LIMITED, "dialect": "openai_completions", "usage_source": "reported"}),
    Story("completion-streamed", "completions", {"prompt": "Once", "max_tokens": 9, "stream": True, **SURE},
          {**LIMITED, **UNCOUNTED, "dialect": "openai_completions"}),
    Story("embedding", "embeddings", {"input": ["one", "two"], "encoding_format": "float"},
          {"outcome": "completed", "dialect": "openai_embeddings", "message_count": 2, "completion_tokens": None}),
)  # fmt: skip


@pytest.fixture
def direct(llama_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{llama_url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def through(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.proxy_url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


def with_model(story: Story) -> Story:
    return story._replace(call={"model": "tiny", **story.call})


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_the_models_words_pass_unchanged_and_the_record_tells_what_happened(
    story: Story, direct: openai.OpenAI, through: openai.OpenAI, stack: Stack
) -> None:
    expected = ask(direct, with_model(story))
    assert same(ask(direct, with_model(story)).body) == same(expected.body), "the model itself is not reproducible"
    got = ask(through, with_model(story))
    assert (got.status, same(got.body)) == (expected.status, same(expected.body))
    (record,) = stack.records(1, origin=story.name)
    assert {name: record[name] for name in story.record} == story.record
    assert (record["model"], record["response_bytes"]) == ("tiny", got.wire_bytes)
    assert record["proxy_overhead_ms"] < record["response_time_ms"]
    if record["is_streaming"]:
        # An event can be empty: the first one names the role, and a piece of a character waits for its other bytes.
        text_events = len(re.findall(rb'"(?:content|text)": "[^"]', got.body))
        assert record["content_chunks"] == text_events > 1
        times = ("response_headers_ms", "time_to_first_token_ms", "time_to_last_token_ms", "response_time_ms")
        assert_times_are_in_order(record, times)
        # So small a model writes so fast that all its chunks can arrive in one read: then no gap was seen.
        assert record["inter_chunk_max_ms"] is None or record["inter_chunk_max_ms"] > 0


def test_token_counts_are_the_servers(through: openai.OpenAI, stack: Stack) -> None:
    answer = through.chat.completions.create(
        **SURE, model="tiny", messages=HELLO, max_tokens=16, extra_headers={ORIGIN: "counts"}
    )
    assert answer.usage is not None
    (record,) = stack.records(1, origin="counts")
    counted = (record["prompt_tokens"], record["completion_tokens"], record["total_tokens"])
    assert counted == (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens)
    assert record["tokens_per_second"] == pytest.approx(record["total_tokens"] * 1000 / record["response_time_ms"])


def test_a_prompt_that_is_too_long_is_the_servers_error(
    direct: openai.OpenAI, through: openai.OpenAI, stack: Stack
) -> None:
    story = Story("too-long", "chat.completions", {"model": "tiny", "messages": TOO_LONG}, {})
    expected, got = ask(direct, story), ask(through, story)
    assert (got.status, got.body) == (400, expected.body)
    (record,) = stack.records(1, origin="too-long")
    assert (record["outcome"], record["error_type"]) == ("upstream_error", "context_length_exceeded")
    assert "maximum context length is 4096 tokens" in record["error_message"]


def test_an_empty_stream_with_a_200_is_recorded_as_truncated(
    direct: openai.OpenAI, through: openai.OpenAI, stack: Stack
) -> None:
    """A prompt that is too long for a stream: llama-cpp-python has sent its 200 when it notices, and says no more."""
    story = Story("empty", "chat.completions", {"model": "tiny", "messages": TOO_LONG, "stream": True}, {})
    for client in (direct, through):
        got = ask(client, story)
        assert (got.status, got.body) == (200, b"")
    (record,) = stack.records(1, origin="empty")
    assert (record["status_code"], record["outcome"], record["success"]) == (200, "stream_truncated", False)
    assert record["content_chunks"] == record["response_bytes"] == 0
    assert record["time_to_first_token_ms"] is None


def test_a_client_that_leaves_stops_the_model(through: openai.OpenAI, stack: Stack) -> None:
    stream = through.chat.completions.create(
        **SURE, model="tiny", messages=HELLO, stream=True, max_tokens=3_500, extra_headers={ORIGIN: "leaver"}
    )
    for _ in zip(range(20), stream, strict=False):
        pass
    stream.response.close()
    (record,) = stack.records(1, origin="leaver")
    assert (record["outcome"], record["success"], record["finish_reason"]) == ("client_disconnected", False, None)
    assert 19 <= record["content_chunks"] < 2_000
    # llama.cpp's server computes one answer at a time: the next one comes soon only because the last was given up.
    started = time.monotonic()
    through.chat.completions.create(**SURE, model="tiny", messages=HELLO, max_tokens=2)
    assert time.monotonic() - started < 2


def test_every_request_left_one_record(stack: Stack) -> None:
    records = stack.records(len(STORIES) + 5)
    assert len(records) == len(STORIES) + 5
    assert {record["outcome"] for record in records} == {
        "completed",
        "upstream_error",
        "stream_truncated",
        "client_disconnected",
    }
