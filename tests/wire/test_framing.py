"""How a body is framed shows in its first bytes, and no cut of them changes that."""

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.ollama import opens_stream
from llm_metrics_proxy.wire.framing import (
    AMAZON,
    BINARY,
    DOCUMENT,
    EVENTS,
    LINES,
    LIST,
    MAX_OPEN_BYTES,
    NOTHING,
    PAGE,
    TEXT,
    BodyFraming,
    frame,
)
from tests.examples import examples
from tests.wire.cuts import byte_by_byte, random_pieces

_PRELUDE = (200).to_bytes(4, "big") + (80).to_bytes(4, "big")

BODIES: list[tuple[bytes, BodyFraming]] = [
    (b'data: {"a":1}\n\n', EVENTS),
    (b'data:{"a":1}\n\n', EVENTS),
    (b"data: [DONE]\n\n", EVENTS),
    (b'\xef\xbb\xbfdata: {"a":1}\n\n', EVENTS),
    (b'\r\n\r\n\n data: {"a":1}\n\n', EVENTS),
    (b': OPENROUTER PROCESSING\n\ndata: {"a":1}\n\n', EVENTS),
    (b":\n\n", EVENTS),
    (b"event: message_start\ndata: {}\n\n", EVENTS),
    (b"id: 7\ndata: {}\n\n", EVENTS),
    (b"retry: 3000\n\n", EVENTS),
    (b'error: {"code":500}\n\n', EVENTS),
    (b'{"a":1}', DOCUMENT),
    (b'{"a":1}\n', DOCUMENT),
    (b'{"a":1}\n \r\n', DOCUMENT),
    (b'\xef\xbb\xbf{"a":1}', DOCUMENT),
    (b'\n\n  {"a":1}', DOCUMENT),
    (b'{\n  "a": {\n    "b": 1\n  }\n}\n', DOCUMENT),
    (b'{ "a":\n{"b":1}}', DOCUMENT),
    (b'{"a":1}\ntrailing', DOCUMENT),
    (b'{"a', DOCUMENT),
    (b"{", DOCUMENT),
    (b'{"a":1}\n{"b":2}\n', LINES),
    (b'{"a":1}\r\n\r\n{"b":', LINES),
    (b'{"done":false}\n', LINES),
    (b'{"done":false}', DOCUMENT),
    (b'[{"a":1},\n{"b":2}]', LIST),
    (b"[]", LIST),
    (b"<!DOCTYPE html>\n<html><title>Hi</title>", PAGE),
    (b"  <html lang='en'>", PAGE),
    (b'<?xml version="1.0"?><html>', PAGE),
    (b"<Error><Code>AccessDenied</Code></Error>", TEXT),
    (b"<htmlish>", TEXT),
    (b"upstream connect error or disconnect/reset before headers", TEXT),
    (b"Internal Server Error", TEXT),
    (b"null", TEXT),
    (b'"a text"', TEXT),
    (b"-1", TEXT),
    (b"data", TEXT),
    (b"database is locked", TEXT),
    (b"WEBVTT\n\n00:00.000 --> 00:01.000\nHi\n", TEXT),
    ("Стоп, машина".encode(), TEXT),
    (b"Gr\xfc\xdfe aus K\xf6ln", TEXT),
    (b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE", BINARY),
    (b"OggS\x00\x02\x00\x00", BINARY),
    (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", BINARY),
    (b"\xff\xfb\x90\xc4" * 30, BINARY),
    (b"\xff\xfe", BINARY),
    (_PRELUDE + zlib.crc32(_PRELUDE).to_bytes(4, "big") + b"\x0d:event-type", AMAZON),
    (_PRELUDE + b"\x00\x00\x00\x00" + b"\x0d:event-type", BINARY),
    (b"", NOTHING),
    (b" \r\n\t\n", NOTHING),
    (b"\xef\xbb\xbf", NOTHING),
]


def framing(body: bytes, promised: BodyFraming | None = None) -> BodyFraming:
    """The framing of a whole body."""
    found = frame(body, promised, opens_stream, ended=True)
    assert found is not None
    return found


@pytest.mark.parametrize(("body", "expected"), BODIES)
def test_a_body_is_framed_as_its_first_bytes_say(body: bytes, expected: BodyFraming) -> None:
    assert framing(body) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":1}\n', LINES),
        (b'{"a":1}', LINES),
        (b'{"a":', DOCUMENT),
        (b'{\n "a":1}', DOCUMENT),
        (b'data: {"a":1}\n\n', EVENTS),
        (b"<html>", PAGE),
        (b"", NOTHING),
    ],
)
def test_a_line_that_is_alone_is_a_line_where_lines_were_promised(body: bytes, expected: BodyFraming) -> None:
    assert framing(body, LINES) is expected


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        (b"data:", EVENTS),
        (b":", EVENTS),
        (b"event:", EVENTS),
        (b"[", LIST),
        (b"<html>", PAGE),
        (_PRELUDE + zlib.crc32(_PRELUDE).to_bytes(4, "big"), AMAZON),
        (b'{"done":false}\n', LINES),
        (b'{\n"', DOCUMENT),
    ],
)
def test_what_is_clear_is_decided_at_once(begun: bytes, expected: BodyFraming) -> None:
    assert frame(begun, None, opens_stream) is expected
    for end in range(len(begun)):
        assert frame(begun[:end], None, opens_stream) is None


def test_no_more_than_so_much_is_held() -> None:
    assert frame(b'{"a":"' + b"x" * MAX_OPEN_BYTES) is DOCUMENT
    assert frame(b'{"a":"' + b"x" * MAX_OPEN_BYTES, LINES) is LINES
    assert frame(b'{"a":1}\n' + b"\n" * MAX_OPEN_BYTES) is DOCUMENT
    assert frame(b"x" * 64) is TEXT


_PARTS = [
    b"data", b"event", b"id", b"retry", b"error", b":", b": ", b"{", b"}", b'{"a":1}', b'{"done":false}', b"\n",
    b"\r\n", b" ", b"\xef\xbb\xbf", b"[", b"]", b"<html>", b"<!doctype html>", b"<", b"null", b'"', b"\x00", b"\xff",
    b"x" * 70,
    _PRELUDE + zlib.crc32(_PRELUDE).to_bytes(4, "big"), "é".encode(),
]  # fmt: skip
bodies = st.lists(st.sampled_from(_PARTS), max_size=6).map(b"".join)


@examples(1500)
@given(bodies, st.sampled_from([None, LINES, EVENTS]), st.integers(0, 9))
def test_every_cut_of_a_body_is_decided_alike(body: bytes, promised: BodyFraming | None, seed: int) -> None:
    decided = framing(body, promised)
    for pieces in (byte_by_byte(body), random_pieces(body, seed, 9)):
        held = b""
        for piece in pieces:
            held += piece
            found = frame(held, promised, opens_stream)
            if found is not None:
                assert found is decided, (held, body)
                break


def oracle(body: bytes, promised: BodyFraming | None) -> BodyFraming:
    """The slow way, over the whole body: what a person would say."""
    text = re.sub(rb"\A[ \t\r\n]*(?:\xef\xbb\xbf)?[ \t\r\n]*", b"", body)
    if not text:
        return NOTHING
    if text[:1] == b"[":
        return LIST
    if text[:1] == b"{":
        lines = [line for line in text.split(b"\n") if line.strip(b" \t\r\n")]
        first = re.fullmatch(rb'\{(?:"a":1|"done":false)?\}[ \t\r]*', lines[0])
        if not first or (b"\n" not in text and promised is not LINES):
            return DOCUMENT
        alone = len(lines) == 1
        if b'"done":false' in lines[0] and b"\n" in text:
            return LINES
        return LINES if (promised is LINES if alone else lines[1].lstrip(b" \t\r").startswith(b"{")) else DOCUMENT
    for name in (b"data", b"event", b"id", b"retry", b"error", b""):
        if text.startswith(name + b":"):
            return EVENTS
    if len(body) > 11 and zlib.crc32(body[:8]).to_bytes(4, "big") == body[8:12]:
        return AMAZON
    shown = text[:64]
    if any(shown.lower().startswith(tag) for tag in (b"<html>", b"<!doctype html>")):
        return PAGE
    letters = shown.decode("utf-8", "replace").rstrip("\ufffd")
    if b"\x00" in shown or not letters or letters.count("\ufffd") * 4 > len(letters):
        return BINARY
    return TEXT


@examples(1500)
@given(bodies, st.sampled_from([None, LINES, EVENTS]))
def test_it_is_decided_as_the_slow_oracle_decides(body: bytes, promised: BodyFraming | None) -> None:
    assert framing(body, promised) is oracle(body, promised)
