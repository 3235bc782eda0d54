"""Runs as they are stored, each read and written whole; and the small facts of ``migration_facts``.

Runs by copy are in ``migration_runs``. Those of 2.0.0 to 4.5.0 are in ``migrations``, which this program reads and
never writes, as little as ``migration_state``: an undo gives the older program its file back, with both as they were.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.migration.model import Run, RunState

RUNS: Final = "migration_runs"
_OF_4: Final = "migrations"
_FIELDS: Final = Run.__struct_fields__
_JSON: Final = frozenset({"from_versions", "checksums", "gaps", "unfit"})
_LACKS_4: Final = {"old_table": "NULL", "unfit": "'{}'"}  # what a row of 4.x has not

CLEAN_THROUGH: Final = "clean_through"  # no record with an arrival up to here is older than `clean_for`
CLEAN_FOR: Final = "clean_for"
FENCE: Final = "fence"
LEDGER_BEFORE: Final = "ledger_before"  # JSON: numbers of the schema steps that a file had when it was set aside
NAMED_ANEW: Final = "named_anew"  # JSON: tables that an undo gave another name, by their own
PUT_THROUGH: Final = "put_through"  # newer records up to here are in the old table already, while a run is undone
LEFT_OUT: Final = "left_out"  # JSON: arrivals of newer records that the old table refuses, while a run is undone
KEPT_BESIDE: Final = "kept_beside"  # JSON: tables of records that undos left beside the old one
KEPT_FROM: Final = "kept_from"  # what has a greater arrival in the last of those tables is of this program alone
RESTORED_THROUGH: Final = "restored_through"  # of it, what has been taken back up to here, once a run was verified
HISTORY_ENDS: Final = "history_ends"  # no record of the old table has a time at or after it, as timestamps are stored
DROPPING: Final = "dropping"  # an old table whose time is over and that is being emptied


def now() -> str:
    """ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _stored(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _JSON else value


def insert_run(connection: apsw.Connection, run: Run) -> Run:
    """Store a new run under the next free id; the run with that id. The caller holds the transaction."""
    run = msgspec.structs.replace(run, id=1 + max((each.id for each in all_runs(connection)), default=0))
    values = [_stored(name, getattr(run, name)) for name in _FIELDS]
    connection.execute(
        f"INSERT INTO {RUNS} ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})",  # noqa: S608
        values,
    )
    return run


def change_run(connection: apsw.Connection, run: Run, **changes: Any) -> Run:
    """Store some fields of a run; the run with them. The caller holds the transaction, or wants one for this alone."""
    sets = ", ".join(f"{name} = ?" for name in changes)
    values = [_stored(name, value) for name, value in changes.items()]
    connection.execute(f"UPDATE {RUNS} SET {sets} WHERE id = ?", (*values, run.id))  # noqa: S608 -- fields are ours
    return msgspec.structs.replace(run, **changes)


def all_runs(connection: apsw.Connection) -> list[Run]:
    """Every run, oldest first, those of 4.x too; none in a file that never had any."""
    in_place = _runs_in(connection, _OF_4, [_LACKS_4.get(name, name) for name in _FIELDS])
    return sorted([*in_place, *copied_runs(connection)], key=lambda run: run.id)


def copied_runs(connection: apsw.Connection) -> list[Run]:
    """Those by copy, oldest first."""
    return _runs_in(connection, RUNS, _FIELDS)


def last_copied(connection: apsw.Connection) -> Run | None:
    """The last run by copy."""
    return next(reversed(copied_runs(connection)), None)


def _runs_in(connection: apsw.Connection, table: str, names: Sequence[str]) -> list[Run]:
    if not has_table(connection, table):
        return []
    rows = connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY id")  # noqa: S608 -- ours
    return [_run(row) for row in rows]


def is_held(connection: apsw.Connection) -> bool:
    """Whether a person took the last run back, and nobody asked for it again since; with 4.x, too."""
    last = last_copied(connection)
    if last is not None:
        return last.state is RunState.UNDONE
    held = "SELECT 1 FROM migration_state WHERE key = 'held'"
    return has_table(connection, "migration_state") and connection.execute(held).get is not None


def has_table(connection: apsw.Connection, name: str) -> bool:
    """Whether the file has a table of that name."""
    found = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?"
    return connection.execute(found, (name,)).get is not None


def _run(row: tuple[Any, ...]) -> Run:
    fields = dict(zip(_FIELDS, row, strict=True))
    fields.update({name: json.loads(fields[name]) for name in _JSON})
    return msgspec.convert(fields, Run, strict=False)


def get_fact(connection: apsw.Connection, key: str) -> Any:
    """One of the small facts, or ``None``."""
    return connection.execute("SELECT value FROM main.migration_facts WHERE key = ?", (key,)).get


def set_fact(connection: apsw.Connection, key: str, value: Any) -> None:
    """Store one of the small facts; ``None`` removes it."""
    if value is None:
        connection.execute("DELETE FROM main.migration_facts WHERE key = ?", (key,))
    else:
        connection.execute("INSERT OR REPLACE INTO main.migration_facts (key, value) VALUES (?, ?)", (key, value))
