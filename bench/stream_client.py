"""The client of streams: many at once from one uvloop, each checked byte for byte by length and CRC-32."""

import asyncio
import zlib
from typing import Final, cast

import httptools

from bench import payload
from bench.streamer import KINDS

_AT_ONCE: Final = 64  # connections being opened at the same time


class Stream(asyncio.Protocol):
    """One connection with one request. ``begun`` is set at the first body byte, ``ended`` when the body is whole."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.body_bytes = 0
        self.crc = 0
        self._request = request
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop\'s are no subclass of it
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.body_bytes += len(data)
        self.crc = zlib.crc32(data, self.crc)
        if not self.begun.done():
            self.begun.set_result(None)

    def on_message_complete(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.begun, self.ended):
            if not future.done():
                future.set_exception(ConnectionError(f"the stream broke off after {self.body_bytes} bytes: {exc}"))
                future.exception()  # an idle stream that we close ourselves has nobody waiting for it


async def _open(port: int, request: bytes) -> Stream:
    _, stream = await asyncio.get_running_loop().create_connection(lambda: Stream(request), "127.0.0.1", port)
    return stream


async def read_streams(port: int, count: int, interval_s: float, limit_s: float, kind: str = "paced") -> int:
    """Read ``count`` streams of a kind of ``KINDS``, begun evenly over one interval; the number of events.

    Raises if a byte is wrong.
    """
    request = payload.raw(port, payload.body(stream=True, user=kind))
    body = KINDS[kind].body
    wanted = (len(body), zlib.crc32(body))

    async def one(index: int) -> Stream:
        await asyncio.sleep(interval_s * index / count)
        stream = await _open(port, request)
        await stream.ended
        return stream

    async with asyncio.timeout(limit_s):
        streams = await asyncio.gather(*(one(index) for index in range(count)))
    wrong = sum((stream.body_bytes, stream.crc) != wanted for stream in streams)
    if wrong:
        raise AssertionError(f"{wrong} of {count} streams did not arrive as they were sent")
    return count * len(KINDS[kind].events)


async def hold_idle_streams(port: int, count: int, limit_s: float) -> list[Stream]:
    """Open ``count`` streams that go silent after their first event, which has arrived for all when this returns."""
    request = payload.raw(port, payload.body(stream=True, user="idle"))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one() -> Stream:
        async with gate:
            stream = await _open(port, request)
            await stream.begun
            return stream

    async with asyncio.timeout(limit_s):
        streams = await asyncio.gather(*(one() for _ in range(count)))
    wrong = sum(stream.body_bytes != len(KINDS["paced"].events[0]) for stream in streams)
    if wrong:
        raise AssertionError(f"{wrong} of {count} idle streams did not begin as they were sent")
    return streams
