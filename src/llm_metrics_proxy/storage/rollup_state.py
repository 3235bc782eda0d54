"""The state of roll-ups, and how they begin anew when stored records change.

The rules, each kept by a transaction that holds both sides:

* Rolled up are exactly the records with ids up to ``cursor_id``. Whoever adds records to the roll-ups moves it in the
  same transaction; ids only grow.
* Whoever changes a stored record calls ``reset`` in the same transaction: nothing is rolled up then. ``epoch`` grows,
  so that what was calculated meanwhile from the records as they were is thrown away.
* The rows that are left from before a reset are deleted in small steps (``clearing``), and only then filled anew.
* Before records of a day are pruned, ``kept_before`` moves to its end: from then on the roll-ups of the days before are
  all there is of them. A reset leaves them, and skips those of their records that are still stored: the ids up to
  ``kept_through_id``, which were rolled up before it.
"""

import apsw

from llm_metrics_proxy.rollups.state import NOTHING, READ_STATE, RollupState


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
