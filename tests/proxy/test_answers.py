"""Bytes for the client."""

import json

import pytest

from llm_metrics_proxy.proxy.answers import (
    Framing,
    client_framing,
    error_body,
    head_bytes,
    informational_bytes,
    json_bytes,
    own_answer,
    response_framing,
    response_head,
)  # fmt: skip
from llm_metrics_proxy.proxy.headers import RESPONSE_RULES, sort_fields

ID = "0" * 32
SAID = b"x-llm-metrics-request-id: " + ID.encode() + b"\r\n\r\n"
LENGTH = {"content_length": b"1"}
CODED = {"transfer_encoding": b"chunked"}


@pytest.mark.parametrize(
    ("status", "method", "facts", "framing"),
    [
        (200, b"GET", LENGTH, Framing.LENGTH), (200, b"GET", CODED, Framing.CHUNKED),
        (200, b"GET", {}, Framing.UNTIL_CLOSE), (200, b"HEAD", LENGTH, Framing.NONE), (204, b"GET", {}, Framing.NONE),
        (304, b"GET", LENGTH, Framing.NONE), (103, b"GET", {}, Framing.NONE), (404, b"POST", LENGTH, Framing.LENGTH),
    ],
)  # fmt: skip
def test_how_an_answer_is_framed(status: int, method: bytes, facts: dict[str, bytes], framing: Framing) -> None:
    assert response_framing(status, method, facts) is framing


@pytest.mark.parametrize(
    ("upstream", "version", "edited", "framing"),
    [
        (Framing.NONE, "1.1", True, Framing.NONE), (Framing.LENGTH, "1.1", False, Framing.LENGTH),
        (Framing.LENGTH, "1.0", False, Framing.LENGTH), (Framing.LENGTH, "1.1", True, Framing.CHUNKED),
        (Framing.LENGTH, "1.0", True, Framing.UNTIL_CLOSE), (Framing.CHUNKED, "1.1", False, Framing.CHUNKED),
        (Framing.CHUNKED, "1.0", False, Framing.UNTIL_CLOSE), (Framing.UNTIL_CLOSE, "1.1", False, Framing.CHUNKED),
        (Framing.UNTIL_CLOSE, "1.0", False, Framing.UNTIL_CLOSE),
    ],
)  # fmt: skip
def test_how_it_is_framed_for_the_client(upstream: Framing, version: str, edited: bool, framing: Framing) -> None:
    assert client_framing(upstream, version, edited=edited) is framing


@pytest.mark.parametrize(
    ("status", "framing", "length", "version", "keep_alive", "lines"),
    [
        (200, Framing.LENGTH, 3, "1.1", True, b"Content-Length: 3\r\n"),
        (200, Framing.LENGTH, 0, "1.1", True, b"Content-Length: 0\r\n"),
        (200, Framing.CHUNKED, None, "1.1", True, b"Transfer-Encoding: chunked\r\n"),
        (200, Framing.CHUNKED, 3, "1.1", True, b"Transfer-Encoding: chunked\r\n"),
        (200, Framing.UNTIL_CLOSE, 3, "1.0", False, b"Connection: close\r\n"),
        (200, Framing.NONE, 7, "1.1", True, b"Content-Length: 7\r\n"),
        (304, Framing.NONE, 7, "1.1", True, b"Content-Length: 7\r\n"),
        (204, Framing.NONE, 0, "1.1", True, b""),
        (200, Framing.LENGTH, 3, "1.0", True, b"Content-Length: 3\r\nConnection: keep-alive\r\n"),
        (200, Framing.LENGTH, 3, "1.1", False, b"Content-Length: 3\r\nConnection: close\r\n"),
    ],
)
def test_the_head_says_what_frames_the_body_and_nothing_else(
    status: int, framing: Framing, length: int | None, version: str, keep_alive: bool, lines: bytes
) -> None:
    head = response_head(status, b"Reason", sort_fields([(b"A", b"1")], RESPONSE_RULES), b"GET")
    data = head_bytes(head, framing, length, ID, version, keep_alive=keep_alive)
    assert data == b"HTTP/1.1 %d Reason\r\nA: 1\r\n" % status + lines + SAID


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"OK", b"OK"), (b"Not Found", b"Not Found"), (b"", b""), (b"a\tb", b"a\tb"), (b"caf\xc3\xa9", b"caf\xc3\xa9"),
        (b"caf\xe9", b"caf\xe9"), (b"\xe4\xbd\xa0", b"\xe4\xbd\xa0"), (b"O\x00\x1b[31mK", b"O[31mK"),
        (b"\x07\x08\x0b\x0c\x7f", b""), (b"a\xc2\x9b31mb", b"a31mb"), (b"a\x9b31m\xe9", b"a31m\xe9"),
    ],
)  # fmt: skip
def test_a_reason_has_no_control_characters(sent: bytes, shown: bytes) -> None:
    head = response_head(200, sent, sort_fields([], RESPONSE_RULES), b"GET")
    assert head.start == b"HTTP/1.1 200 " + shown + b"\r\n"


def test_a_head_before_the_final_one() -> None:
    head = response_head(103, b"Early", sort_fields([(b"Link", b"x")], RESPONSE_RULES), b"GET")
    assert informational_bytes(head, ID, b"B: 2\r\n") == b"HTTP/1.1 103 Early\r\nLink: x\r\nB: 2\r\n" + SAID


@pytest.mark.parametrize("status", [400, 403, 408, 413, 417, 431, 501, 502, 503, 504, 505])
def test_our_own_errors_are_shaped_like_openais(status: int) -> None:
    body = error_body("some_code", 'with "quotes" and ünïcode')
    data = own_answer(status, body, ID, "1.1", keep_alive=False)
    head, _, sent = data.partition(b"\r\n\r\n")
    assert json.loads(sent)["error"] == {
        "message": 'with "quotes" and ünïcode',
        "type": "proxy_error",
        "code": "some_code",
    }
    assert b"Content-Length: %d" % len(sent) in head
    assert b"Connection: close" in head
    assert (b"Retry-After: 1" in head) == (status == 503)


def test_an_answer_to_head_has_the_head_of_the_answer() -> None:
    whole = own_answer(200, b"{}", ID, "1.0", keep_alive=True)
    assert own_answer(200, b"{}", ID, "1.0", keep_alive=True, head_only=True) + b"{}" == whole
    assert b"Connection: keep-alive" in whole


def test_json_for_people_ends_with_a_newline() -> None:
    assert json_bytes({"a": [1, None]}) == b'{"a":[1,null]}\n'
