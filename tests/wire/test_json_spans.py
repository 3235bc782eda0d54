"""Members found where they stand, and taken out without a trace."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.json_spans import members, without
from tests.wire.cuts import CALM

TEXT = st.text(st.sampled_from('ab"\\\n{}[],: é'), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=5)
STYLES = st.sampled_from([{}, {"separators": (",", ":")}, {"indent": 2}])


@CALM
@given(OBJECTS, STYLES)
def test_every_member_is_found_with_its_key_and_value(value: dict[str, Any], style: dict[str, Any]) -> None:
    text = b" \n" + json.dumps(value, **style).encode()
    found = members(text)
    assert found is not None
    assert {json.loads(b'"%b"' % one.key): json.loads(text[one.value_start : one.end]) for one in found} == value
    assert all(text[one.start : one.start + 1] == b'"' for one in found)


@CALM
@given(OBJECTS.filter(bool), STYLES, st.data())
def test_taking_a_member_out_leaves_the_text_of_the_others(
    value: dict[str, Any], style: dict[str, Any], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(value) - 1))
    text = json.dumps(value, **style).encode()
    found = members(text)
    assert found is not None
    rest = {key: item for position, (key, item) in enumerate(value.items()) if position != number}
    left = without(text, found, number)
    if rest or not style.get("indent"):
        assert left == json.dumps(rest, **style).encode()
    else:
        assert json.loads(left) == {}


def test_what_is_no_whole_object_is_none() -> None:
    for text in (
        b"",
        b"[]",
        b'"x"',
        b"{",
        b'{"a"',
        b'{"a":',
        b'{"a":"x',
        b'{"a":[1',
        b'{"a":["x',
        b'{"a":1,',
        b"{a:1}",
    ):
        assert members(text) is None


@CALM
@given(st.binary(max_size=40) | st.lists(st.sampled_from([b"{", b"}", b"[", b'"a":', b'"', b",", b"1"])).map(b"".join))
def test_random_bytes_raise_nothing(text: bytes) -> None:
    found = members(text)
    assert found is None or all(one.start < one.value_start <= one.end <= len(text) for one in found)
