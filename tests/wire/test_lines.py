"""Line ends made equal and bounded pieces, whatever the cut."""

import re

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.lines import LineEnds, Splitter
from tests.wire.cuts import CALM, cut, three_ways

TEXT = st.text("ab\r\n", max_size=60).map(str.encode)


class Counted:
    """A large piece, told by its beginning."""

    def __init__(self) -> None:
        self.fed = b""

    def feed(self, data: bytes) -> None:
        self.fed += data

    def finish(self) -> bytes:
        return b"large:" + self.fed.rstrip(b"\n")  # of a separator that came in two parts the first may be with it


def split_in(pieces: list[bytes], separator: bytes, bound: int) -> list[bytes]:
    splitter = Splitter(separator, Counted, bound)
    found = [piece for data in pieces for piece in splitter.feed(data)]
    return [*found, splitter.finish()]


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
    assert Splitter(b"\n", Counted).feed(text + b"\n") == [text]


@CALM
@given(TEXT, st.sampled_from([b"\n", b"\n\n"]), st.integers(2, 12), st.data())
def test_pieces_are_those_of_split_under_every_cut_and_large_ones_small(
    text: bytes, separator: bytes, bound: int, data: st.DataObject
) -> None:
    *pieces, rest = text.split(separator)
    expected = [piece if len(piece) <= bound else b"large:" + piece.rstrip(b"\n") for piece in pieces]
    rest_bytes = len(rest) - (separator == b"\n\n" and rest.endswith(b"\n"))  # which may be half a separator
    expected.append(rest if rest_bytes <= bound else b"large:" + rest.rstrip(b"\n"))
    assert split_in(data.draw(cut(text)), separator, bound) == expected


def test_a_piece_that_is_too_large_comes_out_small_and_reading_goes_on() -> None:
    text = b"one\n\n" + b"x" * 500 + b"\n\ntwo\n\n"
    for pieces in three_ways(text):
        assert split_in(pieces, b"\n\n", 100) == [b"one", b"large:" + b"x" * 500, b"two", b""]


def test_nothing_is_held_of_a_large_piece() -> None:
    splitter = Splitter(b"\n\n", Counted, 1000)
    for _ in range(100):
        assert splitter.feed(b"y" * 999) == []
        assert len(splitter._held) <= 1000
        assert not splitter.is_empty
    assert "large" in repr(splitter)
    assert splitter.feed(b"\n\nnext\n\n") == [b"large:" + b"y" * 99_900, b"next"]
    assert splitter.is_empty
