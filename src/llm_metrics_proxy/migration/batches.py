"""Records in small transactions: how far one goes, how long it may hold the lock, and how progress is reported.

Each transaction has a range of records and the cursor, so that an interruption costs nothing but the one that was open.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import apsw

from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase
from llm_metrics_proxy.storage import connection as sqlite

_FIRST_BATCH: Final = 500
_MOST: Final = 50_000
_REPORT_EVERY_S: Final = 0.1
_BUSY_PATIENCE_S: Final = 60.0
_LOG_PAGES: Final = 4096
_GAP_S: Final = 0.001
_WORK_S: Final = 0.02  # between two gaps; after every one of very small batches, a busy writer would have it all

Interrupted = Callable[[], bool]


class Pace:
    """How many records the next batch takes, so that it holds the write lock for about ``target_ms``.

    A batch that took too long is answered at once, a short one by careful growth: a disk that stalls now and then
    must not make the lock long afterwards. ``least`` is for work whose cost hardly falls with the number of records:
    batches of a few would hold the lock nearly as long each, and come to no end.
    """

    def __init__(self, target_ms: float, *, least: int = 1) -> None:
        self.records = max(_FIRST_BATCH, least)
        self._least = least
        self.largest_ms = 0.0
        self.busy_ms = 0.0
        self._target_ms = target_ms

    def took(self, held_ms: float) -> None:
        """A batch of ``records`` held the lock for so long."""
        self.largest_ms = max(self.largest_ms, held_ms)
        self.busy_ms += held_ms
        factor = min(1.5, max(0.25, 0.7 * self._target_ms / max(held_ms, 0.01)))
        self.records = max(self._least, min(_MOST, int(self.records * factor) + (factor > 1)))


class Log:
    """The write-ahead log, put back into the database between transactions.

    SQLite would do it within the COMMIT that makes the log long enough. The lock is free by then, but who measures how
    long the transaction took would take it for held, and make batches small: a sync may last longer than ten of them.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection, self._pages, self._rested_at = connection, 0, 0.0
        connection.set_wal_hook(self._committed)  # instead of SQLite's own

    def _committed(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._pages = pages
        return apsw.SQLITE_OK

    def between(self) -> None:
        """After a transaction: put the log back if it is long, and let others have the lock, who ask now and then."""
        if self._pages >= _LOG_PAGES:
            self._pages = 0
            with suppress(apsw.Error):  # as SQLite does: trouble with the disk shows when the log has to be written
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if time.monotonic() - self._rested_at > _WORK_S:
            time.sleep(_GAP_S)
            self._rested_at = time.monotonic()


class ProgressReporter:
    """Turns counts into ``Progress`` with rate and ETA, a few times a second."""

    def __init__(self, report: Report, phase: WorkPhase, total: int, done: int = 0) -> None:
        self._report, self._phase, self._total = report, phase, total
        self._start, self._already = time.monotonic(), done
        self._last = 0.0
        self.advance(done, force=True)

    def advance(self, done: int, *, force: bool = False, phase: WorkPhase | None = None, detail: str = "") -> None:
        """Report that ``done`` are done, if it is time or with ``force``."""
        now = time.monotonic()
        if not force and now - self._last < _REPORT_EVERY_S:
            return
        self._last = now
        elapsed = now - self._start
        per_s = (done - self._already) / elapsed if elapsed > 0 and done > self._already else None
        eta_s = (self._total - done) / per_s if per_s else None
        phase = phase or self._phase
        self._report(Progress(phase=phase, done=done, total=self._total, per_s=per_s, eta_s=eta_s, detail=detail))


@contextmanager
def transaction(connection: apsw.Connection, pace: Pace | None = None, *, keep: bool = True) -> Iterator[None]:
    """A transaction that waits while others write, and gives ``pace`` the time for which it held the lock."""
    with sqlite.transaction(connection, patience_s=_BUSY_PATIENCE_S, keep=keep):
        start = time.perf_counter()
        yield
    if pace is not None:
        pace.took((time.perf_counter() - start) * 1000)


def ranges(
    connection: apsw.Connection, table: str, key: str, through: int, records: Callable[[], int]
) -> Iterator[tuple[int, int]]:
    """``(after, through)`` in the order of keys, which may have any gaps, each with up to ``records()`` rows."""
    after = connection.execute(f"SELECT min({key}) FROM {table}").get  # noqa: S608
    after = through if after is None else after - 1
    while after < through:
        next_keys = f"SELECT {key} FROM {table} WHERE {key} > ? AND {key} <= ? ORDER BY {key} LIMIT 1 OFFSET ?"  # noqa: S608
        last = connection.execute(next_keys, (after, through, records() - 1)).get
        last = through if last is None else int(last)
        yield after, last
        after = last
