"""A question of this proxy's own to a server: one GET over the pool's connections, bounded in time and size.

For health probes and for lists of models. It leaves no record.
"""

import asyncio
from typing import NamedTuple

from llm_metrics_proxy.proxy.answers import ResponseHead
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.parties import UpstreamConnection
from llm_metrics_proxy.proxy.pool import Pool


class Fetched(NamedTuple):
    """An answer, or (status 0) the reason for its absence, in the record's words."""

    status: int
    facts: dict[str, bytes]
    body: bytes
    error: str | None = None
    message: str | None = None  # the same in words, where there are more


async def fetch(pool: Pool, request: bytes, timeout_s: float, limit_bytes: int) -> Fetched:
    """Send ``request``, which has no body, and take its whole answer. Never raises for what a server does."""
    asked = _Fetch(pool, request, limit_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            asked.start()
            return await asked.result
    except TimeoutError:
        return _failed("timeout")
    finally:
        asked.drop()


def _failed(error: str, message: str | None = None) -> Fetched:
    return Fetched(0, {}, b"", error, message)


class _Fetch:
    """One such question, as the owner of a connection (see ``parties.Owner``)."""

    request_is_sent = True

    def __init__(self, pool: Pool, request: bytes, limit_bytes: int) -> None:
        self._pool = pool
        self._request = request
        self._limit_bytes = limit_bytes
        self._upstream: UpstreamConnection | None = None
        self._head: ResponseHead | None = None
        self._body = bytearray()
        self._retried = False
        self.result: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        upstream = self._pool.acquire(self, fresh=self._retried)
        if upstream is not None:
            self.upstream_ready(upstream)

    def drop(self) -> None:
        """Everything still under way is given up; then nothing waits any more."""
        self.result.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()

    @property
    def is_waiting(self) -> bool:
        return self._upstream is None and not self.result.done()

    def upstream_ready(self, upstream: UpstreamConnection) -> None:
        self._upstream = upstream
        upstream.begin(self, b"GET", self._request)

    def upstream_failed(self, cause: Cause, message: str | None, *, answered: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None and upstream.reused and not answered and not self._retried:
            self._retried = True  # an idle connection that had been closed says nothing about the server
            self.start()
        elif not self.result.done():
            self.result.set_result(_failed(cause.value, message))

    def upstream_is_slow(self, *, slow: bool) -> None:
        """A head always fits."""

    def informational(self, head: ResponseHead) -> None:
        """Of no interest here."""

    def response(
        self, head: ResponseHead | None, length: int | None, body: bytes, *, ended: bool, read_at: int
    ) -> None:
        del length, read_at
        self._head = head or self._head
        self._body += body
        if ended:
            self._upstream = None
            if not self.result.done() and self._head is not None:
                self.result.set_result(Fetched(self._head.status, self._head.facts, bytes(self._body)))
        elif len(self._body) > self._limit_bytes and not self.result.done():
            self.result.set_result(_failed("too_large"))

    def chunk(self, data: bytes, body: bytes, read_at: int) -> None:
        del data
        self.more_body(body, read_at)

    def more_body(self, body: bytes, read_at: int) -> None:
        self.response(None, None, body, ended=False, read_at=read_at)

    def tunnel_opened(self, head: ResponseHead, now: int) -> None:
        """Never requested."""
