"""Clients that write down, for every request, what became of it: the one side of every comparison with the records.

Raw sockets on an event loop in a thread of its own, so that nothing retries, pools or reads ahead behind our back.
"""

import asyncio
import random
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self

from tests.system.kinds import request_bytes

_PATIENCE_S: Final = 60.0  # a request without an end for so long is a hang, which no test here allows
_RECONNECT_S: Final = 0.05
_LEAVING: Final = 0.1  # the share of clients of a slow stream that leave after its head
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3})")
_REQUEST_ID: Final = re.compile(rb"\r\nx-llm-metrics-request-id: ([0-9a-f]{32})\r\n", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_GONE: Final = (OSError, asyncio.IncompleteReadError)


class Seen(Enum):
    """How much of an answer a client saw."""

    NOTHING = auto()  # no head, and so no request id
    BROKEN = auto()  # a head, and not the end
    REFUSED = auto()  # the answer of a worker that is shutting down
    LEFT = auto()  # a head, and then the client closed the connection
    WHOLE = auto()  # the end


@dataclass(slots=True)
class Note:
    """One request that was sent, at least in part."""

    marker: str
    kind: str
    sent_s: float  # time.monotonic()
    seen: Seen = Seen.NOTHING
    request_id: str | None = None
    status: int | None = None
    body_bytes: int = 0  # of the answer, without chunk framing
    ended_s: float = 0.0

    @property
    def latency_s(self) -> float:
        """From the first byte sent to the end, whatever end it was."""
        return self.ended_s - self.sent_s


class Load:
    """``with Load(port, kinds) as load:`` sends until the block ends, then lets every request end by itself.

    ``clients`` send one request after another on a connection each, with ``pause_s`` between them on average. A lost
    connection is made again. ``notes`` has every request, in the order in which they ended.
    """

    def __init__(
        self, port: int, kinds: Sequence[str], *, clients: int = 12, pause_s: float = 0.02, seed: int = 0
    ) -> None:
        self.notes: list[Note] = []
        self.refused = 0  # connections that were not even accepted
        self._port = port
        self._kinds = kinds
        self._clients = clients
        self._pause_s = pause_s
        self._seed = seed
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> list[Note]:
        """Send no more; every note, once what is open has ended."""
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self.notes

    def count(self, seen: Seen) -> int:
        """How many so far ended so."""
        return sum(note.seen is seen for note in list(self.notes))

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as failure:  # noqa: BLE001 -- raised again in the test's thread, by stop()
            self._failure = failure

    async def _all(self) -> None:
        await asyncio.gather(*(self._client(index) for index in range(self._clients)))

    async def _client(self, index: int) -> None:
        rng = random.Random(f"{self._seed}-{index}")
        sent = 0
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(_RECONNECT_S)
                continue
            alive = True
            while alive and not self._stop.is_set() and not reader.at_eof():
                sent += 1
                kind = rng.choice(self._kinds)
                note = Note(f"{self._seed}-{index}-{sent}", kind, time.monotonic())
                data = request_bytes(kind, note.marker, in_head=rng.random() < 0.5)
                try:
                    async with asyncio.timeout(_PATIENCE_S):
                        leaves = kind == "slow" and rng.random() < _LEAVING
                        alive = await _ask(reader, writer, data, note, leaves=leaves)
                except _GONE:
                    alive = False
                finally:
                    note.ended_s = time.monotonic()
                    self.notes.append(note)
                await asyncio.sleep(rng.uniform(0, 2 * self._pause_s))
            writer.transport.abort()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes, note: Note, *, leaves: bool
) -> bool:
    """Send one request and follow its answer to the end, or only to its head; whether the connection is still good."""
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    status, request_id = _STATUS.match(head), _REQUEST_ID.search(head)
    assert status, head
    assert request_id, head
    note.seen, note.status, note.request_id = Seen.BROKEN, int(status[1]), request_id[1].decode()
    length = _LENGTH.search(head)
    if note.status == 503:  # known by its head, for the worker may die, or the client leave, before its body
        note.seen = Seen.REFUSED
        assert length, head
        body = await reader.readexactly(int(length[1]))
        assert b'"code":"shutdown"' in body, body
        return False
    if leaves:
        note.seen = Seen.LEFT
        return False
    if length:
        note.body_bytes = len(await reader.readexactly(int(length[1])))
    else:
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            note.body_bytes += len((await reader.readexactly(size + 2))[:-2])
        await reader.readexactly(2)
    note.seen = Seen.WHOLE
    return b"\r\nconnection: close\r\n" not in head.lower()
