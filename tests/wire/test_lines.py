"""Line ends made equal and bounded pieces, whatever the cut."""

import re

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.lines import LineEnds, Splitter
from tests.wire.cuts import CALM, cut, three_ways

TEXT = st.text("ab\r\n", max_size=60).map(str.encode)


def split_in(pieces: list[bytes], separator: bytes, bound: int) -> tuple[list[bytes], bytes, int]:
    splitter = Splitter(separator, bound)
    found = [piece for data in pieces for piece in splitter.feed(data)]
    rest = splitter.finish()
    return found, rest, splitter.skipped


@CALM
@given(TEXT, st.data())
def test_every_line_end_becomes_one_lf_under_every_cut(text: bytes, data: st.DataObject) -> None:
    ends = LineEnds()
    assert b"".join(map(ends.feed, data.draw(cut(text)))) == re.sub(rb"\r\n|\r", b"\n", text)


def test_a_line_ended_by_cr_is_complete_before_the_next_byte_comes() -> None:
    ends = LineEnds()
    assert ends.feed(b"data: x\r") == b"data: x\n"
    assert ends.feed(b"") == b""
    assert ends.feed(b"\n\r\nrest") == b"\nrest"


def test_unicode_line_separators_are_text() -> None:
    text = "a\u2028b\u2029c\u0085d\x0b\x0ce".encode()
    assert LineEnds().feed(text) == text
    assert Splitter(b"\n").feed(text + b"\n") == [text]


@CALM
@given(TEXT, st.sampled_from([b"\n", b"\n\n"]), st.integers(1, 12), st.data())
def test_pieces_are_those_of_split_under_every_cut(
    text: bytes, separator: bytes, bound: int, data: st.DataObject
) -> None:
    *pieces, rest = text.split(separator)
    fitting = [piece for piece in pieces if len(piece) <= bound]
    kept_rest = rest if len(rest) <= bound else b""
    skipped = len(pieces) - len(fitting) + (len(rest) > bound)
    assert split_in(data.draw(cut(text)), separator, bound) == (fitting, kept_rest, skipped)


def test_a_piece_that_is_too_long_is_left_out_and_reading_goes_on() -> None:
    text = b"one\n\n" + b"x" * 500 + b"\n\ntwo\n\n"
    for pieces in three_ways(text):
        assert split_in(pieces, b"\n\n", 100) == ([b"one", b"two"], b"", 1)


def test_what_is_held_of_a_long_piece_stays_bounded() -> None:
    splitter = Splitter(b"\n\n", 1000)
    for _ in range(100):
        assert splitter.feed(b"y" * 999) == []
        assert len(splitter._held) <= 2000
    assert "skipping" in repr(splitter)
    assert splitter.feed(b"\n\nnext\n\n") == [b"next"]
    assert splitter.skipped == 1
