"""Put every record back as it was: value, storage class, stamp and reason, from the undo entries.

The last migration of a run goes first. A record whose values are no longer what the migration wrote was changed by
somebody else; it is left alone and named, and its undo entry is kept.
"""

import json
from collections.abc import Callable
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.batches import Interrupted, Pace, ProgressReporter, ranges
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Report, Run, RunState, WorkPhase
from llm_metrics_proxy.migration.runs import CLEAN_FOR, CLEAN_THROUGH, DISTRUSTED, change_run, get_fact, now, set_fact
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.storage import rollup_state

HELD: Final = "held"  # a person took records back: the automatic migration leaves them alone
_UNDO_TO: Final = "undo_to"
_UNDO_ENDS: Final = "undo_ends"
_CONFLICTS: Final = 100
_ALL: Final = ""
_DELETED_AT_ONCE: Final = 20_000

Pause = Callable[[], None]


def begin_undo(
    connection: apsw.Connection, run: Run, *, to_version: str | None, ends: RunState, error: str | None
) -> Run:
    """Turn a run round for good: an interrupted program goes on undoing. Within the caller's transaction."""
    set_fact(connection, _UNDO_TO, to_version or _ALL)
    set_fact(connection, _UNDO_ENDS, ends.value)
    if ends is RunState.UNDONE:
        set_fact(connection, HELD, run.to_version)
    if run.distrusts_stamps and (to_version is None or all(is_older(to_version, each) for each in run.checksums)):
        set_fact(connection, DISTRUSTED, json.dumps(run.added_columns))
    set_fact(connection, CLEAN_THROUGH, None)
    set_fact(connection, CLEAN_FOR, None)
    return change_run(connection, run, state=RunState.UNDOING, error=error, finished_at=None)


def go_on_undoing(
    connection: apsw.Connection,
    run: Run,
    sql: RunSql,
    fence: Fence,
    pace: Pace,
    *,
    report: Report,
    interrupted: Interrupted,
    pause: Pause,
    by_stamp: bool = False,
) -> tuple[Run, tuple[int, ...]] | None:
    """Undo the rest of the run; the run as it ended, and ids of conflicts. ``None``: interrupted, goes on later.

    Raises ``apsw.Error`` or ``MigrationFailedError``; what was committed is whole.
    """
    to_version = str(get_fact(connection, _UNDO_TO) or _ALL)
    taken_back = [k for k, m in enumerate(sql.migrations) if not to_version or is_older(to_version, m.version)]
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS undo_conflicts (id INTEGER PRIMARY KEY)")
    total = sum(_count(connection, sql.undo_table(k)) for k in taken_back)
    reporter, done = ProgressReporter(report, WorkPhase.UNDOING, total), 0
    for k in reversed(taken_back):
        for after, through, _records in _paced(connection, sql, k, run.bound_id, pace):
            if interrupted():
                return None
            with fence.transaction(pace):
                connection.execute(
                    f"INSERT OR IGNORE INTO temp.undo_conflicts {sql.conflicts(k, by_stamp=by_stamp)}", (after, through)
                )
                connection.execute(sql.restore(k), (after, through))
                if connection.changes():
                    rollup_state.reset(connection)
                connection.execute(sql.forget(k), (after, through))
                done += connection.changes()
            reporter.advance(done)
            pause()
    return _finish(connection, run, sql, fence, pace, taken_back=taken_back)


def _paced(connection: apsw.Connection, sql: RunSql, k: int, bound: int, pace: Pace) -> Any:
    return ranges(connection, bound, lambda: pace.records, sql.undo_table(k))


def _finish(
    connection: apsw.Connection, run: Run, sql: RunSql, fence: Fence, pace: Pace, *, taken_back: list[int]
) -> tuple[Run, tuple[int, ...]]:
    conflicts: set[int] = set()
    with fence.transaction():
        for k in taken_back:
            left = connection.execute(f"SELECT id FROM {sql.undo_table(k)} ORDER BY id LIMIT {_CONFLICTS}")  # noqa: S608
            ids = {row[0] for row in left}
            if not ids:
                connection.execute(f"DROP TABLE {sql.undo_table(k)}")
            conflicts |= ids
        ends = RunState(str(get_fact(connection, _UNDO_ENDS)))
        rest = [m.version for k, m in enumerate(sql.migrations) if k not in taken_back]
        changes: dict[str, Any] = {"state": ends, "finished_at": now(), "busy_ms": run.busy_ms + pace.busy_ms}
        changes["largest_lock_ms"] = max(run.largest_lock_ms, pace.largest_ms)
        if rest:  # a part of the run stands, and can be undone itself later
            gone = ", ".join(sql.migrations[k].version for k in taken_back)
            changes |= {"state": RunState.DONE, "to_version": rest[-1], "error": f"taken back: {gone}"}
            changes["checksums"] = {version: run.checksums[version] for version in rest}
            kept = sum(_count(connection, sql.undo_table(k)) for k in range(len(rest)))
            changes["records_changed"] = kept
        run = change_run(connection, run, **changes)
    return run, tuple(sorted(conflicts)[:_CONFLICTS])


def _count(connection: apsw.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608


def drop_other_entries(connection: apsw.Connection, fence: Fence, run: Run, between: Pause) -> None:
    """Only the last run can be undone. Emptied in small steps: dropping a large table holds the lock for long."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'migration_undo_*'").fetchall()
    for table in (str(name) for (name,) in tables if not str(name).startswith(f"migration_undo_{run.id}_")):
        for after, through, _records in list(ranges(connection, 2**63 - 1, lambda: _DELETED_AT_ONCE, table)):
            with fence.transaction():
                connection.execute(f"DELETE FROM {table} WHERE id > ? AND id <= ?", (after, through))  # noqa: S608
            between()
        with fence.transaction():
            connection.execute(f"DROP TABLE {table}")
