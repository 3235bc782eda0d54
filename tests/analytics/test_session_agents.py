"""The tree of agents: every request is in it once, whatever clients say of their parents."""

import itertools
import time
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.session_agents import MOST_AGENTS, SessionUse, by_model, tree, used_by
from tests.examples import examples


def record(agent: str | None, parent: str | None = None, tokens: int | None = 10, **more: Any) -> dict[str, Any]:
    named = {"agent_id": agent, "parent_agent_id": parent, "model": "m", "error_category": None, "cost_usd": None}
    counts = {"prompt_tokens": tokens, "completion_tokens": None, "total_tokens": tokens, "cached_tokens": None}
    return {**named, **counts, **more}


def shown(records: list[dict[str, Any]]) -> list[tuple[str | None, int, int, int]]:
    nodes = tree("s", records, [used_by(one, 1.0) for one in records])
    return [(node.agent_id, node.depth, node.own.requests, node.whole.requests) for node in nodes]


def test_agents_stand_below_the_one_that_started_them_with_its_sums() -> None:
    records = [
        record(None),
        record("a", "s"),
        record("b", "a"),
        record("c", "nobody"),
        record("b", "a"),
        record("d", "a"),
    ]
    assert shown(records) == [(None, 0, 1, 6), ("a", 1, 1, 4), ("b", 2, 2, 2), ("d", 2, 1, 1), ("c", 1, 1, 1)]


def test_what_nobody_reports_is_missing_and_not_zero() -> None:
    (root,) = tree("s", [record(None, tokens=None)], [used_by(record(None, tokens=None), 0)])
    assert (root.whole.total_tokens, root.whole.cost_usd, root.whole.cost_requests) == (None, None, 0)


AGENTS = st.sampled_from([None, "s", *"abcdef"])


@examples(300)
@given(made=st.lists(st.tuples(AGENTS, AGENTS), max_size=40))
def test_every_request_is_in_the_tree_once_even_if_parents_close_circles(made: list[tuple[Any, Any]]) -> None:
    records = [record(agent, parent) for agent, parent in made]
    nodes = shown(records)
    assert [agent for agent, *_ in nodes].count(None) == 1
    assert len({agent for agent, *_ in nodes}) == len(nodes)
    assert nodes[0][3] == sum(own for _, _, own, _ in nodes) == len(records)
    for (_, above, _, _), (_, depth, _, _) in itertools.pairwise(nodes):
        assert depth <= above + 1


def test_chains_and_crowds_that_somebody_made_up_are_folded_in_no_time() -> None:
    begun = time.monotonic()
    crowds: tuple[Callable[[int], str], ...] = (lambda n: str(n - 1), lambda _: "s", lambda n: str((n + 1) % 20_000))
    for parent in crowds:
        records = [record(str(number), parent(number)) for number in range(20_000)]
        nodes = shown(records)
        assert len(nodes) <= MOST_AGENTS + 1
        assert nodes[0][3] == 20_000
    assert time.monotonic() - begun < 20


def test_models_that_used_the_most_come_first() -> None:
    records = [record(None, model="small", tokens=5), record(None, model="large", tokens=50), record(None, model=None)]
    used = [used_by(one, 2.0) for one in records]
    assert [(row.model, row.own.total_tokens, row.own.busy_ms) for row in by_model(records, used)] == [
        ("large", 50, 2.0), (None, 10, 2.0), ("small", 5, 2.0),
    ]  # fmt: skip
    assert SessionUse() == SessionUse()
