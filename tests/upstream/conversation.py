"""One connection of the fake server: reads requests, plays their scripts, keeps every byte."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from tests.upstream.steps import (
    Close,
    Echo,
    HalfClose,
    Pause,
    ReadBody,
    Receive,
    Reset,
    Script,
    Send,
    Stall,
    Step,
    WaitFor,
)  # fmt: skip

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_LONGEST_WAIT_S: Final = 30.0  # no step outlives a test that forgot it
_TICK_S: Final = 0.02


@dataclass
class Request:
    """One request as it arrived. ``raw`` is every byte of it, framing included; ``body`` is its content."""

    method: str
    target: str
    version: str
    fields: list[tuple[bytes, bytes]]  # in order, names in the case they came in
    head: bytes
    connection: int  # index into FakeUpstream.connections
    body: bytes = b""
    raw: bytes = b""
    complete: bool = False

    def header(self, name: str) -> str | None:
        """The first field of that name in any case."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.fields if key.lower() == wanted), None)

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


Handler = Callable[[Request], Script]


@dataclass
class Connection:
    """One accepted connection: every byte received, and whether and when the client ended it."""

    index: int
    received: bytearray = field(default_factory=bytearray)
    requests: int = 0
    peer_closed: threading.Event = field(default_factory=threading.Event)  # FIN or RST from the client was seen
    ended: threading.Event = field(default_factory=threading.Event)  # the fake is done with it


class Gone(Exception):  # noqa: N818 -- an ending, not a fault
    """The connection is over: by the client, by a step, or because the test ended."""


class Owner(Protocol):
    """What a conversation needs of its server."""

    stopping: threading.Event

    def add_request(self, request: Request) -> None:
        """Take note of a request that is in."""


class Conversation:
    """Plays scripts on one socket; runs in a thread of its own."""

    def __init__(self, owner: Owner, sock: socket.socket, connection: Connection) -> None:
        self._owner = owner
        self._sock = sock
        sock.settimeout(_TICK_S)  # every wait is short, so that the end of the test is noticed
        self._connection = connection
        self._unread = bytearray()
        self._request: Request | None = None
        self._raw_body = bytearray()

    def run(self, on_connect: Script, handler: Handler, early: bool) -> None:
        self._play(on_connect)
        while True:
            request = self._request = self._read_head()
            self._raw_body.clear()
            if not early:
                self._read_body(ReadBody())
            self._owner.add_request(request)
            self._connection.requests += 1
            self._play(handler(request))
            self._read_body(ReadBody())

    def _play(self, script: Script) -> None:
        for step in script:
            self._step(step)

    def _step(self, step: Step) -> None:
        match step:
            case Send():
                self._send(step)
            case Pause(seconds):
                end = time.monotonic() + seconds
                self._wait_until(lambda: time.monotonic() >= end)
            case Stall():
                self._wait_until(lambda: False)
            case WaitFor(gate):
                gate.reached.set()
                self._wait_until(gate.opened.is_set)
            case ReadBody():
                self._read_body(step)
            case Receive(count):
                self._need(count)
                del self._unread[:count]
            case Echo():
                while True:
                    self._need(1)
                    self._write(bytes(self._unread))
                    self._unread.clear()
            case HalfClose():
                self._sock.shutdown(socket.SHUT_WR)
            case Close():
                # Unread bytes would turn the FIN into an RST: take what has arrived first.
                self._sock.settimeout(0)
                with contextlib.suppress(OSError, Gone):
                    while True:
                        self._recv()
                raise Gone
            case Reset():
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                raise Gone

    def _send(self, step: Send) -> None:
        width = step.cut or len(step.data) or 1
        for start in range(0, len(step.data), width):
            self._write(step.data[start : start + width])
            if step.pause_s:
                self._step(Pause(step.pause_s))

    def _write(self, data: bytes) -> None:
        """All of ``data``, however slowly the client takes it."""
        left = memoryview(data)
        while left:
            if self._owner.stopping.is_set():
                raise Gone
            try:
                left = left[self._sock.send(left) :]
            except (TimeoutError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                self._connection.peer_closed.set()
                raise Gone from None

    def _wait_until(self, reached: Callable[[], bool]) -> None:
        """Wait, watching for the client's end unless its body is deliberately unread."""
        deadline = time.monotonic() + _LONGEST_WAIT_S
        watch = self._request is None or self._request.complete
        while not reached():
            if self._owner.stopping.is_set() or time.monotonic() > deadline:
                raise Gone
            if not watch:
                time.sleep(_TICK_S / 10)
                continue
            self._sock.settimeout(_TICK_S / 10)
            try:
                self._unread += self._recv()
            except TimeoutError:
                pass
            finally:
                self._sock.settimeout(_TICK_S)

    def _recv(self, count: int = 65536) -> bytes:
        """At least one byte, or ``TimeoutError``, or ``Gone`` at the client's end."""
        try:
            data = self._sock.recv(count)
        except (ConnectionResetError, ssl.SSLError) as error:
            if isinstance(error, (ssl.SSLWantReadError, ssl.SSLWantWriteError)):
                raise TimeoutError from None
            data = b""
        except BlockingIOError:
            raise TimeoutError from None
        if not data:
            self._connection.peer_closed.set()
            raise Gone
        self._connection.received += data
        return data

    def _more(self, count: int = 65536) -> None:
        """Add something to the unread bytes, however long it takes."""
        while not self._owner.stopping.is_set():
            try:
                self._unread += self._recv(count)
                return
            except TimeoutError:
                continue
        raise Gone

    def _need(self, count: int) -> None:
        while len(self._unread) < count:
            self._more()

    def _until(self, mark: bytes) -> bytes:
        """The unread bytes through ``mark``, taken."""
        while (end := self._unread.find(mark)) < 0:
            self._more()
        taken = bytes(self._unread[: end + len(mark)])
        del self._unread[: len(taken)]
        return taken

    def _read_head(self) -> Request:
        raw = self._until(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        method, target, version = first.decode("latin-1").split(" ")
        fields = []
        for line in lines:
            name, colon, value = line.partition(b":")
            assert colon, f"not a field: {line!r}"
            fields.append((name, value.strip(b" \t")))
        return Request(method, target, version, fields, raw, self._connection.index, raw=raw)

    def _read_body(self, how: ReadBody) -> None:
        """Take the body's raw bytes; the request is complete when its framing says so."""
        request = self._request
        if request is None or request.complete:
            return
        if request.header("transfer-encoding"):
            while not request.complete:
                size = int(self._take(self._until(b"\r\n")).split(b";")[0], 16)
                if size == 0:
                    while self._take(self._until(b"\r\n")) != b"\r\n":
                        pass  # a trailer field
                    request.complete = True
                else:
                    self._need(size + 2)
                    request.body += self._take(bytes(self._unread[: size + 2]))[:-2]
                    del self._unread[: size + 2]
        else:
            left = int(request.header("content-length") or 0) - len(self._raw_body)
            left = left if how.limit is None else min(left, how.limit)
            while left > 0:
                if not self._unread:
                    self._more(min(left, how.piece))
                    time.sleep(how.pause_s)
                piece = self._take(bytes(self._unread[:left]))
                del self._unread[: len(piece)]
                left -= len(piece)
            request.body = bytes(self._raw_body)
            request.complete = len(self._raw_body) == int(request.header("content-length") or 0)
        request.raw = request.head + bytes(self._raw_body)

    def _take(self, data: bytes) -> bytes:
        self._raw_body += data
        return data
