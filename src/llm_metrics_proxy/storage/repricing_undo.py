"""Undo a run of ``repricing``: every record gets its exact earlier cost back, unless it was priced again since.

The caller holds the lock of migrations, so that nothing else changes stored records.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.storage.connection import Access, connect, transaction
from llm_metrics_proxy.storage.repricing import BEFORE_ALL, BUSY_MS, COST_UPDATE, refuse_without_records
from llm_metrics_proxy.storage.sqlite_schema import store_error

TAKEN_BACK: Final = "taken_back"
_STATE: Final = "SELECT state FROM repricings WHERE id = ?"
_RESTORE: Final = f"{COST_UPDATE} AND cost_usd IS ?5 AND cost_source IS ?6 AND cache_savings_usd IS ?7"
_UNDO_BATCH: Final = 1000
_CHANGES: Final = (
    "SELECT record_id, old_cost_usd, old_cost_source, old_cache_savings_usd, "
    "new_cost_usd, new_cost_source, new_cache_savings_usd FROM repricing_changes "
    "WHERE repricing_id = ? AND record_id > ? ORDER BY record_id LIMIT ?"
)


class TakenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What an undo did. ``conflicts``: records whose cost is another one since; they stay as they are."""

    repricing_id: int
    restored: int = 0
    conflicts: int = 0
    finished: bool = True


def take_back(
    path: Path,
    repricing_id: int,
    *,
    stop: threading.Event | None = None,
    on_change: Callable[[apsw.Connection], None] = lambda _: None,
) -> TakenBack:
    """Give every record that the run changed its cost from before, to the bit, where it still has what the run wrote.

    Raises ``StoreError``; also if there was no such run.
    """
    refuse_without_records(path, apply_steps=True)
    try:
        with closing(connect(path, Access.WRITE, busy_ms=BUSY_MS)) as connection:
            state = next((state for (state,) in connection.execute(_STATE, (repricing_id,))), None)
            if state == TAKEN_BACK:
                raise StoreError(f"repricing {repricing_id} was taken back already")
            if state is None:
                known = [number for (number,) in connection.execute("SELECT id FROM repricings ORDER BY id")]
                raise StoreError(f"there was no repricing {repricing_id}; there were: {known or 'none'}")
            return _take_back(connection, repricing_id, stop or threading.Event(), on_change)
    except apsw.Error as error:
        raise store_error(path, "taking a repricing back", error) from error


def _take_back(
    connection: apsw.Connection,
    repricing_id: int,
    stop: threading.Event,
    on_change: Callable[[apsw.Connection], None],
) -> TakenBack:
    done, cursor = TakenBack(repricing_id=repricing_id), BEFORE_ALL
    while not stop.is_set():
        parameters = (repricing_id, cursor, _UNDO_BATCH)
        changes = list(connection.execute(_CHANGES, parameters))
        if not changes:
            connection.execute("UPDATE repricings SET state = ? WHERE id = ?", (TAKEN_BACK, repricing_id))
            return done
        cursor = changes[-1][0]
        with transaction(connection):
            on_change(connection)
            before = connection.total_changes()
            connection.executemany(_RESTORE, ((*old, number, *new) for number, old, new in map(_parted, changes)))
            restored = connection.total_changes() - before
        done = msgspec.structs.replace(
            done, restored=done.restored + restored, conflicts=done.conflicts + len(changes) - restored
        )
    return msgspec.structs.replace(done, finished=False)


def _parted(change: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """The record's number, and what it had before and after."""
    number, *values = change
    half = len(values) // 2
    return number, tuple(values[:half]), tuple(values[half:])
