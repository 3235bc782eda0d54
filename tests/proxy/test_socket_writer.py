"""Bytes leave at once when nothing waits before them, in order always, and through the transport when they cannot."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import uvloop

from llm_metrics_proxy.proxy.socket_writer import SocketWriter


class Quiet(asyncio.Protocol):
    """Notes back-pressure and the end."""

    def __init__(self) -> None:
        self.full = False
        self.lost = asyncio.Event()

    def pause_writing(self) -> None:
        self.full = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


def run(story: Callable[[SocketWriter, asyncio.Transport, Quiet, socket.socket], Awaitable[None]]) -> None:
    async def main() -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        transport, protocol = await asyncio.get_running_loop().create_connection(Quiet, sock=near)
        with far:
            try:
                await asyncio.wait_for(_as_coroutine(story(SocketWriter(transport), transport, protocol, far)), 5)
            finally:
                transport.abort()
                await protocol.lost.wait()

    uvloop.run(main())


async def _as_coroutine(story: Awaitable[None]) -> None:
    await story


async def read(far: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await asyncio.get_running_loop().sock_recv(far, 65536)
    return data


def test_bytes_are_in_the_socket_when_write_returns() -> None:
    async def story(writer: SocketWriter, transport: asyncio.Transport, protocol: Quiet, far: socket.socket) -> None:
        writer.write(b"now")
        assert far.recv(10) == b"now"  # without a turn of the loop

    run(story)


def test_what_the_socket_does_not_take_goes_through_the_transport_in_order() -> None:
    async def story(writer: SocketWriter, transport: asyncio.Transport, protocol: Quiet, far: socket.socket) -> None:
        sent = b"".join(b"%08d" % number for number in range(500_000))
        for start in range(0, len(sent), 100_000):
            writer.write(sent[start : start + 100_000])
        assert transport.get_write_buffer_size() > 0
        assert protocol.full
        assert await read(far, len(sent)) == sent

    run(story)


def test_a_closing_transport_gets_nothing_more() -> None:
    async def story(writer: SocketWriter, transport: asyncio.Transport, protocol: Quiet, far: socket.socket) -> None:
        writer.write(b"last")
        transport.close()
        writer.write(b"too late")
        await protocol.lost.wait()
        writer.write(b"much too late")
        assert far.recv(100) == b"last"
        assert far.recv(100) == b""

    run(story)


def test_a_broken_connection_is_told_by_the_transport_and_not_by_an_exception() -> None:
    async def story(writer: SocketWriter, transport: asyncio.Transport, protocol: Quiet, far: socket.socket) -> None:
        far.close()
        for _ in range(3):
            writer.write(b"into the void")
            await asyncio.sleep(0.01)
        await protocol.lost.wait()

    run(story)
