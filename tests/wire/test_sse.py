"""Server-sent events: the fast reader equals the slow oracle under every cut, and knows what servers really send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.sse import SseEvent, SseReader
from tests.wire.cuts import CALM, cut, three_ways
from tests.wire.oracle_sse import events_of

PARTS = [
    b"data: ", b"data:", b"data", b"event: ", b"event:error", b"error: ", b"id: 7", b"retry: 3", b": keep-alive", b":",
    b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n", b"\r\r", b" ", b"x", b'{"a":1}', b"[DONE]", b"\xef\xbb\xbf",
    "é\u2028\u0085😀".encode(), b"\xff", b"\x00",
]  # fmt: skip
STREAMS = st.lists(st.sampled_from(PARTS), max_size=30).map(b"".join) | st.binary(max_size=60)


def read(pieces: list[bytes], bound: int = 1 << 20) -> list[tuple[bytes, bytes]]:
    reader = SseReader(bound)
    events = [event for data in pieces for event in reader.feed(data)]
    return [(event.name, event.data) for event in [*events, *reader.finish()]]


@CALM
@given(STREAMS, st.sampled_from([4, 9, 20, 1 << 20]), st.data())
def test_it_equals_the_oracle_under_every_cut(stream: bytes, bound: int, data: st.DataObject) -> None:
    reader = SseReader(bound)
    events = [event for piece in data.draw(cut(stream)) for event in reader.feed(piece)]
    events += reader.finish()
    expected, left_out = events_of(stream, bound)
    assert [(event.name, event.data) for event in events] == expected
    assert reader.overflowed == (left_out > 0)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_line_end_frames_the_same_events(end: bytes) -> None:
    lines = [
        b": hello",
        b"data: one",
        b"",
        b"event: error",
        b"data:two",
        b"data: three",
        b"",
        b"data: [DONE]",
        b"",
        b"",
    ]
    for pieces in three_ways(end.join(lines)):
        assert read(pieces) == [(b"", b"one"), (b"error", b"two\nthree"), (b"", b"[DONE]")]


def test_an_event_is_given_by_the_byte_that_completes_it() -> None:
    reader = SseReader()
    assert reader.feed(b"data: x\r\n\r") == [SseEvent(b"x")]
    assert reader.feed(b"\ndata: y\n") == []
    assert reader.feed(b"\n") == [SseEvent(b"y")]


def test_a_byte_order_mark_counts_at_the_start_only() -> None:
    for pieces in three_ways(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\ndata: \xef\xbb\xbf\n\n"):
        assert read(pieces) == [(b"", b"a"), (b"", b"\xef\xbb\xbf")]


def test_a_character_cut_in_the_middle_comes_out_whole() -> None:
    text = "data: 漢字 😀\n\n".encode()
    for pieces in three_ways(text):
        assert read(pieces) == [(b"", "漢字 😀".encode())]


def test_only_one_space_after_the_colon_is_not_part_of_the_value() -> None:
    assert read([b"data:  x\n\ndata:y\n\ndata\n\n"]) == [(b"", b" x"), (b"", b"y"), (b"", b"")]


def test_an_error_field_is_an_error_event() -> None:
    for pieces in three_ways(b'error: {"message":"slot unavailable"}\n\n'):
        assert read(pieces) == [(b"error", b'{"message":"slot unavailable"}')]


def test_the_last_event_may_lack_its_blank_line() -> None:
    for end in (b"", b"\n", b"\r", b"\r\n"):
        assert read([b"data: a\n\ndata: [DONE]" + end]) == [(b"", b"a"), (b"", b"[DONE]")]


def test_an_event_that_is_too_long_is_left_out_and_the_next_one_is_read() -> None:
    stream = b"data: before\n\ndata: " + b"x" * 3000 + b"\n\ndata: after\n\n"
    for pieces in three_ways(stream):
        reader = SseReader(1000)
        events = [event.data for piece in pieces for event in reader.feed(piece)]
        assert events == [b"before", b"after"]
        assert reader.overflowed
        assert reader.finish() == []
