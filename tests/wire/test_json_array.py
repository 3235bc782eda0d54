"""A JSON array as a stream of its elements, cut anywhere; compared with the array decoded as a whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.json_array import JsonArrayReader
from tests.wire.cuts import CALM, byte_by_byte, cut, three_ways

GOOGLE = b'[{\n  "a": 1,\n  "b": "x]},{\\""\n}\n,\r\n{\n  "c": [{"d": "\xf0\x9f\x8c\x8d"}]\n}\n]\n'


def elements(pieces: list[bytes], reader: JsonArrayReader | None = None) -> tuple[list[Any], JsonArrayReader]:
    reader = JsonArrayReader() if reader is None else reader
    events = [event for piece in pieces for event in reader.feed(piece)]
    return [json.loads(event.data) for event in [*events, *reader.finish()]], reader


def test_each_object_is_an_event_as_soon_as_it_is_whole() -> None:
    reader = JsonArrayReader()
    assert [len(reader.feed(piece)) for piece in (b'[{"a": 1', b"}", b"\n,\r\n", b'{"b": 2}\n', b"]")] == [
        0,
        1,
        0,
        1,
        0,
    ]
    assert reader.ended
    assert not reader.overflowed


def test_every_cut_gives_the_same() -> None:
    for pieces in three_ways(GOOGLE):
        found, reader = elements(pieces)
        assert found == json.loads(GOOGLE)
        assert reader.ended


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@CALM
@given(
    array=st.lists(st.dictionaries(st.text(max_size=5), _VALUES, max_size=4), max_size=5),
    indent=st.sampled_from([None, 2]), ascii_only=st.booleans(), data=st.data(),
)  # fmt: skip
def test_it_reads_what_a_decoder_of_whole_arrays_reads(
    array: list[Any], indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(array, indent=indent, ensure_ascii=ascii_only).encode()

    class Deep(JsonArrayReader):
        max_depth = 50

    found, reader = elements(data.draw(cut(text)), Deep())
    assert found == array
    assert reader.ended


def test_an_element_that_never_ends_gives_what_was_whole_in_it() -> None:
    found, reader = elements([b'[{"a": 1, "b": {"c": 2, "d": "cut of'])
    assert found == [{"a": 1, "b": {"c": 2}}]
    assert not reader.ended


@pytest.mark.parametrize("body", [b"", b"  ", b"[", b"[]"])
def test_an_array_without_elements_has_no_events(body: bytes) -> None:
    found, reader = elements([body])
    assert (found, reader.overflowed) == ([], False)
    assert reader.ended is body.endswith(b"]")


@pytest.mark.parametrize("body", [b'[1, {"a": 1}]', b'["x"]', b"[[]]", b"x[]", b"{}", b"[]{}", b"[] x", b'[{"a": ]}]'])
def test_anything_else_ends_the_reading_and_is_said(body: bytes) -> None:
    for pieces in ([body], byte_by_byte(body)):
        found, reader = elements(pieces)
        assert (found, reader.overflowed) == ([], True)


def test_a_large_element_is_made_small_as_it_passes() -> None:
    picture = b"A" * 3_000_000
    body = b'[{"n": 1, "data": "' + picture + b'"},\r\n{"n": 2, "text": "' + picture + b'"}]'

    class Small(JsonArrayReader):
        drop = frozenset({b"data"})

    reader = Small()
    sizes = [
        len(event.data) for start in range(0, len(body), 1 << 16) for event in reader.feed(body[start:][: 1 << 16])
    ]
    assert len(sizes) == 2
    assert max(sizes) < 10_000
    assert reader.ended


def test_an_element_of_which_too_much_matters_is_given_up() -> None:
    reader = JsonArrayReader(1000)
    assert reader.feed(b"[{" + b",".join(b'"k%d": 1' % number for number in range(500)) + b"}]") == []
    assert reader.overflowed
