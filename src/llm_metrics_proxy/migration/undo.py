"""An undo: the old table gets its name back, with what came since, and the older program can open the file again.

Records that arrived since are put into it first, in small steps; nobody reads it then. What has not come along by then,
and the names of the tables, change in one transaction. Our table is kept whole beside it, and so are our other tables,
under other names.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.keys import NUMBERED
from llm_metrics_proxy.migration.model import Run, RunState
from llm_metrics_proxy.migration.old_table import affinity
from llm_metrics_proxy.migration.runs import (
    CLEAN_FOR,
    CLEAN_THROUGH,
    KEPT_BESIDE,
    KEPT_FROM,
    LEDGER_BEFORE,
    LEFT_OUT,
    NAMED_ANEW,
    PUT_THROUGH,
    RESTORED_THROUGH,
    change_run,
    get_fact,
    has_table,
    now,
    set_fact,
)
from llm_metrics_proxy.migration.set_aside import added_columns, control_tables, free_name, rename
from llm_metrics_proxy.migration.versions import Standing, is_older, standing
from llm_metrics_proxy.record import APP_VERSION_COLUMN, ROW_COLUMNS
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE, quoted

MOST_NAMED: Final = 100
# Of the engine itself: what it did stays known.
_STAYS: Final = frozenset({"migration_runs", "migration_before", "migration_facts"})
_EMPTY: Final = {"TEXT": "''", "BLOB": "x''"}


def put_some(connection: apsw.Connection, run: Run, records: int) -> int:
    """Put the next records that arrived since into the old table, in the caller's transaction; how many there were.

    One that its constraints refuse stays in our table alone; ``left_out`` names it.
    """
    assert run.old_table is not None
    after = int(get_fact(connection, PUT_THROUGH) or run.bound_id)
    found: list[Any] = connection.execute(
        f"SELECT arrival FROM {TABLE} WHERE arrival > ? ORDER BY arrival LIMIT ?",  # noqa: S608 -- ours
        (after, records),
    ).fetchall()
    if not found:
        return 0
    through = found[-1][0]
    statement = insertion(connection, run.old_table, stamp_for(connection, run))
    refused: list[int] = []
    if not _put(connection, statement, after, through):
        refused = [arrival for (arrival,) in found if not _put(connection, statement, arrival - 1, arrival)]
    set_fact(connection, PUT_THROUGH, through)
    if refused:
        set_fact(connection, LEFT_OUT, json.dumps([*left_out(connection), *refused][:MOST_NAMED]))
    return len(found)


def left_out(connection: apsw.Connection) -> tuple[int, ...]:
    """Arrivals of newer records that the old table refused, up to ``MOST_NAMED``; until the undo has ended."""
    return tuple(json.loads(get_fact(connection, LEFT_OUT) or "[]"))


def _put(connection: apsw.Connection, statement: str, after: int, through: int) -> bool:
    try:
        with connection:  # a savepoint
            connection.execute(statement, (after, through))
    except (apsw.ConstraintError, apsw.MismatchError):
        return False
    return True


def insertion(connection: apsw.Connection, old_table: str, stamp: str | None) -> str:
    """Newer records of a range of arrivals as rows of the old table: the columns that it has, by name."""
    columns: list[Any] = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden = 0', (old_table,)
    ).fetchall()
    names = {str(name).lower() for name, *_rest in columns}
    values: dict[str, str] = {}
    for name, declared, not_null, default, key in columns:
        known, empty = str(name).lower(), _EMPTY.get(affinity(declared, strict=True), "0")
        if known in {"id", "arrival"}:
            values[name] = "arrival"
        elif known == APP_VERSION_COLUMN:
            values[name] = apsw.format_sql_value(stamp)
        elif known == "user" and "origin" not in names:  # the oldest programs wrote there who asked
            values[name] = "origin"
        elif known in ROW_COLUMNS or known == "host":
            values[name] = known
        elif not_null or key:
            if default is None:
                values[name] = empty
            continue
        else:
            continue
        if not_null and values[name] != "arrival":
            values[name] = f"coalesce({values[name]}, {default or empty})"
    targets = ", ".join(quoted(name) for name in values)
    return (
        f"INSERT INTO main.{old_table} ({targets}) SELECT {', '.join(values.values())} FROM main.{TABLE} "  # noqa: S608
        "WHERE arrival > ?1 AND arrival <= ?2 ORDER BY arrival"
    )


def stamp_for(connection: apsw.Connection, run: Run) -> str | None:
    """The newest version that the older program knows: it would take records of a later one for a newer program's."""
    known: list[str] = [stamp for stamp in run.from_versions if standing(stamp, run.app_version) is Standing.CURRENT]
    steps: Sequence[int] = json.loads(get_fact(connection, LEDGER_BEFORE) or "[]")
    marks = ", ".join(map(str, steps))
    known += [
        str(version)
        for (version,) in connection.execute(f"SELECT app_version FROM schema_steps WHERE number IN ({marks})")  # noqa: S608
    ]
    newest: str | None = None
    for stamp in known:
        newest = stamp if newest is None or is_older(newest, stamp) else newest
    return newest


def swap_back(connection: apsw.Connection, run: Run) -> Run:
    """The names of before, in the caller's transaction, once ``put_some`` has nothing left; the run as it ended."""
    assert run.old_table is not None
    before: dict[tuple[str, str], str | None] = {
        (kind, name): sql
        for kind, name, sql in connection.execute(
            "SELECT kind, name, sql FROM migration_before WHERE old_table = ?", (run.old_table,)
        )
    }
    was_there = {name.lower() for _kind, name in before}
    own_name = next(name for kind, name in before if kind == "table" and name.lower() == TABLE)
    ledger = get_fact(connection, LEDGER_BEFORE)
    if has_table(connection, "schema_steps") and ledger is not None:
        kept = ", ".join(map(str, json.loads(ledger)))
        connection.execute(f"DELETE FROM schema_steps WHERE number NOT IN ({kept})")  # noqa: S608 -- numbers
    if "rollup_state" in was_there:
        rollup_state.reset(connection)
    of_version = f"_of_{run.app_version.split('+')[0].replace('.', '_').replace('-', '_')}"
    beside = free_name(connection, f"{TABLE}{of_version}")
    rename(connection, TABLE, beside)
    kept_beside = [*json.loads(get_fact(connection, KEPT_BESIDE) or "[]"), beside]
    named = {}
    for table in control_tables():
        if table.lower() not in was_there and table not in _STAYS:
            named[table] = free_name(connection, f"{table}{of_version}")
            rename(connection, table, named[table])
    for table, column in added_columns():
        words = before.get(("table", table))
        if words is not None and re.search(rf"\b{column}\b", words) is None:
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.execute(f"DROP TABLE IF EXISTS {NUMBERED}")
    rename(connection, run.old_table, own_name)
    _restore_words(connection, before)
    connection.execute("DELETE FROM migration_before WHERE old_table = ?", (run.old_table,))
    set_fact(connection, NAMED_ANEW, json.dumps(named))
    set_fact(connection, KEPT_BESIDE, json.dumps(kept_beside))
    if get_fact(connection, KEPT_FROM) is None:  # else records of an earlier undo are below
        set_fact(connection, KEPT_FROM, run.bound_id)
    for key in (PUT_THROUGH, LEFT_OUT, LEDGER_BEFORE, RESTORED_THROUGH, CLEAN_THROUGH, CLEAN_FOR):
        set_fact(connection, key, None)
    return change_run(connection, run, state=RunState.UNDONE, old_table=None, finished_at=now())


def _restore_words(connection: apsw.Connection, before: dict[tuple[str, str], str | None]) -> None:
    """``sqlite_schema`` has the statements of before again, to the letter: a renaming puts names into quotes."""
    found: list[Any] = connection.execute(
        "SELECT type, name, sql FROM main.sqlite_schema WHERE lower(tbl_name) = ?", (TABLE,)
    ).fetchall()
    changed = [
        (sql, kind, name)
        for kind, name, is_now in found
        if (sql := before.get((kind, name))) is not None and sql != is_now
    ]
    connection.pragma("writable_schema", 1)
    try:
        connection.executemany("UPDATE main.sqlite_schema SET sql = ? WHERE type = ? AND name = ?", changed)
    finally:
        connection.execute("PRAGMA writable_schema = RESET")
