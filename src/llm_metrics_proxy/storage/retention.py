"""Old records are deleted, and their roll-ups stay: whole days in UTC, the oldest first, in small steps.

A record goes only after it was rolled up, and never the one with the greatest id: SQLite would give that id again, and
a record behind it would count as rolled up. Records whose time cannot be read stay too. Deleted records leave free
pages in the file, which new records fill; the file itself does not shrink (``compact`` does that).
"""

from datetime import UTC, datetime
from typing import Any, Final

import apsw

from llm_metrics_proxy.rollups.columns import seconds_of
from llm_metrics_proxy.rollups.grains import DAY, NO_TIME
from llm_metrics_proxy.rollups.values import MINUTE_SQL
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.rollup_store import MIGRATION_RUNS
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_UNDO_TABLES: Final = "migration_undo_*"
_REPRICINGS: Final = "DELETE FROM repricing_changes WHERE repricing_id IN (SELECT id FROM repricings) AND record_id = ?"
_BEFORE_ALL: Final = -(2**63)
_TIMES: Final = "timestamp >= '0000-' AND timestamp < ?"


def oldest_day(connection: apsw.Connection) -> int | None:
    """The day (its first second) of the oldest record that can be pruned; ``None`` if there is none."""
    # each minute once: records of odd times, which stay, may come first
    rows = connection.execute(
        f"SELECT {MINUTE_SQL} AS minute FROM {TABLE} WHERE timestamp >= '0000-' AND timestamp < ':' "  # noqa: S608
        "ORDER BY timestamp LIMIT 1000"
    )
    for (minute,) in rows:
        seconds = seconds_of(minute)
        if seconds != NO_TIME:
            return seconds - seconds % DAY.seconds
    return None


def prune_some(connection: apsw.Connection, before: int, records: int) -> int:
    """Delete some records that began before the day ``before`` (seconds), in the caller's transaction; how many.

    0 also while records are not rolled up, or a migration is under way that wants to prove what they were.
    """
    assert before % DAY.seconds == 0
    state = read_state(connection)
    if not state.is_current or list(connection.execute(MIGRATION_RUNS)):
        return 0
    if state.cursor_id < state.kept_through_id:
        return 0  # a record of that day behind the cursor would count as one whose roll-ups were kept through a reset
    end = datetime.fromtimestamp(before, UTC).strftime("%Y-%m-%dT")
    rows: Any = connection.execute(
        f"SELECT id, {MINUTE_SQL} FROM {TABLE} WHERE {_TIMES} AND +id <= ? "  # noqa: S608 -- names are ours
        f"AND id != (SELECT max(id) FROM {TABLE}) ORDER BY timestamp LIMIT ?",
        (end, state.cursor_id, records),
    )
    ids = [(id_,) for id_, minute in rows if seconds_of(minute) != NO_TIME]
    if not ids:
        return 0
    if state.kept_before < before:
        write_state(connection, state._replace(kept_before=before))
    # What a migration or a repricing kept to give a record back has no record to give it to any more.
    for table in (TABLE, *undo_tables(connection)):
        connection.executemany(f"DELETE FROM main.{table} WHERE id = ?", ids)  # noqa: S608
    connection.executemany(_REPRICINGS, ids)
    return len(ids)


def undo_tables(connection: apsw.Connection) -> list[str]:
    """Tables of undo entries, which have the ids of their records."""
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?", (_UNDO_TABLES,))
    return [str(name) for (name,) in found]


def forget_some(connection: apsw.Connection, records: int, after: dict[str, int]) -> int:
    """Delete undo entries of no further use, in the caller's transaction; how many rows were read or deleted.

    Those are entries of records that are gone, and all of runs before the last one, once that is done. ``after``
    remembers how far each table was looked through. 0: nothing is left, or a migration is under way.
    """
    if list(connection.execute(MIGRATION_RUNS)):
        return 0
    last = list(connection.execute("SELECT id, state FROM migrations ORDER BY id DESC LIMIT 1"))
    for table in undo_tables(connection):
        of_an_older_run = bool(last) and last[0][1] == "done" and not table.startswith(f"migration_undo_{last[0][0]}_")
        rows: Any = connection.execute(
            f"SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608
            (after.get(table, _BEFORE_ALL), records),
        )
        ids = [id_ for (id_,) in rows]
        if ids:
            orphaned = f" AND NOT EXISTS (SELECT 1 FROM main.{TABLE} AS r WHERE r.id = {table}.id)"  # noqa: S608
            gone = "" if of_an_older_run else orphaned
            connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?{gone}", (ids[0], ids[-1]))  # noqa: S608
            after[table] = ids[-1]
            return len(ids)
        if of_an_older_run:
            connection.execute(f"DROP TABLE {table}")
            return 1
    return 0
