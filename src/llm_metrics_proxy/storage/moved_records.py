"""Records of one SQLite file that are moved from or to another store, and how far that has come.

How far is kept in the file itself, whichever way records go. Into the file, a batch of records and how far it has come
are one transaction; out of it, the other store is asked what it has, so that a position that is behind does no harm.
"""

import fcntl
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.ownership import make_folder, open_lock
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.arrivals import begin_above
from llm_metrics_proxy.storage.base import SHORTENED
from llm_metrics_proxy.storage.carried import is_migrating, read_carried
from llm_metrics_proxy.storage.connection import Access, connect, transaction
from llm_metrics_proxy.storage.report_shapes import ReportShapes
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.storage.sqlite_schema import TABLE, applied_steps, our_errors

Row = tuple[Any, ...]  # in the order of ``record.ALL_COLUMNS``
NO_HOST: Final = ""  # stands for records without one
ARRIVAL, HOST = ALL_COLUMNS.index("arrival"), ALL_COLUMNS.index("host")
REQUEST_ID: Final = ALL_COLUMNS.index("request_id")
_REPORT: Final = ALL_COLUMNS.index("usage_reported")
_PATIENCE_S: Final = 30.0
_BUSY_MS: Final = 10_000
_AT_ONCE: Final = 1_000  # records of a transaction: about 40 ms of the lock
_SHOWN: Final = ", ".join(SHORTENED.get(name, "{0}").format(name) for name in ALL_COLUMNS)
_OF_HOST: Final = "arrival > ? AND arrival <= ? AND host IS nullif(?, '')"
_READ: Final = f"SELECT {_SHOWN} FROM {TABLE} WHERE {_OF_HOST} ORDER BY arrival LIMIT ?"  # noqa: S608 -- names are ours
_THERE: Final = f"SELECT arrival, request_id, host FROM {TABLE} WHERE arrival > ? AND arrival <= ?"  # noqa: S608
_SPANS: Final = f"SELECT coalesce(host, ''), min(arrival), max(arrival), count(*) FROM {TABLE} GROUP BY host"  # noqa: S608
_STAMPS: Final = f"SELECT coalesce(host, ''), app_version, count(*) FROM {TABLE} GROUP BY 1, 2"  # noqa: S608
_INSERT: Final = f"INSERT INTO {TABLE} ({', '.join(ALL_COLUMNS)}) VALUES ({', '.join('?' * len(ALL_COLUMNS))})"  # noqa: S608
_DONE: Final = "SELECT copied, verified FROM store_copies WHERE other = ? AND host = ?"
_KEEP: Final = (
    "INSERT INTO store_copies (other, host, copied, verified) VALUES (?1, ?2, ?3, ?4) "
    "ON CONFLICT DO UPDATE SET copied = ?3, verified = ?4"
)


class Span(NamedTuple):
    """Records of one host: the first and the last number, and how many there are."""

    first: int
    last: int
    records: int


class Done(NamedTuple):
    """Up to which number of a host all is copied, and up to which it was found to be equal."""

    copied: int = 0
    verified: int = 0


@contextmanager
def only_copy(path: Path) -> Iterator[None]:
    """Be the only one that moves records from or to this file. Raises ``StoreError`` if somebody does already."""
    make_folder(path.absolute().parent)
    lock = path.resolve().with_name(f"{path.name}.copy-lock")
    try:
        descriptor = open_lock(lock, path if path.exists() else path.parent)
    except OSError as error:
        raise StoreError(f"The lock {lock} cannot be opened: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusyError(f"Another `store copy` of {path} runs; wait for it to end.") from None
        yield
    finally:
        os.close(descriptor)


class SqliteRecordsFile:
    """The records of one file, and its positions; for one thread. Every method raises ``StoreError``."""

    def __init__(self, path: Path, other: str, *, create: bool) -> None:
        """``other``: the store on the other side, and which way; it stands beside each position. ``create``: the file
        may be a new one. Raises ``NewerDatabaseError``, ``ForeignDatabaseError`` or ``StoreError`` for a file whose
        records are not in the newest layout."""
        self.path, self._other = path, other
        if create:
            SqliteStore(path).close()
        elif not applied_steps(path):
            raise StoreError(f"{path} has no records in it.")
        with self._said("opening"):
            self._connection = connect(path, Access.WRITE, busy_ms=_BUSY_MS)
        self._shapes = ReportShapes(self._connection)

    def refuse_unfinished(self) -> None:
        """Raises if a migration runs, or left history in an older table."""
        with self._said("looking for migrations"):
            if is_migrating(self._connection) or read_carried(self._connection) is not None:
                raise StoreBusyError(
                    f"A migration of {self.path} is not finished: part of its history is still in the older table. "
                    "Wait until `migrate status` says that it is done (`migrate run` does it at once), then copy."
                )

    def identity(self) -> str:
        """The file's own name, made at its first use."""
        with self._changing("naming the file"):
            self._connection.execute("INSERT OR IGNORE INTO control_identity VALUES (1, ?)", (secrets.token_hex(16),))
        return str(self._connection.execute("SELECT id FROM control_identity").get)

    def waiting(self) -> int:
        """Records that wait in its outbox, for a store on the network."""
        with self._said("looking into the outbox"):
            return int(self._connection.execute("SELECT coalesce(sum(records), 0) FROM outbox").get)

    def done(self, host: str) -> Done:
        """How far it has come."""
        with self._said("reading positions"):
            row = self._connection.execute(_DONE, (self._other, host)).fetchone()
        return Done() if row is None else Done(*row)

    def keep(self, host: str, done: Done) -> None:
        """It has come so far."""
        with self._changing("keeping a position"):
            self._connection.execute(_KEEP, (self._other, host, *done))

    def spans(self) -> dict[str, Span]:
        """By host."""
        with self._said("counting records"):
            return {host: Span(*span) for host, *span in self._connection.execute(_SPANS)}

    def stamps(self, hosts: Collection[str]) -> dict[str | None, int]:
        """How many records of these hosts each version wrote."""
        with self._said("counting records"):
            rows = self._connection.execute(_STAMPS)
            found = Counter[str | None]()
            for host, stamp, count in rows:
                found[stamp] += count if host in hosts else 0
        return {stamp: count for stamp, count in found.items() if count}

    def read(self, host: str, after: int, through: int, limit: int) -> list[Row]:
        """The first so many of a host, in the order of arrival."""
        with self._said("reading records"):
            return list(self._connection.execute(_READ, (after, through, host, limit)))

    def expired(self, row: Row) -> bool:
        """Whether retention may have deleted it: that of a file is not its own setting, so nobody knows."""
        del row
        return False

    def begin(self, hosts: dict[str, Span]) -> None:
        """Records that come meanwhile get numbers above all of these."""
        with self._changing("reserving numbers"):
            begin_above(self._connection, max((span.last for span in hosts.values()), default=0))

    def put(self, host: str, rows: Sequence[Row], after: int, through: int, done: Callable[[int], Done]) -> int:
        """Store those that are not there yet, of all that the other store has of a host in that range; how many were
        there. ``done``: what is kept once all up to that number are there. Raises ``StoreError`` for other records with
        the same numbers."""
        there = 0
        pieces = [rows[at : at + _AT_ONCE] for at in range(0, len(rows), _AT_ONCE)] or [rows]
        for number, piece in enumerate(pieces):
            end = through if number == len(pieces) - 1 else int(piece[-1][ARRIVAL])
            there += self._put(host, piece, after, end, done(end))
            after = end
        return there

    def _put(self, host: str, rows: Sequence[Row], after: int, through: int, done: Done) -> int:
        try:
            with self._changing("storing records"):
                have = {
                    arrival: (request_id, of)
                    for arrival, request_id, of in self._connection.execute(_THERE, (after, through))
                }
                new = [
                    (*row[:_REPORT], self._shapes.stored(row[_REPORT]), *row[_REPORT + 1 :])
                    for row in rows
                    if not self._is_there(row, have)
                ]
                self._connection.executemany(_INSERT, new)
                self._shapes.save()
                if new and int(new[0][ARRIVAL]) <= rollup_state.read_state(self._connection).cursor_id:
                    rollup_state.reset(self._connection)
                self._connection.execute(_KEEP, (self._other, host, *done))
        except BaseException:
            self._shapes.forget()
            raise
        return len(rows) - len(new)

    def _is_there(self, row: Row, have: dict[int, tuple[str | None, str | None]]) -> bool:
        known = have.get(row[ARRIVAL])
        if known not in (None, (row[REQUEST_ID], row[HOST])):
            raise StoreError(
                f"{self.path} has another record with the number {row[ARRIVAL]}. A file has the numbers of one host: "
                "copy each into a file of its own (--host NAME), or into a new one."
            )
        return known is not None

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    @contextmanager
    def _changing(self, doing: str) -> Iterator[None]:
        with self._said(doing), transaction(self._connection, patience_s=_PATIENCE_S):
            yield

    def _said(self, doing: str) -> AbstractContextManager[None]:
        return our_errors(self.path, doing)
