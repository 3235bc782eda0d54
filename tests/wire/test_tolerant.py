"""Typed structs from JSON in which some values are wrong."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire import tolerant
from llm_metrics_proxy.wire.tolerant import UNREADABLE, count_items, decode, decode_any, mend_surrogates
from tests.wire.cuts import CALM


class Inner(msgspec.Struct):
    reason: str | None = None
    index: Any = 0


class Outer(msgspec.Struct):
    model: str | None = None
    limit: int | None = None
    inner: Inner | None = None
    items: list[Inner] | None = None
    raw: msgspec.Raw = msgspec.Raw()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m","limit":7}', Outer("m", 7)),
        (b'\n \n{"model":"m","limit":"7"}', Outer("m")),
        (b'{"limit":7,"model":{"name":"m"}}', Outer(None, 7)),
        (b'{"model":"m","inner":{"reason":1,"index":2}}', Outer("m", inner=Inner(None, 2))),
        (b'{"model":"m","inner":[]}', Outer("m")),
        (b'{"model":"m","items":[{"reason":"a"},null,5,{"reason":{},"index":3}]}',
         Outer("m", items=[Inner("a"), Inner(None, 3)])),
        (b'{"model":"m","items":{"0":1}}', Outer("m")),
        (b'{"model":"\xff","limit":7}', Outer(None, 7)),
        (b'{"model":"cut \\ud83d","limit":7}', Outer("cut \ufffd", 7)),
        (b'{"other":"\\ude00","limit":7}', Outer(None, 7)),
        (b'{"limit":7.5,"model":"m"}', Outer("m")),
        (b'{}', Outer()),
    ],
)  # fmt: skip
def test_a_wrong_value_costs_only_itself(body: bytes, expected: Outer) -> None:
    assert decode(Outer, body) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b'"x"', b"null", b"{", b'{"model":"m"', b'{"model":NaN}', b"{}{}"])
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    assert decode(Outer, body) is None


def test_nesting_beyond_every_limit_is_none_and_raises_nothing() -> None:
    assert decode(Outer, b'{"x":' * 100_000 + b"1" + b"}" * 100_000) is None
    assert decode(Outer, b"[" * 100_000) is None


def test_the_members_of_a_hostile_body_never_become_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tolerant, "MAX_MEMBERS", 100)
    body = b'{"limit":"no","raw":[' + b"0," * 5000 + b'0],"model":"m"}'
    assert decode(Outer, body) is None
    assert decode(Outer, body.replace(b'"no"', b"7")) is not None
    assert count_items(msgspec.Raw(b"[" + b"0," * 5000 + b"0]")) is None


def test_items_are_counted_without_being_read() -> None:
    assert count_items(msgspec.Raw(b'[{"a":[1,2]},"x",null]')) == 3
    assert count_items(msgspec.Raw(b"[]")) == 0
    assert count_items(msgspec.Raw(b'"text"')) is None
    assert count_items(msgspec.Raw()) is None


@CALM
@given(st.text(st.characters() | st.characters(categories=["Cs"]), max_size=12))
def test_mended_texts_are_those_that_replace_lone_halves(text: str) -> None:
    mended = msgspec.json.decode(mend_surrogates(json.dumps(text).encode()))
    assert mended == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_an_escaped_backslash_before_a_u_is_no_escape() -> None:
    assert mend_surrogates(rb'"\\ud83d \\\ud83d \ud83d\ude00"') == rb'"\\ud83d \\\ufffd \ud83d\ude00"'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":1e999,"b":2}', {"a": float("inf"), "b": 2}),
        (b"[%b]" % (b"1" * 5000), [float("inf")]),
        (b"12345678901234567890", 12345678901234567890),
        (b'"caf\xe9"', "caf\ufffd"),
        (b'"\\ud83d"', "\ufffd"),
        (b"\xef\xbb\xbf[1]", [1]),
        (b"null", None),
    ],
)
def test_one_part_that_strict_decoders_refuse_does_not_cost_the_value(text: bytes, value: Any) -> None:
    assert decode_any(text) == value


@pytest.mark.parametrize("text", [b"", b"{", b"text", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_at_all_is_unreadable(text: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode_any(text)
