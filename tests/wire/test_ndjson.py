"""Lines are events; blank ones are none."""

from llm_metrics_proxy.wire.ndjson import NdjsonReader
from tests.wire.cuts import three_ways


def lines(stream: bytes, bound: int = 1000) -> list[bytes]:
    found = []
    for pieces in three_ways(stream):
        reader = NdjsonReader({b"a": None}, bound)
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.finish()
        found.append([event.data for event in events])
    assert all(other == found[0] for other in found)
    return found[0]


def test_each_line_is_an_event_and_the_last_one_needs_no_end() -> None:
    assert lines(b'{"a":1}\n{"b":"\xe2\x80\xa8"}\n{"c":') == [b'{"a":1}', b'{"b":"\xe2\x80\xa8"}', b'{"c":']


def test_blank_lines_are_nothing_and_a_carriage_return_is_white_space() -> None:
    assert lines(b"\n \r\n{}\r\n\n") == [b"{}\r"]


def test_a_large_line_is_made_small() -> None:
    large = b'{"a":1,"b":"' + b"x" * 100 + b'"}'
    assert lines(b"{}\n" + large + b"\n{}\n" + large, 50) == [b"{}", b'{"a":1,"b":null}'] * 2
    assert lines(large[:-1], 50) == [large[:-1]]


def test_it_stands_at_a_boundary_behind_a_whole_line_only() -> None:
    reader = NdjsonReader()
    assert reader.at_boundary
    reader.feed(b"{}\n{")
    assert not reader.at_boundary
    reader.feed(b"}\n")
    assert reader.at_boundary
