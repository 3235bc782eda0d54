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
    assert not reader.broken


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
    found, reader = elements(data.draw(cut(text)))
    assert found == array
    assert reader.ended


@pytest.mark.parametrize("max_held_bytes", [20, 1000])
def test_an_element_that_never_ends_is_given_as_it_came(max_held_bytes: int) -> None:
    begun = b'{"a": 1, "b": {"c": 2, "d": "cut of'
    reader = JsonArrayReader(max_held_bytes=max_held_bytes)
    assert reader.feed(b"[" + begun) == []
    assert [event.data for event in reader.finish()] == [begun]
    assert not reader.ended


@pytest.mark.parametrize("body", [b"", b"  ", b"[", b"[]"])
def test_an_array_without_elements_has_no_events(body: bytes) -> None:
    found, reader = elements([body])
    assert (found, reader.broken) == ([], False)
    assert reader.ended is body.endswith(b"]")


@pytest.mark.parametrize("body", [b'[1, {"a": 1}]', b'["x"]', b"[[]]", b"x[]", b"{}", b"[]{}", b"[] x", b'[{"a": ]}]'])
def test_anything_else_ends_the_reading_and_is_said(body: bytes) -> None:
    for pieces in ([body], byte_by_byte(body)):
        found, reader = elements(pieces)
        assert (found, reader.broken) == ([], True)


def test_a_large_element_is_made_small_as_it_passes() -> None:
    picture = b"A" * 3_000_000
    body = b'[{"n": 1, "data": "' + picture + b'"},\r\n{"n": 2, "text": "' + picture + b'"}]'
    reader = JsonArrayReader({b"n": None, b"text": None})
    sizes = [
        len(event.data) for start in range(0, len(body), 1 << 16) for event in reader.feed(body[start:][: 1 << 16])
    ]
    assert len(sizes) == 2
    assert max(sizes) < 10_000
    assert reader.ended


def test_an_element_is_large_by_its_size_and_not_by_how_it_came() -> None:
    body = b'[{"n": "' + b"x" * 30_000 + b'"}, {"n": "' + b"y" * 100 + b'"}]'
    found = []
    for pieces in three_ways(body):
        reader = JsonArrayReader(max_held_bytes=10_000)
        found.append([event.data for piece in pieces for event in reader.feed(piece)])
    assert all(other == found[0] for other in found)
    assert len(found[0][0]) < 10_000
