"""The floor: bytes from one socket to another, on uvloop. It understands nothing and records nothing.

    python -m bench.peers.relay PORT UPSTREAM_PORT

Each client's connection has a connection upstream for itself, and both are kept for as long as the client likes. What a
proxy in Python costs beyond this is what it does; what this costs beyond nginx is the language.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Server(asyncio.Protocol):
    """The side of the LLM server."""

    transport: asyncio.Transport

    def __init__(self, client: asyncio.Transport) -> None:
        self.client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self.client.close()

    def data_received(self, data: bytes) -> None:
        self.client.write(data)


class Client(asyncio.Protocol):
    """The side of the client; what comes before its connection upstream is there waits for that."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.server: Server | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._connecting.cancel()
        if self.server is not None:
            self.server.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.server is None:
            self._early += data
        else:
            self.forward(self.server, data)

    def forward(self, server: Server, data: bytes) -> None:
        """Bytes of the client, for the server."""
        server.transport.write(data)

    def other_side(self) -> Server:
        """What speaks to the LLM server for this client."""
        return Server(self.transport)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, self.server = await loop.create_connection(self.other_side, "127.0.0.1", self._upstream)
        if self._early:
            self.forward(self.server, self._early)


async def main(port: int, upstream: int) -> None:
    """Relay for ever."""
    server = await asyncio.get_running_loop().create_server(lambda: Client(upstream), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
