"""All listeners to new records, and the one task that looks for new ones four times a second while anyone listens.

Listeners with the same filter share a channel: one question to the database, one set of bytes. What a listener has not
taken waits in its own list, which has a bound; over the bound it is dropped, its connection broken off. So memory is
bounded by listeners times ``MAX_WAITING_BYTES``, whatever any of them does. All of it runs on one event loop; only the
questions run in threads (asyncio's own, not those that long questions of the API may have used up).
"""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.live import LOOK_BACK, Sums, arrived, earlier
from llm_metrics_proxy.api import live_events as events
from llm_metrics_proxy.api.parameters import MAX_REPLAY
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.errors import StoreError

TICK_S: Final = 0.25
MAX_LISTENERS: Final = 32
MAX_RECORDS: Final = 100  # in full per look: 400 a second, at about 2 kB each
_RECORDS_OF_ALL: Final = 400  # per look, whatever the number of channels
_REST: Final = 9  # times as long as a look took: live streams get a tenth of one core at most, ingestion the rest
MAX_WAITING_BYTES: Final = 2 * 1024 * 1024  # a whole replay, or several full looks
_TOTALS_EVERY_S: Final = 1.0  # where only the number of open requests changes
_LONGEST_REST_S: Final = 2.0
_LAST_WORDS_S: Final = 0.5  # how long a stop waits for connections that take nothing


class LiveListener:
    """One connection's side: chunks that wait to be sent, and whether it is over."""

    def __init__(self, selection: RequestFilter, since: str, abort: Callable[[], None]) -> None:
        self.selection = selection
        self.since = since
        self.sums = Sums()
        self.over = False
        self.dropped = False
        self._abort = abort
        self._chunks: list[bytes] = []
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._sent_open: int | None = None
        self._sent_at = float("-inf")

    def put(self, chunk: bytes) -> None:
        """To be sent after what waits already. Drops a listener that takes too little."""
        self._waiting_bytes += len(chunk)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.drop()
            return
        self._chunks.append(chunk)
        self._changed.set()

    def count(self, new: Sums, open_requests: int | None, now_s: float) -> None:
        """Sends totals where they have changed."""
        changed = open_requests != self._sent_open and now_s - self._sent_at >= _TOTALS_EVERY_S
        if new.requests or changed:
            self.sums = self.sums.plus(new)
            self._sent_open, self._sent_at = open_requests, now_s
            self.put(events.totals(self.sums, self.since, open_requests))

    async def take(self, timeout_s: float) -> bytes:
        """All that waits; empty if nothing came within that time, or it is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        chunk = b"".join(self._chunks)
        self._chunks.clear()
        self._waiting_bytes = 0
        if not self.over:
            self._changed.clear()
        return chunk

    def end(self) -> None:
        """No more will come; what waits may still be sent."""
        self.over = True
        self._changed.set()

    def drop(self) -> None:
        """Break the connection off."""
        self.dropped = True
        self._chunks.clear()
        self.end()
        self._abort()


class _Channel:
    """Listeners with one filter; ``through``: what was sent to them, or skipped."""

    def __init__(self, through: Arrivals) -> None:
        self.through = through
        self.listeners: set[LiveListener] = set()


class Hub:
    """``join`` and ``leave`` are for the event loop that ``join`` was first called on."""

    def __init__(self, ports: ApiPorts) -> None:
        self._ports = ports
        self._channels: dict[RequestFilter, _Channel] = {}
        self._pump: asyncio.Task[None] | None = None
        self._problem = ""
        self._places = MAX_LISTENERS

    def reserve(self) -> bool:
        """Whether there is room for one more; every place that was given must be given back."""
        if self._places == 0:
            return False
        self._places -= 1
        return True

    def give_back(self) -> None:
        """The place that ``reserve`` gave."""
        self._places += 1

    async def join(
        self, selection: RequestFilter, seen: Arrivals | None, replay: int, abort: Callable[[], None]
    ) -> LiveListener:
        """A listener whose first events are queued already: the start, and earlier records if it wanted them.

        ``seen``: what it has seen, of which it wants the records after; else the newest ``replay``.
        Raises ``StoreError``.
        """
        newest = await asyncio.to_thread(self._ports.records.newest)
        channel = self._channels.get(selection) or self._channels.setdefault(selection, _Channel(newest))
        since = stored_time(datetime.fromtimestamp(self._ports.clock(), UTC))
        listener = LiveListener(selection, since, abort)
        listener.put(events.start(selection, channel.through))
        through = channel.through
        try:
            if seen is not None and through.is_ahead_of(seen):
                listener.put(await asyncio.to_thread(self._missed, selection, seen, through))
            elif seen is None and replay:
                before = await asyncio.to_thread(earlier, self._ports.records, selection, through, replay)
                listener.put(events.found(before, ArrivalRange(through.less(LOOK_BACK), through), 0))
            channel = self._channels.setdefault(selection, _Channel(through))
            while channel.through.is_ahead_of(through):  # the others got more meanwhile
                upto = channel.through
                listener.put(await asyncio.to_thread(self._missed, selection, through, upto))
                through, channel = upto, self._channels.setdefault(selection, _Channel(upto))
        except BaseException:
            self._forget_if_empty(selection)
            raise
        channel.listeners.add(listener)
        listener.count(Sums(), self._open_requests(), asyncio.get_running_loop().time())
        if self._ports.stopping():
            listener.end()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._watch())
        return listener

    def leave(self, listener: LiveListener) -> None:
        """It gets no more."""
        channel = self._channels.get(listener.selection)
        if channel is not None:
            channel.listeners.discard(listener)
            self._forget_if_empty(listener.selection)

    def _forget_if_empty(self, selection: RequestFilter) -> None:
        channel = self._channels.get(selection)
        if channel is not None and not channel.listeners:
            del self._channels[selection]

    def _missed(self, selection: RequestFilter, seen: Arrivals, through: Arrivals) -> bytes:
        """Records after those seen; those too far back become one event ``skipped``, uncounted."""
        after = through.less(LOOK_BACK).merged(seen)
        skipped = events.skipped(ArrivalRange(seen, after), None) if after.is_ahead_of(seen) else b""
        return skipped + self._look(selection, ArrivalRange(after, through), MAX_REPLAY)[0]

    def _look(self, selection: RequestFilter, within: ArrivalRange, limit: int) -> tuple[bytes, Sums]:
        found = arrived(self._ports.records, selection, within, limit)
        left_out = found.sums.requests - len(found.records)
        return events.found(found.records, within, left_out), found.sums

    async def _watch(self) -> None:
        """Until nobody listens. Whatever ends it ends the streams too, and clients come back."""
        try:
            while self._channels and not self._ports.stopping():
                began_s = asyncio.get_running_loop().time()
                await self._look_again()
                took_s = asyncio.get_running_loop().time() - began_s
                await asyncio.sleep(max(TICK_S, min(_REST * took_s, _LONGEST_REST_S)))
        finally:
            await self._end_all()

    async def _look_again(self) -> None:
        try:
            await self._tick()
            self._problem = ""
        except StoreError as error:
            self._report_problem(str(error))

    async def _tick(self) -> None:
        newest = await asyncio.to_thread(self._ports.records.newest)
        open_requests, now_s = self._open_requests(), asyncio.get_running_loop().time()
        limit = max(1, min(MAX_RECORDS, _RECORDS_OF_ALL // max(1, len(self._channels))))
        for selection, channel in list(self._channels.items()):
            after, new, sums = channel.through, b"", Sums()
            if newest.is_ahead_of(after):
                new, sums = await asyncio.to_thread(self._look, selection, ArrivalRange(after, newest), limit)
            channel.through = newest  # less than before where a backup was restored
            for listener in list(channel.listeners):
                if new:
                    listener.put(new)
                listener.count(sums, open_requests, now_s)

    def _report_problem(self, message: str) -> None:
        """Once, until it changes."""
        if message != self._problem:
            self._problem = message
            for listener in self._all():
                listener.put(events.problem(message))

    async def _end_all(self) -> None:
        """A stop waits a moment for last words to be taken, and for nobody who takes nothing."""
        for listener in self._all():
            listener.end()
        deadline = asyncio.get_running_loop().time() + _LAST_WORDS_S
        while self._channels and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for listener in self._all():
            listener.drop()

    def _all(self) -> list[LiveListener]:
        return [listener for channel in self._channels.values() for listener in channel.listeners]

    def _open_requests(self) -> int | None:
        if self._ports.scoreboard is not None:
            return sum(worker.values["open_requests"] for worker in self._ports.scoreboard.workers())
        status = self._ports.service_status()
        return None if status is None else status.open_requests
