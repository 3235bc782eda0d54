"""The only module that opens SQLite files and begins transactions; with ``--log-level debug`` it logs every statement.

Files are opened differently for a reason, and every difference is an argument:

* ``access``: only the store, a backup and a scratch file may create a file. Everything else must fail if there is none.
* ``busy_ms``: the ingester gives up at once, because its records are safe in the journal. A person waits longer.
* ``is_immutable``: a backup has no other writers; SQLite then makes no side files and takes no lock.
* ``is_traced``: readers log their statements themselves, with SQLite's plan.
* ``pragmas``: caches and the write-ahead log, sized by how much a connection writes.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.storage.report_shapes import ReportShapes

BUSY_TIMEOUT_MS: Final = 250  # short: work that waits longer is safe in the journal
Pragmas = Mapping[str, str | int]  # in the order in which they are set
_ASK_EVERY_S: Final = 0.0005
_MOST_CHARACTERS: Final = 4000  # of a statement in the log

log = logging.getLogger(__name__)


class Access(IntEnum):
    """What a connection may do with its file. ``WRITE`` needs one that exists."""

    READ = apsw.SQLITE_OPEN_READONLY
    WRITE = apsw.SQLITE_OPEN_READWRITE
    CREATE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE


def connect(
    path: Path,
    access: Access,
    *,
    busy_ms: int = 0,
    is_immutable: bool = False,
    vfs: str | None = None,
    pragmas: Pragmas | None = None,
    is_traced: bool = True,
) -> apsw.Connection:
    """Open a file and set ``pragmas``. Raises ``apsw.Error``."""
    place = path.absolute()
    # An absolute path is never read as a URI, and databases that are attached later may be named by one.
    name = f"{place.as_uri()}?immutable=1" if is_immutable else str(place)
    connection = apsw.Connection(name, flags=access | apsw.SQLITE_OPEN_URI, vfs=vfs)
    try:
        ReportShapes(connection).function()
        if is_traced and log.isEnabledFor(logging.DEBUG):
            _Trace(connection)
        connection.set_busy_timeout(busy_ms)
        for pragma, value in (pragmas or {}).items():
            connection.pragma(pragma, value)
    except BaseException:
        connection.close()
        raise
    return connection


def in_memory() -> apsw.Connection:
    """An empty database that vanishes with its connection."""
    connection = apsw.Connection(":memory:")
    ReportShapes(connection).function()
    return connection


@contextmanager
def transaction(
    connection: apsw.Connection, *, patience_s: float = 0.0, is_exclusive: bool = False, keep: bool = True
) -> Iterator[None]:
    """Write all of the block or, after an error or without ``keep``, nothing of it.

    Waits for the lock as long as the connection's busy timeout allows, or up to ``patience_s``, by asking often.
    """
    if patience_s:
        _begin_patiently(connection, patience_s)
    else:
        connection.execute("BEGIN EXCLUSIVE" if is_exclusive else "BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT" if keep else "ROLLBACK")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself after some errors
            connection.execute("ROLLBACK")
        raise


def _begin_patiently(connection: apsw.Connection, patience_s: float) -> None:
    """Ask often: SQLite would soon ask only ten times a second, and rarely meet the gaps of a busy writer."""
    deadline = time.monotonic() + patience_s
    busy_ms = connection.pragma("busy_timeout")
    connection.set_busy_timeout(0)
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_ASK_EVERY_S)
            else:
                return
    finally:
        connection.set_busy_timeout(busy_ms)


@contextmanager
def snapshot(connection: apsw.Connection) -> Iterator[None]:
    """All reads of the block see one state of the database, that of the first read."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def query_plan(connection: apsw.Connection, sql: str, parameters: Sequence[Any] = ()) -> list[str]:
    """SQLite's plan for a statement: one line per step, indented by its depth."""
    depths = {0: -1}
    lines = []
    for step, parent, _, text in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters):
        depths[step] = depths.get(parent, -1) + 1
        lines.append(f"{'  ' * depths[step]}{text}")
    return lines


@contextmanager
def interruptible(connection: apsw.Connection, stop: Callable[[], bool], steps: int) -> Iterator[None]:
    """Call ``stop`` after that many steps of SQLite's machine; true ends the statement with ``apsw.InterruptError``."""
    connection.set_progress_handler(stop, steps)
    try:
        yield
    finally:
        connection.set_progress_handler(None)


def used_bytes(connection: apsw.Connection) -> int:
    """Of the file, without its free pages."""
    ((pages, free, size),) = connection.execute(
        "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    return int((pages - free) * size)


def on_one_line(sql: str) -> str:
    """A statement for the log. Values are never part of it: they are bound."""
    text = " ".join(sql.split())
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"


class _StatementRun(NamedTuple):
    """One statement, or several equal ones in a row within a transaction."""

    sql: str
    times: int
    seconds: float
    rows: int
    changes: int


class _Trace:
    """Logs each statement of a connection with its time and its rows, never its values.

    A batch repeats one statement ten thousand times. Within a transaction equal statements in a row are one line,
    which is logged when another statement ends.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._began: dict[int, float] = {}  # by statement; several may be under way
        self._rows: dict[int, int] = {}
        self._changes = 0  # of the connection, so far
        self._waiting: _StatementRun | None = None
        events = apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_ROW | apsw.SQLITE_TRACE_PROFILE
        connection.trace_v2(events | apsw.SQLITE_TRACE_CLOSE, self._met)

    def _met(self, event: dict[str, Any]) -> None:
        code = event["code"]
        if code == apsw.SQLITE_TRACE_ROW:
            if event["id"] in self._began:  # else a statement of SQLite's own, as ALTER TABLE has
                self._rows[event["id"]] = self._rows.get(event["id"], 0) + 1
        elif code == apsw.SQLITE_TRACE_STMT:
            self._began.setdefault(event["id"], time.perf_counter())  # a trigger begins within its statement
        elif code == apsw.SQLITE_TRACE_CLOSE:
            self._flush()
        else:
            self._ended(event)

    def _ended(self, event: dict[str, Any]) -> None:
        if event["sql"].startswith("EXPLAIN "):  # of `query_plan`
            return
        statement, now = event["id"], time.perf_counter()
        seconds = now - self._began.pop(statement, now)
        changes, self._changes = event["total_changes"] - self._changes, event["total_changes"]
        run = _StatementRun(event["sql"], 1, seconds, self._rows.pop(statement, 0), changes)
        before = self._waiting
        if before is not None and before.sql == run.sql:
            seconds, rows, changes = before.seconds + seconds, before.rows + run.rows, before.changes + changes
            run = _StatementRun(run.sql, before.times + 1, seconds, rows, changes)
        else:
            self._flush()
        self._waiting = run
        if not event["connection"].in_transaction:
            self._flush()

    def _flush(self) -> None:
        if (run := self._waiting) is not None:
            self._waiting = None
            counts = {"times": run.times if run.times > 1 else 0, "rows": run.rows, "changed": run.changes}
            more = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
            log.debug("sql: %.1f ms%s: %s", run.seconds * 1000, more, on_one_line(run.sql))
