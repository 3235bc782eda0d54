"""Old records are deleted, and their roll-ups stay: whole days in UTC, the oldest first, in small steps.

A record goes only after it was rolled up. Records whose time cannot be read stay. Deleted records leave free pages in
the file, which new records fill; the file itself does not shrink (``compact`` does that).
"""

from datetime import UTC, datetime
from typing import Any, Final

import apsw

from llm_metrics_proxy.rollups.columns import seconds_of
from llm_metrics_proxy.rollups.grains import DAY, NO_TIME
from llm_metrics_proxy.storage.carried import is_migrating
from llm_metrics_proxy.storage.expressions import MINUTE
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_REPRICINGS: Final = "DELETE FROM repricing_changes WHERE repricing_id IN (SELECT id FROM repricings) AND record_id = ?"
_TIMES: Final = "timestamp >= '0000-' AND timestamp < ?"


def oldest_day(connection: apsw.Connection) -> int | None:
    """The day (its first second) of the oldest record that can be pruned; ``None`` if there is none."""
    # each minute once: records of odd times, which stay, may come first
    rows = connection.execute(
        f"SELECT {MINUTE} AS minute FROM {TABLE} WHERE timestamp >= '0000-' AND timestamp < ':' "  # noqa: S608
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
    if not state.is_current or is_migrating(connection):
        return 0
    if state.cursor_id < state.kept_through_id:
        return 0  # a record of that day behind the cursor would count as one whose roll-ups were kept through a reset
    end = datetime.fromtimestamp(before, UTC).strftime("%Y-%m-%dT")
    rows: Any = connection.execute(
        f"SELECT arrival, {MINUTE} FROM {TABLE} WHERE {_TIMES} AND +arrival <= ? "  # noqa: S608 -- names are ours
        "ORDER BY timestamp LIMIT ?",
        (end, state.cursor_id, records),
    )
    ids = [(id_,) for id_, minute in rows if seconds_of(minute) != NO_TIME]
    if not ids:
        return 0
    if state.kept_before < before:
        write_state(connection, state._replace(kept_before=before))
    # What a repricing kept to give a record back has no record to give it to any more.
    connection.executemany(f"DELETE FROM {TABLE} WHERE arrival = ?", ids)  # noqa: S608
    connection.executemany(_REPRICINGS, ids)
    return len(ids)
