"""A worker's files in the journal: the lock that says that it lives, and one segment after another.

Whatever a disk does, a segment ends with its last whole frame or is given up: nothing is ever appended behind a torn
one. Every method but ``sync`` belongs to the event loop's thread.
"""

import errno
import fcntl
import os
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy.journal import frames, ledger
from llm_metrics_proxy.ownership import follow, make_folder

_RETIRED_FDS: Final = 4  # rotated segments kept open for the next sync
# With these, cutting off what was written in part leaves a segment that can be continued; after any other error
# (EIO, EFBIG, EROFS, ESTALE) only a new segment can be trusted.
_SEGMENT_STAYS_GOOD: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class WorkerFiles:
    """Those of one worker. Raises ``OSError`` as the disk does, and leaves it to the writer to go on."""

    def __init__(self, folder: Path, worker_id: str, segment_bytes: int) -> None:
        self.folder = folder
        self.worker_id = worker_id
        self.name = ""  # of the segment
        self._seed = 0  # of its checksums
        self.offset = 0  # where its last whole frame ends
        self.lock_fd = -1
        self._segment_bytes = segment_bytes
        self._segment = 0
        self._fd = -1
        self._ledger_has_room = False  # for losses, whatever else happens on the disk
        self._retired: list[int] = []
        self._entry_unsynced = False  # a segment was created since the last sync: its folder entry needs one too
        self._fds = threading.Lock()  # guards _fd, _retired and _entry_unsynced against `sync` in its thread
        self._syncing = threading.Lock()

    # -- the lock, and what is written down in its file

    def hold_lock(self) -> bool:
        """Show that this worker lives, and reserve the room for its losses; whether that was still undone."""
        if self.lock_fd >= 0:
            return False
        make_folder(self.folder)
        self.lock_fd = _locked_file(self.folder / frames.lock_name(self.worker_id))
        self._ledger_has_room = ledger.take_room(self.lock_fd)
        return True

    def write_losses(self, losses: ledger.Losses) -> bool:
        """Write down what is lost; whether that was possible."""
        if self.lock_fd < 0:
            return False
        if not self._ledger_has_room:
            self._ledger_has_room = ledger.take_room(self.lock_fd)  # the file was made while the disk was full
        return ledger.write(self.lock_fd, losses)

    def release_lock(self) -> None:
        """From now on readers take this worker for ended."""
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    # -- segments

    @property
    def needs_segment(self) -> bool:
        """It is missing, or full."""
        return self._fd < 0 or self.offset >= self._segment_bytes

    def start_segment(self) -> None:
        """Make the next one."""
        self._segment += 1
        name = frames.segment_name(self.worker_id, self._segment)
        fd = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        follow(fd, self.folder)
        self.abandon_segment()
        with self._fds:
            self._fd = fd
            self._entry_unsynced = True
        self.name, self._seed, self.offset = name, frames.seed(name), 0

    def write(self, payloads: list[bytes]) -> int:
        """One write of all payloads; returns how many of them are whole in the segment."""
        pack, crc32, seed = frames.HEADER.pack, zlib.crc32, self._seed
        parts = [] if self.offset else [frames.MAGIC]
        for payload in payloads:
            parts.append(pack(len(payload), crc32(payload, seed)))
            parts.append(payload)
        data = b"".join(parts)
        size = os.write(self._fd, data)
        if size == len(data):
            self.offset += size
            return len(payloads)
        return self._keep_whole(payloads, size)

    def _keep_whole(self, payloads: list[bytes], size: int) -> int:
        """After a short write: the whole frames stay, since a reader may have seen them; the torn one is cut off."""
        end = self.offset or len(frames.MAGIC)
        limit = self.offset + size
        count = 0
        for payload in payloads:
            if end + frames.HEADER.size + len(payload) > limit:
                break
            end += frames.HEADER.size + len(payload)
            count += 1
        if not count:
            raise OSError(errno.ENOSPC, "not even one frame fits")
        self.offset = end
        try:
            os.ftruncate(self._fd, end)
        except OSError:
            self.abandon_segment()
        return count

    def cut_back(self, number: int) -> None:
        """After a write that failed with that errno: end the segment with its last whole frame, or leave it."""
        if self._fd < 0:
            return
        try:
            torn = os.fstat(self._fd).st_size != self.offset
            os.ftruncate(self._fd, self.offset)
        except OSError:
            self.abandon_segment()
            return
        stays_good = number in _SEGMENT_STAYS_GOOD
        if self.offset == 0 and not stays_good:
            self.abandon_segment()
            with suppress(OSError):  # an empty segment is harmless; one more at every retry is litter
                (self.folder / self.name).unlink()
        elif self.offset and (torn or not stays_good):
            # a write that stops inside a frame may mean a limit on the file's size just as well as a full disk
            self.abandon_segment()

    def abandon_segment(self) -> None:
        """Write no more to the current segment; the next ``sync`` still covers it."""
        with self._fds:
            if self._fd >= 0:
                self._retired.append(self._fd)
                self._fd = -1
            surplus = self._retired[:-_RETIRED_FDS]
            del self._retired[:-_RETIRED_FDS]
        for fd in surplus:
            os.close(fd)

    # -- all of them

    def measure(self) -> int:
        """Bytes of all segments in the folder, other workers' too; lets go of files that were deleted under us."""
        size = 0
        try:
            with os.scandir(self.folder) as entries:
                for entry in entries:
                    if entry.name.endswith(".journal"):
                        with suppress(FileNotFoundError):  # the reader deletes segments meanwhile
                            size += entry.stat().st_size
            gone = self._fd >= 0 and 0 in (os.fstat(self._fd).st_nlink, os.fstat(self.lock_fd).st_nlink)
        except FileNotFoundError:  # the folder itself; it is made again
            gone = True
        if gone:
            self.abandon_segment()
            self.release_lock()
        return size

    def sync(self) -> None:
        """Make what was written survive a power loss. Slow (the disk's own time): call it in a thread.

        Raises ``OSError`` as ``fsync`` does. One call at a time: a second one returns only when the first is done too.
        """
        with self._syncing:
            with self._fds:
                current = [os.dup(self._fd)] if self._fd >= 0 else []
                unsynced, self._retired = self._retired + current, []
                entry_unsynced, self._entry_unsynced = self._entry_unsynced, False
            try:
                if entry_unsynced:
                    unsynced.append(os.open(self.folder, os.O_RDONLY))
                for fd in unsynced:
                    os.fsync(fd)  # not fdatasync: one of them is the folder, and appending changes the size anyway
            except OSError:
                self._entry_unsynced = self._entry_unsynced or entry_unsynced
                raise
            finally:
                for fd in unsynced:
                    os.close(fd)

    def close(self, *, keep_lock_file: bool) -> None:
        """Let go of everything. A worker that wrote nothing leaves nothing, unless its lock file says of losses."""
        self.abandon_segment()
        with self._fds:
            retired, self._retired = self._retired, []
        for fd in retired:
            os.close(fd)
        if self.lock_fd >= 0 and not self._segment and not keep_lock_file:
            with suppress(OSError):
                (self.folder / frames.lock_name(self.worker_id)).unlink()
        self.release_lock()


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
