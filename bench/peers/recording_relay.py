"""The floor of a proxy that records: the relay, which also reads both bodies and keeps a journal.

    python -m bench.peers.recording_relay PORT UPSTREAM_PORT JOURNAL

Of each request: the body is decoded by a type, a frame (length, CRC-32, MessagePack) says that it was opened, and is in
the page cache before the server sees the request. Of each answer: the body, or each event of a stream, is decoded by a
type, and a frame with the facts is in the page cache before the client sees the end. All frames of one turn of the loop
are one write, as ours are.

It is no proxy: it takes heads for granted (Content-Length in requests, requests one after the other, streams chunked)
and forwards what is hop-by-hop. What ours costs beyond this is what being a proxy takes.
"""

import asyncio
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from time import time_ns
from typing import Final

import msgspec
import uvloop

from bench.peers import relay

_HEAD: Final = struct.Struct("<II")  # length, CRC-32
_BLANK: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


class Asked(msgspec.Struct):
    """What is read of a request."""

    model: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    user: str | None = None
    messages: list[msgspec.Raw] = []


class Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Delta(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None


class Answered(msgspec.Struct):
    """What is read of an answer, or of one event of it."""

    model: str | None = None
    choices: list[Choice] = []
    usage: Usage | None = None


class Opened(msgspec.Struct, array_like=True):
    number: int
    opened_ns: int
    model: str | None
    stream: bool
    max_tokens: int | None
    temperature: float | None
    user: str | None
    messages: int
    request_bytes: int


class Closed(msgspec.Struct, array_like=True):
    number: int
    opened_ns: int
    first_byte_ns: int
    closed_ns: int
    status: int
    model: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    chunks: int
    answer_bytes: int


_ASKED: Final = msgspec.json.Decoder(Asked)
_ANSWERED: Final = msgspec.json.Decoder(Answered)
_ENCODER: Final = msgspec.msgpack.Encoder()
_NO_USAGE: Final = Usage()


class Journal:
    """Frames of one turn of the loop are one write; what waits for them is sent after it."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._loop = loop
        self._frames: list[bytes] = []
        self._waiting: list[tuple[Callable[[bytes], None], bytes]] = []
        self.requests = 0

    def write(self, record: Opened | Closed, send: Callable[[bytes], None], data: bytes) -> None:
        """``send(data)`` once the record is in the page cache."""
        if not self._frames:
            self._loop.call_soon(self._flush)
        content = _ENCODER.encode(record)
        self._frames += (_HEAD.pack(len(content), zlib.crc32(content)), content)
        self._waiting.append((send, data))

    def _flush(self) -> None:
        frames, waiting = b"".join(self._frames), self._waiting
        self._frames, self._waiting = [], []
        os.write(self._file, frames)
        for send, data in waiting:
            send(data)


def frames(content: bytes) -> list[list[object]]:
    """The records of a journal. Raises ``ValueError`` where one is torn or its CRC-32 is wrong."""
    found: list[list[object]] = []
    at = 0
    while at < len(content):
        length, crc = _HEAD.unpack_from(content, at)
        at += _HEAD.size + length
        body = content[at - length : at]
        if len(body) < length or zlib.crc32(body) != crc:
            raise ValueError(f"the frame that ends at byte {at} is not whole")
        found.append(msgspec.msgpack.decode(body))
    return found


def body_length(head: bytes) -> int:
    """Its Content-Length; -1 without one."""
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if rest else -1


class Server(relay.Server):
    """Reads answers: whole ones when they are here, streams event by event after they were sent on."""

    def __init__(self, client: asyncio.Transport, journal: Journal) -> None:
        super().__init__(client)
        self._journal = journal
        self._unread = b""
        self._length = -1  # of the whole answer; -1 until its head is here, and while it is a stream
        self._streams = False

    def opened(self, number: int, at_ns: int) -> None:
        """A request that is now sent; the next answer is its."""
        self._number, self._opened_ns = number, at_ns
        self._first_ns = self._chunks = self._bytes = 0
        self._seen = Answered()
        self._finish: str | None = None

    def data_received(self, data: bytes) -> None:
        self._first_ns = self._first_ns or time_ns()
        self._bytes += len(data)
        self._unread = unread = self._unread + data if self._unread else data
        if self._length < 0 and not self._streams:
            head, blank, _ = unread.partition(_BLANK)
            if not blank:
                return
            data = unread  # nothing of it was sent on yet
            self._head = len(head) + len(blank)
            self._status = int(head[9:12])
            length = body_length(head)
            self._streams = length < 0
            self._length = -1 if self._streams else self._head + length
        if self._streams:
            self._stream(data)
        elif len(unread) >= self._length:
            self._read(_ANSWERED.decode(memoryview(unread)[self._head :]))
            self._closed(unread)

    def _stream(self, data: bytes) -> None:
        is_last = self._unread.endswith(_LAST_CHUNK)
        if not is_last:
            self.client.write(data)
        events, end, self._unread = self._unread.rpartition(b"\n\n")
        if end:
            for event in events.split(b"data: {")[1:]:
                self._chunks += 1
                self._read(_ANSWERED.decode(b"{" + event[: event.rfind(b"}") + 1]))
        if is_last:
            self._closed(data)

    def _read(self, answered: Answered) -> None:
        self._seen.model = answered.model
        self._seen.usage = answered.usage or self._seen.usage
        if answered.choices:
            self._finish = answered.choices[0].finish_reason

    def _closed(self, last: bytes) -> None:
        usage = self._seen.usage or _NO_USAGE
        record = Closed(
            self._number, self._opened_ns, self._first_ns, time_ns(), self._status, self._seen.model, self._finish,
            usage.prompt_tokens, usage.completion_tokens, self._chunks, self._bytes,
        )  # fmt: skip
        self._unread, self._length, self._streams = b"", -1, False
        self._journal.write(record, self.client.write, last)


class Client(relay.Client):
    """Reads requests, each whole before it is sent on."""

    def __init__(self, upstream: int, journal: Journal) -> None:
        super().__init__(upstream)
        self._journal = journal
        self._unread = b""
        self._known_head = b""
        self._length = 0

    def other_side(self) -> Server:
        return Server(self.transport, self._journal)

    def forward(self, server: relay.Server, data: bytes) -> None:
        assert isinstance(server, Server)
        data = self._unread + data if self._unread else data
        head, blank, _ = data.partition(_BLANK)
        if head != self._known_head and blank:
            self._known_head = head
            self._length = len(head) + len(blank) + max(body_length(head), 0)
        if not blank or len(data) < self._length:
            self._unread = data
            return
        self._unread = b""
        self._journal.requests += 1
        number, now = self._journal.requests, time_ns()
        asked = _ASKED.decode(memoryview(data)[len(head) + len(blank) :])
        record = Opened(
            number, now, asked.model, asked.stream, asked.max_tokens, asked.temperature, asked.user,
            len(asked.messages), len(data),
        )  # fmt: skip
        server.opened(number, now)
        self._journal.write(record, server.transport.write, data)


async def main(port: int, upstream: int, path: Path) -> None:
    """Relay and record for ever."""
    loop = asyncio.get_running_loop()
    journal = Journal(path, loop)
    server = await loop.create_server(lambda: Client(upstream, journal), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
