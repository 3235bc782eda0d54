"""The copy of a database as it is at one moment, and the proof of it.

SQLite's own backup reads one snapshot, held open until the copy has been compared with it: page by page; where a page
differs, each row's values and storage classes inside SQLite, which says how many differ. Either is stronger than a
digest.
"""

import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.errors import BackupError, DiskLowError
from llm_metrics_proxy.ownership import follow
from llm_metrics_proxy.storage.connection import Access, connect, interruptible, snapshot
from llm_metrics_proxy.storage.disk_space import refuse_when_low
from llm_metrics_proxy.storage.durable import OnProgress, sync_file
from llm_metrics_proxy.storage.read_only_file import open_read_only
from llm_metrics_proxy.storage.same_pages import same_pages
from llm_metrics_proxy.storage.sqlite_schema import TABLE, damage_in, quoted

_TABLES: Final = (
    "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_STEP_PAGES: Final = 2048
_CHUNK: Final = 50_000
_BUSY_TIMEOUT_MS: Final = 10_000
_STOP_STEPS: Final = 100_000  # virtual machine steps, about a millisecond, between two looks at ``stop``


def copy(
    source: Path, partial: Path, report: OnProgress, stop: threading.Event, connection: apsw.Connection | None = None
) -> "Counts":
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
            with ThreadPoolExecutor(1, thread_name_prefix="integrity") as beside:
                integrity = beside.submit(_close_if_whole, writing, stop)
                are_same = same_pages(reading, partial, stop)
                counted = counts(reading)
            integrity.result()
            if not are_same:
                _refuse_stopped(stop)
                reading.execute("ATTACH ? AS kept", (str(partial),))
                detach.callback(reading.execute, "DETACH kept")
                same_rows(reading)
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


def _close_if_whole(writing: apsw.Connection, stop: threading.Event) -> None:
    with _stoppable(writing, stop):
        check_integrity(writing, "The database or its copy")
    writing.close()


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


def same_rows(connection: apsw.Connection, look_at: Callable[[str], None] = lambda _: None) -> None:
    """Raise ``BackupError`` unless ``kept`` has the schema and every row of every table that ``main`` has.

    ``look_at`` gets the name of each table.
    """
    schema = "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema"
    main, kept = schema.format("main"), schema.format("kept")
    differences = (
        f"SELECT count(*) FROM (SELECT * FROM ({main} EXCEPT {kept}) UNION ALL SELECT * FROM ({kept} EXCEPT {main}))"  # noqa: S608
    )
    if connection.execute(differences).get:
        raise BackupError("The copy has another schema than the database. Nothing was changed.")
    tables: list[Any] = connection.execute(_TABLES).fetchall()
    for table, is_rowless, is_strict in tables:
        look_at(table)
        rows = [connection.execute(f"SELECT count(*) FROM {schema}.{quoted(table)}").get for schema in ("main", "kept")]  # noqa: S608
        if rows[0] != rows[1]:
            raise BackupError(
                f"The copy of the table {table} has {rows[1]:,} rows of {rows[0]:,}. Nothing was changed."
            )
        equal = (_equal_by_key if is_rowless else _equal_by_rowid)(connection, table, is_strict=is_strict)
        if equal not in (None, rows[0]):
            raise BackupError(
                f"Of {rows[0]:,} rows of the table {table} the copy holds {equal:,} as they are. Nothing was changed."
            )


def settles_class(declared: str, *, is_strict: bool = False) -> bool:
    """Whether equal values in a column of this declared type have the same storage class.

    So it is with every type of a STRICT table but ANY, and by their affinity with these three anywhere: 1.0 becomes 1
    in an INTEGER column, 1 becomes 1.0 in a REAL one, and both become text in a TEXT one.
    """
    return declared.upper() != "ANY" if is_strict else declared.upper() in {"INTEGER", "REAL", "TEXT"}


def _same_values(connection: apsw.Connection, table: str, *, is_strict: bool) -> str:
    """SQL: the rows ``a`` and ``b`` hold the same, whatever collation a column has (A is not a).

    Not to compare storage classes where equal values cannot have two saves half of the time.
    """
    columns = connection.execute("SELECT name, type FROM pragma_table_xinfo(?, 'main')", (table,))
    parts = []
    for name, declared in columns:
        each = quoted(name)
        parts.append(f"a.{each} IS b.{each} COLLATE BINARY")
        if not settles_class(declared, is_strict=is_strict):
            parts.append(f"typeof(a.{each}) = typeof(b.{each})")
    return " AND ".join(parts)


def _equal_by_key(connection: apsw.Connection, table: str, *, is_strict: bool) -> int:
    """A table WITHOUT ROWID: its primary key leads to the row."""
    key = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE pk", (table,))]
    met = " AND ".join(f"a.{each} = b.{each}" for each in map(quoted, key))
    same, name = _same_values(connection, table, is_strict=is_strict), quoted(table)
    sql = f"SELECT count(*) FROM main.{name} a CROSS JOIN kept.{name} b ON {met} WHERE {same}"  # noqa: S608
    return int(connection.execute(sql).get)


def _equal_by_rowid(connection: apsw.Connection, table: str, *, is_strict: bool) -> int | None:
    """Piece by piece, so that it can be stopped. ``None``: the columns hide all names of the row's number."""
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (table,))]
    taken = {name.lower() for name in columns}
    rowid = next((name for name in ("rowid", "_rowid_", "oid") if name not in taken), None)
    if rowid is None:
        return None
    same, name = _same_values(connection, table, is_strict=is_strict), quoted(table)
    next_rows = f"SELECT {rowid} AS r FROM main.{name} WHERE {rowid} {{}} ? ORDER BY {rowid} LIMIT {_CHUNK}"  # noqa: S608
    ends = f"SELECT min(r), max(r) FROM ({next_rows})"  # noqa: S608
    equal_rows = (
        f"SELECT count(*) FROM main.{name} a JOIN kept.{name} b ON a.{rowid} = b.{rowid} "  # noqa: S608
        f"WHERE a.{rowid} BETWEEN ? AND ? AND {same}"
    )
    equal, comparison, after = 0, ">=", -(2**63)
    while True:
        rows: list[Any] = connection.execute(ends.format(comparison), (after,)).fetchall()
        first, last = rows[0]
        if last is None:
            return equal
        equal += connection.execute(equal_rows, (first, last)).get
        comparison, after = ">", last


class Counts(NamedTuple):
    """``records`` in the table of that name (``None``: there is none), and ``by_version`` as people see their stamps.

    ``beside``: records in tables that migrations have set aside.
    """

    records: int | None
    by_version: dict[str, int]
    beside: int = 0


def counts(connection: apsw.Connection) -> Counts:
    """What the database holds."""
    tables = {name.lower() for name, *_ in connection.execute(_TABLES)}
    aside: list[Any] = []
    if "migration_runs" in tables:
        aside = connection.execute("SELECT old_table FROM migration_runs WHERE old_table IS NOT NULL").fetchall()
    beside = sum(_rows(connection, name) for (name,) in aside if name.lower() in tables)
    if TABLE not in tables:
        return Counts(None, {}, beside)
    columns = {
        name.lower() for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (TABLE,))
    }
    if "app_version" not in columns:
        total = _rows(connection, TABLE)
        return Counts(total, {"(none)": total} if total else {}, beside)
    found: dict[str, int] = {}
    # text of other programs may be no Unicode, so Python gets its bytes
    by_stamp = f"SELECT typeof(app_version), CAST(app_version AS BLOB), count(*) FROM main.{TABLE} GROUP BY app_version"  # noqa: S608
    encoding = str(connection.execute("PRAGMA encoding").get)
    for kind, stamp, count in connection.execute(by_stamp):
        key = _told(kind, stamp, encoding)
        found[key] = found.get(key, 0) + count
    return Counts(sum(found.values()), found, beside)


def _rows(connection: apsw.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM main.{quoted(table)}").get)  # noqa: S608


def _told(kind: str, stamp: bytes | None, encoding: str) -> str:
    if stamp is None:
        return "(none)"
    try:
        return repr(stamp) if kind == "blob" else stamp.decode(encoding)
    except UnicodeDecodeError:
        return repr(stamp)
