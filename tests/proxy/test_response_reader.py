"""An answer reads the same however its bytes are cut."""

from itertools import pairwise
from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.chunked import ChunkedError
from llm_metrics_proxy.proxy.response_reader import HttpResponseReader
from tests.examples import examples

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
ANSWERS: dict[str, bytes] = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n",
    "until close": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "newer": b"\r\nHTTP/1.9 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "informed": HINTS + HINTS + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "closing": b"HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    "more than asked for": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
}


def read(pieces: list[bytes], method: bytes = b"POST") -> dict[str, Any]:
    reader = HttpResponseReader(65536)
    reader.expect(method)
    body, heads, statuses = b"", [], []
    for piece in pieces:
        assert reader.feed(piece) is None
        statuses += [head.status for head in reader.informational]
        reader.informational = ()
        if reader.head is not None:
            heads.append((reader.head.status, reader.head.start, reader.length))
            reader.head = None
        body += b"".join(reader.body)
        reader.body.clear()
    return {
        "heads": heads, "informational": statuses, "body": body, "complete": reader.complete,
        "keep_alive": reader.keep_alive, "framing": reader.framing, "ends": reader.ends_with_connection,
    }  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_byte_by_byte_as_in_one_read(name: str) -> None:
    data = ANSWERS[name]
    whole = read([data])
    assert read([data[at : at + 1] for at in range(len(data))]) == whole
    assert len(whole["heads"]) == 1
    assert whole["complete"] is (name != "until close")
    assert whole["ends"] is (name == "until close")
    assert whole["keep_alive"] is (name not in {"until close", "closing", "more than asked for"})
    assert whole["body"] == {"length": b"hello", "chunked": b"hello!", "until close": b"hello", "none": b""}.get(
        name, b"hi"
    )


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 120), max_size=6))
@examples(150)
def test_cut_at_random_as_in_one_read(name: str, cuts: list[int]) -> None:
    data = ANSWERS[name]
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert read([data[start:end] for start, end in pairwise(at)]) == read([data])


def test_an_answer_to_head_has_no_body_and_the_next_one_has() -> None:
    reader = HttpResponseReader(65536)
    reader.expect(b"HEAD")
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert (reader.complete, reader.keep_alive, reader.body) == (True, True, [])
    reader.expect(b"GET")
    assert (reader.untouched, reader.complete, reader.head) == (True, False, None)
    reader.feed(ANSWERS["length"])
    assert (reader.complete, reader.body) == (True, [b"hello"])


def test_what_comes_behind_a_switch_of_protocols_is_handed_back() -> None:
    reader = HttpResponseReader(65536)
    reader.expect(b"GET")
    switch = b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert reader.feed(switch[:9]) is None
    assert reader.feed(switch[9:] + b"frames") == b"frames"
    assert reader.head is not None
    assert reader.head.status == 101


@pytest.mark.parametrize("data", [b"RTSP/1.0 200 OK\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"\x15\x03\x01\x00\x02"])
def test_what_is_no_answer_is_refused_at_once(data: bytes) -> None:
    reader = HttpResponseReader(65536)
    reader.expect(b"GET")
    with pytest.raises(httptools.HttpParserError):
        reader.feed(data)
    assert (reader.head, reader.body) == (None, [])


def test_a_chunk_that_is_none_is_refused_and_what_came_before_it_is_there() -> None:
    reader = HttpResponseReader(65536)
    reader.expect(b"GET")
    with pytest.raises(ChunkedError):
        reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n")
    assert (reader.complete, reader.body) == (False, [b"hi"])


def test_heads_have_bounds() -> None:
    reader = HttpResponseReader(100)
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 50)
    assert not reader.head_is_too_large
    reader.feed(b"x" * 50)
    assert reader.head_is_too_large
    reader = HttpResponseReader(65536)
    reader.expect(b"GET")
    reader.feed(HINTS * 65)
    assert reader.head_is_too_large
    assert len(reader.informational) == 64
