"""Anthropic's client, OpenAI's Responses and LangChain, LiteLLM, and the proxy between them: the same with and without.

What a client makes of an answer is compared, and what the server varies from call to call (ids, times) is left out.
"""

from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.real_server.conftest import TEXT
from tests.stack import Stack

pytestmark = [pytest.mark.real_server, pytest.mark.system]

HELLO: Final[Any] = [{"role": "user", "content": "Hello there!"}]
_VARYING: Final = {"id", "created_at", "item_id", "completed_at", "response_id"}


def steady(value: Any) -> Any:
    """``value`` without what differs from call to call."""
    if isinstance(value, dict):
        return {name: steady(each) for name, each in value.items() if name not in _VARYING}
    return [steady(each) for each in value] if isinstance(value, list) else value


def named(origin: str) -> dict[str, str]:
    return {"x-llm-metrics-origin": origin}


class TestAnthropic:
    @pytest.fixture
    def direct(self, litellm_url: str) -> Iterator[anthropic.Anthropic]:
        with anthropic.Anthropic(base_url=litellm_url, api_key="sk-x", max_retries=0, timeout=60) as client:
            yield client

    @pytest.fixture
    def through(self, stack: Stack) -> Iterator[anthropic.Anthropic]:
        with anthropic.Anthropic(base_url=stack.proxy_url, api_key="sk-x", max_retries=0, timeout=60) as client:
            yield client

    def test_a_whole_message(self, direct: anthropic.Anthropic, through: anthropic.Anthropic, stack: Stack) -> None:
        def ask(client: anthropic.Anthropic) -> Any:
            message = client.messages.create(
                model="mock-chat", max_tokens=50, messages=HELLO, extra_headers=named("anthropic-whole")
            )
            return message.model_dump()

        expected, got = ask(direct), ask(through)
        assert steady(got) == steady(expected)
        assert got["content"][0]["text"] == TEXT
        (record,) = stack.records(1, origin="anthropic-whole")
        assert (record["dialect"], record["outcome"], record["finish_reason"]) == (
            "anthropic_messages", "completed", "end_turn"
        )  # fmt: skip
        assert (record["prompt_tokens"], record["completion_tokens"]) == (
            got["usage"]["input_tokens"], got["usage"]["output_tokens"]
        )  # fmt: skip
        assert (record["max_tokens"], record["message_count"], record["response_id"]) == (50, 1, got["id"])
        assert record["api_key_id"]

    def test_a_stream(self, direct: anthropic.Anthropic, through: anthropic.Anthropic, stack: Stack) -> None:
        def ask(client: anthropic.Anthropic) -> list[Any]:
            with client.messages.stream(
                model="behind", max_tokens=50, messages=HELLO, extra_headers=named("anthropic-stream")
            ) as stream:
                return [event.model_dump() for event in stream]

        expected, got = ask(direct), ask(through)
        assert steady(got) == steady(expected)
        (record,) = stack.records(1, origin="anthropic-stream")
        assert (record["dialect"], record["outcome"], record["finish_reason"], record["is_streaming"]) == (
            "anthropic_messages", "completed", "end_turn", True
        )  # fmt: skip
        assert (record["prompt_tokens"], record["completion_tokens"], record["content_chunks"]) == (12, 3, 3)
        assert record["time_to_first_token_ms"] is not None
        assert record["tool_call_count"] == 0

    @pytest.mark.parametrize(("model", "status"), [("mock-rate-limit", 429), ("mock-internal", 500)])
    def test_errors(self, model: str, status: int, through: anthropic.Anthropic, stack: Stack) -> None:
        with pytest.raises(anthropic.APIStatusError) as caught:
            through.messages.create(model=model, max_tokens=50, messages=HELLO, extra_headers=named(f"a-{model}"))
        assert caught.value.status_code == status
        (record,) = stack.records(1, origin=f"a-{model}")
        assert (record["outcome"], record["status_code"]) == ("upstream_error", status)
        assert record["error_message"]
        assert record["error_message"][:40] in str(caught.value.body)


class TestResponses:
    @pytest.fixture
    def direct(self, litellm_url: str) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(base_url=f"{litellm_url}/v1", api_key="x", max_retries=0, timeout=60) as client:
            yield client

    @pytest.fixture
    def through(self, stack: Stack) -> Iterator[openai.OpenAI]:
        with openai.OpenAI(base_url=f"{stack.proxy_url}/v1", api_key="x", max_retries=0, timeout=60) as client:
            yield client

    def test_a_whole_response(self, direct: openai.OpenAI, through: openai.OpenAI, stack: Stack) -> None:
        def ask(client: openai.OpenAI) -> Any:
            return client.responses.create(
                model="mock-chat", input="Hello there!", extra_headers=named("responses-whole")
            )

        expected, got = ask(direct), ask(through)
        assert steady(got.model_dump()) == steady(expected.model_dump())
        assert got.output_text == TEXT
        (record,) = stack.records(1, origin="responses-whole")
        assert (record["dialect"], record["outcome"], record["finish_reason"]) == (
            "openai_responses", "completed", "completed"
        )  # fmt: skip
        assert (record["prompt_tokens"], record["total_tokens"]) == (got.usage.input_tokens, got.usage.total_tokens)
        assert (record["message_count"], record["tool_call_count"]) == (1, 0)

    def test_a_stream(self, direct: openai.OpenAI, through: openai.OpenAI, stack: Stack) -> None:
        def ask(client: openai.OpenAI) -> list[Any]:
            stream = client.responses.create(
                model="bridged", input="Hello there!", stream=True, extra_headers=named("responses-stream")
            )
            return [event.model_dump() for event in stream]

        expected, got = ask(direct), ask(through)
        assert steady(got) == steady(expected)
        assert got[-1]["type"] == "response.completed"
        (record,) = stack.records(1, origin="responses-stream")
        assert (record["dialect"], record["outcome"], record["finish_reason"], record["is_streaming"]) == (
            "openai_responses", "completed", "completed", True
        )  # fmt: skip
        usage = got[-1]["response"]["usage"]
        assert (record["prompt_tokens"], record["completion_tokens"]) == (usage["input_tokens"], usage["output_tokens"])
        assert record["content_chunks"] == sum(event["type"] == "response.output_text.delta" for event in got)
        assert record["time_to_first_token_ms"] is not None


class TestLangChain:
    def ask(self, url: str, origin: str, *, stream: bool) -> tuple[str, Any]:
        model = ChatOpenAI(
            model="behind", base_url=f"{url}/v1", api_key=SecretStr("x"), max_retries=0, stream_usage=True,
            default_headers=named(origin),
        )  # fmt: skip
        if not stream:
            answer = model.invoke("Hello there!")
            return str(answer.content), answer.usage_metadata
        pieces = list(model.stream("Hello there!"))
        usage = [piece.usage_metadata for piece in pieces if piece.usage_metadata]
        return "".join(str(piece.content) for piece in pieces), usage

    @pytest.mark.parametrize("stream", [False, True])
    def test_it_gets_the_same_and_the_record_tells(self, stream: bool, litellm_url: str, stack: Stack) -> None:
        origin = f"langchain-{stream}"
        expected = self.ask(litellm_url, origin, stream=stream)
        assert self.ask(stack.proxy_url, origin, stream=stream) == expected
        assert expected[0] == "Hello there!"
        (record,) = stack.records(1, origin=origin)
        assert (record["outcome"], record["dialect"], record["is_streaming"]) == ("completed", "openai_chat", stream)
        assert (record["prompt_tokens"], record["completion_tokens"]) == (12, 3)
