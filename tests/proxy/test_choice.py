"""Which backend serves a request: the rules one by one, and what must hold whatever the numbers are."""

from collections import Counter

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.choice import (
    SPEAKS,
    Load,
    RoutingRule,
    choose,
    eligible,
    lists_models,
    model_in_target,
    split_prefix,
)
from llm_metrics_proxy.wire.dialects import Family
from llm_metrics_proxy.wire.endpoints import family_of

WEIGHTS = st.integers(1, 20)


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/chat/completions", Family.OPENAI),
        ("/openai/deployments/d/chat/completions", Family.OPENAI),
        ("/v1/messages", Family.ANTHROPIC),
        ("/v1/messages/", Family.ANTHROPIC),
        ("/v1/messages/count_tokens", Family.ANTHROPIC),
        ("/api/chat", Family.OLLAMA),
        ("/api/v1/chat/completions", Family.OPENAI),
        ("/v1/models", None),
        ("/v1/models/gpt-4", None),
        ("/", None),
    ],
)
def test_a_path_belongs_to_an_api(path: str, family: Family | None) -> None:
    assert family_of(path) is family


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("/v1/models", None),
        ("/v1/models/", None),
        ("/v1/models/gpt-4", "gpt-4"),
        ("/v1/models/org/m", "org/m"),
        ("/v1/models/org%2Fm", "org/m"),
        ("/v1/chat/completions", None),
        ("/v1/realtime?x=1&model=org%2Fgpt+4&model=b", "org/gpt 4"),
        ("/v1/realtime?model=", None),
        ("/v1/models/a?model=b", "a"),
        ("/v1/models?limit=model", None),
    ],
)
def test_a_model_may_stand_in_the_target(target: str, model: str | None) -> None:
    assert model_in_target(target.encode()) == model


@pytest.mark.parametrize(
    ("target", "split"),
    [
        (b"/a/v1/models?x=/b", (b"a", b"/v1/models?x=/b")),
        (b"/a", (b"a", b"/")),
        (b"/a/", (b"a", b"/")),
        (b"/a?x", (b"a", b"/?x")),
        (b"/a//v1", (b"a", b"//v1")),
        (b"/b.2/v1", (b"b.2", b"/v1")),
        (b"/ab/v1", None),
        (b"/A/v1", None),
        (b"/%61/v1", None),
        (b"//a/v1", None),
        (b"/v1/a", None),
        (b"/?/a/", None),
        (b"*", None),
    ],
)
def test_a_name_is_the_first_segment_as_it_was_sent(target: bytes, split: tuple[bytes, bytes] | None) -> None:
    assert split_prefix(target, frozenset({b"a", b"b.2"})) == split


LLAMA = RoutingRule("llama", models=("llama*", "qwen*"))
CLOUD = RoutingRule("cloud", models=("gpt-*",), dialect="openai")
CLAUDE = RoutingRule("claude", models=("claude*",), dialect="anthropic")
LOCAL = RoutingRule("local", dialect="ollama")
AWS = RoutingRule("aws", dialect="bedrock", models=("*anthropic.claude*",))
COHERE = RoutingRule("cohere", dialect="cohere", models=("command*", "rerank*"))
PLAIN = RoutingRule("plain", dialect="openai")
ALL = [LLAMA, CLOUD, CLAUDE, LOCAL]


@pytest.mark.parametrize(
    ("model", "family", "names"),
    [
        ("llama3", Family.OPENAI, ["llama"]),
        ("gpt-4", Family.OPENAI, ["cloud"]),
        ("gpt-4", Family.ANTHROPIC, []),
        ("claude-1", Family.ANTHROPIC, ["claude"]),
        ("claude-1", Family.OPENAI, ["local"]),
        ("mistral", Family.OPENAI, ["local"]),
        ("mistral", Family.OLLAMA, ["local"]),
        ("mistral", Family.ANTHROPIC, []),
        ("mistral", None, ["local"]),
        (None, Family.OPENAI, ["llama", "cloud", "local"]),
        (None, None, ["llama", "cloud", "claude", "local"]),
    ],
)
def test_who_lists_the_model_serves_it_and_who_lists_nothing_serves_the_rest(
    model: str | None, family: Family | None, names: list[str]
) -> None:
    assert [ALL[index].name for index in eligible(ALL, model, family)] == names


def test_googles_paths_go_to_a_backend_of_google() -> None:
    rules = [RoutingRule("cloud", dialect="openai"), RoutingRule("google", dialect="gemini"), RoutingRule("any")]

    def names(path: str, model: str | None = None) -> list[str | None]:
        return [rules[index].name for index in eligible(rules, model, family_of(path))]

    assert names("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro") == ["google", "any"]
    assert names("/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict") == ["google", "any"]
    assert names("/v1/projects/p/locations/l/endpoints/openapi/chat/completions") == ["google", "any"]
    assert names("/v1beta/models") == ["google", "any"]
    assert names("/v1/chat/completions") == names("/v1beta/openai/chat/completions") == ["cloud", "any"]
    assert [rule.name for rule in rules if lists_models(rule)] == ["cloud", "any"]


TERMS = st.builds(
    RoutingRule, name=st.sampled_from("abc"),
    models=st.lists(st.sampled_from(("*", "a*", "b?", "ab")), max_size=2).map(tuple),
    dialect=st.sampled_from((None, *SPEAKS)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "model", "names"),
    [
        ("/model/us.anthropic.claude-x-v1%3A0/converse", "us.anthropic.claude-x-v1:0", ["aws"]),
        ("/model/arn%3Aaws%3Ax%2Fus.anthropic.claude-x/invoke", "arn:aws:x/us.anthropic.claude-x", ["aws"]),
        ("/model/amazon.nova-lite-v1:0/converse", "amazon.nova-lite-v1:0", []),
        ("/anthropic/v1/messages", "anthropic.claude-x", ["aws"]),
        ("/openai/v1/chat/completions", "anthropic.claude-x", ["aws"]),
        ("/v2/chat", "command-a-03-2025", ["cohere"]),
        ("/v2/chat", None, ["cohere"]),
        ("/v1/rerank", "rerank-v3.5", ["cohere"]),
        ("/v1/rerank", "bge", ["plain"]),
        ("/v1/tokenize", "command-a", ["cohere"]),
        ("/v1/embeddings", "command-a", ["plain"]),
    ],
)
def test_bedrock_and_cohere_get_what_is_theirs_and_what_others_have_too(
    path: str, model: str | None, names: list[str]
) -> None:
    rules = [AWS, COHERE, PLAIN]
    assert [rules[index].name for index in eligible(rules, model, family_of(path))] == names


@given(st.lists(TERMS, max_size=5), st.sampled_from((None, "a", "ab", "zz")), st.sampled_from((None, *Family)))
def test_nobody_is_chosen_for_what_it_does_not_serve(
    rules: list[RoutingRule], model: str | None, family: Family | None
) -> None:
    found = eligible(rules, model, family)
    for index in found:
        dialect = rules[index].dialect
        assert family is None or dialect is None or family in SPEAKS[dialect]
    lists = [bool(rules[index].models) for index in found]
    assert model is None or len(set(lists)) <= 1  # either those that list it, or those that list nothing


def run(loads: list[Load], requests: int) -> list[int]:
    """One request after the other, each over before the next comes."""
    taken = []
    for _ in range(requests):
        index, credited = choose(loads)
        taken.append(index)
        loads = [msgspec.structs.replace(load, credit=credit) for load, credit in zip(loads, credited, strict=True)]
    return taken


@given(st.lists(WEIGHTS, min_size=1, max_size=6))
def test_idle_backends_are_taken_exactly_in_proportion_to_their_weights(weights: list[int]) -> None:
    taken = Counter(run([Load(weight, 0) for weight in weights], 2 * sum(weights)))
    assert [taken[index] for index in range(len(weights))] == [2 * weight for weight in weights]


@given(st.lists(st.tuples(WEIGHTS, st.integers(0, 50), st.booleans(), st.integers(0, 9)), min_size=1, max_size=6))
def test_the_one_with_the_most_room_is_taken_and_an_ejected_one_only_if_all_are(
    parts: list[tuple[int, int, bool, int]],
) -> None:
    loads = [Load(weight, busy, ejected, failures) for weight, busy, ejected, failures in parts]
    index, credited = choose(loads)
    well = [load for load in loads if not load.ejected]
    taken = loads[index]
    if well:
        assert not taken.ejected
        assert all(taken.open_requests * other.weight <= other.open_requests * taken.weight for other in well)
        assert sum(credited) == sum(load.credit for load in loads)
    else:
        assert taken.failures == min(load.failures for load in loads)


@given(st.lists(WEIGHTS, min_size=2, max_size=5), st.integers(1, 200))
def test_open_requests_come_to_stand_in_proportion_to_weights(weights: list[int], requests: int) -> None:
    busy = [0] * len(weights)
    for _ in range(requests):
        index, _ = choose([Load(weight, each) for weight, each in zip(weights, busy, strict=True)])
        busy[index] += 1
    fair = requests / sum(weights)
    assert all(abs(each - weight * fair) <= weight + max(weights) for weight, each in zip(weights, busy, strict=True))


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 99)), min_size=2, max_size=4))
def test_of_the_ejected_the_one_that_failed_longest_ago_breaks_a_tie(parts: list[tuple[int, int]]) -> None:
    assume(len({when for _, when in parts}) == len(parts))
    loads = [Load(weight, 0, ejected=True, failures=3, failed_ns=when) for weight, when in parts]
    index, _ = choose(loads)
    assert loads[index].failed_ns == min(when for _, when in parts)


def test_credit_does_not_pile_up() -> None:
    loads = [Load(3, 0), Load(1, 0), Load(2, 0)]
    for _ in range(600):
        _, credited = choose(loads)
        assert all(abs(credit) <= 6 for credit in credited)
        loads = [msgspec.structs.replace(load, credit=credit) for load, credit in zip(loads, credited, strict=True)]
