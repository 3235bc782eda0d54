"""What a database file holds, and the numbered steps that make it what this program needs.

A file is inspected without a trace before anything is written to it. An unknown one stays as it is, to the bit: a newer
program's, another program's, and one of an older version, which only a migration may change.
"""

import hashlib
import math
import re
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, in_memory, transaction
from llm_metrics_proxy.storage.read_only_file import header, open_read_only, side_file_bytes

FILE_MAGIC: Final = b"SQLite format 3\x00"
TABLE: Final = "completion_requests"
LAST_LEGACY_SCHEMA: Final = 3  # the greatest schema_version that any older program wrote
LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_steps (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    app_version TEXT NOT NULL
) STRICT
"""
_LEDGER_COLUMNS: Final = {"number", "name", "checksum", "applied_at", "app_version"}
# By these a completion_requests of an older program is known: all of the first, and one of the second at least.
LEGACY_NEEDS: Final = ("timestamp", "model")
LEGACY_NEEDS_ONE_OF: Final = ("response_time_ms", "total_tokens", "tokens_per_second")


class SchemaStep(NamedTuple):
    """One file of ``schema/``, or the columns of ``record`` that name its number. Never changed once released: every
    database it was applied to has its checksum."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def steps() -> tuple[SchemaStep, ...]:
    """Every step of this program, in order."""
    folder = resources.files("llm_metrics_proxy.storage") / "schema"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    written = [SchemaStep(int(name[:4]), name[5:-4], (folder / name).read_text(encoding="utf-8")) for name in names]
    return tuple(sorted([*written, *column_steps(REGISTRY.values())]))


def column_steps(columns: Iterable[Column]) -> list[SchemaStep]:
    """The steps that add columns, made of the rows that say by which step they come."""
    added: dict[int, list[str]] = {}
    for column in columns:
        if column.step:
            added.setdefault(column.step, []).append(
                f"ALTER TABLE {TABLE} ADD COLUMN {column.name} {column.kind.sql_type};\n"
            )
    return [SchemaStep(number, "columns", "".join(statements)) for number, statements in added.items()]


@cache
def declared_columns() -> dict[str, str]:
    """Type of each column of ``completion_requests`` in a database that all steps made."""
    with closing(in_memory()) as connection:
        for step in steps():
            connection.execute(step.sql)
        return dict(connection.execute("SELECT name, type FROM pragma_table_info(?)", (TABLE,)))


_MOST_FAULTS: Final = 10_000
_ONLY_ODD: Final = re.compile(r"^(NULL|TEXT|NUMERIC|non-[A-Z]+) value in |^CHECK constraint failed in ")
_WHAT_TO_DO: Final = (
    (apsw.FullError, "Make room on the disk of {folder}; what was stored before is whole."),
    (apsw.ReadOnlyError, "This user must be allowed to write the file, its side files and the folder {folder}."),
    (apsw.CantOpenError, "This user must be allowed to write the file, its side files and the folder {folder}."),
    (apsw.CorruptError, "Restore a backup: `llm-metrics-proxy backup list` shows those that are there."),
    (apsw.IOError, "The disk or the file system of {folder} reports errors; the system's log has more."),
)


def store_error(path: Path, doing: str, error: apsw.Error) -> StoreError:
    """Our error for SQLite's: what failed, with which file, why, and what to do."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreBusyError(f"The database {path} is locked by another program; {doing} has to wait.")
    advice = next((text for kind, text in _WHAT_TO_DO if isinstance(error, kind)), "")
    folder = path.absolute().parent
    return StoreError(
        f"The database {path} has trouble; {doing} failed: {error}. {advice.format(folder=folder)}".rstrip()
    )


def quoted(name: str) -> str:
    """A name from a foreign file, for SQL."""
    return '"' + name.replace('"', '""') + '"'


def damage_in(connection: apsw.Connection, check: str = "quick_check") -> list[str]:
    """Damage that SQLite finds in ``main``; nothing if it is whole.

    It also names values that break a rule of their table (NOT NULL, CHECK, a type that a later default does not fit).
    Programs leave such values behind by ALTER TABLE; they are odd, but the file is whole.
    """
    found = connection.execute(f"PRAGMA main.{check}({_MOST_FAULTS})")
    return [str(line) for (line,) in found if line != "ok" and not _ONLY_ODD.search(str(line))]


def applied_steps(path: Path) -> set[int]:
    """Numbers of the steps that were applied; none if there is nothing in the file yet. Never writes.

    Raises ``NewerDatabaseError``, ``ForeignDatabaseError``, or ``StoreError`` that says what was found instead.
    """
    head = header(path)
    if not head:
        if head is not None:
            refuse_orphaned_wal(path)
        return set()
    if not head.startswith(FILE_MAGIC):
        raise ForeignDatabaseError(
            f"{path} is not a SQLite database. Name another file with --db-path, or move this one away."
        )
    try:
        with open_read_only(path, BUSY_TIMEOUT_MS) as connection:
            tables = tables_in(connection)
            if not tables:
                return set()
            if has_ledger(connection):
                return check_ledger(path, connection)
            refuse_foreign(path, connection, tables)
    except apsw.Error as error:
        raise store_error(path, "looking into it", error) from error
    raise StoreError(
        f"{path} holds completion_requests of an older version. The migration of the metrics process, or "
        f"`llm-metrics-proxy migrate run --db {path}`, adopts it; until then it stays untouched."
    )


def refuse_orphaned_wal(path: Path) -> None:
    """An empty file is a fresh one; but SQLite deletes a ``-wal`` next to it, perhaps the only copy.

    The file is read once more: another process, or thread, may be making the database at this moment, and it
    writes the file before the ``-wal``.
    """
    size = side_file_bytes(path, "-wal")
    if size and not header(path):
        raise ForeignDatabaseError(
            f"{path} is empty, yet {path.name}-wal next to it holds {size} bytes: its database was cut or "
            "replaced. Opening it would delete them. Restore the database, or move both files away."
        )


def tables_in(connection: apsw.Connection) -> list[str]:
    """Names of the tables and views, without SQLite's own."""
    sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return [name for (name,) in connection.execute(f"{sql} ORDER BY name")]


def has_ledger(connection: apsw.Connection) -> bool:
    """The file is ours, or was adopted."""
    columns = connection.execute("SELECT name FROM pragma_table_info('schema_steps')")
    return {name for (name,) in columns} >= _LEDGER_COLUMNS


def refuse_foreign(path: Path, connection: apsw.Connection, tables: list[str]) -> None:
    """Nothing if ``completion_requests`` is that of an older program, which a migration may adopt.

    Raises ``ForeignDatabaseError`` or, if its ``schema_version`` is that of a newer program, ``NewerDatabaseError``.
    """
    away = "It was left untouched. Name another file with --db-path."
    kinds = connection.execute("SELECT type FROM pragma_table_list WHERE schema = 'main' AND lower(name) = ?", (TABLE,))
    kind = next((kind for (kind,) in kinds), None)
    if kind is None:
        more = f" and {len(tables) - 5} more" if len(tables) > 5 else ""
        raise ForeignDatabaseError(
            f"{path} is another program's database (tables: {', '.join(tables[:5])}{more}). {away}"
        )
    if kind != "table":
        raise ForeignDatabaseError(f"{path}: completion_requests is a {kind}, not a table of records. {away}")
    columns = {str(name).lower() for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (TABLE,))}
    missing = [name for name in LEGACY_NEEDS if name not in columns]
    if columns.isdisjoint(LEGACY_NEEDS_ONE_OF):
        missing.append(f"any of {', '.join(LEGACY_NEEDS_ONE_OF)}")
    if missing:
        raise ForeignDatabaseError(
            f"{path}: completion_requests is another program's table: it lacks {' and '.join(missing)}. {away}"
        )
    version = legacy_schema_version(connection)
    if version is not None and version > LAST_LEGACY_SCHEMA:
        raise NewerDatabaseError(
            f"{path} has schema_version {version}, above {LAST_LEGACY_SCHEMA}: a newer program wrote it. This is "
            f"{APP_VERSION}, which could destroy what it does not know. Start a newer version; nothing was changed."
        )


def legacy_schema_version(connection: apsw.Connection) -> int | None:
    """The greatest ``version`` in the table ``schema_version`` of older programs; None without one that is a number."""
    columns = {
        str(name).lower() for (name,) in connection.execute("SELECT name FROM pragma_table_info('schema_version')")
    }
    if "version" not in columns:
        return None
    found = connection.execute("SELECT max(CAST(version AS REAL)) FROM schema_version WHERE version IS NOT NULL")
    greatest = next((version for (version,) in found), None)
    return None if greatest is None else math.ceil(max(-1e18, min(1e18, greatest)))


def check_ledger(path: Path, connection: apsw.Connection) -> set[int]:
    """Numbers of the steps that were applied. Raises if the ledger knows a step that this program does not."""
    known = {step.number: step for step in steps()}
    applied = list(connection.execute("SELECT number, name, checksum, app_version FROM schema_steps ORDER BY number"))
    for number, name, checksum, app_version in applied:
        if number not in known:
            raise NewerDatabaseError(
                f"{path} was written by version {app_version} (schema step {number}, {name}); this is {APP_VERSION}, "
                "which could destroy what it does not know. Start that version or a newer one; nothing was changed."
            )
        if checksum != known[number].checksum:
            raise StoreError(
                f"{path}: schema step {number} ({name}) is not the one this program has; "
                "the program or the database was altered. Nothing was changed."
            )
    return {number for number, *_ in applied}


def apply_steps(path: Path, connection: apsw.Connection, applied: set[int]) -> None:
    """Apply the steps that ``applied_steps`` did not find: each one and its ledger row in one transaction.

    A database that needs none is opened without asking for the lock, so that another program may hold it.
    """
    for step in steps():
        if step.number in applied:
            continue
        with transaction(connection):
            connection.execute(LEDGER)
            if step.number not in check_ledger(path, connection):  # another process may just have been here
                connection.execute(step.sql)
                connection.execute(
                    "INSERT INTO schema_steps (number, name, checksum, applied_at, app_version) VALUES (?, ?, ?, ?, ?)",
                    (step.number, step.name, step.checksum, datetime.now(UTC).isoformat(), APP_VERSION),
                )
