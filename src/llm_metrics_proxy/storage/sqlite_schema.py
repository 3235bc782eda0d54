"""What is in a database file, and the numbered steps that make it what this program needs.

A file is looked at read-only before anything is written to it. One that holds what we do not know stays as it is, to
the bit: a newer program's, another program's, and one of a 1.x version, which only a migration may touch.
"""

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.errors import NewerDatabaseError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION

BUSY_TIMEOUT_MS: Final = 250  # short: whoever waits longer waits with its work safe in the journal

_FILE_MAGIC: Final = b"SQLite format 3\x00"
_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS schema_steps (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL,
    app_version TEXT NOT NULL
) STRICT
"""
_LEDGER_COLUMNS: Final = {"number", "name", "checksum", "applied_at", "app_version"}


class Step(NamedTuple):
    """One file of ``schema/``. Never edited once released: every database it was applied to has its checksum."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def steps() -> tuple[Step, ...]:
    """Every step of this program, in order."""
    folder = resources.files("llm_metrics_proxy.storage") / "schema"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(Step(int(name[:4]), name[5:-4], (folder / name).read_text(encoding="utf-8")) for name in names)


def store_error(path: Path, doing: str, error: apsw.Error) -> StoreError:
    """Our word for SQLite's: what could not be done, with which file, and why."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreBusyError(f"The database {path} is locked by another program; {doing} has to wait.")
    return StoreError(f"The database {path} has trouble; {doing} failed: {error}.")


def look(path: Path) -> set[int]:
    """Numbers of the steps that were applied; none if there is nothing in the file yet. Never writes.

    Raises ``NewerDatabaseError``, or ``StoreError`` that says what was found instead.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise StoreError(f"The database {path} cannot be read: {error.strerror}.") from error
    if not head:
        return set()
    if not head.startswith(_FILE_MAGIC):
        raise StoreError(f"{path} is not a SQLite database. Name another file with --db-path, or move this one away.")
    try:
        connection = apsw.Connection(_uri(path, head), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        try:
            connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            if not tables:
                return set()
            if "schema_steps" not in tables or not _is_ledger(connection):
                raise StoreError(_foreign(path, tables))
            return check_ledger(path, connection)
        finally:
            connection.close()
    except apsw.Error as error:
        raise store_error(path, "looking into it", error) from error


def _uri(path: Path, head: bytes) -> str:
    """``path`` for a look that leaves nothing beside it.

    A read-only connection makes ``-shm`` and ``-wal`` for a database in WAL mode (bytes 18 and 19 of its header are 2)
    and may not remove them. Without a ``-wal`` everything is in the file itself, so SQLite may take it for immutable.
    """
    in_file = head[18:20] == b"\x02\x02" and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}{'?immutable=1' if in_file else ''}"


def _is_ledger(connection: apsw.Connection) -> bool:
    columns = connection.execute("SELECT name FROM pragma_table_info('schema_steps')")
    return {name for (name,) in columns} >= _LEDGER_COLUMNS


def _foreign(path: Path, tables: set[str]) -> str:
    if "completion_requests" in tables:
        return (
            f"{path} holds completion_requests as another version of this program or another program wrote it. "
            f"Version {APP_VERSION} cannot migrate it (2.1.0 brings migrations) and has left it untouched. "
            "Name a new file with --db-path."
        )
    return (
        f"{path} is another program's database (tables: {', '.join(sorted(tables)[:5])}) and was left untouched. "
        "Migrations of foreign tables come with 2.1.0. Name a new file with --db-path."
    )


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
    """Apply the steps that ``look`` did not find: each one and its ledger row in one transaction.

    A database that needs none is opened without asking for the lock, so that another program may hold it.
    """
    for step in steps():
        if step.number in applied:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(_LEDGER)
            if step.number not in check_ledger(path, connection):  # another process may just have been here
                connection.execute(step.sql)
                connection.execute(
                    "INSERT INTO schema_steps (number, name, checksum, applied_at, app_version) VALUES (?, ?, ?, ?, ?)",
                    (step.number, step.name, step.checksum, datetime.now(UTC).isoformat(), APP_VERSION),
                )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
