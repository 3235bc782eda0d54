"""What a price depends on, whatever a file holds."""

from contextlib import closing
from typing import Any

import pytest

from llm_metrics_proxy.storage.connection import in_memory
from llm_metrics_proxy.storage.priced_facts import StoredFacts, facts_of, selected

MOMENT = "2026-01-01T00:00:00.000000Z"
COLUMNS = ("timestamp", "model", "prompt_tokens", "cached_tokens", "upstream_cost_usd", "cost_usd")


def read(*values: Any) -> tuple[StoredFacts, list[Any]]:
    """The facts of a record, and its cost, in a table that has only ``COLUMNS``."""
    with closing(in_memory()) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(COLUMNS)})")
        connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})", values)
        [(*facts, cost, source)] = connection.execute(f"SELECT {', '.join(selected(COLUMNS))} FROM t")
    return facts_of(facts, "UTF-8"), [cost, source]


def test_facts_are_read_by_name_and_missing_columns_are_unknown() -> None:
    facts, cost = read(MOMENT, "m", 7, 3.0, 0.5, 0.25)
    assert facts._asdict() == {
        **dict.fromkeys(StoredFacts._fields),
        "timestamp": MOMENT,
        "model": "m",
        "prompt_tokens": 7,
        "cached_tokens": 3,
        "upstream_cost_usd": 0.5,
    }
    assert cost == [0.25, None]


@pytest.mark.parametrize("count", [-1, 2**40, 1.5, "7", b"7"])
def test_what_is_no_count_is_unknown(count: object) -> None:
    facts, _ = read(MOMENT, b"m", count, None, "much", None)
    assert (facts.model, facts.prompt_tokens, facts.upstream_cost_usd) == (None, None, None)


@pytest.mark.parametrize("moment", [None, "yesterday", 2026, f"{MOMENT}x"])
def test_without_a_time_no_price_can_be_known(moment: object) -> None:
    facts, _ = read(moment, "m", 7, 3, None, None)
    assert (facts.prompt_tokens, facts.cached_tokens) == (None, 3)
