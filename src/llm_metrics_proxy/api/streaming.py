"""Answers that are made while they are sent."""

from collections.abc import Callable, Iterator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from llm_metrics_proxy.api.scope import ASKED_FOR_HEAD


class Streamed(StreamingResponse):
    """Chunks that are made in a thread, each when the one before was taken by the client's connection.

    Where making one fails, the connection is broken off: a file that lacks its end must not end well. ``on_end`` is
    called once, however it ends.
    """

    def __init__(
        self, chunks: Iterator[bytes], media_type: str, headers: Mapping[str, str], on_end: Callable[[], None]
    ) -> None:
        super().__init__(chunks, headers=headers, media_type=media_type)
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; to HEAD, what stands before the body."""
        try:
            if ASKED_FOR_HEAD in scope:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await send({"type": "http.response.body", "body": b""})
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._on_end()
