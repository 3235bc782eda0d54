"""A server's own durations, in milliseconds, and nothing that is not a duration."""

from typing import Any

import pytest

from llm_metrics_proxy.record import RAW_COLUMNS
from llm_metrics_proxy.wire.server_times import (
    MAX_DURATION_MS,
    ollama_times,
    openai_times,
    timings_usage,
)

NONSENSE: list[Any] = [
    None,
    -1,
    -0.5,
    True,
    "5",
    [],
    {},
    1e300,
    10**400,
    float("nan"),
    float("inf"),
    MAX_DURATION_MS * 1e7,
]


def test_ollamas_durations_are_nanoseconds() -> None:
    assert ollama_times(5_043_500_667, 5_025_959, 325_953_000, 4_709_213_000) == {
        "server_total_ms": 5043.500667, "server_load_ms": 5.025959, "server_prompt_ms": 325.953,
        "server_generation_ms": 4709.213,
    }  # fmt: skip


def test_llama_cpps_timings_are_milliseconds_and_lm_studios_stats_are_seconds() -> None:
    assert openai_times({"prompt_ms": 30.9, "predicted_ms": 661.1}, None) == {
        "server_prompt_ms": 30.9, "server_generation_ms": 661.1,
    }  # fmt: skip
    assert openai_times(None, {"generation_time": 0.954, "time_to_first_token": 0.111}) == {
        "server_generation_ms": 954.0
    }
    assert openai_times(None, None) is None
    assert openai_times("x", 7) is None


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_is_no_duration_and_costs_no_other(value: Any) -> None:
    assert ollama_times(value, 1_000_000, value, 2_000_000) == {"server_load_ms": 1.0, "server_generation_ms": 2.0}
    assert openai_times({"prompt_ms": value, "predicted_ms": 5}, None) == {"server_generation_ms": 5}


def test_timings_leave_cached_tokens_out_of_the_prompt() -> None:
    found = timings_usage({"cache_n": 236, "prompt_n": 1, "predicted_n": 35})
    assert found is not None
    assert (found["prompt_tokens"], found["completion_tokens"]) == (237, 35)
    assert found["prompt_tokens_details"] == {"cached_tokens": 236}


def test_without_the_cached_ones_the_prompt_is_unknown() -> None:
    found = timings_usage({"prompt_n": 1, "predicted_n": 35})
    assert found is not None
    assert (found["prompt_tokens"], found["completion_tokens"]) == (None, 35)


@pytest.mark.parametrize("timings", [None, {}, [], "x", {"prompt_ms": 3.0}, {"prompt_n": -1, "cache_n": 2}])
def test_timings_without_counts_are_no_usage(timings: object) -> None:
    assert timings_usage(timings) is None


def test_times_are_named_like_columns_of_the_record() -> None:
    named = {*(ollama_times(1, 1, 1, 1) or {}), *(openai_times({"prompt_ms": 1, "predicted_ms": 1}, None) or {})}
    assert named == {"server_total_ms", "server_load_ms", "server_prompt_ms", "server_generation_ms"}
    assert named <= set(RAW_COLUMNS)
