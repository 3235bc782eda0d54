"""OpenAI's client, LiteLLM, and the proxy between them: the same bytes as without it, and one record for each request.

Every story is told twice straight to LiteLLM and once through the proxy. Ids and creation times differ from call to
call and are the only things made equal before bodies are compared.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any, Final

import openai
import pytest

from tests.openai_client import Story, ask, assert_times_are_in_order, same
from tests.real_server.conftest import LONG_CHUNKS, TEXT
from tests.stack import Stack

pytestmark = [pytest.mark.real_server, pytest.mark.system]

HELLO: Final[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there!"}]
LOOK_UP: Final = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}},
}
USAGE: Final[Any] = {"include_usage": True}
TIMED: Final = (
    "body_complete_ms",
    "upstream_acquired_ms",
    "request_sent_ms",
    "response_headers_ms",
    "response_time_ms",
)
TOKEN_TIMES: Final = ("time_to_first_byte_ms", "time_to_first_token_ms", "time_to_last_token_ms", "response_time_ms")


def chat(name: str, model: str, record: dict[str, Any], **call: Any) -> Story:
    common = {"dialect": "openai_chat", "endpoint": "/v1/chat/completions", "message_count": 2, "model": model}
    return Story(name, "chat.completions", {"model": model, "messages": HELLO, **call}, {**common, **record})


COUNTED: Final = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, "usage_source": "reported"}
UNCOUNTED: Final = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None, "usage_source": "none"}
GOOD: Final = {"outcome": "completed", "success": True, "status_code": 200, "error_type": None}
STOPPED: Final = {**GOOD, "finish_reason": "stop"}

# LiteLLM compresses answers of more than 500 bytes with gzip, as of "two-answers"; the others come plain.
STORIES: Final = (
    chat("whole", "mock-chat", {**STOPPED, **COUNTED, "response_model": "mock-chat", "is_streaming": False}),
    chat("two-answers", "mock-chat", {**STOPPED, **COUNTED, "choice_count": 2}, n=2),
    chat("sampling", "mock-chat", {**STOPPED, "max_tokens": 9, "temperature": 0.25, "top_p": 0.5, "user": "someone"},
         max_tokens=9, temperature=0.25, top_p=0.5, user="someone"),
    chat("tools", "mock-tools", {**STOPPED, **COUNTED, "tool_count": 1}, tools=[LOOK_UP]),
    chat("streamed", "mock-chat", {**STOPPED, **UNCOUNTED, "is_streaming": True}, stream=True),
    chat("streamed-with-usage", "mock-chat", {**STOPPED, "is_streaming": True, "usage_source": "reported"},
         stream=True, stream_options=USAGE),
    Story("completion", "completions", {"model": "mock-chat", "prompt": "Once"},
          {**STOPPED, **COUNTED, "dialect": "openai_completions", "endpoint": "/v1/completions", "message_count": 1}),
    Story("embedding", "embeddings", {"model": "mock-embedding", "input": ["a", "b"], "encoding_format": "float"},
          {**GOOD, "dialect": "openai_embeddings", "prompt_tokens": 10, "message_count": 2, "finish_reason": None}),
)  # fmt: skip
FAILURES: Final = {
    "mock-rate-limit": 429,
    "mock-context": 400,
    "mock-internal": 500,
    "mock-overloaded": 529,
    "no-such-model": 400,
}


@pytest.fixture
def direct(litellm_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{litellm_url}/v1", api_key="sk-secret-of-mine", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def through(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{stack.proxy_url}/v1", api_key="sk-secret-of-mine", max_retries=0, timeout=60
    ) as client:
        yield client


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
def test_the_client_gets_the_same_bytes_and_the_record_tells_what_happened(
    story: Story, direct: openai.OpenAI, through: openai.OpenAI, stack: Stack
) -> None:
    expected = ask(direct, story)
    assert same(ask(direct, story).body) == same(expected.body), "LiteLLM itself varies more than ids and times"
    started = time.monotonic()
    got = ask(through, story)
    took_ms = (time.monotonic() - started) * 1000
    assert (got.status, same(got.body)) == (expected.status, same(expected.body))
    assert got.fields - expected.fields <= {"x-llm-metrics-request-id", "via"}
    assert got.fields >= expected.fields

    (record,) = stack.records(1, origin=story.name)
    assert {name: record[name] for name in story.record} == story.record
    assert record["origin"] == story.name
    assert record["response_bytes"] == got.wire_bytes
    assert 0 < record["response_time_ms"] <= took_ms
    assert_times_are_in_order(record, TIMED)
    assert re.fullmatch("[0-9a-f]{12}", record["api_key_id"])
    assert record["user_agent"].startswith("OpenAI/Python")
    if record["total_tokens"]:
        rate = record["total_tokens"] * 1000 / record["response_time_ms"]
        assert record["tokens_per_second"] == pytest.approx(rate)
    if record["is_streaming"]:
        assert_times_are_in_order(record, TOKEN_TIMES)
        assert record["content_chunks"] == got.body.count(b'"content":"')
    else:
        assert record["time_to_first_token_ms"] is None


def test_the_usage_that_a_stream_reports_is_the_usage_of_the_record(through: openai.OpenAI, stack: Stack) -> None:
    stream = through.chat.completions.create(
        model="mock-chat", messages=HELLO, stream=True, stream_options=USAGE,
        extra_headers={"x-llm-metrics-origin": "parsed-stream"},
    )  # fmt: skip
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        text += chunk.choices[0].delta.content or "" if chunk.choices else ""
    assert text == TEXT
    assert usage is not None
    (record,) = stack.records(1, origin="parsed-stream")
    counted = (record["prompt_tokens"], record["completion_tokens"], record["total_tokens"])
    assert counted == (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("model", "status"), FAILURES.items(), ids=list(FAILURES))
def test_errors_are_passed_on_and_recorded_in_the_servers_words(
    model: str, status: int, stream: bool, direct: openai.OpenAI, through: openai.OpenAI, stack: Stack
) -> None:
    story = chat(f"{model}-{stream}", model, {}, stream=stream)
    expected, got = ask(direct, story), ask(through, story)
    assert (got.status, got.body) == (expected.status, expected.body)
    assert got.status == status
    (record,) = stack.records(1, origin=story.name)
    assert (record["outcome"], record["success"]) == ("upstream_error", False)
    assert (record["status_code"], record["upstream_status_code"]) == (status, status)
    assert record["is_streaming"] is stream
    assert record["error_message"]
    assert record["error_message"][:40].encode() in expected.body
    assert record["error_type"]
    assert record["total_tokens"] is None


def test_a_client_that_leaves_in_the_middle_is_recorded_as_gone(through: openai.OpenAI, stack: Stack) -> None:
    stream = through.chat.completions.create(
        model="mock-long", messages=HELLO, stream=True, extra_headers={"x-llm-metrics-origin": "leaver"}
    )  # fmt: skip
    for _ in zip(range(10), stream, strict=False):
        pass
    stream.response.close()
    (record,) = stack.records(1, origin="leaver")
    assert (record["outcome"], record["success"]) == ("client_disconnected", False)
    assert 10 <= record["content_chunks"] < LONG_CHUNKS / 2, "the rest was read, although nobody was there for it"
    assert record["finish_reason"] is None
    assert record["total_tokens"] is None
    assert_times_are_in_order(record, TOKEN_TIMES)


def test_many_clients_at_once_each_get_their_answer_and_their_record(stack: Stack) -> None:
    async def one(client: openai.AsyncOpenAI, index: int) -> str:
        stream = await client.chat.completions.create(
            model="mock-chat", messages=HELLO, stream=True, user=f"user-{index}",
            extra_headers={"x-llm-metrics-origin": "crowd"},
        )  # fmt: skip
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_of_them() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{stack.proxy_url}/v1", api_key="x", max_retries=0) as client:
            return await asyncio.gather(*(one(client, index) for index in range(12)))

    assert asyncio.run(all_of_them()) == [TEXT] * 12
    records = stack.records(12, origin="crowd")
    assert sorted(record["user"] for record in records) == sorted(f"user-{index}" for index in range(12))
    assert {record["outcome"] for record in records} == {"completed"}


def test_the_list_of_models_passes(direct: openai.OpenAI, through: openai.OpenAI) -> None:
    assert [model.id for model in through.models.list()] == [model.id for model in direct.models.list()]


def test_no_request_left_two_records(stack: Stack) -> None:
    records = stack.records(1)
    assert len({record["request_id"] for record in records}) == len(records)
    by_origin = [record["origin"] for record in records if record["origin"] not in {"crowd", None}]
    assert len(by_origin) == len(set(by_origin))
