"""Tool calls are counted from pieces of them, however a server numbers those."""

from typing import Any

import pytest

from llm_metrics_proxy.wire.apis.openai_tool_calls import ToolCalls


def piece(index: Any = None, call_id: Any = None, arguments: str = "") -> dict[str, Any]:
    return {"index": index, "id": call_id, "function": {"arguments": arguments}}


@pytest.mark.parametrize(
    ("pieces", "count"),
    [
        ([], 0),
        ([piece(0, "a"), piece(0, None, "{"), piece(0, None, "}")], 1),
        ([piece(0, "a"), piece(1, "b"), piece(0, None, "{}"), piece(1, None, "{}")], 2),
        ([piece(0, "a", "{}"), piece(0, "b", "{}")], 2),  # Gemini
        ([piece(0, "a"), piece(0, "a"), piece(0, "a")], 1),  # servers that repeat the id
        ([piece(None, "a"), piece(None, None, "{}")], 1),
        ([piece(0, "")], 1),
        (["x", None, 7], 0),
        ([piece("0", 5), piece([], {})], 1),
    ],
)
def test_the_pieces_of_one_call_are_one_call(pieces: list[Any], count: int) -> None:
    calls = ToolCalls()
    for each in pieces:
        calls.take(0, [each], None)
    assert calls.count == count
    together = ToolCalls()
    together.take(0, pieces, None)
    assert together.count == count


def test_choices_and_the_older_form_count_apart() -> None:
    calls = ToolCalls()
    for _ in range(3):
        calls.take(0, [piece(0)], None)
        calls.take(1, [piece(0)], None)
        calls.take("odd", None, {"name": "f"})
    assert calls.count == 3


def test_what_a_server_can_make_us_hold_is_bounded() -> None:
    calls = ToolCalls()
    for number in range(5000):
        calls.take(0, [piece(number, "x" * 1000), piece(0, f"id-{number}")], None)
    assert calls.count < 2100
