import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.cli import top_window
from llm_metrics_proxy.cli.top_window import TrafficWindow, output_speed, percentiles


def a_request(**facts: Any) -> dict[str, Any]:
    return {
        "model": "llama",
        "success": True,
        "is_streaming": True,
        "completion_tokens": 101,
        "time_to_first_token_ms": 100.0,
        "time_to_last_token_ms": 1100.0,
        **facts,
    }


def test_rates_are_those_of_the_time_that_was_seen() -> None:
    window = TrafficWindow(60)
    window.add(0.0, [a_request()] * 10, 10)
    window.add(5.0, [a_request()] * 10, 10)
    early = window.snapshot(10.0, source="s")
    assert (early.window_s, early.requests, early.requests_per_second) == (10, 20, 2.0)
    late = window.snapshot(62.0, source="s")
    assert (late.window_s, late.requests, late.requests_per_second) == (60, 10, 10 / 60)
    assert window.snapshot(500.0, source="s").requests == 0


def test_by_model_the_busiest_comes_first_with_its_own_figures() -> None:
    window = TrafficWindow(10)
    slow = a_request(model="slow", time_to_first_token_ms=900.0)
    broken = a_request(model="slow", success=False, time_to_first_token_ms=None, completion_tokens=None)
    window.add(0.0, [a_request(), a_request(time_to_first_token_ms=200.0), slow, broken, slow], 5)
    first, second = window.snapshot(10.0, source="s").models
    assert (first.model, first.requests, first.errors, first.requests_per_second) == ("slow", 3, 1, 0.3)
    assert (first.time_to_first_token_ms.n, first.time_to_first_token_ms.p95) == (2, 900.0)
    assert (second.time_to_first_token_ms.p50, second.time_to_first_token_ms.p95) == (100.0, 200.0)
    assert second.output_tokens_per_second.p50 == 100.0


def test_cost_is_added_up_where_it_is_known() -> None:
    window = TrafficWindow(10)
    window.add(
        0.0, [a_request(cost_usd=0.5), a_request(cost_usd=None), a_request(model="local"), a_request(cost_usd=0.25)], 4
    )
    shown = window.snapshot(10.0, source="s")
    assert (shown.cost_usd.n, shown.cost_usd.sum) == (2, 0.75)
    assert [(line.model, line.cost_usd.n, line.cost_usd.sum) for line in shown.models] == [
        ("llama", 2, 0.75),
        ("local", 0, None),
    ]


def test_what_was_too_much_to_look_at_counts_in_the_rate_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_window, "MAX_RECORDS", 5)
    window = TrafficWindow(10)
    window.add(0.0, [a_request(success=False)] * 3, 1000)
    window.add(0.0, [a_request()] * 4, 4)
    shown = window.snapshot(10.0, source="s")
    assert (shown.requests, shown.unseen, shown.requests_per_second) == (1004, 999, 100.4)
    assert (shown.errors, shown.error_rate) == (1, 0.2)
    assert sum(line.requests for line in shown.models) == 5


def test_nothing_is_no_rate_of_errors_and_no_percentile() -> None:
    shown = TrafficWindow(10).snapshot(0.0, source="s", problem="gone")
    assert (shown.requests, shown.error_rate, shown.open_requests, shown.models) == (0, None, None, [])
    assert shown.problem == "gone"
    assert (percentiles([]).n, percentiles([]).p50, percentiles([]).p95) == (0, None, None)


@pytest.mark.parametrize(
    ("facts", "speed"),
    [
        ({}, 100.0),
        ({"is_streaming": False}, None),
        ({"completion_tokens": 1}, None),
        ({"completion_tokens": None}, None),
        ({"time_to_last_token_ms": 100.0}, None),
        ({"time_to_first_token_ms": None}, None),
        ({"output_tokens_per_second": 7.0}, 7.0),
        ({"output_tokens_per_second": None}, None),
    ],
)
def test_output_speed_is_of_the_tokens_after_the_first(facts: dict[str, Any], speed: float | None) -> None:
    assert output_speed(a_request(**facts)) == speed


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_values_that_were_there(values: list[float]) -> None:
    shown = percentiles(values)
    assert shown.p50 == statistics.median_low(values)
    assert shown.p95 in values
    assert sum(value <= shown.p95 for value in values) >= 0.95 * len(values)
