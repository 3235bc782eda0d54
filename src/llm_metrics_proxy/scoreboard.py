"""Live counters of every worker in one small shared mapping, so that any process sees how all of them do.

The supervisor makes a file without a name and each child inherits its descriptor. A slot has one writer (the
worker with that index); aligned 8-byte stores are not torn on the machines we run on, so readers take no lock. The
mapping outlives a worker: its successor goes on counting in the same slot.
"""

import mmap
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from llm_metrics_proxy import descriptors

FIELDS: Final = (
    "pid",
    "heartbeat_unix_ms",  # written every second by a worker's timer
    "open_connections",
    "open_requests",
    "requests",  # heads accepted since the supervisor started
    "bad_requests",  # connections refused before a request could be accepted (malformed, too large a head)
    "records_written",
    "records_dropped",  # could not be journalled: full disk, read-only folder, bound reached
    "journal_bytes",  # bytes of all segments when last measured
    "journal_errno",  # 0, or the errno of the last failed write while writing still fails
    "draining",
    "records_waiting",  # in the worker's memory only, because the journal cannot be written: lost if it dies
    "losses_untold",  # of the dropped ones, those whose ids are not in the journal yet, and so without a row
    "journal_full",  # as this worker last measured it: the bound on the journal's size is reached
    "bodies_bytes",  # of request bodies that the worker holds
    "bodies_limit_bytes",
    "bodies_refused",  # requests turned away because all of that was held
    "bodies_refused_unix_ms",  # when the newest one was
    "connections_limit",  # as many clients are served at once as descriptors allow, or the settings
    "connections_refused",  # connections turned away for that
    "connections_refused_unix_ms",
)
OPEN_CONNECTIONS: Final = FIELDS.index("open_connections")
OPEN_REQUESTS: Final = FIELDS.index("open_requests")
REQUESTS: Final = FIELDS.index("requests")
SLOT_COUNT: Final = 256
_INDEX: Final = {name: position for position, name in enumerate(FIELDS)}
_SLOT_WORDS: Final = 32
_SLOTS_BYTES: Final = SLOT_COUNT * _SLOT_WORDS * 8

# Behind the slots, each worker has rows for its backends: a name, then words. Pages that nobody writes take no memory.
BACKEND_FIELDS: Final = ("used", "up", "open_requests", "failures_in_a_row", "ejections")
BACKEND_COUNT: Final = 32
_NAME_BYTES: Final = 64
_ROW_BYTES: Final = _NAME_BYTES + 8 * 8
_ROWS_BYTES: Final = BACKEND_COUNT * _ROW_BYTES
SIZE_BYTES: Final = _SLOTS_BYTES + SLOT_COUNT * _ROWS_BYTES


class WorkerStatus(NamedTuple):
    """One worker's counters at one moment; names as in ``FIELDS``."""

    slot: int
    values: dict[str, int]


class BackendStatus(NamedTuple):
    """One backend as one worker sees it; names as in ``BACKEND_FIELDS``."""

    slot: int
    name: str
    values: dict[str, int]


_RECENT_MS: Final = 60_000  # a refusal counts as recent for so long
_SHORTAGES: Final = {
    "bodies_refused": (
        "worker {slot} turned requests away in the last minute ({count} since the start): it held as many bytes of "
        "bodies as max_buffered_bytes allows ({bodies_limit_bytes})"
    ),
    "connections_refused": (
        "worker {slot} turned connections away in the last minute ({count} since the start): it serves "
        "{connections_limit} at once, as max_connections and the limit of open files allow"
    ),
}


def journal_faults(workers: Sequence[WorkerStatus]) -> list[str]:
    """What keeps records out of the journal now, in words."""
    failing: dict[int, list[str]] = {}
    for worker in workers:
        if number := worker.values["journal_errno"]:
            failing.setdefault(number, []).append(str(worker.slot))
    faults = [
        f"the journal cannot be written by worker {', '.join(slots)}: {os.strerror(number)}"
        for number, slots in failing.items()
    ]
    if any(worker.values["journal_full"] for worker in workers):
        faults.append("the journal has reached journal_max_bytes")
    return faults


def records_lost(workers: Sequence[WorkerStatus]) -> tuple[int, list[str]]:
    """How many requests have no record since the workers' supervisor started, and a sentence on it if any."""
    lost = sum(worker.values["records_dropped"] for worker in workers)
    return lost, [f"{lost} requests were served without a record since the start"] if lost else []


def shortages(workers: Sequence[WorkerStatus], now_unix_ms: float) -> list[str]:
    """What workers had too little of in the last minute, in words."""
    return [
        text.format(slot=worker.slot, count=worker.values[counter], **worker.values)
        for worker in workers
        for counter, text in _SHORTAGES.items()
        if now_unix_ms - worker.values[f"{counter}_unix_ms"] < _RECENT_MS
    ]


class Scoreboard:
    """All slots; a process writes only through the ``Slot`` of its own index."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._bytes = memoryview(mmap.mmap(fd, SIZE_BYTES))
        self._words = self._bytes.cast("q")

    @classmethod
    def create(cls) -> "Scoreboard":
        """A fresh mapping on a file without a name; children inherit the descriptor."""
        fd = descriptors.nameless_file()
        os.ftruncate(fd, SIZE_BYTES)
        return cls(fd)

    def slot(self, index: int) -> "Slot":
        """The slot that worker ``index`` writes."""
        start = index * _SLOT_WORDS
        return Slot(self._words[start : start + _SLOT_WORDS])

    def workers(self) -> list[WorkerStatus]:
        """Every slot that a worker has ever used."""
        found = []
        for index in range(SLOT_COUNT):
            start = index * _SLOT_WORDS
            if self._words[start]:
                values = {name: self._words[start + position] for name, position in _INDEX.items()}
                found.append(WorkerStatus(index, values))
        return found

    def backends(self) -> list[BackendStatus]:
        """Every backend of every worker, in the workers' order."""
        found = []
        for worker in self.workers():
            for index in range(BACKEND_COUNT):
                name, words = self._row(worker.slot, index)
                if not words[0]:
                    break
                text = bytes(name).rstrip(b"\0").decode(errors="replace")
                values = {field: words[position] for position, field in enumerate(BACKEND_FIELDS)}
                found.append(BackendStatus(worker.slot, text, values))
        return found

    def show_backends(self, slot: int, backends: list[tuple[str, dict[str, int]]]) -> None:
        """Write a worker's rows: names and, by ``BACKEND_FIELDS`` without ``used``, what is known of each.

        A reader that looks meanwhile sees rows of before and after, or fewer, but each with its own name.
        """
        for index in range(BACKEND_COUNT):
            name, words = self._row(slot, index)
            if index >= len(backends):
                words[0] = 0
                continue
            text, values = backends[index]
            wanted = text.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
            if not words[0] or bytes(name) != wanted:
                words[0] = 0
                name[:] = wanted
            for position, field in enumerate(BACKEND_FIELDS[1:], start=1):
                words[position] = values[field]
            words[0] = 1

    def _row(self, slot: int, index: int) -> tuple[memoryview, memoryview]:
        start = _SLOTS_BYTES + slot * _ROWS_BYTES + index * _ROW_BYTES
        words = self._words[(start + _NAME_BYTES) // 8 : (start + _ROW_BYTES) // 8]
        return self._bytes[start : start + _NAME_BYTES], words


class Slot:
    """One worker's counters. ``slot.words[POSITION]`` is the fast way for the hot path."""

    def __init__(self, words: memoryview) -> None:
        self.words = words

    def set(self, name: str, value: int) -> None:
        """Store ``value`` under a name of ``FIELDS``."""
        self.words[_INDEX[name]] = value

    def add(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self.words[_INDEX[name]] += amount

    def get(self, name: str) -> int:
        """The value now."""
        return self.words[_INDEX[name]]
