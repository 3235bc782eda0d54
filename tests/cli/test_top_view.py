import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from llm_metrics_proxy.cli.top_view import picture
from llm_metrics_proxy.cli.top_window import TopFrame, TrafficWindow


def drawn(snapshot: TopFrame, width: int = 100, height: int = 30, *, snug: bool = False) -> list[str]:
    out = Console(file=io.StringIO(), width=width, height=height, highlight=False, emoji=False)
    out.print(picture(snapshot, width, height, snug=snug))
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


def a_request(number: int, **facts: Any) -> dict[str, Any]:
    return {
        "model": f"model-{number}", "timestamp": "2026-03-01T12:00:00.000000Z", "success": True, "is_streaming": True,
        "status_code": 200, "outcome": "completed", "error_type": None, "finish_reason": "stop",
        "time_to_first_token_ms": 120.0, "time_to_last_token_ms": 1120.0, "response_time_ms": 1125.0,
        "completion_tokens": 101, **facts,
    }  # fmt: skip


def shown(*records: dict[str, Any], **facts: Any) -> TopFrame:
    window = TrafficWindow(10)
    window.add(0.0, records, len(records))
    return window.snapshot(10.0, source="metrics.db", **facts)


def test_figures_models_and_newest_requests_are_all_there() -> None:
    lines = drawn(
        shown(a_request(1, cost_usd=0.25), a_request(1, success=False, error_type="overloaded"), open_requests=7)
    )
    text = "\n".join(lines)
    assert "metrics.db  last 10 s" in lines[0]
    assert "0.2 requests/s   2 requests   7 open   1 (50.0%) errors" in lines[1]
    assert "model-1" in text
    assert "0.2500 USD, where known" in lines[1]
    assert "overloaded" in text
    assert text.index("overloaded") < text.index("stop")  # the newest first


def test_many_models_fit_the_height_and_what_is_left_out_is_told() -> None:
    lines = drawn(shown(*(a_request(number) for number in range(50))), height=24)
    assert len(lines) <= 24
    assert any("… 42 more" in line for line in lines)


def test_what_clients_sent_moves_no_cursor_and_breaks_no_line() -> None:
    hostile = "[red]\x1b[2J\u202e" + "x" * 10_000 + "\nnext"
    lines = drawn(shown(a_request(1, model=hostile), problem="bad\x1b[2J\nnews"), width=80)
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)
    assert any("[red]" in line for line in lines)
    assert len(lines) <= 30


def test_nothing_is_a_dash_and_never_zero() -> None:
    lines = drawn(TrafficWindow(10).snapshot(0.0, source="s"))
    assert "- open" in lines[1]
    assert "0 (-) errors" in lines[1]
    assert any("no request has ended" in line for line in lines)


@pytest.mark.parametrize("width", [12, 20, 40, 80, 200])
def test_the_models_name_is_the_last_thing_to_go(width: int) -> None:
    name = "llama-3.3-70b-instruct"
    lines = drawn(shown(*(a_request(1, model=name, cost_usd=123_456.5, error_type="timeout") for _ in range(9))), width)
    assert all(cell_len(line) <= width for line in lines)
    named = [line for line in lines if line.startswith(name[: min(width, 11) - 1])]
    assert len(named) == 10  # of the models, and the newest
    for line in named:  # nothing of a number is cut
        assert all(word[-1] != "…" for word in line.split()[1:])
    titles = next(line for line in lines if line.startswith("model")).split()
    assert ("errors" in titles) == (width > 30)
    assert ("requests" in titles) == (width > 90)


def test_in_a_pipe_it_is_as_wide_as_what_it_says() -> None:
    lines = drawn(shown(a_request(1)), width=400, snug=True)
    assert max(len(line.rstrip()) for line in lines) <= 160
    assert next(line for line in lines if "req/s" in line).index("req/s") < 25
