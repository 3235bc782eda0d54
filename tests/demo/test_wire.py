"""The streamed and the whole form of an answer say the same."""

import base64
import json
import struct
from random import Random
from typing import Any

import pytest

from llm_metrics_proxy.demo import wire
from llm_metrics_proxy.demo.answers import ModelAnswer, answer
from llm_metrics_proxy.demo.models import MODELS

TOOL = {"name": "look_up", "parameters": {"properties": {"term": {"type": "string"}}}}
CALL = wire.Call("chatcmpl-demo1", 1_700_000_000, "demo-reasoning", True, 21)


def objects(events: list[bytes]) -> list[Any]:
    assert all(event.startswith(b"data: ") and event.endswith(b"\n\n") for event in events)
    assert events[-1] == wire.DONE
    return [json.loads(event[6:]) for event in events[:-1]]


def answers(count: int, tool: dict[str, Any] | None = None) -> list[ModelAnswer]:
    return [answer(MODELS["demo-reasoning"], Random(seed), 60, tool) for seed in range(count)]


@pytest.mark.parametrize("tool", [None, TOOL])
@pytest.mark.parametrize("chat", [True, False])
def test_the_pieces_of_a_stream_add_up_to_the_whole_answer(chat: bool, tool: dict[str, Any] | None) -> None:
    if tool and not chat:
        tool = None  # text completions know no tools
    call, said = CALL._replace(chat=chat), answers(3, tool)
    whole = wire.completion(call, said)
    streamed = list(wire.stream(call, said, include_usage=True))
    *pieces, usage = objects([event for event, _ in streamed])
    assert usage["usage"] == whole["usage"]
    assert usage["choices"] == []
    for choice in whole["choices"]:
        mine = [piece["choices"][0] for piece in pieces if piece["choices"][0]["index"] == choice["index"]]
        assert [part["finish_reason"] for part in mine if part["finish_reason"]] == [choice["finish_reason"]]
        if not chat:
            assert "".join(part["text"] for part in mine) == choice["text"]
            continue
        deltas = [part["delta"] for part in mine]
        assert "".join(delta.get("content", "") for delta in deltas) == (choice["message"]["content"] or "")
        reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
        assert reasoning == choice["message"]["reasoning_content"]
        arguments = "".join(part["function"]["arguments"] for delta in deltas for part in delta.get("tool_calls", ()))
        assert arguments == (choice["message"]["tool_calls"][0]["function"]["arguments"] if tool else "")
    if chat:
        assert sum(tokens for _, tokens in streamed) == whole["usage"]["completion_tokens"]


def test_usage_comes_only_when_asked_for() -> None:
    events = [event for event, _ in wire.stream(CALL, answers(1), include_usage=False)]
    assert all("usage" not in piece for piece in objects(events))


def test_tokens_are_counted_over_all_choices_and_every_object_is_marked_as_simulated() -> None:
    said = answers(2)
    whole = wire.completion(CALL, said)
    assert whole["usage"]["total_tokens"] == 21 + said[0].token_count + said[1].token_count
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] == sum(len(one.reasoning) for one in said)
    assert whole["system_fingerprint"] == "fp_simulated"


def test_embeddings_come_as_floats_or_as_packed_floats() -> None:
    plain = wire.embeddings(CALL, [[0.5, -1.0]], as_base64=False)
    packed = wire.embeddings(CALL, [[0.5, -1.0]], as_base64=True)
    assert plain["data"][0]["embedding"] == [0.5, -1.0]
    assert struct.unpack("<2f", base64.b64decode(packed["data"][0]["embedding"])) == (0.5, -1.0)
    assert plain["usage"] == {"prompt_tokens": 21, "total_tokens": 21}
