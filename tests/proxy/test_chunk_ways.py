"""The short ways of a stream say what the long ones say, however it is cut: the same bytes, the same records.

Short: a read that is one chunk passes as it came, whole chunks are found without the reader's states, chunks are looked
at several together, events of a known form are not decoded. Long: none of that.
"""

import random
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy import chunked, exchange, upstream
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.wire.content_shape import Form
from tests.examples import examples
from tests.proxy.desk import Desk
from tests.wire.streams import (
    ANTHROPIC,
    CHAT,
    COMPLETED,
    GEMINI,
    OLLAMA,
    RESPONSES,
    compact,
    gemini_usage,
    generated,
    google_sse,
    response_delta,
    said,
    text_delta,
)


class Api(NamedTuple):
    """How a stream of it goes: what it begins with, what brings a text, and how it ends."""

    path: bytes
    begins: list[bytes]
    token: Callable[[str], bytes]
    ends: list[bytes]


def chat_token(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}}
    return b"data: " + compact({"id": "c", "model": "m", "choices": [choice]}) + b"\n\n"


def gemini_token(text: str) -> bytes:
    return google_sse(generated({"text": text}, usage=gemini_usage(12, totalTokenCount=23)))[0]


APIS = (
    Api(b"/v1/chat/completions", [], chat_token, CHAT[3:]),
    Api(b"/v1/messages", ANTHROPIC[:8], text_delta, ANTHROPIC[11:]),
    Api(b"/api/chat", [], said, OLLAMA[-2:]),
    Api(b"/v1/responses", RESPONSES[:2], lambda text: response_delta("response.output_text.delta", text), [COMPLETED]),
    Api(b"/v1beta/models/g:streamGenerateContent?alt=sse", [], gemini_token, google_sse(*GEMINI)),
)
TEXTS = st.sampled_from(["Hello", " w001", "!", " ", "", "schön", "\n", 'a "b"', "x" * 1500, "y" * 66_000])
ODD = (
    b'data: {"error":{"message":"no","code":"c"}}\n\n', b": keep-alive\n\n", b"data: {not json\n\n", b"\xff\n",
    chat_token("another API's"),
)  # fmt: skip
TIMES_OF_DAY = ("timestamp",)


def in_chunks(events: list[bytes], dice: random.Random) -> list[bytes]:
    """Mostly one event a chunk, and the chunk's line as most servers write it."""
    parts: list[bytes] = []
    for event in events:
        way = dice.random()
        if way < 0.05 and parts:
            parts[-1] += event
        elif way < 0.1 and len(event) > 1:
            at = dice.randrange(1, len(event))
            parts += [event[:at], event[at:]]
        else:
            parts.append(event)
    lines = (b"%x", b"%x", b"%x", b"%x", b"%x", b"%X", b"00%x", b"%x;a=b", b"%x ; c")
    return [dice.choice(lines) % len(part) + b"\r\n" + part + b"\r\n" for part in parts]


def in_reads(pieces: list[bytes], dice: random.Random, *, calm: float) -> list[bytes]:
    """Each piece a read with the chance ``calm``; else cut, or with those before it."""
    reads: list[bytes] = []
    for piece in pieces:
        if dice.random() < calm or not reads:
            reads.append(piece)
        elif dice.random() < 0.5:
            reads[-1] += piece
        else:
            at = dice.randrange(len(piece))
            reads += [each for each in (piece[:at], piece[at:]) if each]
    return reads


@contextmanager
def clock(steps: Iterator[int]) -> Iterator[None]:
    """One clock for every part of the data plane: each look at it finds it later."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith(("llm_metrics_proxy.proxy.", "tests.proxy.desk")) and hasattr(module, "monotonic_ns"):
                patch.setattr(module, "monotonic_ns", lambda: next(steps))
        yield


@contextmanager
def long_ways_only() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upstream, "one_chunk", lambda _: None)
        patch.setattr(chunked, "_whole_chunks", lambda *_: 0)
        patch.setattr(exchange, "_MOST_UNREAD", 1)
        patch.setattr(Form, "of", lambda *_: None)
        yield


def converse(request: bytes, reads: list[bytes], dice: random.Random, leaves: bool, **options: Any) -> tuple[Any, ...]:
    """What the client got, and the record that was left."""
    with clock(count(10**9, dice.randrange(1, 10**6))):
        desk = Desk(learns=False, **options)
        desk.say(request)
        if leaves:
            for connection in desk.pool.upstreams:
                for data in reads:
                    connection.data_received(data)
            got = b""
        else:
            got = desk.answer(*reads)
        transport = desk.client.transport
        closing = transport is None or transport.is_closing()
        desk.leave()
    records = [msgspec.structs.asdict(record) for record in desk.recorder.records]
    return got, closing, [{key: each[key] for key in each if key not in TIMES_OF_DAY} for each in records]


@examples(300)
@given(
    api=st.sampled_from(APIS),
    texts=st.lists(TEXTS, max_size=50),
    odd=st.one_of(st.none(), st.sampled_from(ODD)),
    ending=st.sampled_from(["whole", "whole", "whole", "broken", "leaves", "garbage"]),
    version=st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]),
    coding=st.sampled_from([b"", b"", b"", b"Content-Encoding: gzip\r\n"]),
    inject=st.sampled_from([False, False, False, True]),
    calm=st.sampled_from([1.0, 0.9, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_both_ways_give_the_same_bytes_and_the_same_record(
    api: Api, texts: list[str], odd: bytes | None, ending: str, version: bytes, coding: bytes, inject: bool,
    calm: float, seed: int,
) -> None:  # fmt: skip
    dice = random.Random(seed)
    events = [*api.begins, *map(api.token, texts), *api.ends]
    if odd is not None:
        events.insert(dice.randrange(len(events) + 1), odd)
    if coding:
        packer = zlib.compressobj(wbits=31)
        events = [packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for event in events]
    head = b"HTTP/1.1 200 OK\r\n%bContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" % coding
    reads = in_reads([head, *in_chunks(events, dice), b"0\r\n\r\n"], dice, calm=calm)
    if ending in {"broken", "leaves"}:
        reads = reads[: dice.randrange(len(reads))]
    elif ending == "garbage":
        reads.insert(dice.randrange(1, len(reads) + 1), b"zz\r\n")
    body = b'{"model":"m","stream":true,"messages":[]}'
    request = b"POST %b HTTP/%b\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        api.path, version, len(body), body,
    )  # fmt: skip
    leaves = ending == "leaves"
    short = converse(request, reads, random.Random(seed), leaves, inject_usage=inject)
    with long_ways_only():
        long = converse(request, reads, random.Random(seed), leaves, inject_usage=inject)
    assert short[0].lower() == long[0].lower()  # a size may keep the large digits that the server wrote
    assert short[1:] == long[1:]


def stream_head() -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_the_short_ways_are_taken_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[bytes, int]] = []
    really_pass = Exchange.chunk_passed

    def passed(self: Exchange, body: bytes, read_at: int, forwarded_at: int) -> None:
        really_pass(self, body, read_at, forwarded_at)
        taken.append((body, len(self.unread)))

    monkeypatch.setattr(Exchange, "chunk_passed", passed)
    events = [chat_token(f" w{number:03d}") for number in range(20)]
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    desk = Desk(learns=False)
    desk.say(b'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n{"stream":true}')
    assert desk.answer(stream_head(), *chunks, b"0\r\n\r\n").endswith(b"".join(chunks) + b"0\r\n\r\n")
    assert [body for body, _ in taken] == events
    assert [waiting for _, waiting in taken] == [0, *range(1, 16), 0, 1, 2, 3]
    (record,) = desk.recorder.records
    assert (record.content_chunks, record.response_bytes) == (20, sum(map(len, events)))


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 4095, 4096, 65_535, 65_536])
def test_one_chunk_is_told_by_its_length_alone(size: int) -> None:
    body = b"a" * size
    for line in (b"%x", b"%X"):
        chunk = line % size + b"\r\n" + body + b"\r\n"
        assert chunked.one_chunk(chunk) == chunked.one_chunk(chunk) == body
        for other in (chunk[:-1], chunk + b"x", b"0" + chunk, chunk[:-2] + b"\n\n", chunk[:-2] + b"\n\r"):
            assert chunked.one_chunk(other) is None
    assert chunked.one_chunk(b"%x\r\n%b\r\n" % (size + 1, body)) is None


def test_what_cannot_be_a_chunk_is_none() -> None:
    for data in (b"", b"\r\n", b"0\r\n\r\n", b"0\r\n\r\n\r\n", b"1\r\n\r\n", b"-1\r\n\r\n\r\n"):
        assert chunked.one_chunk(data) is None
