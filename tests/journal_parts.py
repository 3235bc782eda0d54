"""Records, a clock that is set by hand, and faults of the disk, for the tests of the journal and of ingestion."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.journal import JournalFolder, frames
from llm_metrics_proxy.record import Outcome, RequestRecord

WORKER = "00c0ffee"


def a_record(index: int, **facts: Any) -> RequestRecord:
    """An accepted request; its id tells its index."""
    return RequestRecord(
        request_id=f"{index:032x}",
        timestamp=f"2025-06-01T12:00:00.{index % 1_000_000:06d}Z",
        method="POST",
        endpoint="/v1/chat/completions",
        **facts,
    )


def an_ended_record(index: int, **facts: Any) -> RequestRecord:
    """The same request, completed."""
    ended = {"outcome": Outcome.COMPLETED, "success": True, "total_tokens": 30, "response_time_ms": 1500.0}
    return a_record(index, **{**ended, **facts})


def read_all(folder: Path, worker_id: str = WORKER) -> list[frames.Frame]:
    """Every frame of one worker, read as if it were dead."""
    journal = JournalFolder(folder)
    found: list[frames.Frame] = []
    for segment in journal.workers().get(worker_id, []):
        offset, more = 0, True
        while more:
            piece = journal.read(worker_id, segment, offset, final=True)
            found += piece.frames
            offset, more = piece.end_bytes, piece.more
    return found


def ids(found: list[frames.Frame], kind: int) -> list[int]:
    """Indexes of the records in frames of one kind, in order."""
    return [int(frames.request_id(body), 16) for each, body in found if each == kind]


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class FaultyDisk:
    """Stands in front of ``os.write``: ``free_bytes`` is what the disk still takes, ``error`` what it says then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_bytes: int | None = None
        self.error = errno.ENOSPC
        self.cannot_cut = False
        self._write, self._cut = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "ftruncate", self.ftruncate)

    def write(self, fd: int, data: bytes) -> int:
        """As a file system does: a short write first, then the error."""
        if self.free_bytes is None:
            return self._write(fd, data)
        if self.free_bytes == 0:
            raise OSError(self.error, os.strerror(self.error))
        written = self._write(fd, data[: self.free_bytes])
        self.free_bytes -= written
        return written

    def ftruncate(self, fd: int, size: int) -> None:
        """Cutting off gives the space back."""
        if self.cannot_cut:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        before = os.fstat(fd).st_size
        self._cut(fd, size)
        if self.free_bytes is not None:
            self.free_bytes += max(before - size, 0)
