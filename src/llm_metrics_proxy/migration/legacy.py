"""What a database file is: ours, one whose records a migration carries over, or one that we must not write.

Older are files of 2.0.0 to 4.5.0 of this program, which their ledger of schema steps tells, and those of other
programs: a table ``completion_requests`` with ``timestamp`` and ``model`` and at least one of ``response_time_ms``,
``total_tokens`` and ``tokens_per_second``, whatever else it has or lacks, and no ``schema_version`` above 3. Neither a
stamp nor a ``schema_version`` proves more than that. A look leaves no trace (``storage.read_only_file``).
"""

import time
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

import apsw
import msgspec

from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreBusyError, StoreError
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS
from llm_metrics_proxy.storage.read_only_file import HEADER_BYTES, header, open_read_only, side_file_bytes
from llm_metrics_proxy.storage.sqlite_schema import (
    FILE_MAGIC,
    ONE_TABLE,
    TABLE,
    check_ledger,
    damage_in,
    has_ledger,
    refuse_foreign,
    refuse_orphaned_wal,
    store_error,
    tables_in,
)

_ATTEMPTS: Final = 3
_WAIT_S: Final = 0.1
_FAULTS_SHOWN: Final = 3


class FileKind(StrEnum):
    """What is in the file. Only ``OURS`` and ``LEGACY`` are migrated, only ``NOTHING`` is filled."""

    NOTHING = "nothing"  # no file, no bytes, or no table
    OURS = "ours"  # the table of records is of this program's layout
    LEGACY = "legacy"  # of an older layout: of 2.0.0 to 4.5.0 of this program, or of another program
    FOREIGN = "foreign"  # another program's, or no SQLite database, or no file at all
    DAMAGED = "damaged"
    NEWER = "newer"


class SchemaObject(msgspec.Struct, frozen=True):
    """One row of ``sqlite_schema``: a table, view, index or trigger, as its ``sql`` makes it."""

    kind: str
    name: str
    table: str
    sql: str


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found. ``columns``: those of ``completion_requests``, each with its declared type."""

    path: Path
    found: FileKind
    message: str  # for people: what was found, where, and what to do
    tables: tuple[str, ...] = ()
    columns: dict[str, str] = {}
    has_ledger: bool = False  # this program made or migrated the file: its stamps are those of its formulas
    has_rowid_id: bool = False  # of an older file: `id` is the integer key of the rows
    encoding: str = "UTF-8"
    schema: tuple[SchemaObject, ...] = ()


def inspect(path: Path) -> Inspection:
    """What is in the file; every byte stays, and no side file comes or goes.

    Another program's file is read whole, once for each state it is in, to find damage; one of ours is not. Raises
    ``StoreError`` for a file that cannot be read, ``StoreBusyError`` for one that others lock or change all the time.
    """
    for _attempt in range(_ATTEMPTS):
        before = fingerprint(path)
        inspection = _inspect(path, before)
        if inspection.found is not FileKind.DAMAGED or fingerprint(path) == before:
            return inspection
        time.sleep(_WAIT_S)  # it was read while others changed it, and may well be whole
    raise StoreBusyError(
        f"The database {path} is changed all the time by another program; looking into it has to wait."
    )


def schema_of(connection: apsw.Connection) -> tuple[SchemaObject, ...]:
    """All that the file defines, without SQLite's own tables and indexes."""
    sql = (
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' "
        "ESCAPE '\\' ORDER BY rowid"
    )
    return tuple(SchemaObject(*row) for row in connection.execute(sql))


def has_rowid_id(connection: apsw.Connection) -> bool:
    """``completion_requests.id`` is another name of the rowid."""
    without_rowid = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = ?", (TABLE,)
    )
    if [wr for (wr,) in without_rowid] != [0]:
        return False
    key = [str(n).lower() for (n,) in connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (TABLE,))]
    # every other primary key has an index, `INTEGER PRIMARY KEY DESC` too
    indexed = any(connection.execute("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (TABLE,)))
    return key == ["id"] and not indexed


def _inspect(path: Path, fingerprint: tuple[object, ...]) -> Inspection:
    try:
        head = header(path)
        if head is None:
            return Inspection(path=path, found=FileKind.NOTHING, message=f"There is no file {path} yet.")
        if not head:
            refuse_orphaned_wal(path)
            return Inspection(path=path, found=FileKind.NOTHING, message=f"{path} is empty.")
    except ForeignDatabaseError as error:
        return Inspection(path=path, found=FileKind.FOREIGN, message=str(error))
    if FILE_MAGIC.startswith(head) or (head.startswith(FILE_MAGIC) and len(head) < HEADER_BYTES):
        return _damaged(path, f"it ends after {len(head)} bytes")
    if not head.startswith(FILE_MAGIC):
        message = f"{path} is not a SQLite database. Name another file with --db-path, or move this one away."
        return Inspection(path=path, found=FileKind.FOREIGN, message=message)
    cut = _cut(path, head)  # SQLite reads a last page that is cut as if it ended in zeros
    if cut:
        return _damaged(path, cut)
    try:
        with open_read_only(path, BUSY_TIMEOUT_MS) as connection:
            return _inside(path, connection, fingerprint)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return _damaged(path, str(error))
    except apsw.Error as error:
        raise store_error(path, "looking into it", error) from error


def _inside(path: Path, connection: apsw.Connection, fingerprint: tuple[object, ...]) -> Inspection:
    tables = tables_in(connection)
    if not tables:
        return Inspection(path=path, found=FileKind.NOTHING, message=f"{path} is a database without any table.")
    seen = Inspection(
        path=path,
        found=FileKind.LEGACY,
        message=f"{path} holds records in the layout of an older version.",
        tables=tuple(tables),
        columns=dict(connection.execute("SELECT name, type FROM pragma_table_info(?)", (TABLE,))),
        has_rowid_id=has_rowid_id(connection),
        has_ledger=has_ledger(connection),
        encoding=connection.pragma("encoding"),
        schema=schema_of(connection),
    )
    replace = msgspec.structs.replace
    try:
        if seen.has_ledger:
            if ONE_TABLE in check_ledger(path, connection):
                return replace(seen, found=FileKind.OURS, message=f"{path} is a database of this program.")
            return seen  # the backup is checked page by page: a look need not read a file of ours as a whole
        refuse_foreign(path, connection, tables)
    except NewerDatabaseError as error:
        return replace(seen, found=FileKind.NEWER, message=str(error))
    except StoreError as error:
        return replace(seen, found=FileKind.FOREIGN, message=str(error))
    faults = _faults(path, fingerprint)
    return _damaged(path, faults) if faults else seen


@lru_cache(maxsize=4)
def _faults(path: Path, _fingerprint: tuple[object, ...]) -> str:
    """What ``quick_check`` finds in the file in this state; empty if nothing. It reads the whole file."""
    with open_read_only(path, BUSY_TIMEOUT_MS) as connection:
        found = damage_in(connection)
    return "; ".join(found[:_FAULTS_SHOWN]).replace("\n", " ")


def fingerprint(path: Path) -> tuple[object, ...]:
    """Another one after every change."""
    parts: list[object] = []
    resolved = path.resolve()
    for suffix in ("", "-wal", "-journal"):
        try:
            status = resolved.with_name(resolved.name + suffix).stat()
            parts.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            parts.append(None)
    return tuple(parts)


def _cut(path: Path, head: bytes) -> str:
    """Whether the file is shorter than its header says; a ``-wal`` or ``-journal`` may hold the rest."""
    page_bytes = {1: 65536}.get(size := int.from_bytes(head[16:18], "big"), size)
    said_bytes, is_bytes = page_bytes * int.from_bytes(head[28:32], "big"), path.stat().st_size
    is_valid = head[24:28] == head[92:96]  # else a SQLite before 3.7 wrote last, which does not keep the size
    if not is_valid or is_bytes >= said_bytes or side_file_bytes(path, "-wal") or side_file_bytes(path, "-journal"):
        return ""
    return f"it ends after {is_bytes} of {said_bytes} bytes"


def _damaged(path: Path, what: str) -> Inspection:
    message = f"{path} is damaged: {what}. Nothing was changed. Restore a backup of it, or name another file."
    return Inspection(path=path, found=FileKind.DAMAGED, message=message)
