"""The SQLite store and its readers, on apsw alone.

apsw brings a current SQLite: releases before 3.51.3 can corrupt a WAL database, and two copies of SQLite in one process
drop each other's POSIX locks on the same file. So Python's own module must not be used anywhere, tests included.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import length_hint
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import RecordsRefusedError, StoreError
from llm_metrics_proxy.ownership import follow, make_folder
from llm_metrics_proxy.record import COLUMNS
from llm_metrics_proxy.storage import counted_answers
from llm_metrics_proxy.storage.affinity import insertion, shadow
from llm_metrics_proxy.storage.base import SHORTENED, IngestBatch, Loss, OpenRequest, SegmentPosition, SqlValue
from llm_metrics_proxy.storage.connection import (
    BUSY_TIMEOUT_MS,
    Access,
    Pragmas,
    connect,
    snapshot,
    transaction,
)
from llm_metrics_proxy.storage.read_pool import Explain, ReadPool, SqliteSnapshot, file_identity, statement_log
from llm_metrics_proxy.storage.report_shapes import ReportShapes
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, apply_steps, store_error

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
(_REPORT,) = (COLUMNS.index(name) - 1 for name in SHORTENED)  # its place in a row
MOST_AT_ONCE: Final = 8  # questions
_CHECKPOINT_PAGES: Final = 8192  # 32 MiB of WAL: index pages changed by several batches are written back once
_PRAGMAS: Final[Pragmas] = {
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "cache_size": -32 * 1024,  # KiB: holds the ends of both indexes, where nearly every insertion lands
    "wal_autocheckpoint": _CHECKPOINT_PAGES,
    "journal_size_limit": _CHECKPOINT_PAGES * 4096,
}


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
            connection = connect(self.path, Access.CREATE, busy_ms=BUSY_TIMEOUT_MS, pragmas=_PRAGMAS)
            apply_steps(self.path, connection, applied)
            self._insertion = insertion(shadow(connection), shortened=SHORTENED)
            self._shapes = ReportShapes(connection)
            self._file = file_identity(self.path)
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
        except BaseException as error:
            self._shapes.forget()
            if isinstance(error, apsw.Error):
                raise store_error(self.path, "storing records", error) from error
            raise
        self._segments.update({position.worker_id: position.segment for position in batch.positions})

    def _append(self, batch: IngestBatch) -> None:
        connection = self._connection
        must_sync = any(
            position.done or self._segments.get(position.worker_id, position.segment) != position.segment
            for position in batch.positions
        )
        connection.execute(f"PRAGMA synchronous = {'FULL' if must_sync else 'NORMAL'}")
        with transaction(connection):
            self._insert(batch.rows)
            self._shapes.save()
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
            if batch.answers:
                counted_answers.keep(connection, batch.answers)
            if self._after_insert is not None and batch.rows:
                self._after_insert(connection)

    def _insert(self, rows: Sequence[Sequence[SqlValue]]) -> None:
        """Try every row, so that ``RecordsRefusedError`` names all that cannot be inserted."""
        refused, shorten = [], self._shapes.stored
        left: Iterator[Any] = iter(rows)
        while True:
            try:
                self._connection.executemany(self._insertion, ([*row, shorten(row[_REPORT])] for row in left))
            except _ROW_ERRORS as error:
                # a failed statement undoes itself only, and the iterator stands behind its row
                refused.append((len(rows) - length_hint(left) - 1, str(error)))
            else:
                break
        if refused:
            raise RecordsRefusedError(refused)

    def _reopen_if_replaced(self) -> None:
        """Records must not go through our old handle into a file that was deleted or replaced."""
        if file_identity(self.path) == self._file:
            return
        # closing normally would checkpoint and delete the file called -wal, which may be the new database's
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close()
        self._connection = self._open()
        raise StoreError(f"The database {self.path} was deleted or replaced while in use; it was opened again.")

    def positions(self) -> list[SegmentPosition]:
        """Every stored position."""
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
        """Losses of all workers that are done."""
        return [Loss(*row) for row in self._all(LOSSES)]

    def is_answer_counted(self, answer: int, timestamp: str) -> bool:
        """Whether a record of the days before that time counted it."""
        try:
            return counted_answers.is_counted(self._connection, answer, timestamp)
        except apsw.Error as error:
            raise store_error(self.path, "reading its state", error) from error

    def fetched_answers(self, most: int) -> list[tuple[int, str]]:
        """The newest that were counted when they were fetched, with that time."""
        try:
            return counted_answers.newest_fetched(self._connection, most)
        except apsw.Error as error:
            raise store_error(self.path, "reading its state", error) from error

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
    """``storage.base.Reader``: safe in several threads; each reads with a connection of its own (``read_pool``)."""

    def __init__(
        self,
        path: Path | str,
        *,
        timeout_s: float | None = None,
        most: int = MOST_AT_ONCE,
        explain: Explain | None = None,
    ) -> None:
        """``timeout_s`` bounds each query, and before it the wait for one of ``most`` places. The file need not exist
        yet; a query then says so. ``explain`` gets each statement with its plan, as the log shows it with debug."""
        self.path = Path(path)
        self._pool = ReadPool(self.path, timeout_s, most)
        self._explain = explain or statement_log()

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement, from one consistent snapshot. Raises ``StoreError``."""
        with self._pool.connection() as connection:
            return SqliteSnapshot(connection, self._explain).query(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator["SqliteSnapshot"]:
        """Several statements from one consistent snapshot; ``timeout_s`` bounds all of them. Raises ``StoreError``."""
        with self._pool.connection() as connection, snapshot(connection):
            yield SqliteSnapshot(connection, self._explain)

    def close(self) -> None:
        """Release every connection."""
        self._pool.close()
