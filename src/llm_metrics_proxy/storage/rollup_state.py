"""The state of roll-ups, and how they are rebuilt when stored records change.

The rules, each kept by a transaction that holds both sides:

* Rolled up are exactly the records with ids up to ``cursor_id``. Adding records to the roll-ups moves it in the
  same transaction; ids only grow.
* Every change of a stored record calls ``reset`` in the same transaction: nothing is rolled up then. ``epoch`` grows,
  so that what was calculated meanwhile from the records as they were is discarded.
* The rows that are left from before a reset are deleted in small steps (``clearing``), and only then filled again.
* Before records of a day are pruned, ``kept_before`` moves to its end: from then on the roll-ups of the days before are
  all there is of them. A reset leaves them, and skips those of their records that are still stored: the ids up to
  ``kept_through_id``, which were rolled up before it.
"""

from typing import Final

import apsw

from llm_metrics_proxy.rollups.grains import NO_TIME
from llm_metrics_proxy.rollups.state import FINGERPRINT, NOTHING, READ_STATE, RollupState
from llm_metrics_proxy.storage.carried import is_migrating
from llm_metrics_proxy.storage.sqlite_schema import TABLE

FOLD_MOST: Final = 60_000  # records behind the cursor; above, the builder rolls up, in small steps
_TABLES: Final = ("rollups", "rollup_sketches")
_LAST_BUCKET: Final = 2**63 - 1


def read_state(connection: apsw.Connection) -> RollupState:
    """The state; that of a fresh file where none was written yet. Raises ``apsw.Error``."""
    return RollupState.of(list(connection.execute(READ_STATE)))


def write_state(connection: apsw.Connection, state: RollupState) -> None:
    """Replace it, in the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO rollup_state (one, tables, cursor_id, epoch, clearing, kept_before, kept_through_id) "
        "VALUES (1, ?, ?, ?, ?, ?, ?)",
        state,
    )


def records_behind(connection: apsw.Connection, cursor_id: int, most: int) -> int:
    """How many records came after the one up to which all are rolled up, counted as far as ``most``."""
    counted = f"SELECT count(*) FROM (SELECT 1 FROM {TABLE} WHERE arrival > ? LIMIT ?)"  # noqa: S608 -- names are ours
    return int(connection.execute(counted, (cursor_id, most)).get)


def may_fold(connection: apsw.Connection, state: RollupState) -> bool:
    """Whether rolling up makes sense: not while a migration carries records over, with numbers behind the cursor."""
    return state.is_current and not is_migrating(connection)


def reset(connection: apsw.Connection, *, tables: str | None = None) -> None:
    """Stored records change in the caller's transaction, so roll-ups of them are void.

    Writes one small row, whatever the roll-ups' size; nothing in a file that has no such table yet. ``tables``: the
    new fingerprint, if it changes.
    """
    if not list(connection.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'rollup_state'")):
        return
    state = read_state(connection)
    write_state(
        connection,
        state._replace(
            tables=state.tables if tables is None else tables,
            cursor_id=NOTHING,
            epoch=state.epoch + 1,
            clearing=state.clearing or state.cursor_id > NOTHING,
            kept_through_id=max(state.kept_through_id, state.cursor_id),
        ),
    )


def begin_anew(connection: apsw.Connection) -> None:
    """In the caller's transaction: other tables than this program's made the roll-ups."""
    reset(connection, tables=FINGERPRINT)


def clear_some(connection: apsw.Connection, rows: int) -> bool:
    """Delete some rows from before a reset, in the caller's transaction; whether none is left."""
    state = read_state(connection)
    if not state.clearing:
        return True
    for table in _TABLES:
        for grain, level in list(connection.execute(_grains_and_levels(table))):
            for first, last in ((NO_TIME, NO_TIME), (state.kept_before, _LAST_BUCKET)):
                connection.execute(
                    f"DELETE FROM {table} WHERE grain = ? AND level = ? AND (bucket, key) IN (SELECT bucket, key "  # noqa: S608
                    f"FROM {table} WHERE grain = ? AND level = ? AND bucket BETWEEN ? AND ? LIMIT ?)",
                    (grain, level, grain, level, first, last, rows),
                )
                rows -= connection.changes()
                if not rows:
                    return False
    connection.execute("DELETE FROM rollup_days WHERE day >= ?", (state.kept_before,))
    write_state(connection, state._replace(clearing=False))
    return True


def _grains_and_levels(table: str) -> str:
    """Those that have rows: a step in the index for each, however many rows of pruned days there are."""
    return (
        f"WITH RECURSIVE g (grain) AS (SELECT min(grain) FROM {table} UNION ALL "  # noqa: S608
        f"SELECT (SELECT min(grain) FROM {table} WHERE grain > g.grain) FROM g WHERE g.grain NOT NULL), "
        f"l (grain, level) AS (SELECT grain, (SELECT min(level) FROM {table} AS t WHERE t.grain = g.grain) FROM g "
        "WHERE grain NOT NULL UNION ALL "
        f"SELECT l.grain, (SELECT min(level) FROM {table} AS t WHERE t.grain = l.grain AND t.level > l.level) FROM l "
        "WHERE l.level NOT NULL) SELECT grain, level FROM l WHERE level NOT NULL"
    )
