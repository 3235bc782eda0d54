"""A worker's side of the journal: records go to a list, and once per turn of the event loop to the disk in one write.

Nothing here raises or waits for the disk to recover: a request is never slowed or failed by its record. While the
disk is full or read-only, frames wait in a bounded buffer; what does not fit is dropped, counted and remembered by id,
so that the database still gets one row for it (outcome ``record_lost``) once writing works again.
"""

import errno
import fcntl
import os
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.journal import frames, ledger
from llm_metrics_proxy.ownership import follow, make_folder
from llm_metrics_proxy.record import RequestRecord

BUFFER_BYTES: Final = 8 * 1024 * 1024  # of frames that wait for a disk to take them
MAX_LOST: Final = 100_000  # requests remembered by id; about 15 MB
RETRY_FIRST_S: Final = 0.05
RETRY_LONGEST_S: Final = 2.0
_LOST_PER_FRAME: Final = 128  # at most 1.2 KiB each: within frames.MAX_PAYLOAD_BYTES
_RETIRED_FDS: Final = 4  # rotated segments kept open for the next sync
# With these, cutting off what was written in part leaves a segment that can be continued; after any other error
# (EIO, EFBIG, EROFS, ESTALE) only a new segment can be trusted.
_SEGMENT_STAYS_GOOD: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class JournalWriter:
    """Appends one worker's records. Every method but ``sync`` belongs to the event loop's thread.

    ``worker_id`` is lower-case hex, unique to this start of the process and not to be guessed by clients
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
        self.worker_id = worker_id
        self.records_written = 0  # closed frames that the kernel has taken
        self.records_dropped = 0  # closed records that never will be
        self.last_errno = 0  # of the last failed write, while writing still fails
        self.size_bytes = 0  # of all segments in the folder: as last measured, and what was written since
        self.is_full = False  # size_bytes has reached max_bytes
        self.is_blocked = False  # full or failing: the slow path of `opened` and `closed`
        self.records_waiting = 0  # closed frames that only this process's memory has, because writing fails
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._clock = clock
        self._unix_ms = unix_ms
        self._pending: list[bytes] = []  # payloads: kind byte and MessagePack
        self._pending_closed = 0  # of the pending payloads, while writing goes well
        self._waiting_bytes = 0  # of pending payloads, kept only while writing fails
        self._lost: list[bytes] = []
        # Ids, while writing fails: of requests whose opened frame is not in the journal; and of those that ended, and
        # have only that frame there, because the closed one waits or is dropped.
        self._unopened: set[bytes] = set()
        self._opened_waiting: set[bytes] = set()
        self._opened_dropped: set[bytes] = set()
        self._retry_at = 0.0
        self._retry_s = RETRY_FIRST_S
        self._segment = 0
        self._name = ""
        self._offset = 0
        self._fd = -1
        self._lock_fd = -1
        self._losses = ledger.NONE  # as they stand in the lock file
        self._ledger_has_room = False  # for them, whatever else happens on the disk
        self._retired: list[int] = []
        self._entry_unsynced = False  # a segment was created since the last sync: its folder entry needs one too
        self._fds = threading.Lock()  # guards _fd, _retired and _entry_unsynced against `sync` in its thread
        self._syncing = threading.Lock()

    def __repr__(self) -> str:
        return f"<JournalWriter {self._name or self.worker_id} at {self._offset}, {len(self._pending)} pending>"

    @property
    def losses_untold(self) -> int:
        """Dropped records whose ids wait here for the journal to have room: no row tells of them yet."""
        return len(self._lost)

    def prepare(self) -> None:
        """Take the room in which losses are written down, before a disk can be full.

        Never raises: the first write tries again.
        """
        with suppress(OSError):
            self._hold_lock()

    def note_losses(self) -> None:
        """Write down what is lost or would be with this process: after it, ``kill -9`` cannot make it unknown."""
        dropped = self.records_dropped - len(self._opened_dropped)
        waiting = self.records_waiting - len(self._opened_waiting)
        before = self._losses
        if (before.dropped, before.waiting) == (dropped, waiting):
            return
        if self._lock_fd >= 0 and not self._ledger_has_room:
            self._ledger_has_room = ledger.take_room(self._lock_fd)  # it was made while the disk was full
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
        if self._lock_fd >= 0 and ledger.write(self._lock_fd, losses):
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
        """Make what was flushed survive a power loss. Slow (the disk's own time): call it in a thread.

        Raises ``OSError`` as ``fsync`` does. One call at a time: a second one returns only when the first is done too.
        """
        with self._syncing:
            with self._fds:
                current = [os.dup(self._fd)] if self._fd >= 0 else []
                unsynced, self._retired = self._retired + current, []
                entry_unsynced, self._entry_unsynced = self._entry_unsynced, False
            try:
                if entry_unsynced:
                    unsynced.append(os.open(self._folder, os.O_RDONLY))
                for fd in unsynced:
                    os.fsync(fd)  # not fdatasync: one of them is the folder, and appending changes the size anyway
            except OSError:
                self._entry_unsynced = self._entry_unsynced or entry_unsynced
                raise
            finally:
                for fd in unsynced:
                    os.close(fd)

    def measure(self) -> None:
        """Take the size of the folder anew, and notice segments that were deleted under us.

        Call it once a second, and ``flush`` after it: what was lost is told as soon as there is room again.
        """
        size = 0
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".journal"):
                        size += _size(entry)
            if self._fd >= 0 and 0 in (os.fstat(self._fd).st_nlink, os.fstat(self._lock_fd).st_nlink):
                self._abandon_segment()
                self._release_lock()
        except FileNotFoundError:
            self._abandon_segment()  # the folder itself is gone; the next flush makes it again
            self._release_lock()
        except OSError:
            return  # the last known size stands; a write will tell what is wrong
        self.size_bytes = size
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
        self._abandon_segment()
        with self._fds:
            retired, self._retired = self._retired, []
        for fd in retired:
            os.close(fd)
        if self._lock_fd >= 0 and not self._segment and not self.records_dropped:
            with suppress(OSError):  # no reader has anything to learn from it
                (self._folder / frames.lock_name(self.worker_id)).unlink()
        self._release_lock()

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
        pending = self._pending
        if self._lost and not self.is_full:
            pending = pending + self._lost_payloads()
        written = 0
        try:
            while written < len(pending):
                if self._fd < 0 or self._offset >= self._segment_bytes:
                    self._start_segment()
                written += self._write(pending[written:] if written else pending)
            self.last_errno = 0
            self._retry_s = RETRY_FIRST_S
        except OSError as error:
            self.last_errno = error.errno or errno.EIO
            self._cut_back()
            self._retry_at = self._clock() + self._retry_s
            self._retry_s = min(self._retry_s * 2, RETRY_LONGEST_S)
        self._account(pending, written)

    def _account(self, pending: list[bytes], written: int) -> None:
        """Settle who was written: records are counted, lost ids forgotten, the rest stays pending."""
        kinds = [payload[0] for payload in pending[:written]]
        self.records_written += kinds.count(frames.CLOSED)
        told = kinds.count(frames.LOST) * _LOST_PER_FRAME
        if written < len(pending) or self._unopened or self._opened_waiting or self._opened_dropped:
            self._note_opened(pending[:written], self._lost[:told], pending[written:])
        del self._lost[:told]
        self._pending = [payload for payload in pending[written:] if payload[0] != frames.LOST]
        self._waiting_bytes = sum(map(len, self._pending))
        self.records_waiting = sum(payload[0] == frames.CLOSED for payload in self._pending)
        self._update_state()

    def _note_opened(self, written: list[bytes], told: list[bytes], left: list[bytes]) -> None:
        """Of which requests the opened frame is in the journal, and of which of them nothing more."""
        self._unopened.difference_update(_ids(written, frames.OPENED, frames.CLOSED))
        self._unopened.update(_ids(left, frames.OPENED))
        self._opened_waiting = _ids(left, frames.CLOSED) - self._unopened
        if self._opened_dropped:
            self._opened_dropped.difference_update(map(frames.request_id, told))

    def _update_state(self) -> None:
        self.is_full = self.size_bytes >= self._max_bytes
        self.is_blocked = self.is_full or self.last_errno != 0

    def _lost_payloads(self) -> list[bytes]:
        starts = range(0, len(self._lost), _LOST_PER_FRAME)
        return [frames.lost_payload(self._lost[start : start + _LOST_PER_FRAME]) for start in starts]

    def _write(self, payloads: list[bytes]) -> int:
        """One write of all payloads; returns how many of them are whole in the segment."""
        pack, crc32, seed = frames.HEADER.pack, zlib.crc32, frames.seed(self._name)
        parts = [] if self._offset else [frames.MAGIC]
        for payload in payloads:
            parts.append(pack(len(payload), crc32(payload, seed)))
            parts.append(payload)
        data = b"".join(parts)
        size = os.write(self._fd, data)
        if size == len(data):
            self._offset += size
            self.size_bytes += size
            return len(payloads)
        return self._keep_whole(payloads, size)

    def _keep_whole(self, payloads: list[bytes], size: int) -> int:
        """After a short write: the whole frames stay, since a reader may have seen them; the torn one is cut off."""
        end = self._offset or len(frames.MAGIC)
        limit = self._offset + size
        count = 0
        for payload in payloads:
            if end + frames.HEADER.size + len(payload) > limit:
                break
            end += frames.HEADER.size + len(payload)
            count += 1
        if not count:
            raise OSError(errno.ENOSPC, "not even one frame fits")
        self.size_bytes += end - self._offset
        self._offset = end
        try:
            os.ftruncate(self._fd, end)
        except OSError:
            self._abandon_segment()  # never append behind a torn frame
        return count

    def _cut_back(self) -> None:
        """Leave the segment ending with its last whole frame, or leave the segment."""
        if self._fd < 0:
            return
        try:
            torn = os.fstat(self._fd).st_size != self._offset
            os.ftruncate(self._fd, self._offset)
        except OSError:
            self._abandon_segment()
            return
        if self._offset == 0 and self.last_errno not in _SEGMENT_STAYS_GOOD:
            self._abandon_segment()
            with suppress(OSError):  # an empty segment is harmless; one more at every retry is litter
                (self._folder / self._name).unlink()
        elif self._offset and (torn or self.last_errno not in _SEGMENT_STAYS_GOOD):
            # a write that stops inside a frame may mean a limit on the file's size just as well as a full disk
            self._abandon_segment()

    # -- files

    def _start_segment(self) -> None:
        self._hold_lock()
        self._segment += 1
        name = frames.segment_name(self.worker_id, self._segment)
        fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        follow(fd, self._folder)
        self._abandon_segment()
        with self._fds:
            self._fd = fd
            self._entry_unsynced = True
        self._name = name
        self._offset = 0

    def _hold_lock(self) -> None:
        if self._lock_fd < 0:
            make_folder(self._folder)
            self._lock_fd = _locked_file(self._folder / frames.lock_name(self.worker_id))
            self._ledger_has_room = ledger.take_room(self._lock_fd)
            self._losses = ledger.NONE

    def _abandon_segment(self) -> None:
        """Write no more to the current segment; the next ``sync`` still covers it."""
        with self._fds:
            if self._fd >= 0:
                self._retired.append(self._fd)
                self._fd = -1
            surplus = self._retired[:-_RETIRED_FDS]
            del self._retired[:-_RETIRED_FDS]
        for fd in surplus:
            os.close(fd)

    def _release_lock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1


def _locked_file(path: Path) -> int:
    """A locked file of this name. It is locked before it gets the name, so a reader never sees it free meanwhile."""
    unnamed = path.with_suffix(".locking")
    fd = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        follow(fd, path.parent)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)
    except OSError:
        os.close(fd)
        raise
    return fd


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # the reader deletes segments meanwhile
        return 0


def _id_of(record: RequestRecord) -> bytes:
    return record.request_id.encode(errors="replace")


def _ids(payloads: list[bytes], *kinds: int) -> set[bytes]:
    return {frames.request_id(payload[1:]) for payload in payloads if payload[0] in kinds}
