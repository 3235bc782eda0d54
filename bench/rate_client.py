"""The open-loop client: requests leave on a fixed schedule over kept connections, whatever the answers do.

Latency is counted from the moment of sending to the last byte. An open loop does not wait for slow answers, so none of
them hides the next one; the schedule's own lateness (timers tick in milliseconds) is the same for every server.
"""

import asyncio
from collections import Counter, deque
from time import perf_counter_ns
from typing import Final, cast

import httptools

from bench import payload

_WARM_CONNECTIONS: Final = 8
_LIMIT_S: Final = 10.0  # for the last answers


class Kept(asyncio.Protocol):
    """One kept connection; it puts itself back among the idle ones after each answer."""

    def __init__(self, idle: "deque[Kept]", latencies_us: list[float], statuses: Counter[int]) -> None:
        self._idle = idle
        self._latencies_us = latencies_us
        self._statuses = statuses
        self._sent_ns = 0
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop\'s are no subclass of it

    def ask(self, request: bytes) -> None:
        """Send; the answer's latency is appended when it is complete."""
        self._sent_ns = perf_counter_ns()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._latencies_us.append((perf_counter_ns() - self._sent_ns) / 1000)
        self._statuses[self._parser.get_status_code()] += 1
        self._parser = httptools.HttpResponseParser(self)
        self._idle.append(self)


async def latencies_us(port: int, rate_per_s: float, seconds: float) -> list[float]:
    """Send ``rate_per_s * seconds`` requests; the latency of each, in microseconds. Raises if one is not good."""
    loop = asyncio.get_running_loop()
    request = payload.raw(port, payload.body())
    idle: deque[Kept] = deque()
    measured: list[float] = []
    statuses: Counter[int] = Counter()
    everyone: list[Kept] = []

    async def connect() -> Kept:
        _, kept = await loop.create_connection(lambda: Kept(idle, measured, statuses), "127.0.0.1", port)
        everyone.append(kept)
        return kept

    try:
        for _ in range(_WARM_CONNECTIONS):  # each one has carried a request before anything is counted
            (await connect()).ask(request)
        await _until(measured, _WARM_CONNECTIONS)
        measured.clear()
        count = round(rate_per_s * seconds)
        start = loop.time()
        for index in range(count):
            await asyncio.sleep(start + index / rate_per_s - loop.time())
            (idle.popleft() if idle else await connect()).ask(request)
        await _until(measured, count)
    finally:
        for kept in everyone:
            kept.transport.abort()
        await asyncio.sleep(0)  # transports close in the next turn of the loop
    assert set(statuses) == {200}, f"answers by status: {dict(statuses)}"
    return measured


async def _until(measured: list[float], count: int) -> None:
    async with asyncio.timeout(_LIMIT_S):
        while len(measured) < count:
            await asyncio.sleep(0.005)
