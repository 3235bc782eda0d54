"""Codings undone on a copy: complete, piece by piece, bounded, and never with an exception."""

import gzip
import random
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire import content_coding
from llm_metrics_proxy.wire.content_coding import Decoder, decoder_for
from llm_metrics_proxy.zstandard import zstd
from tests.wire.cuts import CALM, random_pieces, three_ways

TEXT = "".join(random.Random(3).choices("abcdef {}:,é😀\n", k=3000)).encode()


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate, raw": raw_deflate,
    "br": lambda data: bytes(brotli.compress(data, quality=4)),
    "zstd": zstd.compress,
}


def decoder(name: str) -> Decoder:
    made = decoder_for(name.removesuffix(", raw").encode())
    assert made is not None
    return made


@pytest.mark.parametrize("name", ENCODE)
def test_every_coding_is_undone_under_every_cut(name: str) -> None:
    for pieces in three_ways(ENCODE[name](TEXT)):
        one = decoder(name)
        assert b"".join(map(one.feed, pieces)) == TEXT
        assert not one.failed
        assert not one.unsupported


@pytest.mark.parametrize("value", [None, b"", b"identity", b" Identity ,", b","])
def test_a_body_that_is_as_it_is_needs_no_decoder(value: bytes | None) -> None:
    assert decoder_for(value) is None


@pytest.mark.parametrize("value", [b"GZip", b" gzip ", b"identity, gzip", b"gzip,"])
def test_names_are_read_without_case_and_blanks(value: bytes) -> None:
    one = decoder_for(value)
    assert one is not None
    assert one.feed(gzip.compress(b"x")) == b"x"


@pytest.mark.parametrize("value", [b"compress", b"aws-chunked", b"gzip, secret", b"gzip,gzip,gzip,gzip"])
def test_an_unknown_coding_is_told_and_gives_nothing(value: bytes) -> None:
    one = decoder_for(value)
    assert one is not None
    assert one.unsupported
    assert one.failed
    assert one.feed(b"anything") == b""


def test_several_codings_are_undone_from_the_last_to_the_first() -> None:
    body = brotli.compress(zlib.compress(gzip.compress(TEXT)))
    for pieces in three_ways(body):
        one = decoder("gzip, deflate, br")
        assert b"".join(map(one.feed, pieces)) == TEXT


def test_what_the_sender_flushed_is_there_at_once() -> None:
    events = [b"data: %d\n\n" % number for number in range(20)]
    for wbits, name in ((31, "gzip"), (15, "deflate"), (-15, "deflate")):
        deflate = zlib.compressobj(wbits=wbits)
        one = decoder(name)
        for event in events:
            assert one.feed(deflate.compress(event) + deflate.flush(zlib.Z_SYNC_FLUSH)) == event
    compressor = brotli.Compressor()
    one = decoder("br")
    for event in events:
        assert one.feed(compressor.process(event) + compressor.flush()) == event
    frame = zstd.ZstdCompressor()
    one = decoder("zstd")
    for event in events:
        assert one.feed(frame.compress(event, frame.FLUSH_BLOCK)) == event


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_several_members_or_frames_are_one_body(name: str) -> None:
    body = ENCODE[name](b"one ") + ENCODE[name](b"") + ENCODE[name](b"two")
    for pieces in three_ways(body):
        one = decoder(name)
        assert b"".join(map(one.feed, pieces)) == b"one two"


def test_what_follows_the_last_gzip_member_is_ignored() -> None:
    for rest in (b"\x00" * 20, b"trailing", b"\x1f"):
        one = decoder("gzip")
        assert one.feed(gzip.compress(b"x") + rest) == b"x"
        assert one.feed(rest) == b""
        assert not one.failed


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_corrupt_input_fails_once_and_for_all(name: str) -> None:
    body = ENCODE[name](TEXT)
    one = decoder(name)
    one.feed(body[: len(body) // 2])
    for _ in range(40):
        one.feed(b"\xff\x07garbage" * 100)
    assert one.failed
    assert one.feed(body) == b""


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_wrong_checksum_fails(name: str) -> None:
    body = bytearray(ENCODE[name](TEXT))
    body[-5 if name == "gzip" else -1] ^= 1
    one = decoder(name)
    one.feed(bytes(body))
    assert one.failed


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_a_body_in_another_coding_than_its_header_says_fails(name: str) -> None:
    one = decoder(name)
    for piece in random_pieces(b'{"model":"m","choices":[]}' * 20, 1):
        one.feed(piece)
    assert one.failed


@pytest.mark.parametrize("name", ENCODE)
def test_a_bomb_is_given_up_before_it_fills_memory(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = ENCODE[name](bytes(30_000_000))
    one = decoder(name)
    decoded = one.feed(body)
    assert one.failed
    assert len(decoded) <= content_coding.MAX_FEED_BYTES + 8 * 1024 * 1024
    assert one.feed(body) == b""


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_slow_bomb_is_given_up_by_its_ratio(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_coding, "MAX_TOTAL_BYTES", 2_000_000)
    one = decoder(name)
    given = sum(len(one.feed(piece)) for piece in random_pieces(ENCODE[name](bytes(30_000_000)), 1, longest=3))
    assert one.failed
    assert given < 12_000_000


def test_a_bomb_inside_a_coding_is_given_up() -> None:
    one = decoder("gzip, br")
    one.feed(brotli.compress(gzip.compress(bytes(40_000_000)), quality=4))
    assert one.failed


def test_a_large_body_of_an_ordinary_ratio_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_coding, "MAX_TOTAL_BYTES", 1_000_000)
    text = TEXT * 800
    one = decoder("gzip")
    assert b"".join(map(one.feed, random_pieces(gzip.compress(text, 1), 5, longest=4000))) == text
    assert not one.failed


@CALM
@given(st.sampled_from(list(ENCODE)), st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_random_bytes_raise_nothing(name: str, pieces: list[bytes], begun: bool) -> None:
    one = decoder(name)
    if begun:
        one.feed(ENCODE[name](TEXT)[:50])
    for piece in pieces:
        assert isinstance(one.feed(piece), bytes)
