"""Frames are counted and text messages found, however the bytes are cut."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.websocket import FrameReader
from tests.wire.cuts import CALM, cut, three_ways

TEXT, BINARY, CLOSE, PING, CONTINUATION = 1, 2, 8, 9, 0


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True, mask: bytes = b"", rsv1: bool = False) -> bytes:
    """RFC 6455 section 5.2."""
    first = (0x80 if final else 0) | (0x40 if rsv1 else 0) | opcode
    size = len(payload)
    masked = 0x80 if mask else 0
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if mask else payload
    return head + mask + body


def read(stream: bytes, bound: int = 1000) -> tuple[list[bytes], int, bool]:
    """Messages, frames, broken; the same for every cut, or this fails."""
    found = []
    for pieces in three_ways(stream):
        reader = FrameReader(bound)
        messages = [message for piece in pieces for message in reader.feed(piece)]
        found.append((messages, reader.frames, reader.broken))
    assert all(other == found[0] for other in found)
    return found[0]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 999])
def test_a_text_of_any_length_is_a_message(size: int) -> None:
    assert read(frame(b"x" * size) * 2) == ([b"x" * size] * 2, 2, False)


def test_a_message_in_fragments_with_a_ping_between_them_is_one() -> None:
    stream = (
        frame(b"Hel", final=False) + frame(b"?", PING) + frame(b"lo", CONTINUATION, final=False)
        + frame(b"!", CONTINUATION) + frame(b"", CLOSE)
    )  # fmt: skip
    assert read(stream) == ([b"Hello!"], 5, False)


@pytest.mark.parametrize("size", [5, 300, 70_000])
def test_masked_compressed_and_binary_frames_are_only_counted(size: int) -> None:
    payload = b"x" * size
    stream = frame(payload, mask=b"abcd") + frame(payload, rsv1=True) + frame(payload, BINARY)
    stream += frame(payload, rsv1=True, final=False) + frame(payload, CONTINUATION)
    for pieces in ([stream], [stream[:7], stream[7:]]):
        reader = FrameReader(10**6)
        assert [message for piece in pieces for message in reader.feed(piece)] == []
        assert (reader.frames, reader.broken) == (5, False)


def test_a_message_over_the_bound_is_left_out_and_the_next_one_read() -> None:
    long = frame(b"x" * 600, final=False) + frame(b"x" * 600, CONTINUATION)
    assert read(frame(b"x" * 1001) + long + frame(b"ok")) == ([b"ok"], 4, False)
    assert read(frame(b"ok"), bound=0) == ([], 1, False)


@pytest.mark.parametrize(
    "nonsense",
    [
        bytes((0x83, 0)),  # a reserved opcode
        bytes((0xA1, 0)),  # RSV2
        frame(b"x" * 126, PING),  # a control frame may hold 125 bytes
        frame(b"", PING, final=False),
        bytes((0x81, 127)) + b"\xff" * 8,
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_frame_ends_the_reading(nonsense: bytes) -> None:
    assert read(frame(b"ok") + nonsense + frame(b"unread")) == ([b"ok"], 1, True)


def test_an_endless_payload_is_not_held() -> None:
    reader = FrameReader()
    reader.feed(bytes((0x81, 127)) + (2**40).to_bytes(8, "big"))
    for _ in range(100):
        reader.feed(b"x" * 65536)
    assert reader._message is None
    assert (reader.frames, reader.broken) == (0, False)


@CALM
@given(st.lists(st.tuples(st.binary(max_size=200), st.sampled_from([TEXT, BINARY]), st.booleans(), st.booleans()),
                max_size=8), st.data())  # fmt: skip
def test_what_was_framed_is_found_again(frames: list[tuple[bytes, int, bool, bool]], data: st.DataObject) -> None:
    dice = random.Random(1)
    stream, expected = b"", []
    for payload, opcode, masked, fragmented in frames:
        mask = dice.randbytes(4) if masked else b""
        if fragmented:
            middle = len(payload) // 2
            stream += frame(payload[:middle], opcode, final=False, mask=mask)
            stream += frame(payload[middle:], CONTINUATION, mask=mask)
        else:
            stream += frame(payload, opcode, mask=mask)
        if opcode == TEXT and not masked:
            expected.append(payload)
    reader = FrameReader()
    found: list[bytes] = []
    for piece in data.draw(cut(stream)):
        found += reader.feed(piece)
    assert found == expected
    assert reader.frames == sum(2 if fragmented else 1 for *_, fragmented in frames)


@CALM
@given(st.lists(st.binary(max_size=40), max_size=12))
def test_random_bytes_raise_nothing(pieces: list[bytes]) -> None:
    reader = FrameReader()
    for piece in pieces:
        reader.feed(piece)
    assert reader.frames >= 0


def event(kind: str, **members: Any) -> bytes:
    """A server's event in a frame; for the tests of sessions."""
    return frame(json.dumps({"type": kind, "event_id": "e", **members}).encode())


@pytest.mark.parametrize(
    ("stream", "closing"), [(frame(b"x"), False), (frame(b"", PING), False), (frame(b"", CLOSE), True)]
)
def test_a_close_frame_is_a_sides_last_word(stream: bytes, closing: bool) -> None:
    for pieces in three_ways(stream):
        reader = FrameReader()
        for piece in pieces:
            reader.feed(piece)
        assert reader.closing is closing
