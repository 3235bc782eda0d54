"""The control store: one SQLite file of what must change together with the arrival of records, wherever those are kept.

Journal positions, open requests, counters, losses and counted answers are there. A batch is one transaction of this
file: it takes the numbers of the batch's records, hands these to ``_keep``, and changes everything else.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreError
from llm_metrics_proxy.ownership import follow, make_folder
from llm_metrics_proxy.storage import counted_answers
from llm_metrics_proxy.storage.arrivals import take_arrivals
from llm_metrics_proxy.storage.base import (
    IngestBatch,
    Loss,
    OpenRequest,
    SegmentPosition,
    SqlValue,
    StoredWindow,
)
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, Pragmas, connect, transaction
from llm_metrics_proxy.storage.read_pool import file_identity
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, apply_steps, our_errors

Rows = Sequence[Sequence[SqlValue]]  # in the order of ``record.ROW_COLUMNS``
Admit = Callable[[], None]
_POSITIONS: Final = "SELECT worker_id, segment, offset_bytes, done FROM journal_positions ORDER BY worker_id"
WINDOWS: Final = (
    "SELECT backend, api_key_id, limit_name, first_at, last_at, resets_at, window_s, samples FROM limit_windows"
)
HAS_WINDOWS: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'limit_windows'"
LOSSES: Final = "SELECT records, first_unix_ms, last_unix_ms, reason FROM journal_losses ORDER BY last_unix_ms"
_CHECKPOINT_PAGES: Final = 8192  # 32 MiB of WAL: index pages changed by several batches are written back once
_PRAGMAS: Final[Pragmas] = {
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "cache_size": -32 * 1024,  # KiB: holds the ends of both indexes, where nearly every insertion lands
    "wal_autocheckpoint": _CHECKPOINT_PAGES,
    "journal_size_limit": _CHECKPOINT_PAGES * 4096,
}


class ControlStore:
    """``storage.base.Store`` but for the records themselves, which a subclass keeps.

    A commit that moves a position to another segment, or marks it done, is synced to the disk: the ingester deletes
    what it covers. All others are synced at the next checkpoint, and until then the journal still has their records.
    """

    def __init__(self, path: Path | str, *, admit: Admit | None = None) -> None:
        """Create or open the file. Raises ``StoreError``, ``NewerDatabaseError`` or ``StoreBusyError``.

        With ``admit``, which raises while the file must not be written, that may come later: the process must not end
        because the file is locked, its disk full, or its records of an older version when it starts. Each use tries
        again, and raises what is wrong. Only a newer program's file and a foreign one are refused at once.
        """
        self.path = Path(path)
        self._admit = admit
        self._open: apsw.Connection | None = None
        try:
            self._connection  # noqa: B018 -- opens it
        except (NewerDatabaseError, ForeignDatabaseError):
            raise
        except StoreError:
            if admit is None:
                raise

    def _opened(self, connection: apsw.Connection) -> None:
        """The file, perhaps another one than before, was opened. May raise ``apsw.Error``."""

    def _keep(self, connection: apsw.Connection, first: int, rows: Rows) -> None:
        """Keep records, in the batch's transaction; ``first``: the arrival of the first one, the others follow.

        Raises ``apsw.Error``, or ``StoreError`` and its kinds.
        """
        raise NotImplementedError

    def _taken_back(self) -> None:
        """The transaction failed, and nothing of it holds."""

    @property
    def is_open(self) -> bool:
        """It was opened; from then on it reports its own trouble."""
        return self._open is not None

    @property
    def _connection(self) -> apsw.Connection:
        if self._open is None:
            if self._admit is not None:
                self._admit()
            self._open = self._connect()
        return self._open

    def _connect(self) -> apsw.Connection:
        applied = applied_steps(self.path)
        try:
            make_folder(self.path.parent)
            if not self.path.exists():
                self.path.touch()  # for its owner: SQLite's side files follow the file
                follow(self.path, self.path.parent)
        except OSError as error:
            raise StoreError(f"The folder of the database {self.path} cannot be made: {error.strerror}.") from error
        connection = None
        with self._said("opening"):
            try:
                connection = connect(self.path, Access.CREATE, busy_ms=BUSY_TIMEOUT_MS, pragmas=_PRAGMAS)
                apply_steps(self.path, connection, applied)
                self._file = file_identity(self.path)
                self._segments = {worker_id: segment for worker_id, segment, *_ in connection.execute(_POSITIONS)}
                self._opened(connection)
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
        return connection

    def append(self, batch: IngestBatch) -> None:
        """Commit the batch or nothing.

        Raises ``StoreBusyError`` if others hold the lock, ``RecordsRefusedError`` if some rows cannot be stored, else
        ``StoreError``. After any of them, what is in the database is as before.
        """
        connection = self._reopened_if_replaced()
        must_sync = any(
            position.done or self._segments.get(position.worker_id, position.segment) != position.segment
            for position in batch.positions
        )
        with self._said("storing records"):
            try:
                connection.execute(f"PRAGMA synchronous = {'FULL' if must_sync else 'NORMAL'}")
                with transaction(connection):
                    _write(connection, batch)
                    if batch.rows:
                        self._keep(connection, take_arrivals(connection, len(batch.rows)), batch.rows)
            except BaseException:
                self._taken_back()
                raise
        self._segments.update({position.worker_id: position.segment for position in batch.positions})

    def _reopened_if_replaced(self) -> apsw.Connection:
        """Records must not go through our old handle into a file that was deleted or replaced."""
        connection = self._connection
        if file_identity(self.path) == self._file:
            return connection
        # closing normally would checkpoint and delete the file called -wal, which may be the new database's
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()
        self._open = None
        self._connection  # noqa: B018 -- opens it
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

    def windows(self) -> list[StoredWindow]:
        """Every stored window of servers' limits."""
        return [StoredWindow(*row) for row in self._all(WINDOWS)]

    def losses(self) -> list[Loss]:
        """Losses of all workers that are done."""
        return [Loss(*row) for row in self._all(LOSSES)]

    def is_answer_counted(self, answer: int, timestamp: str) -> bool:
        """Whether a record of the days before that time counted it."""
        with self._said("reading its state"):
            return counted_answers.is_counted(self._connection, answer, timestamp)

    def fetched_answers(self, most: int) -> list[tuple[int, str]]:
        """The newest that were counted when they were fetched, with that time."""
        with self._said("reading its state"):
            return counted_answers.newest_fetched(self._connection, most)

    def close(self) -> None:
        """Checkpoint and release the file."""
        with self._said("closing"):
            if self._open is not None:
                self._open.close()

    def _all(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        with self._said("reading its state"):
            return list(self._connection.execute(sql, parameters))

    def _said(self, doing: str) -> AbstractContextManager[None]:
        return our_errors(self.path, doing)


def _write(connection: apsw.Connection, batch: IngestBatch) -> None:
    """All of a batch but its records, in the caller's transaction."""
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
    connection.executemany(
        "INSERT OR REPLACE INTO limit_windows VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch.windows.changed
    )
    connection.executemany(
        "DELETE FROM limit_windows WHERE backend = ? AND api_key_id = ? AND limit_name = ? AND first_at < ?",
        batch.windows.forgotten,
    )
