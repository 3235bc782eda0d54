"""First lines: what is one, which version counts, and that cutting changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.headers import HeadRefusal
from llm_metrics_proxy.proxy.request_line import _GOOD, checked, may_begin
from tests.proxy.test_request_reader import read

GOOD = [b"GET / HTTP/1.1", b"POST /v1/x?a=b%20c HTTP/1.0", b"OPTIONS * HTTP/1.1", b"BREW http://a/b HTTP/1.1"]
NEWER = [b"GET / HTTP/1.2", b"GET / HTTP/1.9"]
OTHER_VERSIONS = [
    b"PRI * HTTP/2.0", b"GET / HTTP/2.0", b"GET / HTTP/3.0", b"GET / HTTP/3.7", b"GET / HTTP/0.9", b"GET / HTTP/9.9",
    b"GET /",
]  # fmt: skip
BAD = [
    b"OPTIONS rtsp://a/b RTSP/1.0", b"OPTIONS * RTSP/1.0",
    b"GET / RTSP/1.0", b"DESCRIBE / RTSP/1.0", b"SOURCE / ICE/1.0",
    b"GET / ICE/1.0", b"GET / SIP/2.0", b"GET / HTTPS/1.1", b"GET / http/1.1", b"GET / Http/1.1", b"GET / HTTP/1",
    b"GET / HTTP/1.", b"GET / HTTP/1.10", b"GET / HTTP/11", b"GET / HTTP/01.1", b"GET / HTTP/1.1.1", b"GET / HTTP/1,1",
    b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b"\tGET / HTTP/1.1", b"GET /\t HTTP/1.1", b"GET \t/ HTTP/1.1",
    b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b"GET / HTTP/1.1 ",
    b" GET / HTTP/1.1", b"GET / HTTP/ 1.1", b"GET /a b HTTP/1.1",
    b"GET / HTTP/1.1\t", b"GET / HTTP/1.1\x0b", b"GET\x0b/ HTTP/1.1", b"GET\xa0/ HTTP/1.1", b"GET / HTTP/1.1\r",
    b"GET / \x00HTTP/1.1", b"GET /\x00 HTTP/1.1", b"GET /\x7f HTTP/1.1", b"GET / HTTP/1.1\nX: y", b"G(T / HTTP/1.1",
    b"GET", b"GET ", b"HTTP/1.1", b"HTTP/1.1 200 OK",
    b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-OpenSSH_9.6", b"{}", b"/",
]  # fmt: skip


@pytest.mark.parametrize("line", GOOD)
def test_good_lines_stay_as_they_are(line: bytes) -> None:
    assert checked(line) is line


@pytest.mark.parametrize("line", NEWER)
def test_a_minor_version_that_is_not_known_is_read_as_the_highest_that_is(line: bytes) -> None:
    assert checked(line) == b"GET / HTTP/1.1"


@pytest.mark.parametrize(
    ("line", "status"), [*((line, 505) for line in OTHER_VERSIONS), *((line, 400) for line in BAD)]
)
def test_other_lines_are_refused_the_same_way_however_they_are_cut(line: bytes, status: int) -> None:
    found = checked(line)
    assert isinstance(found, HeadRefusal)
    assert found.status == status
    if line == b"GET / HTTP/1.1\r":
        return  # with the CRLF behind it, its CR is the line's end
    sent = line + b"\r\nHost: a\r\n\r\n"
    assert read(sent)[-1] == status
    assert read(*(sent[at : at + 1] for at in range(len(sent))))[-1] == status


@pytest.mark.parametrize("line", [*GOOD, *NEWER, *OTHER_VERSIONS])
def test_a_line_that_will_be_answered_by_its_version_may_begin(line: bytes) -> None:
    assert all(may_begin(line[:end]) for end in range(1, len(line) + 1))
    assert may_begin(line + b"\r")


@given(st.one_of(st.sampled_from([*GOOD, *NEWER, *OTHER_VERSIONS]), st.binary(min_size=1, max_size=90)), st.data())
def test_what_may_not_begin_is_refused_as_a_whole_too(line: bytes, data: st.DataObject) -> None:
    beginning = line[: data.draw(st.integers(1, len(line)))]
    if not may_begin(beginning):
        found = checked(line)
        assert isinstance(found, HeadRefusal)
        assert found.status == 400


def test_a_line_seen_before_gets_the_same_answer_and_what_is_kept_is_bounded() -> None:
    lines = [b"GET /%d HTTP/1.1" % number for number in range(2000)] + [b"GET /a HTTP/1.7", b"GET  /a HTTP/1.1"]
    first = [checked(line) for line in lines]
    assert [checked(bytes(bytearray(line))) for line in lines] == first
    assert first[:2000] == lines[:2000]
    long = b"GET /" + b"x" * 300 + b" HTTP/1.1"
    assert checked(long) == long
    assert len(_GOOD) <= 1024
    assert long not in _GOOD
