"""A worker's side of the journal: records go to a list, and once per turn of the event loop to the disk in one write.

Nothing here raises or waits for the disk to recover: a request is never slowed or failed by its record. While the
disk is full or read-only, frames wait in a bounded buffer; what does not fit is dropped, counted and remembered by id,
so that the database still gets one row for it (outcome ``record_lost``) once writing works again.
"""

import errno
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.journal import frames, ledger
from llm_metrics_proxy.journal.worker_files import WorkerFiles
from llm_metrics_proxy.record import RequestRecord

BUFFER_BYTES: Final = 8 * 1024 * 1024  # of frames that wait for a disk to take them
MAX_LOST: Final = 100_000  # requests remembered by id; about 15 MB
RETRY_FIRST_S: Final = 0.05
RETRY_LONGEST_S: Final = 2.0
_LOST_PER_FRAME: Final = 128  # at most 1.2 KiB each: within frames.MAX_PAYLOAD_BYTES


class JournalWriter:
    """Appends one worker's records. Every method but ``sync`` belongs to the event loop's thread.

    ``worker_id`` is lower-case hex, unique to this start of the process which clients cannot guess
    (``secrets.token_hex(8)``). ``max_bytes`` bounds all segments of the folder, other workers' included.
    """

    def __init__(
        self,
        folder: Path,
        worker_id: str,
        *,
        segment_bytes: int = 16 * 1024 * 1024,
        max_bytes: int = 2 * 1024 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.records_written = 0  # closed frames that the kernel has taken
        self.records_dropped = 0  # closed records that never will be
        self.last_errno = 0  # of the last failed write, while writing still fails
        self.size_bytes = 0  # of all segments in the folder: as last measured, and what was written since
        self.is_full = False  # size_bytes has reached max_bytes
        self.is_blocked = False  # full or failing: the slow path of `opened` and `closed`
        self.records_waiting = 0  # closed frames that only this process's memory has, because writing fails
        self._files = WorkerFiles(folder, worker_id, segment_bytes)
        self._max_bytes = max_bytes
        self._clock = clock
        self._unix_ms = unix_ms
        self._pending: list[bytes] = []  # payloads: kind byte and MessagePack
        self._pending_closed = 0  # closed frames among them, but for those in ``records_waiting``
        self._waiting_bytes = 0  # of pending payloads, kept only while writing fails
        self._lost: list[bytes] = []
        # Ids, while writing fails: of requests whose opened frame is not in the journal; and of those that ended, and
        # have only that frame there, because the closed one waits or is dropped.
        self._unopened: set[bytes] = set()
        self._opened_waiting: set[bytes] = set()
        self._opened_dropped: set[bytes] = set()
        self._retry_at = 0.0
        self._retry_s = RETRY_FIRST_S
        self._losses = ledger.NONE  # as in the lock file

    def __repr__(self) -> str:
        files = self._files
        return f"<JournalWriter {files.name or files.worker_id} at {files.offset}, {len(self._pending)} pending>"

    @property
    def losses_untold(self) -> int:
        """Dropped records whose ids wait here for the journal to have room: they have no row yet."""
        return len(self._lost)

    def prepare(self) -> None:
        """Take the room in which losses are written down, before a disk can be full.

        Never raises: the first write tries again.
        """
        with suppress(OSError):
            self._hold_lock()

    def _hold_lock(self) -> None:
        if self._files.hold_lock():
            self._losses = ledger.NONE

    def note_losses(self) -> None:
        """Write down what is lost or would be with this process: after it, ``kill -9`` cannot make it unknown."""
        dropped = self.records_dropped - len(self._opened_dropped)
        waiting = self.records_waiting - len(self._opened_waiting)
        before = self._losses
        if (before.dropped, before.waiting) == (dropped, waiting):
            return
        now = self._unix_ms()
        is_all_well = not dropped and not waiting
        grew = dropped + waiting > before.dropped + before.waiting
        losses = ledger.Losses(
            dropped=dropped,
            waiting=waiting,
            first_unix_ms=0 if is_all_well else before.first_unix_ms or now,
            last_unix_ms=0 if is_all_well else now if grew else before.last_unix_ms,
            errno=self.last_errno or before.errno,
        )
        if self._files.write_losses(losses):
            self._losses = losses

    # -- the hot path: about 0.6 µs each

    def opened(self, record: RequestRecord) -> None:
        """The request was accepted; ``record`` has the facts known so far."""
        try:
            payload = b"\x01" + frames.encode(record)
        except (ValueError, OverflowError):  # half a surrogate pair, or an integer beyond 64 bits
            payload = self._encode_storable(frames.OPENED, record)
        if not self.is_blocked:
            self._pending.append(payload)
        else:
            self._unopened.add(_id_of(record))
            if self._has_room(payload):
                self._keep(payload)

    def closed(self, record: RequestRecord) -> None:
        """The request has ended; ``record`` is whole."""
        try:
            payload = b"\x02" + frames.encode(record)
        except (ValueError, OverflowError):  # half a surrogate pair, or an integer beyond 64 bits
            payload = self._encode_storable(frames.CLOSED, record)
        if not self.is_blocked:
            self._pending.append(payload)
            self._pending_closed += 1
        elif self._has_room(payload):
            self._keep(payload)
            self.records_waiting += 1
            if (request_id := _id_of(record)) not in self._unopened:
                self._opened_waiting.add(request_id)
        else:
            self._lose(record)

    # -- writing

    def flush(self) -> None:
        """Hand everything pending to the kernel in one write. Never raises; see ``last_errno``."""
        if not self._pending and (not self._lost or self.is_full):
            return
        if self.last_errno and self._clock() < self._retry_at:
            return
        self._flush_now()

    def sync(self) -> None:
        """Make what was flushed survive a power loss. Slow: call it in a thread. Raises ``OSError``."""
        self._files.sync()

    def measure(self) -> None:
        """Measure the folder again, and notice files that were deleted meanwhile.

        Call it once a second, and ``flush`` after it: what was lost is written as soon as there is room again.
        """
        with suppress(OSError):  # the last known size stands; a write will show what is wrong
            self.size_bytes = self._files.measure()
            self._update_state()

    def close(self) -> None:
        """Flush once more and let go of the lock: from now on readers take this worker for ended."""
        if self._pending or self._lost:
            self._flush_now()
        self.records_dropped += self.records_waiting
        self.records_waiting = 0
        self._opened_dropped |= self._opened_waiting
        self._opened_waiting = set()
        self._pending = []
        self.note_losses()
        self._files.close(keep_lock_file=self.records_dropped > 0)

    # -- the slow path

    def _has_room(self, payload: bytes) -> bool:
        return not self.is_full and self._waiting_bytes + len(payload) <= BUFFER_BYTES

    def _keep(self, payload: bytes) -> None:
        self._pending.append(payload)
        self._waiting_bytes += len(payload)

    def _lose(self, record: RequestRecord) -> None:
        self.records_dropped += 1
        if (request_id := _id_of(record)) in self._unopened:
            self._unopened.remove(request_id)
        else:
            self._opened_dropped.add(request_id)
        if len(self._lost) < MAX_LOST:
            try:
                self._lost.append(frames.stub(record))
            except (ValueError, OverflowError):
                self._lost.append(frames.stub(frames.storable(record)))

    def _encode_storable(self, kind: int, record: RequestRecord) -> bytes:
        return bytes((kind,)) + frames.encode(frames.storable(record))

    def _flush_now(self) -> None:
        files, pending = self._files, self._pending
        if self._lost and not self.is_full:
            pending = pending + self._lost_payloads()
        written = 0
        try:
            while written < len(pending):
                if files.needs_segment:
                    self._hold_lock()
                    files.start_segment()
                before = files.offset
                written += files.write(pending[written:] if written else pending)
                self.size_bytes += files.offset - before
            self.last_errno = 0
            self._retry_s = RETRY_FIRST_S
        except OSError as error:
            self.last_errno = error.errno or errno.EIO
            files.cut_back(self.last_errno)
            self._retry_at = self._clock() + self._retry_s
            self._retry_s = min(self._retry_s * 2, RETRY_LONGEST_S)
        self._account(pending, written)

    def _account(self, pending: list[bytes], written: int) -> None:
        """Settle who was written: records are counted, lost ids forgotten, the rest stays pending."""
        self.records_waiting += self._pending_closed
        self._pending_closed = 0
        in_trouble = self._lost or self._unopened or self._opened_waiting or self._opened_dropped
        if written == len(pending) and not in_trouble:
            self.records_written += self.records_waiting
            self.records_waiting = self._waiting_bytes = 0
            self._pending = []
        else:
            self._account_singly(pending, written)
        self._update_state()

    def _account_singly(self, pending: list[bytes], written: int) -> None:
        kinds = [payload[0] for payload in pending[:written]]
        self.records_written += kinds.count(frames.CLOSED)
        lost = kinds.count(frames.LOST) * _LOST_PER_FRAME
        if written < len(pending) or self._unopened or self._opened_waiting or self._opened_dropped:
            self._note_opened(pending[:written], self._lost[:lost], pending[written:])
        del self._lost[:lost]
        self._pending = [payload for payload in pending[written:] if payload[0] != frames.LOST]
        self._waiting_bytes = sum(map(len, self._pending))
        self.records_waiting = sum(payload[0] == frames.CLOSED for payload in self._pending)

    def _note_opened(self, written: list[bytes], lost: list[bytes], left: list[bytes]) -> None:
        """Of which requests the opened frame is in the journal, and of which of them nothing more."""
        self._unopened.difference_update(_ids(written, frames.OPENED, frames.CLOSED))
        self._unopened.update(_ids(left, frames.OPENED))
        self._opened_waiting = _ids(left, frames.CLOSED) - self._unopened
        if self._opened_dropped:
            self._opened_dropped.difference_update(map(frames.request_id, lost))

    def _update_state(self) -> None:
        self.is_full = self.size_bytes >= self._max_bytes
        self.is_blocked = self.is_full or self.last_errno != 0

    def _lost_payloads(self) -> list[bytes]:
        starts = range(0, len(self._lost), _LOST_PER_FRAME)
        return [frames.lost_payload(self._lost[start : start + _LOST_PER_FRAME]) for start in starts]


def _id_of(record: RequestRecord) -> bytes:
    return record.request_id.encode(errors="replace")


def _ids(payloads: list[bytes], *kinds: int) -> set[bytes]:
    return {frames.request_id(payload[1:]) for payload in payloads if payload[0] in kinds}
