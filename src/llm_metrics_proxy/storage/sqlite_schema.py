"""What a database file holds, and the numbered steps that make it what this program needs.

A file is inspected without a trace before anything is written to it. An unknown one stays as it is, to the bit: a newer
program's, another program's, and one of an older version, which only a migration may change.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
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
from llm_metrics_proxy.storage.carried import last_undone
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, in_memory, transaction
from llm_metrics_proxy.storage.expressions import TYPES
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
    """What makes a file what this program needs. Never changed once released: every file it was applied to has its
    checksum."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


ONE_TABLE: Final = 15  # the step from which on records are in a table that is always ours, of the newest layout
# The steps of 2.0.0 to 4.5.0: number, name, checksum. A file that has them and no later one is carried over.
RELEASED: Final = (
    (1, "first", "e28cf59e7d974278cdb714f2f96f733765d9e2b995294c8d484e117b71cc6d4d"),
    (2, "migrations", "8e3135d953a2de46f7e4e5cef2f3c41757f83619790825fd582fe7d25b8157e1"),
    (3, "more_facts", "376b4cb8f8af028b33a75fc55afcb5f0724fdf60ed8b770ddb23f83285c23339"),
    (4, "backends", "7c04d7c83fc55336c8d7de0fc29df7878bb4424b25acfdac07c308fd5531d1ba"),
    (5, "errors", "eecce7409c8c8a5492ca5014922e00da53cbc578d830190678e9bfa57769d43c"),
    (6, "rollups", "2649cd737a3052320e927b6daa43a0887656844f058ea3a3bdbb53bc8ec96748"),
    (7, "analytics", "de452806013049a0c4cadb2bbe1429c6c35fc13c6835af1841b9c4bb61f53e1d"),
    (8, "cost", "20330789bf30c0da7bdc0583d346dbd35c84fe6d50ed7eb0460abbaa8236af87"),
    (9, "traces", "192004812e645234d7384f9614093f3e5f1a7c6de191b8429937074bc04648ee"),
    (10, "alerts", "e8196f3b90158fcb22393dc33508a70da2545b566566b03e307e6391705bda1d"),
    (11, "losses", "7242694fce90eca491272092acf0388e308ff88110e6b69daf49151fcd12c469"),
    (12, "columns", "d55ddfbef37b83a7f836f2aee658fe366401dd7a1d03e2c5696eec6f3922003d"),
    (13, "counted_answers", "95a078bdd1d3ccaa9b9ad015e5deeb841f31074850132ce9eaadf23da62c1a61"),
    (14, "usage_shapes", "38f5586d5849f20a7cc6af4bcc9514655557d492b8b418fa7c72ef5ed76b3a24"),
)


@cache
def steps() -> tuple[SchemaStep, ...]:
    """Every step that a new file gets, in order: the files of ``schema/``, and the columns of the registry."""
    folder = resources.files("llm_metrics_proxy.storage") / "schema"
    files = [
        SchemaStep(int(number), name, file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        for number, _, name in [file.name.removesuffix(".sql").partition("_")]
        if file.name.endswith(".sql")
    ]
    found = {step.number: step for step in files}
    found[ONE_TABLE] = found[ONE_TABLE]._replace(sql=found[ONE_TABLE].sql + records_table())
    for step in column_steps(column for column in REGISTRY.values() if column.step > ONE_TABLE):
        file = found.get(step.number)
        found[step.number] = step if file is None else file._replace(sql=file.sql + step.sql)
    return tuple(sorted(found.values()))


def known_steps() -> dict[str, str]:
    """Checksum by number and name of every step that any version released up to this one has."""
    released = {f"{number:04}_{name}": checksum for number, name, checksum in RELEASED}
    return released | {f"{step.number:04}_{step.name}": step.checksum for step in steps()}


def records_table() -> str:
    """SQL of the table of records as step 15 makes it; later columns come by ``column_steps``.

    STRICT: text can never stand where a number belongs. Only records of this program have all that is never NULL there.
    What most questions read stands first: SQLite has to step over all columns that stand before.
    """
    declared = [
        f"    {name} {TYPES[REGISTRY[name].kind.holds]}{_CONSTRAINTS.get(name, '')}"
        for name in dict.fromkeys((*_READ_MOST, *REGISTRY))
        if REGISTRY[name].step <= ONE_TABLE
    ]
    return "\n".join((f"\nCREATE TABLE {TABLE} (", ",\n".join(declared), ") STRICT;", *RECORDS_INDEXES, ""))


_READ_MOST: Final = (
    "arrival", "timestamp", "app_version", "success", "model", "error_category", "response_time_ms",
    "time_to_first_token_ms", "output_tokens_per_second", "usage_source", "total_tokens", "prompt_tokens",
    "completion_tokens", "is_streaming", "cost_usd", "backend_name", "outcome", "error_type",
)  # fmt: skip
_CONSTRAINTS: Final = {"arrival": " PRIMARY KEY", "app_version": " NOT NULL"}
# Not named as those of older layouts, which stay with the table that was there before.
RECORDS_INDEXES: Final = (
    f"CREATE UNIQUE INDEX records_by_request_id ON {TABLE} (request_id) WHERE request_id IS NOT NULL;",
    f"CREATE INDEX records_by_timestamp ON {TABLE} (timestamp);",
)


def column_steps(columns: Iterable[Column]) -> list[SchemaStep]:
    """The steps that add columns, made of the rows that say by which step they come."""
    added: dict[int, list[str]] = {}
    for column in columns:
        added.setdefault(column.step, []).append(
            f"ALTER TABLE {TABLE} ADD COLUMN {column.name} {TYPES[column.kind.holds]};\n"
        )
    return [SchemaStep(number, "columns", "".join(statements)) for number, statements in sorted(added.items())]


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


@contextmanager
def our_errors(path: Path, doing: str) -> Iterator[None]:
    """SQLite's errors become ours."""
    try:
        yield
    except apsw.Error as error:
        raise store_error(path, doing, error) from error


def store_error(path: Path, doing: str, error: apsw.Error) -> StoreError:
    """Our error for SQLite's: what failed, with which file, why, and what to do."""
    if isinstance(error, apsw.SQLError):  # a table or column is missing, perhaps as an undo brought the older ones back
        try:
            lacking = _lacking(applied_steps(path))
        except StoreError as found:
            return found
        if lacking and "no such" in str(error):
            return StoreError(
                f"The database {path} is as an older version left it: it lacks schema step {lacking}. Start "
                "`llm-metrics-proxy serve` or `metrics` once: it adds them in a moment, and every record stays."
            )
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreBusyError(f"The database {path} is locked by another program; {doing} has to wait.")
    advice = next((text for kind, text in _WHAT_TO_DO if isinstance(error, kind)), "")
    folder = path.absolute().parent
    return StoreError(
        f"The database {path} has trouble; {doing} failed: {error}. {advice.format(folder=folder)}".rstrip()
    )


def _lacking(applied: set[int]) -> str:
    """Numbers of the steps that a file of ours still needs, for people."""
    return ", ".join(str(step.number) for step in steps() if applied and step.number not in applied)


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
                found = check_ledger(path, connection)
                if ONE_TABLE in found:
                    return found
            else:
                refuse_foreign(path, connection, tables)
            undone = last_undone(connection) if "migration_runs" in tables else None
    except apsw.Error as error:
        raise store_error(path, "looking into it", error) from error
    if undone is not None:
        raise StoreError(
            f"{path} is of an older version again: migration {undone} was taken back by a person, and the database "
            f"stays as it is until `llm-metrics-proxy migrate run --db {path}`."
        )
    raise StoreError(
        f"{path} holds completion_requests of an older version. The migration of the metrics process, or "
        f"`llm-metrics-proxy migrate run --db {path}`, carries them over; until then it stays untouched."
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
    """This program made the file, or migrated it."""
    columns = connection.execute("SELECT name FROM pragma_table_info('schema_steps')")
    return {name for (name,) in columns} >= _LEDGER_COLUMNS


def holds_one_table(connection: apsw.Connection) -> bool:
    """Whether ``completion_requests`` is ours, of the newest layout; so it is while nothing is there yet."""
    if has_ledger(connection):
        return connection.execute("SELECT 1 FROM schema_steps WHERE number = ?", (ONE_TABLE,)).get is not None
    return TABLE not in tables_in(connection)


def refuse_foreign(path: Path, connection: apsw.Connection, tables: list[str]) -> None:
    """Nothing if ``completion_requests`` is that of an older program, which can be migrated.

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
    known = {int(name[:4]): checksum for name, checksum in known_steps().items()}
    applied = list(connection.execute("SELECT number, name, checksum, app_version FROM schema_steps ORDER BY number"))
    for number, name, checksum, app_version in applied:
        if number not in known:
            raise NewerDatabaseError(
                f"{path} was written by version {app_version} (schema step {number}, {name}); this is {APP_VERSION}, "
                "which could destroy what it does not know. Start that version or a newer one; nothing was changed."
            )
        if checksum != known[number]:
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
