"""The notices of migrations: what keeps one from happening, and the mark that a person has read the others."""

from contextlib import closing
from pathlib import Path
from typing import Final

import apsw

from llm_metrics_proxy.migration.legacy import FileKind, inspect
from llm_metrics_proxy.migration.model import UNFINISHED, Run
from llm_metrics_proxy.migration.overview import MigrationStatus, refuse
from llm_metrics_proxy.migration.runs import change_run, copied_runs, now
from llm_metrics_proxy.storage.connection import Access, connect, transaction
from llm_metrics_proxy.storage.sqlite_schema import store_error

_WAIT_MS: Final = 5000  # a batch of a migration that runs holds the lock for far less


def why_nothing_happens(status: MigrationStatus) -> str | None:
    """Why records are older though no run is under way or was taken back, which have notices of their own."""
    if status.lock_holder is not None or status.unfinished is not None or status.held or status.failed_before:
        return None
    if status.has_work:
        return "The database is of an older version: its records are carried over at the next start, or now."
    return None


def dismiss_notices(path: Path) -> int:
    """Mark the notices of all ended runs as read; how many were not before. Raises ``StoreError``.

    Those of 4.x have none, and their table is left as it is.
    """
    inspection = inspect(path)
    refuse(inspection)
    if inspection.found is FileKind.NOTHING:
        return 0
    try:
        with closing(connect(path, Access.WRITE, busy_ms=_WAIT_MS)) as connection:
            if not _unread(connection):
                return 0
            with transaction(connection):
                unread = _unread(connection)
                for run in unread:
                    change_run(connection, run, dismissed_at=now())
            return len(unread)
    except apsw.Error as error:
        raise store_error(path, "marking notices as read", error) from error


def _unread(connection: apsw.Connection) -> list[Run]:
    runs = copied_runs(connection)
    return [run for run in runs if run.state not in UNFINISHED and run.dismissed_at is None]
