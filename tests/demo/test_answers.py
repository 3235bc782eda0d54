"""Simulated answers: seeded, bounded, and paced like the model they stand for."""

import json
import math
import statistics
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.demo.answers import answer, count_tokens, embedding, first_token_delay_s, inter_token_s
from llm_metrics_proxy.demo.models import MODELS

SMALL, REASONING = MODELS["demo-small"], MODELS["demo-reasoning"]
TOOL = {
    "name": "look_up",
    "parameters": {"properties": {"term": {"type": "string"}, "count": {"type": "integer"}, "odd": {}, "worse": 3}},
}


def test_the_same_seed_says_the_same_and_says_that_it_is_simulated() -> None:
    first, again = (answer(SMALL, Random(3), None, None) for _ in range(2))
    assert first == again
    assert "".join(first.content).startswith("This is a simulated answer.")
    assert first.finish_reason == "stop"


@given(seed=st.integers(), limit=st.integers(1, 300), reasons=st.booleans(), calls=st.booleans())
def test_no_answer_is_longer_than_its_limit_and_only_a_cut_one_ends_for_its_length(
    seed: int, limit: int, reasons: bool, calls: bool
) -> None:
    model, tool = (REASONING if reasons else SMALL), (TOOL if calls else None)
    whole, cut = answer(model, Random(seed), None, tool), answer(model, Random(seed), limit, tool)
    assert cut.token_count == min(limit, whole.token_count)
    assert (cut.finish_reason == "length") == (whole.token_count > limit)
    assert "".join(whole.reasoning + whole.content).startswith("".join(cut.reasoning + cut.content))


def test_a_tool_call_has_arguments_of_the_types_its_schema_names() -> None:
    called = answer(SMALL, Random(1), None, TOOL)
    arguments = json.loads("".join(called.tool_arguments))
    assert isinstance(arguments["term"], str)
    assert isinstance(arguments["count"], int)
    assert arguments["odd"] is None
    assert (called.tool_name, called.content, called.finish_reason) == ("look_up", (), "tool_calls")
    assert answer(SMALL, Random(1), None, {"name": "f", "parameters": {"properties": [1]}}).tool_arguments == ("{}",)


def test_reading_takes_time_in_proportion_to_the_prompt() -> None:
    short, long = (first_token_delay_s(SMALL, Random(5), tokens) for tokens in (60, 6060))
    assert long - short == pytest.approx(1.0)


def test_gaps_between_tokens_spread_around_the_models_median() -> None:
    random = Random(11)
    gaps = [inter_token_s(SMALL, random) for _ in range(4000)]
    assert statistics.median(gaps) == pytest.approx(SMALL.inter_token_median_ms / 1000, rel=0.05)
    assert max(gaps) > 4 * statistics.median(gaps)


def test_embeddings_are_unit_vectors() -> None:
    assert math.hypot(*embedding(Random(2), 256)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("text", "tokens"), [("", 1), ("four", 1), ("x" * 400, 100)])
def test_tokens_are_about_a_quarter_of_the_characters(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens
