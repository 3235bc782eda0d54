"""A stream whose head was seen before is told from its first bytes on, without the parser; what its client gets and
what is recorded is the same as without that, to the nanosecond of a clock that both ways share.
"""

import random
import zlib
from typing import Any, NamedTuple

import httptools
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy import response_reader
from tests.examples import examples
from tests.proxy.desk import Desk
from tests.proxy.test_chunk_ways import APIS, Api, clock, in_chunks, in_reads
from tests.proxy.test_lane import ANSWER, SEVERAL, act, ask, known

STATUS_LINES = (b"HTTP/1.1 200 OK",) * 6 + (b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 201 C", b"HTTP/1.1 429 No")
MEDIA = (b"text/event-stream",) * 3 + (b"text/event-stream; charset=utf-8", b"application/x-ndjson", b"text/html")
LINES = (
    b"Date: today", b"Date: today", b"Date: tomorrow", b"Connection: keep-alive", b"Connection: close",
    b"Content-Encoding: gzip", b"x-request-id: theirs", b"x-ratelimit-remaining-requests: 7",
    b"x-ratelimit-remaining-requests: 6", b"Trailer: X-Sum", b"Content-Length: 3", b"Access-Control-Allow-Origin: *",
)  # fmt: skip
CODINGS = (b"Transfer-Encoding: chunked",) * 8 + (b"transfer-encoding: gzip, chunked", b"Transfer-Encoding: gzip")
ENDS = (b"0\r\n\r\n",) * 6 + (
    b"0\r\nX-Sum: 1\r\n\r\n", b"00\r\n\r\n", b"0;a=b\r\n\r\n", b"0\r\n\r\nmore", b"0\r\nX Sum\r\n\r\n", b"zz\r\n",
    b"0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
)  # fmt: skip
HAPPENINGS = ("leaves", "breaks", "time passes", "drains")
TEXTS = st.lists(st.sampled_from(["Hello", " w001", "", "schön", "\n", "x" * 1500]), max_size=20)
TRAITS = (b"",) * 4 + (b"Authorization: Bearer k", b"Origin: http://localhost:3000", b"X-Session-Id: s7")


class Said(NamedTuple):
    """How a server says one stream."""

    head: bytes
    texts: list[str]
    end: bytes
    calm: float  # the chance that a piece of it is a read of its own
    seed: int


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    lines = draw(st.sets(st.sampled_from(LINES), max_size=3))
    media = b"Content-Type: " + draw(st.sampled_from(MEDIA))
    head = b"\r\n".join((draw(st.sampled_from(STATUS_LINES)), media, *sorted(lines), draw(st.sampled_from(CODINGS))))
    before = b"" if draw(st.integers(0, 15)) else draw(st.sampled_from((b"\r\n", b"HTTP/1.1 103 E\r\nA: b\r\n\r\n")))
    return before + head + b"\r\n\r\n"


def reads_of(api: Api, said: Said) -> list[bytes]:
    dice = random.Random(said.seed)
    events = [*api.begins, *map(api.token, said.texts), *api.ends]
    if b"Content-Encoding: gzip" in said.head:
        packer = zlib.compressobj(wbits=31)
        events = [packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for event in events]
    return in_reads([said.head, *in_chunks(events, dice), said.end], dice, calm=said.calm)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str, list[bytes]]]:
    """Streams on one connection, under few heads; now and then a whole answer, or something that ends one early."""
    api = draw(st.sampled_from(APIS))
    few = draw(st.lists(heads(), min_size=1, max_size=2))
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")))
    trait = draw(st.sampled_from(TRAITS))
    question = ask(*(trait,) if trait else (), path=api.path).replace(b"HTTP/1.1", version, 1)
    steps: list[tuple[str, list[bytes]]] = []
    for _ in range(draw(st.integers(2, 6))):
        steps.append(("asks", [question]))
        if not draw(st.integers(0, 7)):
            steps.append(("answers", [ANSWER]))
            continue
        calm = draw(st.sampled_from((1.0, 1.0, 0.9, 0.3)))
        said = Said(
            draw(st.sampled_from(few)), draw(TEXTS), draw(st.sampled_from(ENDS)), calm, draw(st.integers(0, 99))
        )
        reads = reads_of(api, said)
        if draw(st.integers(0, 5)):
            steps.append(("answers", reads))
        else:
            steps.append(("says", reads[: draw(st.integers(0, len(reads)))]))
            steps.append((draw(st.sampled_from(HAPPENINGS)), []))
    return steps


def both_ways_are_the_same(conversation: list[tuple[str, list[bytes]]], **options: Any) -> None:
    now = [10**9]
    with clock(iter(lambda: now[0], None)):
        short, long = (Desk(learns=learns, **options) for learns in (True, False))
        for step, reads in conversation:
            for data in reads if step == "says" else [b""]:
                now[0] += 1_234_567
                one, other = (step_of(desk, step, [data] if step == "says" else reads) for desk in (short, long))
                assert one == other
            short.context.draining = long.context.draining = False
            assert short.client._phase is long.client._phase
            assert short.context.bodies.held_bytes == long.context.bodies.held_bytes
        for desk in (short, long):
            if desk.client.transport is not None:
                desk.leave()
    assert short.sent_upstream == long.sent_upstream
    assert [server.open_requests for server in short.context.fleet.servers] == [0] * len(long.context.fleet.servers)
    for told, expected in zip(short.recorder.records, long.recorder.records, strict=True):
        assert known(told) == known(expected)
        for name, value in msgspec.structs.asdict(expected).items():
            if name.endswith("_ms"):
                assert getattr(told, name) == value, name


def step_of(desk: Desk, step: str, reads: list[bytes]) -> bytes:
    """As ``act``; who "says" is not done yet, and "answers" are followed by the end of the connection."""
    if step != "says":
        return act(desk, step, reads)
    before = len(getattr(desk.client.transport, "written", b""))
    for upstream in list(desk.pool.upstreams):
        if upstream.owner is not None and upstream.usable and reads[0]:
            upstream.data_received(reads[0])
            desk.recorder.end_turn()
    return bytes(getattr(desk.client.transport, "written", b"")[before:])


@examples(600)
@given(conversations())
def test_streams_with_known_heads_are_answered_and_recorded_as_any(conversation: list[tuple[str, list[bytes]]]) -> None:
    both_ways_are_the_same(conversation)


@examples(150)
@given(
    conversations(),
    st.sampled_from(
        ({"inject_usage": True}, {"backends": SEVERAL}, {"retry_unsafe": "stale"}, {"allowed_origins": ["*"]})
    ),
)
def test_so_they_are_with_other_settings(conversation: list[tuple[str, list[bytes]]], options: dict[str, Any]) -> None:
    both_ways_are_the_same(conversation, **options)


# Which heads are known

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"3\r\n:a\n\r\n"
LAST = b"0\r\n\r\n"


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What parsers of answers were fed."""
    fed: list[bytes] = []

    class Parser:
        def __init__(self, reader: Any) -> None:
            self._parser = httptools.HttpResponseParser(reader)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._parser, name)

        def feed_data(self, data: bytes) -> None:
            fed.append(data)
            self._parser.feed_data(data)

    class Module:
        HttpResponseParser = Parser
        HttpParserUpgrade = httptools.HttpParserUpgrade
        HttpParserError = httptools.HttpParserError

    monkeypatch.setattr(response_reader, "httptools", Module)
    return fed


def converse(*answers: list[bytes], **options: Any) -> Desk:
    desk = Desk(learns=True, **options)
    for reads in answers:
        desk.say(ask())
        desk.answer(*reads)
    return desk


@pytest.mark.parametrize(
    "reads",
    [
        [HEAD, CHUNK, LAST],
        [HEAD + CHUNK, LAST],
        [HEAD + CHUNK + LAST],
        [HEAD, CHUNK[:3], CHUNK[3:] + LAST],
        [HEAD + LAST],
    ],
)
def test_a_head_that_was_seen_needs_no_parser_however_its_chunks_are_cut(
    parsers: list[bytes], reads: list[bytes]
) -> None:
    desk = converse([HEAD + CHUNK, LAST], reads, reads)
    assert parsers == [HEAD]
    assert len(desk.pool.upstreams) == 1
    assert [record.upstream_status_code for record in desk.recorder.records] == [200] * 3


def test_a_head_that_another_connection_brought_is_known_too(parsers: list[bytes]) -> None:
    desk = converse([HEAD + CHUNK, LAST])
    desk.pool.idle.clear()
    desk.say(ask())
    desk.answer(HEAD, CHUNK, LAST)
    assert len(desk.pool.upstreams) == 2
    assert parsers == [HEAD]


def test_whole_answers_between_streams_are_known_as_before(parsers: list[bytes]) -> None:
    other = HEAD.replace(b"200 OK", b"200 Fine")
    whole = ANSWER[: ANSWER.index(b"\r\n\r\n") + 4]
    converse(*[[HEAD, CHUNK, LAST], [ANSWER], [other + CHUNK, LAST]] * 3)
    assert parsers == [HEAD, whole, ANSWER[len(whole) :], other]


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b"HTTP/1.1 200", b"HTTP/1.0 200"),
        HEAD.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        b"\r\n" + HEAD,
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + HEAD,
        HEAD.replace(b"OK\r\n", b"OK\r\nX: " + b"a" * 5000 + b"\r\n"),
    ],
    ids=["HTTP/1.0", "its connection closes", "a line before it", "an early head before it", "long"],
)
def test_what_is_not_a_plain_head_of_a_stream_is_read_each_time(parsers: list[bytes], head: bytes) -> None:
    desk = converse(*[[head + CHUNK, LAST]] * 3)
    assert len(parsers) >= 3
    assert len(desk.pool.plans) == 0
    assert [record.upstream_status_code for record in desk.recorder.records] == [200] * 3


def test_the_answer_to_head_has_no_chunks_whatever_its_head_says(parsers: list[bytes]) -> None:
    desk = converse([HEAD + CHUNK, LAST])
    desk.say(b"HEAD /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
    assert desk.answer(HEAD).endswith(b"\r\n\r\n")
    assert parsers == [HEAD, HEAD]
