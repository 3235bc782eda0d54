"""The SQLite store and its readers, on apsw alone.

apsw brings a current SQLite: releases before 3.51.3 can corrupt a WAL database, and two copies of SQLite in one process
drop each other's POSIX locks on the same file. So nothing here, in tests or elsewhere may use Python's own module.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import length_hint
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import RecordsRefusedError, StoreBusyError, StoreError
from llm_metrics_proxy.ownership import follow, make_folder
from llm_metrics_proxy.storage.affinity import insertion, shadow
from llm_metrics_proxy.storage.base import IngestBatch, Loss, OpenRequest, SegmentPosition, SqlValue
from llm_metrics_proxy.storage.sqlite_schema import BUSY_TIMEOUT_MS, applied_steps, apply_steps, store_error

_POSITIONS: Final = "SELECT worker_id, segment, offset_bytes, done FROM journal_positions ORDER BY worker_id"
LOSSES: Final = "SELECT records, first_unix_ms, last_unix_ms, reason FROM journal_losses ORDER BY last_unix_ms"
# What SQLite or the driver says of one row's values; everything else is the database's own trouble.
_ROW_ERRORS: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    OverflowError,
    TypeError,
    UnicodeEncodeError,
)
MOST_AT_ONCE: Final = 8  # questions
_CACHE_KIB: Final = 32 * 1024  # holds the ends of both indexes, where nearly every insertion lands
_CHECKPOINT_PAGES: Final = 8192  # 32 MiB of WAL: index pages changed by several batches are written back once
_PROGRESS_STEPS: Final = 10_000  # virtual machine steps, about 0.2 ms, between two looks at the clock


class SqliteStore:
    """``storage.base.Store`` in one SQLite file.

    A commit that moves a position to another segment, or marks it done, is synced to the disk: the ingester deletes
    what it covers. All others are synced at the next checkpoint, and until then the journal still has their records.
    """

    def __init__(self, path: Path | str, *, after_insert: Callable[[apsw.Connection], None] | None = None) -> None:
        """Create or open the file. Raises ``StoreError``, ``NewerDatabaseError`` or ``StoreBusyError``.

        ``after_insert`` is called in the transaction that stores records, after its rows: the roll-ups' part of it.
        """
        self.path = Path(path)
        self._after_insert = after_insert
        self._connection = self._open()

    def _open(self) -> apsw.Connection:
        applied = applied_steps(self.path)
        try:
            make_folder(self.path.parent)
            if not self.path.exists():
                self.path.touch()  # for its owner: SQLite's side files follow the file
                follow(self.path, self.path.parent)
        except OSError as error:
            raise StoreError(f"The folder of the database {self.path} cannot be made: {error.strerror}.") from error
        connection = None
        try:
            connection = apsw.Connection(str(self.path))
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_PAGES * 4096}")
            apply_steps(self.path, connection, applied)
            self._insertion = insertion(shadow(connection))
            self._file = _identity(self.path)
            self._segments = {worker_id: segment for worker_id, segment, *_ in connection.execute(_POSITIONS)}
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, apsw.Error):
                raise store_error(self.path, "opening", error) from error
            raise
        return connection

    def append(self, batch: IngestBatch) -> None:
        """Commit the batch or nothing.

        Raises ``StoreBusyError`` if others hold the lock, ``RecordsRefusedError`` if some rows cannot be stored, else
        ``StoreError``. After any of them, what is in the database is as before.
        """
        self._reopen_if_replaced()
        try:
            self._append(batch)
        except apsw.Error as error:
            raise store_error(self.path, "storing records", error) from error
        self._segments.update({position.worker_id: position.segment for position in batch.positions})

    def _append(self, batch: IngestBatch) -> None:
        connection = self._connection
        must_sync = any(
            position.done or self._segments.get(position.worker_id, position.segment) != position.segment
            for position in batch.positions
        )
        connection.execute(f"PRAGMA synchronous = {'FULL' if must_sync else 'NORMAL'}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(batch.rows)
            connection.executemany(
                "DELETE FROM open_requests WHERE request_id = ?", [(request_id,) for request_id in batch.closed]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO open_requests (request_id, worker_id, frame) VALUES (?, ?, ?)",
                [(request.request_id, request.worker_id, request.frame) for request in batch.opened],
            )
            connection.executemany(
                "INSERT OR REPLACE INTO journal_positions (worker_id, segment, offset_bytes, done) VALUES (?, ?, ?, ?)",
                [(each.worker_id, each.segment, each.offset_bytes, each.done) for each in batch.positions],
            )
            connection.executemany("INSERT OR REPLACE INTO counters (series, state) VALUES (?, ?)", batch.counters)
            connection.executemany(
                "INSERT OR IGNORE INTO journal_losses VALUES (?, ?, ?, ?, ?)",
                [(worker_id, *loss) for worker_id, loss in batch.losses],
            )
            if self._after_insert is not None and batch.rows:
                self._after_insert(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite has rolled back by itself after some errors
                connection.execute("ROLLBACK")
            raise

    def _insert(self, rows: Sequence[Sequence[SqlValue]]) -> None:
        """Try every row, so that ``RecordsRefusedError`` names all that cannot be inserted."""
        refused = []
        left: Iterator[Any] = iter(rows)
        while True:
            try:
                self._connection.executemany(self._insertion, left)
            except _ROW_ERRORS as error:
                # a failed statement undoes itself only, and the iterator stands behind its row
                refused.append((len(rows) - length_hint(left) - 1, str(error)))
            else:
                break
        if refused:
            raise RecordsRefusedError(refused)

    def _reopen_if_replaced(self) -> None:
        """A file that was deleted or put in another's place must not swallow records through our old handle."""
        if _identity(self.path) == self._file:
            return
        # closing normally would checkpoint and delete the file called -wal, which may be the new database's
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close()
        self._connection = self._open()
        raise StoreError(f"The database {self.path} was deleted or replaced while in use; it was opened anew.")

    def positions(self) -> list[SegmentPosition]:
        """Every position that is remembered."""
        rows = self._all(_POSITIONS)
        return [SegmentPosition(worker, segment, offset, bool(done)) for worker, segment, offset, done in rows]

    def forget_worker(self, worker_id: str) -> None:
        """Drop a finished worker's position once its segments are deleted."""
        self._all("DELETE FROM journal_positions WHERE worker_id = ? AND done", (worker_id,))
        self._segments.pop(worker_id, None)

    def open_requests(self) -> list[OpenRequest]:
        """Requests that were open when the last batch was committed."""
        return [OpenRequest(*row) for row in self._all("SELECT request_id, worker_id, frame FROM open_requests")]

    def counters(self) -> list[tuple[str, bytes]]:
        """Stored counter states by series key."""
        return [(series, state) for series, state in self._all("SELECT series, state FROM counters")]

    def losses(self) -> list[Loss]:
        """Everything that workers lost, as far as they are done."""
        return [Loss(*row) for row in self._all(LOSSES)]

    def close(self) -> None:
        """Checkpoint and release the file."""
        try:
            self._connection.close()
        except apsw.Error as error:
            raise store_error(self.path, "closing", error) from error

    def _all(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        try:
            return list(self._connection.execute(sql, parameters))
        except apsw.Error as error:
            raise store_error(self.path, "reading its state", error) from error


class SqliteReader:
    """``storage.base.Reader``: read-only connections, as many as are in use at once. Safe in several threads.

    Only so many threads ask at once, since each needs memory for its pages and for sorting: forty big questions took
    more than 2 GiB. The others wait for their turn.
    """

    def __init__(self, path: Path | str, *, timeout_s: float | None = None, most: int = MOST_AT_ONCE) -> None:
        """``timeout_s`` bounds each query, and before it the wait for one of ``most`` places. The file need not exist
        yet; a query then says so."""
        self.path = Path(path)
        self._timeout_s = timeout_s
        self._idle: deque[_Lease] = deque()  # its append and pop are atomic
        self._most, self._places = most, threading.BoundedSemaphore(most)
        self._thread = threading.local()  # who has a place asks several questions from it

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement, from one consistent snapshot. Raises ``StoreError``."""
        with self._lease() as connection:
            return list(connection.execute(sql, parameters))

    @contextmanager
    def snapshot(self) -> Iterator["SqliteSnapshot"]:
        """Several statements from one consistent snapshot; ``timeout_s`` bounds all of them. Raises ``StoreError``."""
        with self._lease() as connection:
            connection.execute("BEGIN")
            yield SqliteSnapshot(connection)
            connection.execute("COMMIT")

    @contextmanager
    def _lease(self) -> Iterator[apsw.Connection]:
        """A connection that is given back if all went well, and closed if not."""
        with self._place():
            yield from self._leased()

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

    def _leased(self) -> Iterator[apsw.Connection]:
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
            raise store_error(self.path, "a query", error) from error
        self._idle.append(lease)

    def close(self) -> None:
        """Release every connection."""
        while self._idle:
            self._idle.pop().connection.close()

    def _borrow(self) -> "_Lease":
        file = _identity(self.path)
        if file is None:
            raise StoreError(f"The database {self.path} does not exist yet; the metrics process creates it.")
        while True:
            try:
                lease = self._idle.pop()
            except IndexError:
                return _Lease(self.path, file)
            if lease.file == file:
                lease.look_again()
                return lease
            lease.connection.close()  # it reads a file that has been replaced since


class SqliteSnapshot:
    """``storage.base.Snapshot``: a connection in the middle of a read transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement."""
        return list(self._connection.execute(sql, parameters))


class _Lease:
    """One read-only connection and the time by which its current query must be done."""

    def __init__(self, path: Path, file: tuple[int, int]) -> None:
        self.file = file
        self.deadline: float | None = None
        self.connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self.connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        self.connection.execute("PRAGMA cache_size = -16384")
        self._schema: Any = None
        try:
            self.look_again()
        except BaseException:
            self.connection.close()
            raise
        self.connection.set_progress_handler(self._is_late, _PROGRESS_STEPS)

    def look_again(self) -> None:
        """A migration may have adopted the table since, or added columns."""
        ((schema,),) = self.connection.execute("PRAGMA schema_version")
        if schema != self._schema:
            self.connection.execute("PRAGMA query_only = 0")
            shadow(self.connection)
            self.connection.execute("PRAGMA query_only = 1")
            self._schema = schema

    def _is_late(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now: device and inode; ``None`` if there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- once per query and batch
    except OSError:
        return None
    return status.st_dev, status.st_ino
