"""The metrics process's side of the journal: which workers there are, and their frames piece by piece.

What the end of a segment looks like, and what it means:

    a part of a frame, writer alive, newest segment    it is being written: wait
    a part of a frame, otherwise                       torn by a crash: cut off and counted
    no frame, but sound ones behind it                 damage (power loss, disk fault): skipped and counted; the segment
                                                       is kept as *.damaged for a person to look at
    no frame and none behind it                        as a part of a frame

A writer counts as dead when its lock is free; the kernel releases a lock however its holder ended.
"""

import errno
import fcntl
import logging
import os
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.errors import JournalError
from llm_metrics_proxy.journal import frames, ledger
from llm_metrics_proxy.ownership import follow, make_folder, open_lock

PIECE_BYTES: Final = 1024 * 1024  # read at a time; several times frames.MAX_PAYLOAD_BYTES

_log = logging.getLogger(__name__)


class JournalPiece(NamedTuple):
    """Consecutive frames of a segment, up to ``end_bytes``."""

    frames: list[frames.Frame]
    end_bytes: int
    more: bool  # reading on from end_bytes gives more right now
    skipped_bytes: int = 0  # damage in front of end_bytes
    torn: bool = False  # the segment ends in something that never became a frame


class JournalFolder:
    """All segments of all workers. One reader at a time: see ``claim``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._claim_fd = -1

    # -- who is there

    def claim(self) -> None:
        """Become the only reader, until ``release`` or the end of this process. Raises ``JournalError``."""
        if self._claim_fd >= 0:
            return
        try:
            make_folder(self.path)
            fd = open_lock(self.path / "reader.claim", self.path, 0o640)
        except OSError as error:
            raise JournalError(
                f"The journal folder {self.path} cannot be used: {error.strerror}. This user must be allowed to write "
                "it and what is in it."
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno != errno.EWOULDBLOCK:
                raise JournalError(f"The journal folder {self.path} cannot be locked: {error.strerror}.") from error
            raise JournalError(
                f"Another metrics process is reading the journal {self.path}; this one waits until it ends."
            ) from error
        self._claim_fd = fd

    def release(self) -> None:
        """Let another reader in."""
        if self._claim_fd >= 0:
            os.close(self._claim_fd)
            self._claim_fd = -1

    def workers(self) -> dict[str, list[int]]:
        """Segment numbers in order, by worker; a worker that has written nothing yet has none."""
        found: dict[str, list[int]] = {}
        for name in os.listdir(self.path):  # noqa: PTH208 -- names only; five times a second
            if match := frames.NAME.fullmatch(name):
                found.setdefault(match["worker_id"], []).append(int(match["segment"]))
            elif match := frames.LOCK_NAME.fullmatch(name):
                found.setdefault(match["worker_id"], [])
        for segments in found.values():
            segments.sort()
        return found

    def is_alive(self, worker_id: str) -> bool:
        """Whether the worker still holds its lock. Ask this *before* listing: then a dead one's list is complete."""
        try:
            fd = open_lock(self.path / frames.lock_name(worker_id), self.path, make=False)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                return True
            raise
        finally:
            os.close(fd)
        return False

    def losses(self, worker_id: str) -> ledger.Losses:
        """What the worker has written down as lost."""
        try:
            fd = os.open(self.path / frames.lock_name(worker_id), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ledger.NONE
        try:
            return ledger.read(fd)
        finally:
            os.close(fd)

    # -- reading

    def size_bytes(self, worker_id: str, segment: int) -> int:
        """The segment's size; 0 if it is gone."""
        try:
            return os.stat(self.path / frames.segment_name(worker_id, segment)).st_size  # noqa: PTH116 -- hot
        except FileNotFoundError:
            return 0

    def read(self, worker_id: str, segment: int, offset_bytes: int, *, final: bool) -> JournalPiece:
        """The next piece from ``offset_bytes``. ``final``: nothing will be appended to this segment any more.

        Raises ``JournalError`` for a segment of a newer format, and ``OSError`` as reading does.
        """
        name = frames.segment_name(worker_id, segment)
        try:
            fd = os.open(self.path / name, os.O_RDONLY)
        except FileNotFoundError:
            return JournalPiece([], offset_bytes, more=False)
        try:
            size = os.fstat(fd).st_size
            if offset_bytes == 0:
                return self._read_magic(fd, name, size, final=final)
            data = os.pread(fd, PIECE_BYTES, offset_bytes)
            parsed = frames.parse_frames(data, name)
            end = offset_bytes + parsed.end
            if parsed.frames:
                return JournalPiece(parsed.frames, end, more=end < size and (final or parsed.end < len(data)))
            if end >= size:
                return JournalPiece([], end, more=False)
            if parsed.stop is frames.ParseStop.NEED_MORE and not final:
                return JournalPiece([], end, more=False)
            return self._resynchronise(fd, name, end, size, final=final)
        finally:
            os.close(fd)

    def _read_magic(self, fd: int, name: str, size: int, *, final: bool) -> JournalPiece:
        expected = frames.MAGIC
        magic = os.pread(fd, len(expected), 0)
        if magic == expected:
            return JournalPiece([], len(expected), more=size > len(expected))
        if len(magic) < len(expected):
            return JournalPiece([], size if final else 0, more=False, torn=final and size > 0)
        if magic[:-1] == expected[:-1] and magic[-1] > expected[-1]:
            raise JournalError(
                f"{self.path / name} has journal format {magic[-1]}; this program reads up to {expected[-1]}. "
                "A newer version wrote it: run that version's metrics process once, or move the file away."
            )
        return self._resynchronise(fd, name, 0, size, final=final)

    def _resynchronise(self, fd: int, name: str, bad: int, size: int, *, final: bool) -> JournalPiece:
        sound = _next_frame(fd, name, bad + 1, size)
        if sound is None:
            return JournalPiece([], size if final else bad, more=False, torn=final)
        self._keep_damaged(name)
        _log.warning(
            "journal segment %s is damaged: skipped %d bytes at offset %d; a copy is kept as %s.damaged",
            *(name, sound - bad, bad, name),
        )
        return JournalPiece([], sound, more=True, skipped_bytes=sound - bad)

    def _keep_damaged(self, name: str) -> None:
        """A second name for the same file: costs nothing and works on a full disk; where links do not, a copy."""
        kept = self.path / f"{name}.damaged"
        if kept.exists():
            return
        try:
            os.link(self.path / name, kept)
        except OSError:
            from shutil import copyfile  # noqa: PLC0415 -- workers load this file, too, and read no journal

            copyfile(self.path / name, kept)
            follow(kept, self.path)

    # -- tidying

    def delete_segment(self, worker_id: str, segment: int) -> None:
        """Delete one segment; gone already is fine."""
        (self.path / frames.segment_name(worker_id, segment)).unlink(missing_ok=True)

    def delete_lock(self, worker_id: str) -> None:
        """Delete a dead worker's lock file."""
        (self.path / frames.lock_name(worker_id)).unlink(missing_ok=True)

    def sync(self) -> None:
        """Make deletions survive a power loss: a segment that came back without its position would be read again."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _next_frame(fd: int, name: str, start: int, size: int) -> int | None:
    """The first offset from ``start`` on at which a whole, sound frame stands."""
    header = frames.HEADER.size
    for piece_start in range(start, size, PIECE_BYTES):
        # the overlap lets a header that straddles two pieces be seen; a candidate in it is only found once
        data = os.pread(fd, PIECE_BYTES + header, piece_start)
        for candidate in frames.candidates(data):
            at = piece_start + candidate
            length, _ = frames.HEADER.unpack_from(data, candidate)
            whole = os.pread(fd, header + length, at)
            if len(whole) == header + length and frames.parse_frames(whole, name).frames:
                return at
    return None
