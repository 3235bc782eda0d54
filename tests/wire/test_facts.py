"""Counts are believed only if they can be counts."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.base import MAX_TOKENS
from llm_metrics_proxy.wire.facts import (
    PlainUsage,
    Usage,
    cut,
    finite,
    plain_usage,
    read_usage,
    short_text,
    small_int,
)


def test_every_part_of_a_report_is_read() -> None:
    report = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    assert read_usage(report) == Usage(100, 20, 120, 64, 12)


def test_other_names_for_cached_and_written_tokens_are_known_and_openais_own_come_first() -> None:
    assert read_usage({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}).cached_tokens == 4  # DeepSeek
    assert read_usage({"cache_creation_input_tokens": 7}).cache_write_tokens == 7  # LiteLLM
    both = {
        "prompt_cache_hit_tokens": 4,
        "cache_creation_input_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 2},
    }
    assert (read_usage(both).cached_tokens, read_usage(both).cache_write_tokens) == (0, 2)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(0.00014, 0.00014), (0, 0.0), (3, 3.0), (None, None), (-1, None), ("1", None), (True, None), (1e300, None),
     (float("nan"), None)],
)  # fmt: skip
def test_a_cost_is_believed_if_it_can_be_one(cost: Any, expected: float | None) -> None:
    usage = read_usage({"prompt_tokens": 1, "cost": cost})
    assert (usage.cost_usd, usage.prompt_tokens, usage.rejected) == (expected, 1, False)


COUNTS = st.none() | st.integers(-2, 2**42) | st.sampled_from(["5", 1.5, 2.0, True])
DETAILS = st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "cache_write_tokens"]), COUNTS)


@given(
    st.dictionaries(st.sampled_from([*PlainUsage.__struct_fields__, "else"]), COUNTS | st.floats(0, 9), max_size=6),
    DETAILS,
)
def test_the_fast_reading_agrees_with_the_careful_one(usage: dict[str, Any], details: dict[str, Any]) -> None:
    value = usage | {"prompt_tokens_details": details, "completion_tokens_details": details}
    try:
        plain = msgspec.json.decode(msgspec.json.encode(value), type=PlainUsage)
    except msgspec.DecodeError:
        return  # it is left to the careful one
    assert plain_usage(plain) == read_usage(value)


@pytest.mark.parametrize("value", ["12", -1, MAX_TOKENS + 1, True, False, 1.5, float("inf"), float("nan"), [], {}])
def test_a_nonsense_count_is_refused_and_told_and_the_others_stay(value: Any) -> None:
    usage = read_usage({"prompt_tokens": 5, "completion_tokens": value, "total_tokens": 9})
    assert usage == Usage(5, None, 9, rejected=True)
    assert read_usage({"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": value}) == Usage(
        5, 4, None, rejected=True
    )
    assert read_usage({"prompt_tokens_details": {"cached_tokens": value}}) == Usage(rejected=True)


def test_counts_at_the_bounds_and_whole_floats_are_counts() -> None:
    assert read_usage({"prompt_tokens": MAX_TOKENS, "completion_tokens": 0}) == Usage(MAX_TOKENS, 0, MAX_TOKENS)
    assert read_usage({"prompt_tokens": 12.0}) == Usage(12)
    assert isinstance(read_usage({"prompt_tokens": 12.0}).prompt_tokens, int)


def test_a_total_is_summed_only_when_it_is_missing_and_both_parts_are_known() -> None:
    assert read_usage({"prompt_tokens": 3, "completion_tokens": 4}).total_tokens == 7
    assert read_usage({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 9}).total_tokens == 9
    assert read_usage({"prompt_tokens": 3}).total_tokens is None
    assert read_usage({"prompt_tokens": 3, "completion_tokens": "4"}).total_tokens is None


def test_details_that_are_null_or_odd_are_none() -> None:
    assert read_usage({"prompt_tokens": 1, "prompt_tokens_details": None, "completion_tokens_details": 7}) == Usage(1)


def test_a_report_that_tells_nothing_is_empty_and_one_of_zeros_is_not() -> None:
    assert read_usage({}).is_empty
    assert read_usage({"prompt_tokens": None}).is_empty
    assert not read_usage({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}).is_empty


def test_request_values_that_no_column_could_hold_are_none() -> None:
    assert cut("x" * 300) == "x" * 256
    assert cut("") is None
    assert cut(7) is None
    assert (short_text(7), short_text("a"), short_text(True), short_text(2**70), short_text([])) == (
        "7", "a", None, None, None
    )  # fmt: skip
    assert small_int(-1) == -1
    assert small_int(2**70) is None
    assert finite(0.0) == 0.0
    assert finite(float("inf")) is None
