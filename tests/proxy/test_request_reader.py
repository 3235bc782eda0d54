"""Requests come out the same however their bytes were cut."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.headers import HeadRefusal
from llm_metrics_proxy.proxy.inbound import InboundRequest
from llm_metrics_proxy.proxy.request_reader import RequestReader

HEAD = b"Host: proxy\r\n"
GET = b"GET /v1/models HTTP/1.1\r\n" + HEAD + b"\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /v1/x HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"
)
H2C = b"POST /v1/y HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nxyz"
SOCKET = b"GET /v1/realtime HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05early"


class Notes:
    """A sink that writes down what it hears; body pieces of one request are joined."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.reader = RequestReader(self, max_head_bytes=1000, max_fields=10)

    def head_begun(self) -> None:
        self.heard.append("begun")

    def head_read(self, head: InboundRequest) -> None:
        self.heard.append((head.method, head.target))
        self.body = b""

    def head_refused(self, refusal: HeadRefusal) -> None:
        self.heard.append(refusal.status)
        self.reader.stopped = True

    def body_read(self, body: bytes) -> None:
        self.body += body

    def message_read(self) -> bool:
        self.heard.append(self.body)
        return True

    def malformed(self, reason: str) -> None:
        assert reason
        self.heard.append("malformed")
        self.reader.stopped = True

    def tunnel_asked(self, rest: bytes) -> bool:
        self.heard.append(("tunnel", rest))
        return True


def read(*pieces: bytes) -> list[Any]:
    notes = Notes()
    for piece in pieces:
        if not notes.reader.stopped:
            notes.reader.feed(piece)
    return notes.heard


def expected(*requests: tuple[bytes, bytes, bytes]) -> list[Any]:
    return [item for method, target, body in requests for item in ("begun", (method, target), body)]


ALL = GET + POST + CHUNKED + H2C + GET
ALL_HEARD = expected(
    (b"GET", b"/v1/models", b""),
    (b"POST", b"/v1/chat/completions", b"hello"),
    (b"POST", b"/v1/x", b"abcde"),
    (b"POST", b"/v1/y", b"xyz"),
    (b"GET", b"/v1/models", b""),
)


def test_several_requests_in_one_read() -> None:
    assert read(ALL) == ALL_HEARD


def test_byte_by_byte() -> None:
    assert read(*(ALL[index : index + 1] for index in range(len(ALL)))) == ALL_HEARD


@given(st.lists(st.integers(0, len(ALL)), max_size=12))
def test_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(ALL)]
    assert read(*(ALL[start:end] for start, end in pairwise(edges))) == ALL_HEARD


def test_a_websocket_gets_its_tunnel_with_what_came_behind() -> None:
    assert read(SOCKET)[-2:] == [b"", ("tunnel", b"\x81\x05early")]


@pytest.mark.parametrize(
    ("sent", "heard"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", ["begun", 400]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20 + b"\r\n", ["begun", 431]),
        (b"GET /" + b"p" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", ["begun", 431]),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", ["begun", "malformed"]),
        (GET + b"garbage\r\n\r\n" + GET, [*expected((b"GET", b"/v1/models", b"")), "begun", 400]),
    ],
)
def test_what_is_no_request_is_told_once_and_ends_the_reading(sent: bytes, heard: list[Any]) -> None:
    assert read(sent) == heard


def test_an_endless_line_is_refused_once_it_has_gone_on_for_more_than_a_head() -> None:
    """The read in which a head begins may hold much else; what follows counts."""
    assert read(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", *[b"y" * 500] * 3) == ["begun", 431]


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    read(data)
    read(POST, data, GET)
