"""The copy of a database as it is at one moment, and the proof of it.

SQLite's own backup reads one snapshot, held open until the copy has been compared with it: page by page; where a page
differs, each record's values and storage classes inside SQLite, which names what differs. Either is stronger than a
digest.
"""

import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import BackupError, DiskLowError
from llm_metrics_proxy.ownership import follow
from llm_metrics_proxy.storage.connection import Access, connect, interruptible, snapshot
from llm_metrics_proxy.storage.disk_space import refuse_when_low
from llm_metrics_proxy.storage.durable import OnProgress, sync_file
from llm_metrics_proxy.storage.invalid_text import read_rows
from llm_metrics_proxy.storage.read_only_file import open_read_only
from llm_metrics_proxy.storage.same_pages import same_pages
from llm_metrics_proxy.storage.sqlite_schema import TABLE, damage_in, quoted

TABLES: Final = (
    "SELECT name, ncol, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_STEP_PAGES: Final = 2048
_CHUNK: Final = 50_000
_BUSY_TIMEOUT_MS: Final = 10_000
_STOP_STEPS: Final = 100_000  # virtual machine steps, about a millisecond, between two looks at ``stop``

Counts = tuple[int | None, dict[str, int]]  # records, and how many by stamp; none: no such table


def copy(
    source: Path, partial: Path, report: OnProgress, stop: threading.Event, connection: apsw.Connection | None = None
) -> Counts:
    """Copy to ``partial``, prove and sync it. ``connection``: one that has the source open, if it is locked by that.

    Raises ``BackupError``, and ``apsw.Error`` or ``OSError`` for what the two files are not fit for.
    """
    with ExitStack() as stack:
        reading = connection or stack.enter_context(_opened(source))
        partial.touch(mode=0o600 | stat.S_IMODE(source.stat().st_mode) & 0o666)  # no more readable than the source
        follow(partial, source)
        detach = stack.enter_context(ExitStack())  # after the transaction has ended: SQLite refuses it before
        with _stoppable(reading, stop):
            stack.enter_context(snapshot(reading))
            reading.execute("SELECT count(*) FROM main.sqlite_schema").fetchall()  # from here on one snapshot
            writing = stack.enter_context(closing(connect(partial, Access.CREATE)))
            _write(reading, writing, partial, report, stop)
            with _stoppable(writing, stop):
                check_integrity(writing, "The database or its copy")
            writing.close()
            if not same_pages(reading, partial, stop):
                _refuse_stopped(stop)
                reading.execute("ATTACH ? AS kept", (str(partial),))
                detach.callback(reading.execute, "DETACH kept")
                same_records(reading)
            counted = counts(reading)
    sync_file(partial)
    return counted


@contextmanager
def _opened(source: Path) -> Iterator[apsw.Connection]:
    """For writing where possible: a journal or log that a killed program left has to be recovered to be read."""
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(connect(source, Access.WRITE, busy_ms=_BUSY_TIMEOUT_MS)))
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except (apsw.CantOpenError, apsw.ReadOnlyError):  # a folder where no side file can be made
            connection = stack.enter_context(open_read_only(source, _BUSY_TIMEOUT_MS))
            connection.pragma("query_only", False)  # for the copy that is attached; this file is out of its reach
        yield connection


@contextmanager
def _stoppable(connection: apsw.Connection, stop: threading.Event) -> Iterator[None]:
    try:
        with interruptible(connection, stop.is_set, _STOP_STEPS):
            yield
    except apsw.InterruptError as error:
        raise BackupError("The backup was stopped; nothing was changed.") from error


def _write(
    reading: apsw.Connection, writing: apsw.Connection, partial: Path, report: OnProgress, stop: threading.Event
) -> None:
    writing.execute("PRAGMA synchronous = OFF")  # synced as a whole afterwards
    with writing.backup("main", reading, "main") as copying:
        while not copying.done:
            copying.step(_STEP_PAGES)
            report(copying.page_count - copying.remaining, copying.page_count)
            _refuse_stopped(stop)
            _refuse_when_low(partial.parent)
    mode = writing.execute("PRAGMA journal_mode = DELETE").get
    if mode != "delete":
        raise BackupError(f"The copy cannot be made a single file; its journal mode is {mode}.")


def _refuse_when_low(folder: Path) -> None:
    try:
        refuse_when_low(folder)
    except DiskLowError as error:
        raise BackupError(f"The backup was given up: {error} Nothing was changed.") from error


def _refuse_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise BackupError("The backup was stopped; nothing was changed.")


def check_integrity(connection: apsw.Connection, name: str) -> None:
    """Raise ``BackupError`` with what SQLite says of a damaged database."""
    found = damage_in(connection, "integrity_check")
    if found:
        raise BackupError(f"{name} is damaged: {'; '.join(found[:5])}. Nothing was changed.")


def same_records(connection: apsw.Connection) -> None:
    """Raise ``BackupError`` unless ``kept`` holds what ``main`` does: whole records, as many rows of other tables."""
    schema = "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema"
    main, kept = schema.format("main"), schema.format("kept")
    differences = (
        f"SELECT count(*) FROM (SELECT * FROM ({main} EXCEPT {kept}) UNION ALL SELECT * FROM ({kept} EXCEPT {main}))"  # noqa: S608
    )
    if connection.execute(differences).get:
        raise BackupError("The copy has another schema than the database. Nothing was changed.")
    tables: list[Any] = connection.execute(TABLES).fetchall()
    for table, _, is_rowless, is_strict in tables:
        rows = [connection.execute(f"SELECT count(*) FROM {schema}.{quoted(table)}").get for schema in ("main", "kept")]  # noqa: S608
        if rows[0] != rows[1]:
            raise BackupError(
                f"The copy of the table {table} has {rows[1]:,} rows of {rows[0]:,}. Nothing was changed."
            )
        if table.lower() == TABLE:
            compare = _compare_by_key if is_rowless else _compare_records
            compare(connection, rows[0], _same_values(connection, is_strict=is_strict))


def settles_class(declared: str, *, is_strict: bool = False) -> bool:
    """Whether equal values in a column of this declared type have the same storage class.

    So it is with every type of a STRICT table but ANY, and by their affinity with these three anywhere: 1.0 becomes 1
    in an INTEGER column, 1 becomes 1.0 in a REAL one, and both become text in a TEXT one.
    """
    return declared.upper() != "ANY" if is_strict else declared.upper() in {"INTEGER", "REAL", "TEXT"}


def _same_values(connection: apsw.Connection, *, is_strict: bool) -> str:
    """SQL: the rows ``a`` and ``b`` hold the same, whatever collation a column has (A is not a).

    Not to compare storage classes where equal values cannot have two saves half of the time.
    """
    columns = connection.execute("SELECT name, type FROM pragma_table_xinfo(?, 'main')", (TABLE,))
    parts = []
    for name, declared in columns:
        each = quoted(name)
        parts.append(f"a.{each} IS b.{each} COLLATE BINARY")
        if not settles_class(declared, is_strict=is_strict):
            parts.append(f"typeof(a.{each}) = typeof(b.{each})")
    return " AND ".join(parts)


def _compare_by_key(connection: apsw.Connection, records: int, same: str) -> None:
    """A table WITHOUT ROWID: its primary key leads to the row."""
    key = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE pk", (TABLE,))]
    met = " AND ".join(f"a.{each} = b.{each}" for each in map(quoted, key))
    sql = f"SELECT count(*) FROM main.{TABLE} a CROSS JOIN kept.{TABLE} b ON {met} WHERE {same}"  # noqa: S608
    _refuse_fewer(connection.execute(sql).get, records)


def _refuse_fewer(equal: int, records: int) -> None:
    if equal != records:
        raise BackupError(f"Of {records:,} records the copy holds {equal:,} as they are. Nothing was changed.")


def _compare_records(connection: apsw.Connection, records: int, same: str) -> None:
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (TABLE,))]
    taken = {name.lower() for name in columns}
    rowid = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
    if rowid is None:  # a table whose columns hide all of its names; the rows have been counted
        return
    next_rows = f"SELECT {rowid} AS r FROM main.{TABLE} WHERE {rowid} {{}} ? ORDER BY {rowid} LIMIT {_CHUNK}"  # noqa: S608
    ends = f"SELECT min(r), max(r) FROM ({next_rows})"  # noqa: S608
    equal_rows = (
        f"SELECT count(*) FROM main.{TABLE} a JOIN kept.{TABLE} b ON a.{rowid} = b.{rowid} "  # noqa: S608
        f"WHERE a.{rowid} BETWEEN ? AND ? AND {same}"
    )
    equal, comparison, after = 0, ">=", -(2**63)
    while True:
        rows: list[Any] = connection.execute(ends.format(comparison), (after,)).fetchall()
        first, last = rows[0]
        if last is None:
            break
        equal += connection.execute(equal_rows, (first, last)).get
        comparison, after = ">", last
    _refuse_fewer(equal, records)


def counts(connection: apsw.Connection) -> Counts:
    """Records of the database, and how many bear which stamp, as people see it."""
    kinds = "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND lower(name) = ?"
    if not connection.execute(kinds, (TABLE,)).get:
        return None, {}
    columns = {
        name.lower() for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (TABLE,))
    }
    if "app_version" not in columns:
        total = connection.execute(f"SELECT count(*) FROM main.{TABLE}").get  # noqa: S608
        return total, {"(none)": total} if total else {}
    found: dict[str, int] = {}
    by_stamp = f"SELECT app_version, count(*) FROM main.{TABLE} GROUP BY app_version"  # noqa: S608
    for stamp, count in read_rows(connection, by_stamp, (), 2):
        key = "(none)" if stamp is None else stamp if isinstance(stamp, str) else repr(stamp)
        found[key] = found.get(key, 0) + count
    return sum(found.values()), found
