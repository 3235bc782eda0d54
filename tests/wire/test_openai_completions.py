"""What a text completion's request asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.openai_completions import read_request
from tests.wire.cuts import CALM


def test_every_fact_is_read() -> None:
    body = (
        b'{"model":"m","prompt":["a","b"],"stream":true,"stream_options":{"include_usage":true},"max_tokens":16,'
        b'"temperature":0,"top_p":0.9,"n":3,"user":"u","suffix":"x"}'
    )
    assert read_request(body) == RequestFacts(
        model="m", message_count=2, is_streaming=True, include_usage=True, max_tokens=16, temperature=0.0, top_p=0.9,
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
    assert read_request(b'{"prompt":%b}' % prompt).message_count == count


def test_a_missing_prompt_has_no_count() -> None:
    assert read_request(b'{"model":"m"}') == RequestFacts(model="m")


def test_a_wrongly_typed_field_costs_only_its_own_fact() -> None:
    facts = read_request(b'{"model":"m","prompt":"p","n":"two","temperature":"hot","stream":1}')
    assert facts == RequestFacts(model="m", message_count=1)


@CALM
@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing(body: bytes) -> None:
    assert isinstance(read_request(body), RequestFacts)
