"""What a price depends on, as records from any time hold it."""

from typing import Any

import pytest

from llm_metrics_proxy.storage.priced_facts import StoredFacts, facts_of

MOMENT = "2026-01-01T00:00:00.000000Z"


def read(**values: Any) -> StoredFacts:
    """The facts of a record that has only these."""
    return facts_of([values.get(name) for name in StoredFacts._fields])


def test_facts_are_what_was_stored_and_missing_ones_are_unknown() -> None:
    known = {"timestamp": MOMENT, "model": "m", "prompt_tokens": 7, "cached_tokens": 3, "upstream_cost_usd": 0.5}
    assert read(**known)._asdict() == {**dict.fromkeys(StoredFacts._fields), **known}


@pytest.mark.parametrize("count", [-1, 2**40])
def test_what_is_no_count_is_unknown(count: int) -> None:
    facts = read(timestamp=MOMENT, model="m", prompt_tokens=count, cached_tokens=0)
    assert (facts.model, facts.prompt_tokens, facts.cached_tokens) == ("m", None, 0)


@pytest.mark.parametrize("moment", [None, "yesterday", "2026", f"{MOMENT}x"])
def test_without_a_time_no_price_can_be_known(moment: str | None) -> None:
    facts = read(timestamp=moment, model="m", prompt_tokens=7, cached_tokens=3)
    assert (facts.prompt_tokens, facts.cached_tokens) == (None, 3)
