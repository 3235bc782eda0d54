"""States of alerts and their pending deliveries, in the database: changed together or not at all.

The ingester writes to the same database; transactions here are a few rows, so neither holds up the other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.storage.base import AlertDelivery, SqlValue, StoredAlert
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect, transaction
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, store_error

MOST_WAITING: Final = 1000  # deliveries; the oldest give way
_TABLE_THERE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'alert_states'"


class AlertStore:
    """For one thread at a time. Methods raise until the store has made the file's tables."""

    def __init__(self, path: Path | str) -> None:
        """Opens nothing yet."""
        self.path = Path(path)
        self._connection: apsw.Connection | None = None

    def states(self) -> dict[str, StoredAlert]:
        """Every alert's state by its name."""
        rows = self._run("SELECT name, phase, since, well_since FROM alert_states")
        return {name: StoredAlert(*rest) for name, *rest in rows}

    def keep(
        self, states: Mapping[str, StoredAlert], events: Mapping[str, tuple[str, str]], now: float, forget: set[str]
    ) -> None:
        """One transaction: states by name, new deliveries as (name, body) by event id, and names to forget."""
        connection = self._opened()
        try:
            with transaction(connection):
                connection.executemany(
                    "INSERT OR REPLACE INTO alert_states (name, phase, since, well_since, updated_at) "
                    "VALUES (?, ?, ?, ?, ?)",
                    ((name, *state, now) for name, state in states.items()),
                )
                connection.executemany("DELETE FROM alert_states WHERE name = ?", ((name,) for name in forget))
                connection.executemany(
                    "INSERT OR IGNORE INTO alert_deliveries (event_id, name, body, created_at, attempts) "
                    "VALUES (?, ?, ?, ?, 0)",
                    ((event_id, name, body, now) for event_id, (name, body) in events.items()),
                )
                connection.execute(
                    "DELETE FROM alert_deliveries WHERE id <= (SELECT max(id) FROM alert_deliveries) - ?",
                    (MOST_WAITING,),
                )
        except apsw.Error as error:
            raise self._trouble(error) from error

    def deliveries(self) -> list[AlertDelivery]:
        """Pending deliveries, the oldest first."""
        rows = self._run(
            "SELECT id, event_id, name, body, created_at, attempts, last_error FROM alert_deliveries ORDER BY id"
        )
        return [AlertDelivery(*row) for row in rows]

    def failed(self, delivery: AlertDelivery, error: str) -> None:
        """One more attempt failed."""
        self._run(
            "UPDATE alert_deliveries SET attempts = attempts + 1, last_error = ? WHERE id = ?", (error, delivery.id)
        )

    def done(self, delivery: AlertDelivery) -> None:
        """It was delivered, or is not wanted any more."""
        self._run("DELETE FROM alert_deliveries WHERE id = ?", (delivery.id,))

    def close(self) -> None:
        """Release the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, sql: str, parameters: tuple[SqlValue, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return list(self._opened().execute(sql, parameters))
        except apsw.Error as error:
            raise self._trouble(error) from error

    def _opened(self) -> apsw.Connection:
        if self._connection is None:
            connection = connect(self.path, Access.WRITE, busy_ms=BUSY_TIMEOUT_MS)
            if not list(connection.execute(_TABLE_THERE)):
                connection.close()
                applied_steps(self.path)  # which says that it is of an older version, where it is
                raise StoreError(f"The database {self.path} has no tables for alerts yet.")
            self._connection = connection
        return self._connection

    def _trouble(self, error: apsw.Error) -> StoreError:
        """The file may have been replaced: open it again next time."""
        self.close()
        return store_error(self.path, "keeping the state of alerts", error)
