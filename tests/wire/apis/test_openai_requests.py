"""What requests of chat completions, completions and embeddings ask for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.openai_requests import ChatRequest, CompletionRequest, EmbeddingsRequest
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.tolerant import decode
from tests.wire.cuts import CALM

KINDS = [ChatRequest, CompletionRequest, EmbeddingsRequest]

FULL: dict[str, Any] = {
    "model": "gpt-4o",
    "user": "anna",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 50,
    "max_completion_tokens": 100,
    "temperature": 0.5,
    "top_p": 1,
    "n": 2,
    "messages": [{"role": "system", "content": "be \u2028 brief"}, {"role": "user", "content": [{"type": "text"}]}],
    "tools": [{"type": "function"}],
    "seed": 7,
}
FACTS = {
    "model": "gpt-4o",
    "user": "anna",
    "is_streaming": True,
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 1.0,
    "choice_count": 2,
    "message_count": 2,
    "tool_count": 1,
}
FACT_OF = {
    "stream_options": "none of them",
    "model": "model",
    "user": "user",
    "stream": "is_streaming",
    "temperature": "temperature",
    "top_p": "top_p",
    "n": "choice_count",
    "messages": "message_count",
    "tools": "tool_count",
}


def test_every_fact_is_read() -> None:
    assert ChatRequest.read(json.dumps(FULL).encode()) == RequestFacts(**FACTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", FACT_OF)
@pytest.mark.parametrize("wrong", ["nonsense", 17.5, True, None, [[]], {"a": 1}])
def test_a_wrongly_typed_field_costs_only_its_own_fact(field: str, wrong: Any) -> None:
    facts = ChatRequest.read(json.dumps(FULL | {field: wrong}).encode())
    for name, value in FACTS.items():
        if name != FACT_OF[field]:
            assert getattr(facts, name) == value


@CALM
@given(st.dictionaries(st.sampled_from(list(FULL)), st.none() | st.booleans() | st.integers() | st.text() | st.floats(
    allow_nan=False, allow_infinity=False)))  # fmt: skip
def test_any_mixture_of_wrong_types_raises_nothing_and_every_fact_has_its_type(wrong: dict[str, Any]) -> None:
    facts = ChatRequest.read(json.dumps(FULL | wrong).encode())
    assert isinstance(facts.model, str | None)
    assert type(facts.max_tokens) in (int, type(None))
    assert isinstance(facts.temperature, float | None)
    assert facts.is_streaming is (wrong.get("stream", True) is True)


ODD: st.SearchStrategy[Any] = st.sampled_from(
    (None, True, "", "m", "x" * 257, " two\nlines ", 0, -1, 2**40, 2**40 + 1, 2**70, 0.5, 1.0, [], [1, {}], {})
)


@CALM
@given(st.dictionaries(st.sampled_from((*FULL, "safety_identifier", "conversation")), ODD))
def test_what_one_pass_reads_is_what_the_careful_way_reads(members: dict[str, Any]) -> None:
    for request in (members, FULL | members):
        body = json.dumps(request).encode()
        careful = decode(ChatRequest, body)
        assert careful is not None
        assert ChatRequest.read(body) == careful.facts()


def test_max_tokens_counts_when_its_successor_is_absent() -> None:
    assert ChatRequest.read(b'{"max_tokens":-1,"max_completion_tokens":null}').max_tokens == -1


def test_numbers_that_no_column_could_hold_are_left_out() -> None:
    facts = ChatRequest.read(b'{"model":"m","max_tokens":1e3,"n":99999999999999999999999,"temperature":1e999}')
    assert facts == RequestFacts(model="m")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"model":', b'{"model"', b"\x00\xff", b"model=x", b"[" * 9999])
def test_what_is_no_json_object_has_no_facts(kind: type[ModelRequest], body: bytes) -> None:
    assert kind.read(body) == RequestFacts()


def test_long_names_are_cut_and_empty_ones_are_missing() -> None:
    facts = ChatRequest.read(json.dumps({"model": "m" * 1000, "user": ""}).encode())
    assert facts.model == "m" * 256
    assert facts.user is None


def test_half_a_character_in_a_message_does_not_cost_the_facts() -> None:
    body = b'{"messages":[{"content":"cut by JavaScript \\ud83d"}],"model":"m","stream":true}'
    assert ChatRequest.read(body) == RequestFacts(model="m", message_count=1, is_streaming=True)


@pytest.mark.parametrize("kind", KINDS)
@CALM
@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing(kind: type[ModelRequest], body: bytes) -> None:
    assert isinstance(kind.read(body), RequestFacts)


def test_every_fact_of_a_completion_is_read() -> None:
    body = (
        b'{"model":"m","prompt":["a","b"],"stream":true,"stream_options":{"include_usage":true},"max_tokens":16,'
        b'"temperature":0,"top_p":0.9,"n":3,"user":"u","suffix":"x"}'
    )
    assert CompletionRequest.read(body) == RequestFacts(
        model="m", message_count=2, is_streaming=True, max_tokens=16, temperature=0.0, top_p=0.9,
        choice_count=3, user="u",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        (b'"one text, with [brackets]"', 1),
        (b'["a", "b", "c"]', 3),
        (b"[ 1, 2, 3]", 1),
        (b"[[1,2],[3]]", 2),
        (b"[]", 0),
        (b"null", None),
        (b"7", None),
        (b'{"text":"a"}', None),
    ],
)
def test_prompts_are_counted_in_every_form(prompt: bytes, count: int | None) -> None:
    assert CompletionRequest.read(b'{"prompt":%b}' % prompt).message_count == count


def test_a_missing_prompt_has_no_count() -> None:
    assert CompletionRequest.read(b'{"model":"m"}') == RequestFacts(model="m")


def test_a_wrongly_typed_field_of_a_completion_costs_only_its_own_fact() -> None:
    facts = CompletionRequest.read(b'{"model":"m","prompt":"p","n":"two","temperature":"hot","stream":1}')
    assert facts == RequestFacts(model="m", message_count=1)


@pytest.mark.parametrize(("inputs", "count"), [(b'"a"', 1), (b'["a","b"]', 2), (b"[5,6]", 1), (b"[[5],[6],[7]]", 3)])
def test_inputs_are_counted_in_every_form(inputs: bytes, count: int) -> None:
    body = b'{"input":%b,"model":"e","encoding_format":"base64","user":"u"}' % inputs
    assert EmbeddingsRequest.read(body) == RequestFacts(model="e", user="u", message_count=count)


def test_a_wrongly_typed_field_of_embeddings_costs_only_its_own_fact() -> None:
    assert EmbeddingsRequest.read(b'{"input":{},"model":"e","user":5}') == RequestFacts(model="e")
