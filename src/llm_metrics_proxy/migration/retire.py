"""What an undo would need goes when its time is over, step by step: dropping a large table holds the lock for long."""

import json
from typing import Final

import apsw

from llm_metrics_proxy.migration.keys import NUMBERED, key_columns
from llm_metrics_proxy.migration.model import RunState
from llm_metrics_proxy.migration.runs import (
    DROPPING,
    KEPT_BESIDE,
    KEPT_FROM,
    all_runs,
    change_run,
    get_fact,
    has_table,
    last_copied,
    set_fact,
)

_OF_4: Final = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name GLOB 'migration_undo_[0-9]*_[0-9]*'"


def is_over(connection: apsw.Connection, *, finished_before: str) -> bool:
    """Whether ``drop_some`` has something to do. ``finished_before``: ISO 8601 in UTC, as runs have it."""
    return has_table(connection, "migration_runs") and _next(connection, finished_before) is not None


def drop_some(connection: apsw.Connection, rows: int, *, finished_before: str) -> bool:
    """Delete some rows of an old table whose run was done before that moment, or of what 4.x kept for its own undo.

    In the caller's transaction; whether nothing is left to delete. From the first row on, that run cannot be undone.
    Raises ``apsw.Error``.
    """
    if not has_table(connection, "migration_runs"):
        return True
    table = _next(connection, finished_before)
    if table is None:
        return True
    set_fact(connection, DROPPING, table)
    for run in all_runs(connection):
        if run.old_table == table:
            change_run(connection, run, old_table=None)
            connection.execute("DELETE FROM migration_before WHERE old_table = ?", (table,))
            connection.execute(f"DROP TABLE IF EXISTS {NUMBERED}")
    keys = ", ".join(key_columns(connection, table))
    connection.execute(f"DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} LIMIT ?)", (rows,))  # noqa: S608
    if connection.changes() < rows:
        connection.execute(f"DROP TABLE {table}")
        set_fact(connection, DROPPING, None)
        if table in json.loads(get_fact(connection, KEPT_BESIDE) or "[]"):
            set_fact(connection, KEPT_FROM, None)
    return False


def _next(connection: apsw.Connection, finished_before: str) -> str | None:
    dropping = get_fact(connection, DROPPING)
    if dropping is not None:
        return str(dropping)
    last = last_copied(connection)
    if last is None or last.state is not RunState.DONE or last.finished_at is None:
        return None
    # only the last run can be undone
    older = (run.old_table for run in all_runs(connection) if run.state is RunState.DONE)
    superseded = next((table for table in older if table not in (None, last.old_table)), None)
    if superseded is not None or last.finished_at >= finished_before:
        return superseded
    if last.old_table is not None:
        return last.old_table
    beside = [str(name) for name in json.loads(get_fact(connection, KEPT_BESIDE) or "[]")]
    beside += [str(name) for (name,) in connection.execute(_OF_4)]
    return next((name for name in beside if has_table(connection, name)), None)
