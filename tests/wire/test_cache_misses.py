"""Why a prompt cache was not used."""

import json
from typing import Any

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.apis.anthropic import AnthropicBodyReader, AnthropicStreamReader
from llm_metrics_proxy.wire.apis.openai_responses import ResponsesBodyReader, ResponsesStreamReader
from llm_metrics_proxy.wire.base import ResponseReader, copy_response_facts
from llm_metrics_proxy.wire.cache_misses import anthropic_miss, openai_miss


def miss_of(reader: ResponseReader, data: bytes) -> tuple[str | None, int | None]:
    """What the record says after this answer."""
    reader.feed(data)
    record = RequestRecord(request_id="0" * 32, timestamp="t", method="POST", endpoint="/")
    copy_response_facts(reader.finish(), record)
    return record.cache_miss_reason, record.cache_missed_tokens


def events(*data: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in data)


TOOLS: dict[str, Any] = {"cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 900}}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "m", "model": "c", "content": [], "usage": {"input_tokens": 1}},
}
END: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}


def test_anthropic_says_it_in_the_message_at_its_start_or_at_its_end() -> None:
    whole = {"type": "message", "model": "c", "content": [], "stop_reason": "end_turn", "diagnostics": TOOLS}
    assert miss_of(AnthropicBodyReader(), json.dumps(whole).encode()) == ("tools_changed", 900)
    begun = {**START, "message": {**START["message"], "diagnostics": TOOLS}}
    assert miss_of(AnthropicStreamReader(), events(begun, END)) == ("tools_changed", 900)
    ended = {**END, "delta": {"stop_reason": "end_turn", "diagnostics": TOOLS}}
    assert miss_of(AnthropicStreamReader(), events(START, ended)) == ("tools_changed", 900)
    assert miss_of(AnthropicStreamReader(), events(START, END)) == (None, None)


def test_openai_says_it_in_the_response() -> None:
    response = {
        "id": "r", "model": "g", "status": "completed", "output": [],
        "prompt_cache_diagnostics": {"type": "cache_miss", "reason": "input_changed", "cache_missed_tokens": 12},
    }  # fmt: skip
    assert miss_of(ResponsesBodyReader(), json.dumps(response).encode()) == ("input_changed", 12)
    event = {"type": "response.completed", "response": response}
    assert miss_of(ResponsesStreamReader(), events(event)) == ("input_changed", 12)


def test_only_a_miss_has_a_reason() -> None:
    assert openai_miss({"type": "cache_hit"}) is None
    assert openai_miss({"type": "unavailable"}) == {"cache_miss_reason": "unavailable", "cache_missed_tokens": None}
    odd: object
    for odd in (
        None,
        5,
        [],
        {},
        {"cache_miss_reason": None},
        {"cache_miss_reason": {"type": 5}},
        {"cache_miss_reason": "x"},
    ):
        assert anthropic_miss(odd) is None
    assert openai_miss({"type": "cache_miss", "reason": "model_changed", "cache_missed_tokens": -4}) == {
        "cache_miss_reason": "model_changed", "cache_missed_tokens": None,
    }  # fmt: skip
