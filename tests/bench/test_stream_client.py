"""The streams that the benchmark measures with are whole, and one that is not is noticed."""

import asyncio

import pytest
from bench.stream_client import hold_idle_streams, read_streams
from bench.streamer import BODY, CHUNKS, EVENTS, Streamer

from tests.upstream import CHUNKED, EVENT_STREAM, Close, FakeUpstream, Script, Send, chunked, head


async def _streamer(interval_s: float) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(lambda: Streamer(interval_s), "127.0.0.1", 0)


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


def test_paced_streams_arrive_whole() -> None:
    async def main() -> int:
        async with await _streamer(0.001) as server:
            return await read_streams(_port(server), 3, 0.001, limit_s=10)

    assert asyncio.run(main()) == 3 * CHUNKS
    assert BODY.endswith(b"data: [DONE]\n\n")
    assert 180 < len(EVENTS[0]) < 260


def test_idle_streams_begin_and_stay_open() -> None:
    async def main() -> None:
        async with await _streamer(0.001) as server:
            streams = await hold_idle_streams(_port(server), 5, limit_s=10)
            await asyncio.sleep(0.05)
            assert [stream.body_bytes for stream in streams] == [len(EVENTS[0])] * 5
            assert not any(stream.ended.done() for stream in streams)
            for stream in streams:
                stream.transport.abort()
            await asyncio.sleep(0.05)

    asyncio.run(main())


@pytest.mark.parametrize("body", [BODY[:-1], BODY.replace(b"w050", b"w051"), b""])
def test_a_single_wrong_byte_is_noticed(body: bytes) -> None:
    script = [Send(head(200, EVENT_STREAM, CHUNKED) + chunked(*[body] * bool(body)))]
    with FakeUpstream(script) as upstream, pytest.raises(AssertionError, match="2 of 2 streams did not arrive"):
        asyncio.run(read_streams(upstream.port, 2, 0.001, limit_s=10))


def test_a_stream_that_breaks_off_is_noticed() -> None:
    script: Script = [Send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"), Close()]
    with FakeUpstream(script) as upstream, pytest.raises(ConnectionError, match="broke off after 0 bytes"):
        asyncio.run(read_streams(upstream.port, 1, 0.001, limit_s=10))
