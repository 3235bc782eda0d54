"""Counts of OpenAI's shape are believed only if they can be counts, wherever servers put them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.openai_usage import PlainUsage, openai_tokens, plain_tokens, read_usage
from llm_metrics_proxy.wire.base import MAX_TOKENS
from llm_metrics_proxy.wire.facts import Usage
from llm_metrics_proxy.wire.token_counts import tokens_from


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
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "reasoning_tokens", "cache_write_tokens", "cache_creation_tokens"]), COUNTS
)


@given(
    st.dictionaries(st.sampled_from([*PlainUsage.__struct_fields__, "else"]), COUNTS | st.floats(0, 9), max_size=6),
    DETAILS,
    st.sampled_from(["usage", "x_groq.usage", "timings"]),
)
def test_the_fast_reading_agrees_with_the_careful_one(usage: dict[str, Any], details: dict[str, Any], at: str) -> None:
    reports = {at: usage | {"prompt_tokens_details": details, "completion_tokens_details": details}}
    plain = plain_tokens(json.dumps(reports))
    assert plain is None or plain == openai_tokens(reports)


def test_nearly_all_reports_are_read_fast() -> None:
    assert plain_tokens('{"usage":{"prompt_tokens":5,"prompt_tokens_details":null,"completion_tokens":2}}') == Usage(
        5, 2, 7
    )


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


@pytest.mark.parametrize("total", [3, 4])
def test_the_total_of_one_part_alone_is_none_of_both(total: int) -> None:
    """Reports in parts, each with a total of its own: first the prompt's, the completion's later."""
    report = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": total}
    assert read_usage(report).total_tokens == 7
    assert plain_tokens(json.dumps({"usage": report})) is None  # that way is not for it
    assert read_usage({"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}).total_tokens == 3
    assert read_usage({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 5}).total_tokens == 5


def test_names_of_responses_in_chat_are_counts_all_the_same() -> None:
    report = {
        "input_tokens": 9,
        "output_tokens": 4,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    expected = Usage(9, 4, 13, cached_tokens=5, reasoning_tokens=2)
    assert read_usage(report) == expected
    assert tokens_from(json.dumps({"usage": report}), "openai_chat") == expected
    assert read_usage({**report, "prompt_tokens": 10, "completion_tokens": 5}).total_tokens == 15


def test_details_that_are_null_or_odd_are_none() -> None:
    assert read_usage({"prompt_tokens": 1, "prompt_tokens_details": None, "completion_tokens_details": 7}) == Usage(1)


def test_a_report_that_tells_nothing_is_empty_and_one_of_zeros_is_not() -> None:
    assert read_usage({}).is_empty
    assert read_usage({"prompt_tokens": None}).is_empty
    assert not read_usage({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}).is_empty


def test_reasoning_stands_beside_the_other_counts_at_some_servers() -> None:
    assert read_usage({"completion_tokens": 105, "reasoning_tokens": 80}).reasoning_tokens == 80  # SGLang, Perplexity
    both = {"reasoning_tokens": 80, "completion_tokens_details": {"reasoning_tokens": 7}}
    assert read_usage(both).reasoning_tokens == 7


@pytest.mark.parametrize("name", ["cached_tokens", "num_cached_tokens", "cache_read_input_tokens"])
def test_cached_tokens_stand_beside_the_other_counts_at_some_servers(name: str) -> None:
    assert read_usage({"prompt_tokens": 9, name: 4}).cached_tokens == 4


def test_what_was_written_to_a_cache_has_many_names_and_lifetimes() -> None:
    for name in ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"):
        assert read_usage({"prompt_tokens_details": {name: 4}}).cache_write_tokens == 4
    lifetimes = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 1}
    found = read_usage({"prompt_tokens_details": {"cache_creation_token_details": lifetimes}})
    assert (found.cache_write_5m_tokens, found.cache_write_1h_tokens) == (3, 1)


def test_reasoning_that_only_the_total_counts_is_part_of_the_completion() -> None:
    xai = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 45,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }
    assert read_usage(xai) == Usage(10, 35, 45, 4, 30)
    assert read_usage({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}) == Usage(
        10, 35, 45
    )  # Gemini's


@pytest.mark.parametrize(
    ("more", "completion"),
    [
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, 5),
        ({"prompt_cache_hit_tokens": 30}, 5),
        ({"cache_creation_input_tokens": 30}, 5),
        ({"prompt_cache_hit_tokens": 0}, 35),
    ],
)
def test_a_total_that_something_else_may_explain_changes_nothing(more: dict[str, Any], completion: int) -> None:
    found = read_usage({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45, **more})
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (10, completion, 45)


def test_costs_in_parts_and_in_ticks_are_costs() -> None:
    perplexity = {"input_tokens_cost": 0.001, "output_tokens_cost": 0.002, "request_cost": 0.005, "total_cost": 0.008}
    assert read_usage({"cost": perplexity}).cost_usd == 0.008
    assert read_usage({"cost_in_usd_ticks": 232856000}).cost_usd == pytest.approx(0.0232856)
    assert read_usage({"cost_in_usd_ticks": 5, "cost": 0.5}).cost_usd == 0.5
    odd: list[Any] = [True, "7", -1, 1e300, [], {}]
    for nonsense in odd:
        assert read_usage({"cost_in_usd_ticks": nonsense}).cost_usd is None
        assert read_usage({"cost": {"total_cost": nonsense}}).cost_usd is None


def test_reports_at_several_places_say_together_what_they_know() -> None:
    assert openai_tokens({"choices[0].usage": {"prompt_tokens": 5, "completion_tokens": 2}}) == Usage(5, 2, 7)  # Kimi
    assert openai_tokens({"x_groq.usage": {"prompt_tokens": 5, "completion_tokens": 2}}) == Usage(5, 2, 7)
    both = {
        "usage": {"prompt_tokens": 5, "completion_tokens": 0},
        "x_groq.usage": {"prompt_tokens": 9, "completion_tokens": 2},
    }
    assert openai_tokens(both) == Usage(5, 2, 7)


def test_llama_cpps_timings_fill_what_usage_leaves_open() -> None:
    timings = {"prompt_n": 1, "cache_n": 236, "predicted_n": 35}
    assert openai_tokens({"timings": timings}) == Usage(237, 35, 272, 236)
    usage = {"prompt_tokens": 300, "completion_tokens": 40}
    assert openai_tokens({"usage": usage, "timings": timings}) == Usage(300, 40, 340, 236)
    details = {"prompt_tokens_details": {"cached_tokens": 7}}
    assert openai_tokens({"usage": usage | details, "timings": timings}) == Usage(300, 40, 340, 7)
    assert openai_tokens({}) == Usage()
