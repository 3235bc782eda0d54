"""The streams that the benchmark measures with are whole, and one that is not is noticed."""

import asyncio

import pytest
from bench.stream_client import hold_idle_streams, read_streams
from bench.streamer import KINDS, Streamer

from tests.upstream import CHUNKED, EVENT_STREAM, Close, FakeUpstream, Script, Send, chunked, head

PACED, LARGE = KINDS["paced"], KINDS["large"]


async def _streamer(interval_s: float) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(lambda: Streamer(interval_s), "127.0.0.1", 0)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@pytest.mark.parametrize("kind", KINDS)
def test_streams_of_each_kind_arrive_whole(kind: str) -> None:
    async def main() -> int:
        async with await _streamer(0.001) as server:
            return await read_streams(_port(server), 3, 0.001, limit_s=20, kind=kind)

    assert asyncio.run(main()) == 3 * len(KINDS[kind].events)
    assert KINDS[kind].body.endswith(b"data: [DONE]\n\n")


def test_events_are_as_large_as_they_are_called() -> None:
    assert {len(PACED.events), len(LARGE.events)} == {100, 40}
    assert all(180 < len(event) < 260 for event in PACED.events)
    assert all(65_400 < len(event) < 65_600 for event in LARGE.events[:-1])
    assert len(set(LARGE.events)) == len(LARGE.events)


def test_idle_streams_begin_and_stay_open() -> None:
    async def main() -> None:
        async with await _streamer(0.001) as server:
            streams = await hold_idle_streams(_port(server), 5, limit_s=10)
            await asyncio.sleep(0.05)
            assert [stream.body_bytes for stream in streams] == [len(PACED.events[0])] * 5
            assert not any(stream.ended.done() for stream in streams)
            for stream in streams:
                stream.transport.abort()
            await asyncio.sleep(0.05)

    asyncio.run(main())


@pytest.mark.parametrize("body", [PACED.body[:-1], PACED.body.replace(b"w050", b"w051"), b""])
def test_a_single_wrong_byte_is_noticed(body: bytes) -> None:
    script = [Send(head(200, EVENT_STREAM, CHUNKED) + chunked(*[body] * bool(body)))]
    with FakeUpstream(script) as upstream, pytest.raises(AssertionError, match="2 of 2 streams did not arrive"):
        asyncio.run(read_streams(upstream.port, 2, 0.001, limit_s=10))


def test_a_stream_that_breaks_off_is_noticed() -> None:
    script: Script = [Send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), Close()]
    with FakeUpstream(script) as upstream, pytest.raises(ConnectionError, match="broke off after 0 bytes"):
        asyncio.run(read_streams(upstream.port, 1, 0.001, limit_s=10))


def test_who_asks_whether_anybody_is_there_is_told_so() -> None:
    async def main() -> bytes:
        async with await _streamer(0.001) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", _port(server))
            writer.write(b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n")
            answer = await reader.readuntil(b"ok")
            writer.close()
            return answer

    assert asyncio.run(main()).startswith(b"HTTP/1.1 200 OK\r\n")
