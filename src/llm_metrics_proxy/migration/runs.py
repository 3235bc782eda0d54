"""The table ``migrations``, one row per run, read and written whole; and the small facts of ``migration_state``."""

import json
from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.migration.model import Run

_FIELDS: Final = Run.__struct_fields__
_JSON: Final = frozenset({"from_versions", "checksums", "added_columns", "gaps"})

CLEAN_THROUGH: Final = "clean_through_id"  # no record with an id up to here is older than `clean_for`
CLEAN_FOR: Final = "clean_for"
FENCE: Final = "fence"
DISTRUSTED: Final = "distrusted"  # columns added (JSON) by an adoption none of whose runs stands: stamps prove nothing


def now() -> str:
    """ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _stored(name: str, value: Any) -> Any:
    return json.dumps(value) if name in _JSON else value


def insert_run(connection: apsw.Connection, run: Run) -> Run:
    """Store a new run under the next free id; the run with that id. The caller holds the transaction."""
    last = connection.execute("SELECT coalesce(max(id), 0) FROM migrations").get
    run = msgspec.structs.replace(run, id=last + 1)
    values = [_stored(name, getattr(run, name)) for name in _FIELDS]
    connection.execute(
        f"INSERT INTO migrations ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})",  # noqa: S608
        values,
    )
    return run


def change_run(connection: apsw.Connection, run: Run, **changes: Any) -> Run:
    """Store some fields of a run; the run with them. The caller holds the transaction, or wants one for this alone."""
    sets = ", ".join(f"{name} = ?" for name in changes)
    values = [_stored(name, value) for name, value in changes.items()]
    connection.execute(f"UPDATE migrations SET {sets} WHERE id = ?", (*values, run.id))  # noqa: S608 -- fields are ours
    return msgspec.structs.replace(run, **changes)


def all_runs(connection: apsw.Connection) -> list[Run]:
    """Every run, oldest first; none where the table is not there yet."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").get is None:
        return []
    rows = connection.execute(f"SELECT {', '.join(_FIELDS)} FROM migrations ORDER BY id")  # noqa: S608
    return [_run(row) for row in rows]


def _run(row: tuple[Any, ...]) -> Run:
    fields = dict(zip(_FIELDS, row, strict=True))
    fields.update({name: json.loads(fields[name]) for name in _JSON})
    return msgspec.convert(fields, Run, strict=False)


def get_fact(connection: apsw.Connection, key: str) -> Any:
    """One of the small facts, or ``None``."""
    return connection.execute("SELECT value FROM migration_state WHERE key = ?", (key,)).get


def set_fact(connection: apsw.Connection, key: str, value: Any) -> None:
    """Store one of the small facts; ``None`` removes it."""
    if value is None:
        connection.execute("DELETE FROM migration_state WHERE key = ?", (key,))
    else:
        connection.execute("INSERT OR REPLACE INTO migration_state (key, value) VALUES (?, ?)", (key, value))
