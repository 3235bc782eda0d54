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
    reader = SseReader(max_held_bytes=bound)
    events = [event for data in pieces for event in reader.feed(data)]
    return [(event.name, event.data) for event in [*events, *reader.finish()]]


@CALM
@given(STREAMS, st.sampled_from([4, 9, 20, 1 << 20]), st.data())
def test_it_equals_the_oracle_under_every_cut(stream: bytes, bound: int, data: st.DataObject) -> None:
    """Of a large event the lines are joined by a space, which is the same to JSON."""
    small = bound > len(stream)
    expected = [(name, text if small else text.replace(b"\n", b" ")) for name, text in events_of(stream)]
    found = read(data.draw(cut(stream)), bound)
    assert [(name, text if small else text.replace(b"\n", b" ")) for name, text in found] == expected


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


def test_a_large_event_comes_out_small_and_the_next_one_is_read() -> None:
    picture = b'{"a":1, "picture":"' + b"x" * 3000 + b'",\ndata:"b":{"c":[2]}}'
    stream = b"data: before\n\nid: 1\nevent: picture\ndata: " + picture + b"\nretry: 5\n\ndata: after\n\n"
    for pieces in three_ways(stream):
        reader = SseReader({b"a": None, b"b": None}, 1000)
        events = [event for piece in pieces for event in reader.feed(piece)]
        assert events == [
            SseEvent(b"before"), SseEvent(b'{"a":1, "picture":null, "b":{"c":[2]}}', b"picture"), SseEvent(b"after"),
        ]  # fmt: skip
        assert reader.finish() == []


def test_of_a_large_event_that_is_no_json_the_beginning_is_given() -> None:
    for pieces in three_ways(b"event: error\ndata: " + b"word " * 5000 + b"\n\nerror:" + b"boom " * 5000 + b"\n\n"):
        assert read(pieces, 1000) == [(b"error", (b"word " * 5000)[:8192]), (b"error", (b"boom " * 5000)[:8192])]
