"""Compressed messages are read as they were written, however compressed, cut and fragmented; bombs are not."""

import json
import random
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from llm_metrics_proxy.wire.deflate import FREE_BYTES, MAX_RATIO, Deflate, Inflater, agreed
from llm_metrics_proxy.wire.message_text import MessageText
from llm_metrics_proxy.wire.websocket import FrameReader
from tests.wire.cuts import CALM, cut, three_ways
from tests.wire.test_websocket import BINARY, CONTINUATION, PING, TEXT, frame


class Compressor:
    """One side, by a library that others use: ``websockets``."""

    def __init__(self, *, takeover: bool = True, window_bits: int = 15, mask: bytes = b"") -> None:
        self._deflate = PerMessageDeflate(not takeover, not takeover, window_bits, window_bits)
        self._mask = mask

    def frames(self, text: bytes, *, opcode: int = TEXT, parts: int = 1) -> bytes:
        """One message in so many frames, with a ping between them."""
        pieces = [text[len(text) * n // parts : len(text) * (n + 1) // parts] for n in range(parts)]
        sent = []
        for number, piece in enumerate(pieces):
            first, final = number == 0, number == parts - 1
            code = Opcode(opcode) if first else Opcode.CONT
            encoded = self._deflate.encode(Frame(code, bytearray(piece), fin=final))
            sent.append(
                frame(bytes(encoded.data), int(encoded.opcode), final=final, rsv1=encoded.rsv1, mask=self._mask)
            )
        return frame(b"?", PING, mask=self._mask).join(sent)


def deflated(frames: bytes, *, takeover: bool = True) -> bytes:
    """The text messages in some frames, each compressed and in two frames."""
    side, reader = Compressor(takeover=takeover), FrameReader()
    return b"".join(side.frames(message, parts=2) for message in reader.feed(frames))


def reader_of(bound: int = 100_000, *, takeover: bool = True) -> FrameReader:
    return FrameReader(bound, inflater=Inflater(takeover=takeover), unmasks=True)


def read(stream: bytes, bound: int = 100_000, *, takeover: bool = True) -> list[bytes]:
    """The messages; the same for every cut, or this fails."""
    found = []
    for pieces in three_ways(stream):
        reader = reader_of(bound, takeover=takeover)
        found.append([message for piece in pieces for message in reader.feed(piece)])
    assert all(other == found[0] for other in found)
    return found[0]


TEXTS = [
    json.dumps({"type": "response.output_text.delta", "delta": word}).encode() for word in ("a", "", "bé", "a") * 4
]


@pytest.mark.parametrize("mask", [b"", b"\x00\xff\x13\x7f"])
@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("window_bits", [9, 12, 15])
@pytest.mark.parametrize("takeover", [True, False])
def test_messages_are_read_as_they_were_written(takeover: bool, window_bits: int, parts: int, mask: bytes) -> None:
    side = Compressor(takeover=takeover, window_bits=window_bits, mask=mask)
    stream = b"".join(side.frames(text, parts=parts) for text in TEXTS)
    assert read(stream, takeover=takeover) == TEXTS


def test_plain_messages_between_compressed_ones_leave_the_context_alone() -> None:
    side = Compressor()
    stream = side.frames(TEXTS[0]) + frame(b"plain") + side.frames(TEXTS[0]) + side.frames(b"\0" * 50, opcode=BINARY)
    assert read(stream + side.frames(b"\0" * 50)) == [TEXTS[0], b"plain", TEXTS[0], b"\0" * 50]


def test_a_message_over_the_bound_is_passed_over_and_the_next_one_read() -> None:
    side, long = Compressor(), random.Random(3).randbytes(3000)
    assert read(side.frames(long) + side.frames(long[:900]), bound=1000) == [long[:900]]


def test_without_the_agreement_compressed_messages_are_only_counted() -> None:
    reader = FrameReader()
    assert reader.feed(Compressor().frames(TEXTS[0], parts=3)) == []
    assert (reader.frames, reader.messages) == (5, 1)


@pytest.mark.parametrize("takeover", [True, False])
def test_damage_loses_what_refers_to_it(takeover: bool) -> None:
    side = Compressor(takeover=takeover)
    before, after = side.frames(TEXTS[0]), side.frames(TEXTS[2])
    assert read(before + frame(b"\xff\xff", rsv1=True) + after, takeover=takeover) == (
        [TEXTS[0]] if takeover else [TEXTS[0], TEXTS[2]]
    )


def test_a_last_block_ends_the_stream_and_another_begins() -> None:
    """RFC 7692 section 7.2.3.4: ``Hello`` with BFINAL set."""
    hello = bytes.fromhex("f348cdc9c9070000")
    assert read(frame(hello, rsv1=True) + frame(hello, rsv1=True)) == [b"Hello", b"Hello"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, None),
        (b"", None),
        (b"permessage-deflate", Deflate()),
        (b" Permessage-Deflate ; server_no_context_takeover", Deflate(server_takeover=False)),
        (b"permessage-deflate; client_no_context_takeover; server_max_window_bits=10", Deflate(client_takeover=False)),
        (b'permessage-deflate;server_no_context_takeover;client_max_window_bits="9";client_no_context_takeover',
         Deflate(server_takeover=False, client_takeover=False)),
        (b"x-webkit-deflate-frame", None),
        (b"permessage-deflate, bbf-usp-protocol", None),
    ],
)  # fmt: skip
def test_the_handshake_says_how_messages_are_compressed(said: bytes | None, meant: Deflate | None) -> None:
    assert agreed(said) == meant


def bomb(size: int) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    return made.compress(b"\0" * size) + made.flush(zlib.Z_SYNC_FLUSH)[:-4]


def test_a_bomb_ends_the_reading_in_bounded_memory_and_time() -> None:
    payload = bomb(1_000_000_000)
    inflater, message = Inflater(takeover=True), MessageText(1000, None)
    began = time.process_time()
    inflater.begin(message)
    inflater.feed(payload)
    assert not inflater.end()
    assert (message.held_bytes, message.finish()) == (0, None)
    assert time.process_time() - began < 5
    most = FREE_BYTES + MAX_RATIO * (len(payload) + 4)
    assert inflater._given_bytes <= most + 64 * 1024
    inflater.begin(None)
    inflater.feed(Compressor().frames(b"x")[2:])
    assert not inflater.end()  # it could refer to what was left out


def test_a_repetitive_session_is_no_bomb() -> None:
    side, text = Compressor(), json.dumps({"delta": " the" * 2000}).encode()
    reader = reader_of()
    assert sum(reader.feed(side.frames(text)) == [text] for _ in range(3000)) == 3000


@CALM
@given(
    st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 4), st.booleans()), max_size=8), st.booleans(), st.data()
)
def test_what_was_compressed_is_found_again(
    texts: list[tuple[bytes, int, bool]], takeover: bool, data: st.DataObject
) -> None:
    side = Compressor(takeover=takeover, mask=b"\x01\x02\x03\x04")
    stream, expected = b"", []
    for text, parts, plain in texts:
        stream += frame(text) if plain else side.frames(text, parts=parts)
        expected.append(text)
    reader = reader_of(takeover=takeover)
    found: list[Any] = []
    for piece in data.draw(cut(stream)):
        found += reader.feed(piece)
    assert found == expected


@CALM
@given(st.lists(st.binary(max_size=60), max_size=12), st.booleans())
def test_random_payloads_raise_nothing(payloads: list[bytes], takeover: bool) -> None:
    stream = b"".join(
        frame(payload, TEXT if at % 2 else CONTINUATION, rsv1=bool(at % 3), final=bool(at % 5))
        for at, payload in enumerate(payloads)
    )
    reader = reader_of(takeover=takeover)
    assert reader.feed(stream) is not None
    assert reader.frames == len(payloads)
