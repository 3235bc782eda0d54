"""What an embeddings request asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.openai_embeddings import read_request
from tests.wire.cuts import CALM


@pytest.mark.parametrize(("inputs", "count"), [(b'"a"', 1), (b'["a","b"]', 2), (b"[5,6]", 1), (b"[[5],[6],[7]]", 3)])
def test_inputs_are_counted_in_every_form(inputs: bytes, count: int) -> None:
    body = b'{"input":%b,"model":"e","encoding_format":"base64","user":"u"}' % inputs
    assert read_request(body) == RequestFacts(model="e", user="u", message_count=count)


def test_a_wrongly_typed_field_costs_only_its_own_fact() -> None:
    assert read_request(b'{"input":{},"model":"e","user":5}') == RequestFacts(model="e")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model"'])
def test_what_is_no_json_object_has_no_facts(body: bytes) -> None:
    assert read_request(body) == RequestFacts()


@CALM
@given(st.binary(max_size=80))
def test_random_bytes_raise_nothing(body: bytes) -> None:
    assert isinstance(read_request(body), RequestFacts)
