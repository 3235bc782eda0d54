"""Read-only connections for several threads, as many as are in use at once and no more than a bound.

Each needs memory for its pages and for sorting: forty big questions took more than 2 GiB. So only a few threads read at
once, and the others wait for a place.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect, on_one_line, query_plan
from llm_metrics_proxy.storage.sqlite_schema import store_error

_PROGRESS_STEPS: Final = 10_000  # virtual machine steps, about 0.2 ms, between two looks at the clock

log = logging.getLogger(__name__)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file that has this name now; ``None`` if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- once per query and batch
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Explained(msgspec.Struct, frozen=True):
    """A statement that was answered: ``plan`` is SQLite's, one line per step."""

    sql: str
    plan: tuple[str, ...]
    rows: int
    ms: float


Explain = Callable[[Explained], None]


class SqliteSnapshot:
    """``storage.base.Snapshot``: a connection in the middle of a read transaction."""

    def __init__(self, connection: apsw.Connection, explain: Explain | None) -> None:
        self._connection, self._explain = connection, explain

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement."""
        if self._explain is None:
            return list(self._connection.execute(sql, parameters))
        plan = query_plan(self._connection, sql, parameters)
        begun = time.perf_counter()
        rows = list(self._connection.execute(sql, parameters))
        self._explain(Explained(sql, tuple(plan), len(rows), (time.perf_counter() - begun) * 1000))
        return rows


def statement_log() -> Explain | None:
    """Logs each statement with its plan; nothing without debug."""
    return _log_statement if log.isEnabledFor(logging.DEBUG) else None


def _log_statement(each: Explained) -> None:
    log.debug("sql: %.1f ms, %d rows: %s", each.ms, each.rows, on_one_line(each.sql))
    log.debug("plan: %s", "; ".join(each.plan))


class ReadPool:
    """Lends connections. ``timeout_s`` bounds the wait for one of ``most`` places, and then the use of it."""

    def __init__(self, path: Path, timeout_s: float | None, most: int) -> None:
        self._path, self._timeout_s, self._most = path, timeout_s, most
        self._idle: deque[_Lease] = deque()  # its append and pop are atomic
        self._places = threading.BoundedSemaphore(most)
        self._thread = threading.local()  # a thread that has a place may borrow several connections

    @contextmanager
    def connection(self) -> Iterator[apsw.Connection]:
        """A connection that returns to the pool, or is closed after an error. Raises ``StoreError``."""
        with self._place():
            try:
                lease = self._borrow()
                try:
                    lease.deadline = time.monotonic() + self._timeout_s if self._timeout_s else None
                    yield lease.connection
                except BaseException:
                    lease.connection.close(True)
                    raise
            except apsw.InterruptError as error:
                raise StoreError(
                    f"The query took longer than {self._timeout_s:g} s and was stopped; ask for a shorter range."
                ) from error
            except apsw.Error as error:
                raise store_error(self._path, "a query", error) from error
            self._idle.append(lease)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if getattr(self._thread, "has_place", False):
            yield
            return
        if not self._places.acquire(timeout=self._timeout_s):
            raise StoreBusyError(
                f"{self._most} other questions are being answered, and none was done within {self._timeout_s:g} s; "
                "ask again later, or for shorter ranges."
            )
        self._thread.has_place = True
        try:
            yield
        finally:
            self._thread.has_place = False
            self._places.release()

    def _borrow(self) -> "_Lease":
        file = file_identity(self._path)
        if file is None:
            raise StoreError(f"The database {self._path} does not exist yet; the metrics process creates it.")
        while True:
            try:
                lease = self._idle.pop()
            except IndexError:
                return _Lease(self._path, file)
            if lease.file == file:
                return lease
            lease.connection.close()  # it reads a file that was replaced

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().connection.close()


class _Lease:
    """One connection and the time by which its current use must end."""

    def __init__(self, path: Path, file: tuple[int, int]) -> None:
        self.file = file
        self.deadline: float | None = None
        pragmas = {"cache_size": -16 * 1024}
        self.connection = connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS, pragmas=pragmas, is_traced=False)
        self.connection.set_progress_handler(self._is_late, _PROGRESS_STEPS)

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline
