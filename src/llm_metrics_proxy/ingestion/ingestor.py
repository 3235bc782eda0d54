"""From the journal into the store: exactly once, whatever dies when.

A batch is read from all workers' segments, and one transaction commits its rows, the requests it leaves open, the
counters and the position it was read up to. After any failure memory is thrown away and everything starts again from
what is committed. Only then is anything deleted, in an order that can be interrupted anywhere:

    commit (position past the segment) → delete segment
    commit (worker done) → delete segments and lock → sync the folder → forget the position
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from llm_metrics_proxy.errors import JournalError, LlmMetricsProxyError, RecordsRefusedError, StoreBusyError
from llm_metrics_proxy.ingestion.batch import Batch
from llm_metrics_proxy.journal.frames import encode, storable
from llm_metrics_proxy.journal.ledger import Losses
from llm_metrics_proxy.journal.reader import JournalFolder
from llm_metrics_proxy.metrics_service import NOT_PRICED, Priced, settle, to_row
from llm_metrics_proxy.ownership import give_back
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch, Loss, OpenRequest, SegmentPosition, Store

REJECTED_NAME: Final = "rejected.jsonl"
RETRY_FIRST_S: Final = 0.1
RETRY_LONGEST_S: Final = 5.0
_WAITS_TOLD: Final = 3

_log = logging.getLogger(__name__)


class Counters(Protocol):
    """What the ingester needs of ``counters.CounterBook``."""

    def load(self, rows: list[tuple[str, bytes]]) -> None:
        """Replace the content with what is stored."""

    def observe(self, record: RequestRecord, error_category: str | None, cost_usd: float | None) -> None:
        """Count one record that is settled and priced."""

    def take_changes(self) -> list[tuple[str, bytes]]:
        """(series, state) of all that changed since the last call."""

    def confirm(self) -> None:
        """Those changes are committed, and may be shown."""


class RecordPricer(Protocol):
    """What the ingester needs of ``pricing.Pricer``."""

    def price(self, record: RequestRecord) -> Priced:
        """Cost in US dollars, and who said so; None, None where it is unknown."""


class NoPricer:
    """Knows no prices."""

    def price(self, record: RequestRecord) -> Priced:  # noqa: ARG002 -- the port's signature
        """Unknown."""
        return NOT_PRICED


class IngestionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How ingestion fares; counts are since this process started."""

    running: bool = False
    records_ingested: int = 0
    records_rejected: int = 0  # neither the journal's decoder nor the database could hold them: see rejected.jsonl
    open_requests: int = 0
    lag_bytes: int = 0  # in the journal and not in the database
    lag_ms: int = 0  # age of the newest record in the database, while lag_bytes is not 0
    last_error: str | None = None  # of the last attempt, if that failed
    damaged_bytes: int = 0  # of journal that could not be read as frames
    torn_frames: int = 0  # cut off at the end of a dead worker's segment
    unknown_frames: int = 0  # of kinds that a newer worker writes
    last_commit_unix_ms: int | None = None
    records_lost: int | None = None  # served without a record, ever; none: not known yet
    lost_first_unix_ms: int | None = None
    lost_last_unix_ms: int | None = None
    lost_reason: str | None = None


class Ingestor:
    """Tails a journal folder into a store, in a thread of its own (``start``) or step by step (``step``)."""

    def __init__(
        self,
        store: Store,
        journal_dir: Path | str,
        counters: Counters,
        *,
        pricer: RecordPricer | None = None,
        on_stored: Callable[[Sequence[tuple[RequestRecord, float | None]]], None] | None = None,
        batch_rows: int = 10_000,
        interval_s: float = 0.2,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """A batch ends at the first piece of journal (1 MiB) that fills it; ``interval_s`` is between two looks.

        ``on_stored`` is told what each transaction has committed, with its cost in US dollars; it must return at once.
        """
        self._store = store
        self._folder = JournalFolder(Path(journal_dir))
        self._counters = counters
        self._pricer = pricer or NoPricer()
        self._on_stored = on_stored
        self._batch_rows = batch_rows
        self._interval_s = interval_s
        self._unix_ms = unix_ms
        self._positions: dict[str, SegmentPosition] = {}
        self._open: dict[bytes, OpenRequest] = {}
        self._loaded = False  # memory agrees with the store
        self._behind = False  # the last step stopped because its batch was full
        self._reached_unix_ms = unix_ms()  # everything that ended before is in; the start, until something is
        self._lost: list[Loss] | None = None  # of workers that are done, as stored
        self._told_losses: set[str] = set()  # ids of workers
        self._turn = 0
        self._status = IngestionStatus()
        self._is_reader = False  # the journal's only one; until then it is another process that stores what is in it
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

    def status(self) -> IngestionStatus:
        """How it fares; from any thread."""
        return self._status

    def _run(self) -> None:
        retry_s = RETRY_FIRST_S
        while not self._stop.is_set():
            if self._attempt():
                retry_s = RETRY_FIRST_S
                if not self._behind:
                    self._stop.wait(self._interval_s)
            else:
                self._stop.wait(retry_s)
                retry_s = min(2 * retry_s, RETRY_LONGEST_S)
        while self._drain_until is not None and time.monotonic() < self._drain_until:
            if self._attempt():
                if not self._behind:
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
            # Once in a while is normal beside a migration, whose batches come one after the other; it is worth a line
            # of the log only if it lasts.
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
        """Tell it; in the log with ``level`` and only once, not at all without one."""
        if level == logging.WARNING or (level is not None and reason != self._status.last_error):
            _log.log(level, "ingestion waits: %s", reason)
        lag: dict[str, Any] = {}
        with suppress(OSError):  # the folder may be what is out of reach
            lag = {**self._lag(), **self._losses()}
        self._set(last_error=reason, **lag)

    # -- one step

    def step(self) -> int:
        """Ingest what there is, up to one batch; returns how many records were committed.

        Raises ``StoreError``, ``JournalError`` or ``OSError``; nothing is lost then, and the next step starts afresh.
        """
        try:
            self._folder.claim()
            self._is_reader = True
            if not self._loaded:
                self._load()
            batch = self._collect()
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
            **self._losses(),
        )
        return len(batch.records)

    def _load(self) -> None:
        self._counters.load(self._store.counters())
        self._positions = {position.worker_id: position for position in self._store.positions()}
        self._open = {request.request_id.encode(): request for request in self._store.open_requests()}
        self._lost = self._store.losses()
        self._loaded = True
        self._tidy(self._positions)

    def _collect(self) -> Batch:
        """Read up to one batch, beginning with a different worker each time."""
        batch = Batch(self._open)
        self._behind = False
        # A worker of whom only rows are left, since its files were deleted by hand, is read to its end as well.
        names = {*self._folder.workers(), *self._positions, *(request.worker_id for request in self._open.values())}
        alive = {worker_id for worker_id in names if self._folder.is_alive(worker_id)}
        listing = self._folder.workers()  # anew: what a worker wrote before it was found dead is in here
        self._turn += 1
        order = sorted(names)
        for index in range(len(order)):
            worker_id = order[(self._turn + index) % len(order)]
            try:
                self._read_worker(worker_id, listing.get(worker_id, []), worker_id in alive, batch)
            except (JournalError, OSError) as error:  # one unreadable segment must not hold up the other workers
                batch.problems.append(str(error))
            if self._behind:
                break
        return batch

    def _read_worker(self, worker_id: str, segments: list[int], alive: bool, batch: Batch) -> None:
        position = self._positions.get(worker_id) or SegmentPosition(worker_id, segments[0] if segments else 0, 0)
        while True:
            following = next((segment for segment in segments if segment > position.segment), None)
            final = following is not None or not alive
            end, more = self._read_piece(position, batch, final=final)
            if not more and following is not None:
                end, more = SegmentPosition(worker_id, following, 0), True
            elif not more and final:
                batch.finish(worker_id)
                if lost := self._lost_by_the_dead(worker_id):
                    batch.losses[worker_id] = lost
                end = msgspec.structs.replace(end, done=True)
            if end != position:
                batch.positions[worker_id] = position = end
            if not more:
                return
            if batch.size >= self._batch_rows:
                self._behind = True
                return

    def _read_piece(self, position: SegmentPosition, batch: Batch, *, final: bool) -> tuple[SegmentPosition, bool]:
        piece = self._folder.read(position.worker_id, position.segment, position.offset_bytes, final=final)
        batch.take(position.worker_id, piece.frames)
        batch.damaged_bytes += piece.skipped_bytes
        batch.torn_frames += piece.torn
        return SegmentPosition(position.worker_id, position.segment, piece.end_bytes), piece.more

    def _commit(self, batch: Batch) -> int:
        """One transaction; returns how many records no database can hold."""
        for reason, body in batch.undecodable:
            self._reject(reason, body)
        rejected = len(batch.undecodable)
        opened, closed = batch.opened(), batch.closed()
        while True:
            rows, costs = [], []
            for record in batch.records:
                verdict, priced = settle(record), self._pricer.price(record)
                self._counters.observe(record, verdict.category, priced[0])
                rows.append(to_row(record, priced))
                costs.append(priced[0])
            try:
                self._store.append(
                    IngestBatch(
                        rows=rows,
                        opened=opened,
                        closed=closed,
                        positions=list(batch.positions.values()),
                        counters=self._counters.take_changes(),
                        losses=list(batch.losses.items()),
                    )
                )
            except RecordsRefusedError as error:
                kept = self._without(batch.records, dict(error.refused))
                rejected += len(batch.records) - len(kept)
                batch.records = kept
                self._counters.load(self._store.counters())
            else:
                self._counters.confirm()
                break
        if _log.isEnabledFor(logging.DEBUG):
            for record in batch.records:
                _log.debug("request %s: stored, %s", record.request_id, record.outcome)
        if self._on_stored is not None and batch.records:
            self._on_stored(list(zip(batch.records, costs, strict=True)))
        self._open.update({request.request_id.encode(): request for request in opened})
        self._positions.update(batch.positions)
        if batch.losses:
            self._lost = self._store.losses()
        return rejected

    def _without(self, records: list[RequestRecord], refused: dict[int, str]) -> list[RequestRecord]:
        """The batch again: of what was refused, what can be stored in part is, and the rest goes to the side file."""
        kept = []
        for index, record in enumerate(records):
            if index in refused:
                lesser = storable(record)
                if lesser == record:
                    self._reject(refused[index], encode(record), record)
                    continue
                kept.append(lesser)
            else:
                kept.append(record)
        return kept

    def _reject(self, reason: str, body: bytes, record: RequestRecord | None = None) -> None:
        """Keep for a person what no database can hold. Written before the commit: twice is better than never."""
        _log.error("a record was refused (%s) and is kept in %s", reason, REJECTED_NAME)
        line = msgspec.json.encode(
            {"reason": reason, "record": record and msgspec.structs.asdict(record), "frame_hex": body.hex()}
        )
        with (self._folder.path / REJECTED_NAME).open("ab") as file:
            give_back(file.fileno(), self._folder.path)
            file.write(line + b"\n")

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

    def _lost_by_the_dead(self, worker_id: str) -> Loss | None:
        """What a worker that is gone has left written down, told once in the log."""
        losses = self._folder.losses(worker_id).of_the_dead()
        if not losses.dropped:
            return None
        loss = _loss(losses)
        if worker_id not in self._told_losses:
            self._told_losses.add(worker_id)
            _log.error(
                "%d requests were served without a record between %s and %s (%s), by a worker that is gone",
                *(loss.records, _moment(loss.first_unix_ms), _moment(loss.last_unix_ms), loss.reason),
            )
        return loss

    def _losses(self) -> dict[str, Any]:
        """Everything that was lost: what is stored, and what workers have written down since."""
        found = list(self._lost or [])
        for worker_id in self._folder.workers():
            if (position := self._positions.get(worker_id)) is not None and position.done:
                continue  # it is stored, and the file about to go
            if self._folder.is_alive(worker_id):
                losses = self._folder.losses(worker_id)
                found += [_loss(losses)] if losses.dropped else []
            elif lost := self._lost_by_the_dead(worker_id):
                found.append(lost)
        if self._lost is None and not found:
            return {}
        last = max(found, key=lambda loss: loss.last_unix_ms, default=None)
        return {
            "records_lost": None if self._lost is None else sum(loss.records for loss in found),
            "lost_first_unix_ms": min((loss.first_unix_ms for loss in found), default=None),
            "lost_last_unix_ms": None if last is None else last.last_unix_ms,
            "lost_reason": None if last is None else last.reason,
        }

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


def _loss(losses: Losses) -> Loss:
    return Loss(losses.dropped, losses.first_unix_ms, losses.last_unix_ms, losses.reason)


def _moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
