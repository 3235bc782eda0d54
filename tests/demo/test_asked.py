"""What a request asks is understood, or refused in OpenAI's words."""

import json
from random import Random
from typing import Any

import pytest

from llm_metrics_proxy.demo.asked import Body, DemoRefusal, tool_to_call, understood

CHAT = {"model": "demo-small", "messages": [{"role": "user", "content": "hi"}]}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("first", "second")]


def read(member: str = "messages", **changes: Any) -> Any:
    return understood(member, json.dumps({**CHAT, **changes}).encode())


def test_limits_choices_and_usage_are_read() -> None:
    asked = read(max_tokens=9, max_completion_tokens=4, n=3, stream_options={"include_usage": True}, unknown=1)
    assert (asked.limit, asked.choices, asked.include_usage, asked.model.name) == (4, 3, True, "demo-small")
    plain = read()
    assert (plain.limit, plain.choices, plain.include_usage) == (None, 1, False)
    assert plain.prompt_tokens == round(len('[{"role":"user","content":"hi"}]') / 4)


@pytest.mark.parametrize(
    ("member", "changes", "status", "code", "words"),
    [
        ("messages", {"model": "gpt-7"}, 404, "model_not_found", "demo-small"),
        ("messages", {"messages": []}, 400, None, "`messages` is missing or empty"),
        ("messages", {"n": 0}, 400, None, "`n` is from 1 to 16"),
        ("messages", {"n": 17}, 400, None, "`n` is from 1 to 16"),
        ("messages", {"max_tokens": 0}, 400, None, "at least 1"),
        ("messages", {"max_tokens": "many"}, 400, None, "Cannot read the request"),
        ("messages", {"max_tokens": 9000}, 400, "context_length_exceeded", "maximum context length is 8192 tokens"),
        ("input", {"input": "x"}, 400, None, "does not serve this path"),
        ("prompt", {"prompt": "x", "model": "demo-embedding"}, 400, None, "does not serve this path"),
    ],
)
def test_what_cannot_be_served_is_refused(
    member: str, changes: dict[str, Any], status: int, code: str | None, words: str
) -> None:
    with pytest.raises(DemoRefusal) as refusal:
        read(member, **changes)
    assert (refusal.value.answer.status, refusal.value.answer.code) == (status, code)
    assert words in refusal.value.answer.message


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"model":1}', b"\xff", b'{"model":"demo-small","messages":{}}'])
def test_nonsense_is_a_400(raw: bytes) -> None:
    with pytest.raises(DemoRefusal, match="Cannot read the request"):
        understood("messages", raw)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", {None}),
        ("required", {"first", "second"}),
        ("auto", {None, "first", "second"}),
        (None, {None, "first", "second"}),
        ({"type": "function", "function": {"name": "second"}}, {"second"}),
        ({"type": "function", "function": {"name": "third"}}, {None}),
    ],
)
def test_tool_choice_is_honoured(choice: Any, names: set[str | None]) -> None:
    body = Body("demo-small", tools=TOOLS, tool_choice=choice)
    called = [tool_to_call(body, Random(seed)) for seed in range(40)]
    assert {tool["name"] if tool else None for tool in called} == names
