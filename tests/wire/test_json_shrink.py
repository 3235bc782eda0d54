"""A document made small says, where it was kept, what the large one says."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.json_shrink import MAX_DEPTH, MAX_KEPT_BYTES, JsonShrinker, LargeJson, Shape, shape_of
from tests.wire.cuts import CALM, cut, random_pieces, three_ways

KEEP: Shape = {b"keep": None, b"also": None}
TEXT = st.text(st.sampled_from('ab"\\\n\u2028é😀{}[],:/'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=15,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["keep", "also", "drop", 'dr"op', "kee"]), VALUES, max_size=5)


def shrink(pieces: list[bytes], **settings: Any) -> tuple[bytes, JsonShrinker]:
    shrinker = JsonShrinker(KEEP, **settings)
    for piece in pieces:
        shrinker.feed(piece)
    return shrinker.finish(), shrinker


def shallow(value: Any, depth: int) -> Any:
    """The oracle: what lies below ``depth`` containers is emptied."""
    if isinstance(value, list):
        return [shallow(item, depth - 1) for item in value] if depth else []
    if isinstance(value, dict):
        return {key: shallow(item, depth - 1) for key, item in value.items()} if depth else {}
    return value


def expected(document: dict[str, Any], depth: int) -> dict[str, Any]:
    return {key: shallow(value, depth) if key.encode() in KEEP else None for key, value in document.items()}


@CALM
@given(DOCUMENTS, st.integers(1, 3), st.sampled_from([None, 1]), st.booleans(), st.data())
def test_it_equals_the_oracle_under_every_cut(
    document: dict[str, Any], depth: int, indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    small, shrinker = shrink(data.draw(cut(text)), max_depth=depth)
    assert json.loads(small) == expected(document, depth)
    assert shrinker.complete
    assert not shrinker.broken


@CALM
@given(DOCUMENTS, st.data())
def test_a_document_cut_short_gives_valid_json_of_what_was_complete(
    document: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(document).encode()
    end = data.draw(st.integers(1, len(text) - 1))
    small, shrinker = shrink(random_pieces(text[:end], end))
    assert not shrinker.complete
    found = json.loads(small)
    assert set(found) <= set(document)
    for key, value in list(found.items())[:-1]:
        assert value == expected(document, 4)[key]


def test_members_that_were_complete_survive_a_cut() -> None:
    for end in (b"", b",", b', "x', b', "x":', b', "x": [1, 2', b', "also": 12', b', "also": "ab'):
        small, _ = shrink([b'{"drop": [[1]], "keep": {"a": [1, 2]}' + end])
        assert json.loads(small) in ({"drop": None, "keep": {"a": [1, 2]}},)


@pytest.mark.parametrize("text", ["x" * 500, "é" * 300, "😀" * 200, '"\\' * 200, "\n" * 300, "a\u2028" * 200])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_long_string_loses_its_end_and_stays_valid(text: str, ascii_only: bool) -> None:
    document = json.dumps({"keep": text, "also": 1}, ensure_ascii=ascii_only).encode()
    for bound in range(90, 103):
        for pieces in three_ways(document):
            small, shrinker = shrink(pieces, max_string_bytes=bound)
            found = json.loads(small)
            kept = found["keep"].encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
            assert text.startswith(kept)
            assert len(kept.encode()) >= 12
            assert found["also"] == 1
            assert shrinker.complete


def test_what_is_kept_stays_bounded() -> None:
    shrinker = JsonShrinker(KEEP, max_kept_bytes=1000)
    shrinker.feed(b'{"drop":[' + b'{"a":"b"},' * 10_000)
    assert len(shrinker._kept) < 100
    shrinker.feed(b'{}],"keep":{"a":1},"also":[')
    assert not shrinker.broken
    for _ in range(100):
        shrinker.feed(b"1," * 200)
        assert len(shrinker._kept) < 2000
    assert shrinker.broken
    assert "broken" in repr(shrinker)


@pytest.mark.parametrize("text", [b"}", b"{]", b'{"keep":1}x', b"{}{}", b"[}", b'{"keep":1]', b'{"drop":]'])
def test_brackets_that_do_not_match_break_it(text: bytes) -> None:
    for pieces in three_ways(text):
        _, shrinker = shrink(pieces)
        assert shrinker.broken


def test_deep_nesting_costs_no_depth_of_ours() -> None:
    small, shrinker = shrink([b'{"drop":' + b"[" * 200_000 + b"]" * 200_000 + b',"keep":' + b'{"a":' * 90_000])
    assert not shrinker.broken
    assert json.loads(small) == {"drop": None, "keep": {"a": {"a": {"a": {}}}}}


@CALM
@given(st.lists(st.binary(max_size=20) | st.sampled_from([b'{"keep":', b'"', b"\\", b"{", b"}", b"[", b"]", b","])))
def test_random_bytes_raise_nothing_and_every_cut_agrees(pieces: list[bytes]) -> None:
    small, shrinker = shrink(pieces)
    whole, other = shrink([b"".join(pieces)])
    assert (shrinker.complete, shrinker.broken) == (other.complete, other.broken)
    assert small == whole


class Part(msgspec.Struct):
    kind: str | None = None


class Item(msgspec.Struct):
    parts: list[Part] | str | None = None
    extra: Any = None


class Whole(msgspec.Struct, rename="camel"):
    item_list: list[Item] | None = None
    usage: dict[str, Any] | None = None
    next_one: Item | None = None
    counted: list[msgspec.Raw] | None = None


PART: Shape = {b"kind": None}
ITEM: Shape = {b"parts": PART, b"extra": None}


def test_a_shape_is_what_the_decoder_reads() -> None:
    assert shape_of(Whole) == {b"itemList": ITEM, b"usage": None, b"nextOne": ITEM, b"counted": 1}


ANY = st.recursive(
    st.none() | st.integers() | TEXT | st.sampled_from(["x" * 9000, "é" * 9000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["itemList", "usage", "nextOne", "parts", "extra", "kind", "text", "counted"]), inner,
        max_size=4),
    max_leaves=15,
)  # fmt: skip


def seen(value: Any, shape: Shape | int | None) -> Any:
    """The oracle: members that the shape does not name are null, the rest is as shallow as what nobody described."""
    if shape is None or isinstance(shape, int):
        return shallow(value, shape or MAX_DEPTH)
    if isinstance(value, list):
        return [[] if isinstance(item, list) else seen(item, shape) for item in value]
    if isinstance(value, dict):
        return {key: seen(item, shape[key.encode()]) if key.encode() in shape else None for key, item in value.items()}
    return value


@CALM
@given(ANY, st.data())
def test_what_is_left_is_what_the_shape_names(value: Any, data: st.DataObject) -> None:
    text = json.dumps(value).encode()
    shrinker = JsonShrinker(shape_of(Whole), max_string_bytes=1 << 20)
    for piece in data.draw(cut(text)):
        shrinker.feed(piece)
    if isinstance(value, list | dict):
        assert json.loads(shrinker.finish()) == seen(value, shape_of(Whole))


def test_thousands_of_texts_lose_more_of_themselves_so_that_all_fit() -> None:
    items = [{"parts": [{"kind": "text"}], "extra": "x" * 5000} for _ in range(4000)]
    shrinker = JsonShrinker(shape_of(Whole))
    for piece in random_pieces(json.dumps({"itemList": items, "usage": {"total": 7}}).encode(), 1, 65_536):
        shrinker.feed(piece)
        assert len(shrinker._kept) < MAX_KEPT_BYTES
    found = json.loads(shrinker.finish())
    assert len(found["itemList"]) == 4000
    assert found["usage"] == {"total": 7}


def test_a_list_that_nobody_described_loses_its_end_before_all_is_given_up() -> None:
    document = {"itemList": [{"extra": list(range(300_000))}], "counted": [{"id": 5}] * 9, "usage": {"total": 7}}
    for piece_bytes in (65_536, 1000):
        shrinker = JsonShrinker(shape_of(Whole))
        for piece in random_pieces(json.dumps(document).encode(), 1, piece_bytes):
            shrinker.feed(piece)
        found = json.loads(shrinker.finish())
        numbers = found["itemList"][0]["extra"]
        assert 0 < len(numbers) < 300_000
        assert numbers == list(range(len(numbers)))
        assert (found["counted"], found["usage"]) == ([{}] * 9, {"total": 7})


def large(*pieces: bytes) -> bytes:
    value = LargeJson(shape_of(Whole))
    for piece in pieces:
        value.feed(piece)
    return value.finish()


@pytest.mark.parametrize("text", [b"{", b'{"usage":1}x', b'"' + b"x" * 9000, b"<html>" + b"x" * 9000, b"{]", b""])
def test_of_what_is_not_whole_or_no_json_the_beginning_is_given(text: bytes) -> None:
    for pieces in three_ways(text):
        assert large(*pieces) == text[:8192]
    assert large(b'{"usage":1,"x":[1]}') == b'{"usage":1,"x":null}'
