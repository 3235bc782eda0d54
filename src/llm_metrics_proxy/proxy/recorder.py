"""Writes the journal once per turn of the event loop; bytes that a record must go before wait for that.

A client that has seen the end of its answer has a record: the closed frame is in the page cache (with
``journal_fsync=always``: on the disk) before the last bytes are written to the client's socket. So the last bytes of
every answer that ends in this turn wait for the end of the turn, where one ``write`` serves them all. So do requests
that are forwarded at once: no LLM server works on a request that the journal does not know, whichever process dies.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple

from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.proxy.socket_writer import SocketWriter
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.scoreboard import OPEN_REQUESTS, REQUESTS, Slot

log = logging.getLogger(__name__)

LastWrite = tuple[SocketWriter | None, bytes, Callable[[], None] | None]


class Trouble(NamedTuple):
    """A time in which the journal cannot be written, from ``since_s`` (monotonic) on."""

    since_s: float
    dropped_before: int
    loses: bool = False


class Recorder:
    """One per worker; the only user of its ``JournalWriter``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, writer: JournalWriter, slot: Slot, fsync: str) -> None:
        self._loop = loop
        self._writer = writer
        self._slot = slot
        # What predecessors in this slot counted: a loss must not look undone because a worker was restarted. What the
        # last one still held in memory when it died is lost too.
        self._written_before = slot.get("records_written")
        self._dropped_before = slot.get("records_dropped") + slot.get("records_waiting")
        if waited := slot.get("records_waiting"):
            log.error("journal: the worker before this one died with %d records that could not be written", waited)
        self._fsync_always = fsync == "always"
        self._sendings: list[tuple[Exchange, SocketWriter, bytes]] = []
        self._endings: list[LastWrite] = []
        self._scheduled = False
        self._opened = 0  # in this turn
        self._trouble: Trouble | None = None
        self._was_blocked = False
        self._publish()

    @property
    def is_full(self) -> bool:
        """The bound on the journal's size is reached."""
        return self._writer.is_full

    def opened(self, record: RequestRecord) -> None:
        """A request was accepted; if this process dies now, this is what will be known of it."""
        self._writer.opened(record)
        self._opened += 1
        if not self._scheduled:
            self._schedule()

    def send(self, exchange: Exchange, socket_writer: SocketWriter, data: bytes) -> None:
        """A request was accepted and is here whole: write it once its opened frame is in the journal."""
        self._writer.opened(exchange.record)
        self._opened += 1
        if not self._scheduled:
            self._schedule()
        self._sendings.append((exchange, socket_writer, data))

    def flush(self) -> None:
        """What was opened in this turn is in the journal when this returns, unless that cannot be written."""
        if self._opened:
            self._writer.flush()

    def closed(
        self,
        record: RequestRecord,
        socket_writer: SocketWriter | None = None,
        last_bytes: bytes = b"",
        then: Callable[[], None] | None = None,
    ) -> None:
        """A request ended: record it, then write its ``last_bytes``, then call ``then``."""
        self._writer.closed(record)
        if stations.on:
            stations.closed(record)
        self._endings.append((socket_writer, last_bytes, then))
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        self._count()
        self._writer.flush()
        if stations.on:
            stations.turn_ended(is_blocked=self._writer.is_blocked)
        if self._sendings:
            self._send()
        if self._writer.is_blocked or self._was_blocked:
            # What only this memory holds is counted before a client has its end: a successor takes over the count.
            self._was_blocked = self._writer.is_blocked
            self._publish()
        endings = self._endings
        if not endings:
            return
        self._endings = []
        if self._fsync_always:
            self._loop.run_in_executor(None, self.sync).add_done_callback(lambda _: self._hand_out(endings))
        else:
            self._hand_out(endings)

    def _send(self) -> None:
        sendings, self._sendings = self._sendings, []
        for exchange, socket_writer, data in sendings:
            socket_writer.write(data)
            exchange.sent = monotonic_ns()

    def _count(self) -> None:
        """Live counters, once a turn: before anybody who was answered in it can look."""
        opened, self._opened = self._opened, 0
        words = self._slot.words
        words[REQUESTS] += opened
        words[OPEN_REQUESTS] += opened - len(self._endings)

    @staticmethod
    def _hand_out(endings: list[LastWrite]) -> None:
        for socket_writer, last_bytes, then in endings:
            if socket_writer is not None and last_bytes:
                socket_writer.write(last_bytes)
            if then is not None:
                then()

    def sync(self) -> None:
        """Put what is written on the disk; called in a thread. A failure is counted and shown, never raised."""
        try:
            self._writer.sync()
        except OSError as error:
            log.warning("journal: fsync failed: %s", error)

    def tick(self, now: float) -> None:
        """Once a second: retry what could not be written, measure, publish, log."""
        writer = self._writer
        writer.measure()
        writer.flush()
        self._publish()
        self._tell(now)

    def _tell(self, now: float) -> None:
        """Trouble once when it begins, once when the first record is lost, and once when it is over."""
        writer, trouble = self._writer, self._trouble
        if writer.last_errno or writer.is_full:
            reason = os.strerror(writer.last_errno) if writer.last_errno else "its bound is reached"
            if trouble is None:
                trouble = self._trouble = Trouble(now, writer.records_dropped)
                log.error("journal: cannot record (%s); %d records wait in memory", reason, writer.records_waiting)
            if writer.records_dropped > trouble.dropped_before and not trouble.loses:
                self._trouble = trouble._replace(loses=True)
                log.error("journal: records are being lost (%s)", reason)
        elif trouble is not None:
            self._trouble = None
            lost = writer.records_dropped - trouble.dropped_before
            level = logging.ERROR if lost else logging.WARNING
            log.log(level, "journal: can record again after %.0f s; %d records were lost", now - trouble.since_s, lost)

    def _publish(self) -> None:
        slot, writer = self._slot, self._writer
        writer.note_losses()
        slot.set("records_written", self._written_before + writer.records_written)
        slot.set("records_dropped", self._dropped_before + writer.records_dropped)
        slot.set("records_waiting", writer.records_waiting)
        slot.set("losses_untold", writer.losses_untold)
        slot.set("journal_full", int(writer.is_full))
        slot.set("journal_bytes", writer.size_bytes)
        slot.set("journal_errno", writer.last_errno)

    def close(self) -> None:
        """Write what is left and give the journal up; what still cannot be written is counted and logged now."""
        self._count()
        self._writer.flush()
        endings, self._endings = self._endings, []
        self._hand_out(endings)
        self._writer.close()
        self._publish()
        if self._writer.records_dropped:
            log.error("journal: %d records of this process could not be written", self._writer.records_dropped)
