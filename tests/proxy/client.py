"""A client of literal bytes: what it says is what it was told, what it reads is taken apart by RFC 9112 alone.

It shares no code with the proxy, so that a mistake in one is not repeated in the other.
"""

import json
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any, Final, Self

PATIENCE_S: Final = 20.0  # a step that takes longer has failed; above time-outs that tests set, below the defaults
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

CHAT: Final = b'{"model":"fake-1","messages":[{"role":"user","content":"Hi"}]}'
STREAMED_CHAT: Final = b'{"model":"fake-1","stream":true,"messages":[{"role":"user","content":"Hi"}]}'


def post(
    body: bytes = CHAT,
    *lines: bytes,
    path: bytes = b"/v1/chat/completions",
    version: bytes = b"1.1",
    host: bytes = b"proxy",
) -> bytes:
    """A POST with a Content-Length; JSON unless ``lines`` name another Content-Type."""
    if not any(line.lower().startswith(b"content-type") for line in lines):
        lines = (b"Content-Type: application/json", *lines)
    return request(b"POST", path, *lines, b"Content-Length: %d" % len(body), version=version, host=host) + body


def get(path: bytes = b"/v1/models", *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    """A request without a body."""
    return request(method, path, *lines, version=version)


def request(
    method: bytes, target: bytes, *lines: bytes, version: bytes = b"1.1", host: bytes | None = b"proxy"
) -> bytes:
    """A request's head; ``host`` None leaves the field out."""
    named = () if host is None else (b"Host: " + host,)
    return b"\r\n".join((b"%b %b HTTP/%b" % (method, target, version), *named, *lines, b"", b""))


@dataclass
class Answer:
    """One answer as the client got it. ``raw`` is every byte of it; ``whole``: its framing says that it is complete."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]
    head: bytes
    body: bytes = b""
    raw: bytes = b""
    whole: bool = True
    chunks: list[bytes] = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """The first field of that name in any case."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    @property
    def request_id(self) -> str:
        """The id that every answer must carry, exactly once."""
        [value] = [value for key, value in self.fields if key.lower() == b"x-llm-metrics-request-id"]
        assert len(value) == 32, value
        return value.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error_code(self) -> str:
        """``code`` of an error in OpenAI's shape."""
        error = self.json()["error"]
        assert error["message"], error
        code: str = error["code"]
        return code


class Client:
    """A client that says literal bytes, and reads exactly what it is asked to."""

    def __init__(self, port: int, *, receive_buffer_bytes: int | None = None) -> None:
        self.sock = socket.socket()
        if receive_buffer_bytes is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """All of ``data``."""
        self.sock.sendall(data)

    def send_slowly(self, data: bytes, pause_s: float = 0.002, cut: int = 1) -> None:
        """``cut`` bytes at a time, each piece in a segment of its own."""
        for start in range(0, len(data), cut):
            self.sock.sendall(data[start : start + cut])
            time.sleep(pause_s)

    def send_as_far_as_possible(self, data: bytes, pieces: int) -> int:
        """``data`` many times over until the peer ends the connection; how many bytes it took."""
        taken = 0
        try:
            for _ in range(pieces):
                self.sock.sendall(data)
                taken += len(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return taken

    def _more(self) -> bool:
        data = self.sock.recv(262_144)
        self._unread += data
        return bool(data)

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        while len(self._unread) < count:
            assert self._more(), f"the connection ended after {self._unread!r}"
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    def read_until(self, mark: bytes) -> bytes:
        """Everything through ``mark``."""
        while (at := self._unread.find(mark)) < 0:
            assert self._more(), f"the connection ended after {self._unread!r}"
        return self.read(at + len(mark))

    def read_to_end(self) -> bytes:
        """Everything until the proxy's FIN."""
        while self._more():
            pass
        data, self._unread = self._unread, b""
        return data

    def ends(self) -> bytes:
        """What was left to read before the connection ended, by FIN or by RST."""
        try:
            return self.read_to_end()
        except ConnectionResetError:
            return self._unread

    def is_reset(self) -> bytes:
        """What was left to read before the RST, which must come."""
        try:
            data = self.read_to_end()
        except ConnectionResetError:
            return self._unread
        raise AssertionError(f"the connection ended cleanly after {data!r}")

    def is_quiet(self, seconds: float = 0.05) -> bool:
        """Nothing comes, and the connection stays open."""
        return not self._unread and not select.select([self.sock], [], [], seconds)[0]

    def head(self) -> Answer:
        """The next answer's head."""
        raw = self.read_until(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        version, status, reason = first.split(b" ", 2)
        assert version == b"HTTP/1.1", raw
        fields = []
        for line in lines:
            name, colon, value = line.partition(b":")
            assert colon, raw
            fields.append((name, value.strip(b" \t")))
        return Answer(int(status), reason, fields, raw, raw=raw)

    def answer(self, method: bytes = b"POST") -> Answer:
        """The next whole answer, as RFC 9112 section 6.3 frames it; one that breaks off is not ``whole``."""
        answer = self.head()
        if method == b"HEAD" or answer.status < 200 or answer.status in {204, 304}:
            return answer
        coding, length = answer.header(b"transfer-encoding"), answer.header(b"content-length")
        assert coding is None or (coding == b"chunked" and length is None), answer.head
        if coding is not None:
            self._chunks(answer)
        elif length is not None:
            self._exactly(answer, int(length))
        else:
            answer.body = self.read_to_end()
            answer.raw += answer.body
        return answer

    def _exactly(self, answer: Answer, length: int) -> None:
        try:
            while len(self._unread) < length and self._more():
                pass
        except ConnectionResetError:
            pass
        answer.whole = len(self._unread) >= length
        answer.body, self._unread = self._unread[:length], self._unread[length:]
        answer.raw += answer.body

    def _chunks(self, answer: Answer) -> None:
        while True:
            try:
                while b"\r\n" not in self._unread:
                    if not self._more():
                        raise EOFError
                line = self.read_until(b"\r\n")
                size = int(line, 16)
                while len(self._unread) < size + 2:
                    if not self._more():
                        raise EOFError
            except (EOFError, ConnectionResetError):
                answer.whole = False
                return
            data = self.read(size + 2)
            assert data.endswith(b"\r\n"), data
            answer.raw += line + data
            if not size:
                return
            answer.chunks.append(data[:-2])
            answer.body += data[:-2]

    def half_close(self) -> None:
        """FIN, and go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """FIN (or RST, if something was left unread)."""
        self.sock.close()

    def reset(self) -> None:
        """RST at once."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.sock.close()
