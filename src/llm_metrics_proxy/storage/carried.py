"""How much of the history from before the table was made has been carried over into it: the row of ``carried``."""

from typing import Final, NamedTuple

import apsw

_RUNS: Final = (
    "SELECT 1 FROM main.migration_runs WHERE state IN ('migrating', 'verifying', 'taking_back', 'undoing') LIMIT 1"
)
# For readers: the same, and why the last run left it so, if it was taken back by the engine.
READ: Final = (
    "SELECT records, of_records, complete_from, (SELECT CASE state WHEN 'rolled_back' THEN "
    "coalesce(error, 'no reason was noted') END FROM migration_runs ORDER BY id DESC LIMIT 1) FROM carried"
)


class CarriedCounts(NamedTuple):
    """``complete_from``: no record that is missing has a time at or after it, as timestamps are stored; ``None``: that
    is not known."""

    records: int
    of_records: int
    complete_from: str | None


def is_migrating(connection: apsw.Connection) -> bool:
    """Whether a run is unfinished: records may come with lower numbers than there are, or go. Raises ``apsw.Error``."""
    return bool(list(connection.execute(_RUNS)))


def has_old_table(connection: apsw.Connection) -> bool:
    """Whether a table from before a migration is still there. Raises ``apsw.Error``."""
    return bool(list(connection.execute("SELECT 1 FROM main.migration_runs WHERE old_table IS NOT NULL LIMIT 1")))


def last_undone(connection: apsw.Connection) -> int | None:
    """The last run that copied records, if a person took it back. Raises ``apsw.Error``."""
    last = "SELECT id, state FROM main.migration_runs ORDER BY id DESC LIMIT 1"
    return next((int(number) for number, state in connection.execute(last) if state == "undone"), None)


def read_carried(connection: apsw.Connection) -> CarriedCounts | None:
    """``None``: all history is there. Raises ``apsw.Error``."""
    row = connection.execute("SELECT records, of_records, complete_from FROM main.carried").fetchone()
    return None if row is None else CarriedCounts(*row)


def write_carried(connection: apsw.Connection, carried: CarriedCounts | None) -> None:
    """In the caller's transaction. Raises ``apsw.Error``."""
    if carried is None:
        connection.execute("DELETE FROM main.carried")
        return
    connection.execute(
        "INSERT OR REPLACE INTO main.carried (one, records, of_records, complete_from) VALUES (1, ?, ?, ?)", carried
    )
