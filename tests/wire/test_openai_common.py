"""Counts are believed only if they can be counts."""

from typing import Any

import pytest

from llm_metrics_proxy.wire.base import MAX_TOKENS
from llm_metrics_proxy.wire.openai_common import Usage, cut, finite, read_usage, small_int


def test_every_part_of_a_report_is_read() -> None:
    report = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    assert read_usage(report) == Usage(100, 20, 120, 64, 12)


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
    assert small_int(-1) == -1
    assert small_int(2**70) is None
    assert finite(0.0) == 0.0
    assert finite(float("inf")) is None
