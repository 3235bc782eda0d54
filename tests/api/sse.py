"""A client of server-sent events on a bare socket: reads when told to, and can stop reading."""

import json
import socket
from typing import Any, Final, NamedTuple, Self

_LIMIT_S: Final = 30.0


class Event(NamedTuple):
    """One event; ``name`` is empty for a comment, whose text is ``data`` then."""

    name: str
    data: Any
    id: str | None = None


class Events:
    """``GET path`` on a socket of its own, with a receive buffer as small as the system lets it be if ``small``."""

    def __init__(self, port: int, path: str = "/api/v1/live", *headers: str, small: bool = False) -> None:
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        self.socket.settimeout(_LIMIT_S)
        self.socket.connect(("127.0.0.1", port))
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.ended_well = False
        self._stream = self.socket.makefile("rb")
        self._waiting = b""
        self.status = int(self._stream.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._stream.close()
        self.socket.close()

    def body(self) -> Any:
        """Of an answer that is no stream."""
        return json.loads(self._stream.read(int(self.headers["content-length"])))

    def next(self) -> Event | None:
        """The next event or comment; ``None`` at the end of the stream, well or not."""
        while b"\n\n" not in self._waiting:
            size = self._stream.readline().strip()
            if size in (b"", b"0"):
                self.ended_well = size == b"0"
                return None
            self._waiting += self._stream.read(int(size, 16))
            self._stream.readline()
        block, self._waiting = self._waiting.split(b"\n\n", 1)
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
        if "event" not in fields:
            return Event("", fields[""])
        return Event(fields["event"], json.loads(fields["data"]), fields.get("id"))

    def until(self, name: str) -> Event:
        """The next event of this name."""
        while (event := self.next()) is not None:
            if event.name == name:
                return event
        raise AssertionError(f"the stream ended without {name}")

    def records(self, count: int) -> list[int]:
        """Ids of the next so many records."""
        return [self.until("record").data["arrival"] for _ in range(count)]
