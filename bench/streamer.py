"""The paced upstream: streams of server-sent events at fixed intervals, from one uvloop process.

    python -m bench.streamer PORT INTERVAL_MS

The request's ``user`` says which of ``KINDS`` is streamed, one event at each interval; ``idle`` sends the first paced
one and then nothing, until the client leaves. A request without a body (is anybody there?) is answered with 200.
"""

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, cast

import uvloop

from bench.processes import LOAD_CORE, free_port, running

HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_HERE: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


def event(text: str, *, last: bool = False) -> bytes:
    """As OpenAI's are, about 200 bytes beside the text; the last one has the finish reason and ``[DONE]`` behind it."""
    delta, reason = ("{}", '"stop"') if last else (f'{{"content":" {text}"}}', "null")
    data = (
        'data: {"id":"chatcmpl-9c1f0a7b52d84e6fb3a1","object":"chat.completion.chunk","created":1750000000,'
        f'"model":"bench-model","system_fingerprint":"fp_44709d6fcb","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}\n\n'
    )
    return (data + "data: [DONE]\n\n" * last).encode()


class Kind(NamedTuple):
    """The events of one kind of stream, and the same as chunks of HTTP."""

    events: tuple[bytes, ...]
    frames: tuple[bytes, ...]
    body: bytes


def _kind(texts: list[str]) -> Kind:
    events = (*map(event, texts), event("", last=True))
    return Kind(events, tuple(b"%x\r\n%b\r\n" % (len(data), data) for data in events), b"".join(events))


_LARGE_TEXT: Final = "The quick brown fox jumps over the lazy dog. " * 1450  # 65,250 bytes: 64 KiB with the rest
KINDS: Final = {
    "paced": _kind([f"w{index:03d}" for index in range(99)]),
    "large": _kind([f"{index:02d} {_LARGE_TEXT}" for index in range(39)]),
    "short": _kind(["hello"]),
}
_BY_USER: Final = {f'"{name}"'.encode(): kind for name, kind in KINDS.items()}


class Streamer(asyncio.Protocol):
    """One connection; requests come one after the other, each with a Content-Length."""

    def __init__(self, interval_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._unread = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._frames = KINDS["paced"].frames
        self._index = 0
        self._next = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop\'s are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, blank, rest = self._unread.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not length:
            self._unread.clear()
            self._transport.write(_HERE)
        elif len(rest) >= length:
            self._unread.clear()
            self._frames = next((kind for user, kind in _BY_USER.items() if user in rest), KINDS["paced"]).frames
            self._transport.write(HEAD + self._frames[0])
            if b'"idle"' not in rest:
                self._index, self._next = 1, self._loop.time() + self._interval_s
                self._timer = self._loop.call_at(self._next, self._send)

    def _send(self) -> None:
        frame = self._frames[self._index]
        self._index += 1
        if self._index == len(self._frames):
            self._transport.write(frame + b"0\r\n\r\n")
            return
        self._transport.write(frame)
        self._next += self._interval_s  # along a fixed schedule: lateness does not add up
        self._timer = self._loop.call_at(self._next, self._send)


@contextlib.contextmanager
def running_at(interval_ms: float, folder: Path) -> Iterator[int]:
    """This module as a process on the load core; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "bench.streamer", str(port), str(interval_ms)]
    with running(command, LOAD_CORE, port=port, log=folder / "streamer.log"):
        yield port


async def main(port: int, interval_ms: float) -> None:
    """Serve for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Streamer(interval_ms / 1000), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
