"""The table of records from before gets another name, and a new one of the newest layout takes its place.

All of it is one transaction of the caller, short however large the table is. Whatever is not ours (columns, tables,
views, triggers, ``schema_version``) stays as it is; what ``sqlite_schema`` said before is kept for the undo.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.keys import prepare
from llm_metrics_proxy.migration.legacy import SchemaObject, schema_of
from llm_metrics_proxy.migration.runs import KEPT_FROM, LEDGER_BEFORE, NAMED_ANEW, get_fact, has_table, set_fact
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.arrivals import begin_above
from llm_metrics_proxy.storage.connection import in_memory
from llm_metrics_proxy.storage.sqlite_schema import (
    LEDGER,
    ONE_TABLE,
    TABLE,
    has_ledger,
    quoted,
    records_table,
    steps,
)

_ALL: Final = "SELECT type, name, sql FROM main.sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_INDEX: Final = re.compile(r"(?<= INDEX )\w+(?= ON )")
_ADDED: Final = re.compile(r"\s*ALTER TABLE (\w+) ADD COLUMN (\w+)")
_COMMENT: Final = re.compile(r"--[^\n]*")


class Aside(NamedTuple):
    """``bound``: the greatest arrival of what is in ``table``; the next record has a greater one."""

    table: str
    bound: int


def set_aside(connection: apsw.Connection, schema: Sequence[SchemaObject], version: str, app_version: str) -> Aside:
    """Within the caller's transaction. ``schema``: as it was when it was looked at; ``version``: the run's target.

    Raises ``MigrationRefusedError`` for a file that changed since or has tables in the way, and ``apsw.Error``.
    """
    if schema_of(connection) != tuple(schema):
        raise MigrationRefusedError("The database was changed by another program meanwhile; try again.")
    before: list[Any] = connection.execute(_ALL).fetchall()
    ledger = _applied(connection) if has_ledger(connection) else None
    _name_back(connection)
    name = next(str(name) for kind, name, _sql in before if kind == "table" and str(name).lower() == TABLE)
    old_table = free_name(connection, f"{TABLE}_before_{version.replace('.', '_')}")
    rename(connection, name, old_table)
    _make_ours(connection, ledger, app_version)
    bound = prepare(connection, old_table)
    begin_above(connection, bound)
    rollup_state.reset(connection)
    connection.executemany(
        "INSERT INTO migration_before (old_table, kind, name, sql) VALUES (?, ?, ?, ?)",
        [(old_table, *each) for each in before],
    )
    set_fact(connection, LEDGER_BEFORE, None if ledger is None else json.dumps(sorted(ledger)))
    return Aside(old_table, bound)


@contextmanager
def _as_before_3_25(connection: apsw.Connection) -> Iterator[None]:
    """Else SQLite looks through every view and trigger, rewrites those that name the table, and refuses broken ones."""
    legacy_alter = connection.pragma("legacy_alter_table")
    connection.pragma("legacy_alter_table", 1)
    try:
        yield
    finally:
        connection.pragma("legacy_alter_table", legacy_alter)


def rename(connection: apsw.Connection, name: str, to: str) -> None:
    """A table with its indexes and triggers, and nothing else."""
    with _as_before_3_25(connection):
        connection.execute(f"ALTER TABLE main.{quoted(name)} RENAME TO {quoted(to)}")


def free_name(connection: apsw.Connection, wanted: str) -> str:
    """``wanted``, with a number behind it if something has that name."""
    taken = _names(connection)
    return next(name for name in (wanted, *(f"{wanted}_{n}" for n in range(2, 10_000))) if name.lower() not in taken)


def _names(connection: apsw.Connection) -> set[str]:
    return {str(name).lower() for (name,) in connection.execute("SELECT name FROM main.sqlite_schema")}


def _applied(connection: apsw.Connection) -> set[int]:
    return {number for (number,) in connection.execute("SELECT number FROM schema_steps")}


def _name_back(connection: apsw.Connection) -> None:
    """Our tables that an earlier undo gave other names; records that it kept beside stay there."""
    if not has_table(connection, "migration_facts"):
        return
    named: dict[str, str] = json.loads(get_fact(connection, NAMED_ANEW) or "{}")
    for name, is_now in named.items():
        if name.lower() not in _names(connection) and has_table(connection, is_now):
            rename(connection, is_now, name)
        elif has_table(connection, is_now):  # another program made its own: what refers to ours cannot be used
            set_fact(connection, KEPT_FROM, None)
    set_fact(connection, NAMED_ANEW, None)


def _make_ours(connection: apsw.Connection, ledger: Collection[int] | None, app_version: str) -> None:
    connection.execute(LEDGER)
    if ledger is not None and ONE_TABLE in ledger:  # the old table was ours too
        connection.execute(_free_indexes(connection, records_table()))
        for step in steps()[1:]:
            _apply(connection, step.sql)
    else:
        for step in steps():
            _apply(connection, step.sql)
        at = datetime.now(UTC).isoformat()
        connection.executemany(
            "INSERT OR REPLACE INTO schema_steps (number, name, checksum, applied_at, app_version) "
            "VALUES (?, ?, ?, ?, ?)",
            [(step.number, step.name, step.checksum, at, app_version) for step in steps()],
        )
    for table, columns in control_tables().items():
        if _columns(connection, table) != columns:
            raise MigrationRefusedError(
                f"The file has a table {table} of another program, whose name this program needs. Rename it. "
                "Nothing was changed."
            )


def _apply(connection: apsw.Connection, sql: str) -> None:
    """A step. Tables of the control store may be there from an earlier run, with the columns that a step adds."""
    for statement in _COMMENT.sub("", sql).split(";"):
        added = _ADDED.match(statement)
        if added is None or added[2] not in {name for name, *_ in _columns(connection, added[1])}:
            connection.execute(_free_indexes(connection, statement))


def added_columns() -> Iterator[tuple[str, str]]:
    """Table and column that a step adds to what an earlier one made, other than records."""
    for step in steps():
        for statement in _COMMENT.sub("", step.sql).split(";"):
            added = _ADDED.match(statement)
            if added is not None and added[1] != TABLE:
                yield added[1], added[2]


def _free_indexes(connection: apsw.Connection, sql: str) -> str:
    """The statements, with another name for an index whose name a table that was set aside has."""
    return _INDEX.sub(lambda found: free_name(connection, found[0]), sql)


def _columns(connection: apsw.Connection, table: str) -> list[tuple[Any, ...]]:
    return list(connection.execute("SELECT name, type, pk FROM pragma_table_xinfo(?)", (table,)))


@cache
def control_tables() -> dict[str, list[tuple[Any, ...]]]:
    """Every table of ours beside the records, with its columns."""
    with closing(in_memory()) as connection:
        connection.execute(LEDGER)
        for step in steps():
            connection.execute(step.sql)
        names = [str(name) for kind, name, _sql in connection.execute(_ALL) if kind == "table" and name != TABLE]
        return {name: _columns(connection, name) for name in names}
