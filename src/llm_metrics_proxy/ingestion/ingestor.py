"""From the journal into the store: exactly once, whatever dies when.

A batch is read from all workers' segments, and one transaction commits its rows, the requests it leaves open, the
counters and the position it was read up to. After any failure memory is discarded and everything starts again from
what is committed. Only then is anything deleted, in an order that can be interrupted anywhere:

    commit (position past the segment) → delete segment
    commit (worker done) → delete segments and lock → sync the folder → forget the position
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from llm_metrics_proxy.errors import LlmMetricsProxyError, StoreBusyError
from llm_metrics_proxy.ingestion.batch import Batch
from llm_metrics_proxy.ingestion.collecting import Collector
from llm_metrics_proxy.ingestion.losses import LossBook
from llm_metrics_proxy.ingestion.status import IngestionStatus
from llm_metrics_proxy.ingestion.storing import Counters, RecordPricer, Storing
from llm_metrics_proxy.journal.reader import JournalFolder
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import OpenRequest, SegmentPosition, Store

RETRY_FIRST_S: Final = 0.1
RETRY_LONGEST_S: Final = 5.0
_WAITS_TOLD: Final = 3

_log = logging.getLogger(__name__)


class Ingestor:
    """Tails a journal folder into a store, in a thread of its own (``start``) or step by step (``step``)."""

    def __init__(
        self,
        store: Store,
        journal_dir: Path | str,
        counters: Counters,
        *,
        pricer: RecordPricer | None = None,
        keeps_reports: bool = True,
        on_stored: Callable[[Sequence[tuple[RequestRecord, float | None]]], None] | None = None,
        batch_rows: int = 10_000,
        interval_s: float = 0.2,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """A batch ends at the first piece of journal (1 MiB) that fills it; ``interval_s`` is between two looks.

        ``on_stored`` gets what each transaction has committed, with its cost in US dollars; it must return at once.
        """
        self._store = store
        self._folder = JournalFolder(Path(journal_dir))
        self._counters = counters
        self._pricer = pricer
        self._on_stored = on_stored
        self._storing = Storing(store, counters, self._folder.path, keeps_reports=keeps_reports)
        self._losses = LossBook(self._folder)
        self._collector = Collector(self._folder, self._losses, batch_rows)
        self._interval_s = interval_s
        self._unix_ms = unix_ms
        self._positions: dict[str, SegmentPosition] = {}
        self._open: dict[bytes, OpenRequest] = {}
        self._loaded = False  # memory agrees with the store
        self._reached_unix_ms = unix_ms()  # everything that ended before is in; the start, until something is
        self._status = IngestionStatus()
        self._is_reader = False  # the journal's only one; until then another process stores what is in it
        self._waits = 0  # attempts in a row that found the database locked
        self._stop = threading.Event()
        self._drain_until: float | None = None
        self._thread: threading.Thread | None = None

    # -- the thread

    def start(self) -> None:
        """Begin to ingest. Failures never end it: they are shown in ``status`` and retried."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="ingestion", daemon=True)
        self._set(running=True)
        self._thread.start()

    def stop(self, *, drain: bool = True, timeout_s: float = 10.0) -> None:
        """End the thread; with ``drain`` only after everything readable is in the store, or ``timeout_s`` has passed.

        What is left stays in the journal for the next start.
        """
        self._drain_until = time.monotonic() + timeout_s if drain else None
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._folder.release()
        self._is_reader = False

    def use_pricer(self, pricer: RecordPricer) -> None:
        """Price what is ingested from now on by this one; from any thread."""
        self._pricer = pricer

    def keep_reports(self, keeps: bool) -> None:
        """Whether ``usage_reported`` is stored from now on; from any thread."""
        self._storing.keeps_reports = keeps

    def use_pace(self, batch_rows: int, interval_s: float) -> None:
        """As at the start; from any thread."""
        self._collector.batch_rows, self._interval_s = batch_rows, interval_s

    def status(self) -> IngestionStatus:
        """The current status; from any thread."""
        return self._status

    def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        while not self._stop.is_set():
            if self._attempt():
                retry_s = RETRY_FIRST_S
                if not self._collector.is_behind:
                    self._stop.wait(self._interval_s)
            else:
                self._stop.wait(retry_s)
                retry_s = min(2 * retry_s, RETRY_LONGEST_S)
        while self._drain_until is not None and time.monotonic() < self._drain_until:
            if self._attempt():
                if not self._collector.is_behind:
                    break
            elif not self._is_reader or not self._waits:
                break  # a disk that is full, or fails, will be no other within the seconds that are left
            else:
                time.sleep(RETRY_FIRST_S)
        self._set(running=False)

    def _attempt(self) -> bool:
        """One step; whether it went well."""
        try:
            self.step()
        except StoreBusyError as error:
            # Normal now and then while a migration runs batch after batch; it is logged only if it lasts.
            self._waits += 1
            self._failed(str(error), logging.WARNING if self._waits == _WAITS_TOLD else None)
            return False
        except (LlmMetricsProxyError, OSError) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001
            # The thread's boundary: a bug met by one batch must not end recording silently. It is retried, logged
            # and shown, and its records wait in the journal for a release that can read them.
            _log.exception("ingestion met a bug")
            self._failed(f"{type(error).__name__}: {error}")
        else:
            self._waits = 0
            return True
        self._waits = 0
        return False

    def _failed(self, reason: str, level: int | None = logging.ERROR) -> None:
        """Show it in the status, and log it once at ``level``."""
        if level == logging.WARNING or (level is not None and reason != self._status.last_error):
            _log.log(level, "ingestion waits: %s", reason)
        lag: dict[str, Any] = {}
        with suppress(OSError):  # the folder may be what is out of reach
            lag = {**self._lag(), **self._losses.status(self._positions)}
        self._set(last_error=reason, **lag)

    # -- one step

    def step(self) -> int:
        """Ingest what is available, up to one batch; returns how many records were committed.

        Raises ``StoreError``, ``JournalError`` or ``OSError``; nothing is lost then, and the next step starts afresh.
        """
        try:
            self._folder.claim()
            self._is_reader = True
            if not self._loaded:
                self._load()
            batch = self._collector.collect(self._positions, self._open)
            rejected = self._commit(batch) if batch.positions else 0
            self._tidy(batch.positions)
        except BaseException:
            self._loaded = False
            raise
        now, status = self._unix_ms(), self._status
        problem = "; ".join(batch.problems) or None
        if problem and problem != status.last_error:
            _log.error("part of the journal cannot be read: %s", problem)
        self._note_progress(batch.records[-1] if batch.records else None)
        self._set(
            records_ingested=status.records_ingested + len(batch.records),
            records_rejected=status.records_rejected + rejected,
            open_requests=len(self._open),
            damaged_bytes=status.damaged_bytes + batch.damaged_bytes,
            torn_frames=status.torn_frames + batch.torn_frames,
            unknown_frames=status.unknown_frames + batch.unknown_frames,
            last_error=problem,
            last_commit_unix_ms=now if batch.positions else status.last_commit_unix_ms,
            **self._lag(),
            **self._losses.status(self._positions),
        )
        return len(batch.records)

    def _load(self) -> None:
        self._counters.load(self._store.counters(), self._store.windows())
        self._storing.forget()
        self._positions = {position.worker_id: position for position in self._store.positions()}
        self._open = {request.request_id.encode(): request for request in self._store.open_requests()}
        self._losses.stored = self._store.losses()
        self._loaded = True
        self._tidy(self._positions)

    def _commit(self, batch: Batch) -> int:
        """One transaction; returns how many records no database can hold."""
        opened = batch.opened()
        stored = self._storing.store(batch, opened, self._open.values(), self._pricer)
        if _log.isEnabledFor(logging.DEBUG):
            for record in batch.records:
                _log.debug("request %s: stored, %s", record.request_id, record.outcome)
        if self._on_stored is not None and batch.records:
            self._on_stored(list(zip(batch.records, stored.costs, strict=True)))
        self._open.update({request.request_id.encode(): request for request in opened})
        self._positions.update(batch.positions)
        if batch.losses:
            self._losses.stored = self._store.losses()
        return stored.rejected

    def _tidy(self, positions: dict[str, SegmentPosition]) -> None:
        """Delete what committed positions have passed."""
        if not positions:
            return
        listing = self._folder.workers()
        for worker_id, position in list(positions.items()):
            for segment in listing.get(worker_id, []):
                if segment < position.segment or (position.done and segment == position.segment):
                    self._folder.delete_segment(worker_id, segment)
            if position.done:
                self._folder.delete_lock(worker_id)
        done = [worker_id for worker_id, position in positions.items() if position.done]
        if done:
            self._folder.sync()
        for worker_id in done:
            self._store.forget_worker(worker_id)
            self._positions.pop(worker_id, None)

    # -- status

    def _note_progress(self, newest: RequestRecord | None) -> None:
        if newest is not None:
            received = datetime.fromisoformat(newest.timestamp).timestamp() * 1000
            self._reached_unix_ms = max(self._reached_unix_ms, int(received + (newest.response_time_ms or 0.0)))

    def _lag(self) -> dict[str, int]:
        """Bytes of journal behind the positions, and the age of what was ingested last."""
        unread = 0
        for worker_id, segments in self._folder.workers().items():
            position = self._positions.get(worker_id) or SegmentPosition(worker_id, 0, 0)
            for segment in segments:
                if segment >= position.segment:
                    unread += self._folder.size_bytes(worker_id, segment)
                if segment == position.segment:
                    unread -= position.offset_bytes
        now = self._unix_ms()
        if unread <= 0:
            self._reached_unix_ms = now
        return {"lag_bytes": max(unread, 0), "lag_ms": max(now - self._reached_unix_ms, 0)}

    def _set(self, **changes: Any) -> None:
        self._status = msgspec.structs.replace(self._status, **changes)
