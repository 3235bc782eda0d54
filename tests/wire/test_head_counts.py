"""Counts in the head of an answer: what its body left open, and never more."""

import pytest

from llm_metrics_proxy.proxy.answers import response_head
from llm_metrics_proxy.proxy.headers import RESPONSE_RULES, sort_fields
from llm_metrics_proxy.wire.base import ResponseFacts
from llm_metrics_proxy.wire.endpoints import DIALECTS
from llm_metrics_proxy.wire.head_counts import HeadCounts, read_counts, with_head
from llm_metrics_proxy.wire.token_counts import tokens_from

TGI = {"x-prompt-tokens": 5, "x-generated-tokens": 3, "x-total-time": 250}


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, None),
        ({"x-compute-tokens": b" 8 "}, {"x-compute-tokens": 8}),
        ({"x-prompt-tokens": b"5", "x-generated-tokens": b"3", "x-other": b"1"},
         {"x-prompt-tokens": 5, "x-generated-tokens": 3}),
        ({"x-compute-tokens": b"-1"}, None), ({"x-compute-tokens": b"1.5"}, None), ({"x-compute-tokens": b""}, None),
        ({"x-compute-tokens": b"9" * 400}, None), ({"x-compute-tokens": "²".encode("latin-1")}, None),
    ],
)  # fmt: skip
def test_whole_numbers_are_read(fields: dict[str, bytes], counts: HeadCounts | None) -> None:
    assert read_counts(fields) == counts


def test_they_are_found_in_a_head_however_they_are_spelt() -> None:
    fields = sort_fields([(b"X-Compute-Tokens", b"8"), (b"content-type", b"application/json")], RESPONSE_RULES)
    head = response_head(200, b"OK", fields, b"POST")
    assert head.counts == {"x-compute-tokens": 8}
    assert b"X-Compute-Tokens: 8\r\n" in head.start


def told(facts: ResponseFacts, counts: HeadCounts, dialect: str) -> tuple[int | None, ...]:
    reported = with_head(facts, counts).usage_reported
    usage = None if reported is None else tokens_from(reported, dialect)
    return () if usage is None else (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.rejected)


@pytest.mark.parametrize(
    ("body", "counts", "tokens"),
    [
        (None, TGI, (5, 3, 8, False)),
        (None, {"x-compute-tokens": 8}, (8, None, None, False)),
        (None, {"x-total-time": 9}, ()),
        ('{"details":{"generated_tokens":7}}', TGI, (5, 7, 12, False)),
        ('{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}', TGI, (1, 2, 3, False)),
        ('{"details":{"generated_tokens":-7}}', TGI, (5, 3, 8, True)),
        (None, {"x-compute-tokens": 2**41}, (None, None, None, True)),
    ],
)
def test_the_body_says_more(body: str | None, counts: HeadCounts, tokens: tuple[int | None, ...]) -> None:
    assert told(ResponseFacts(usage_reported=body), counts, "generate") == tokens


@pytest.mark.parametrize("dialect", ["tei_embed", "tei_predict", "rerank", "generate_root"])
def test_every_dialect_that_is_counted_in_the_head_knows_it(dialect: str) -> None:
    assert told(ResponseFacts(), {"x-compute-tokens": 8, "x-total-time": 12}, dialect) == (8, None, None, False)
    assert all(each.tokens is not None for each in DIALECTS if each.counts_in_head)


def test_the_servers_own_time_stands_beside_the_bodys() -> None:
    assert with_head(ResponseFacts(), TGI).further == {"server_total_ms": 250.0}
    told = ResponseFacts(further={"server_total_ms": 1.0, "server_load_ms": 2.0})
    assert with_head(told, TGI).further == {"server_total_ms": 1.0, "server_load_ms": 2.0}
