"""Backups of the records by the server's own BACKUP, each proved by restoring it into a scratch table.

The proof is a count and a digest of every column of every record, calculated by the server: of the scratch table, and
of the records themselves up to the numbers that the scratch table has. Records of a host come in the order of their
numbers, so what came meanwhile lies beyond.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from llm_metrics_proxy.engines.clickhouse.claim import literal
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.prepare import check
from llm_metrics_proxy.engines.clickhouse.records import ClickHouseRecords, refuse_unfinished
from llm_metrics_proxy.engines.clickhouse.table import LAYOUT, TABLE
from llm_metrics_proxy.engines.report import RecordsBackup
from llm_metrics_proxy.errors import BackupError, StoreError

TIMEOUT_S: Final = 3600.0  # of one statement: a digest reads everything
_SCRATCH: Final = "backup_check_"
_POLL_S: Final = 0.2
_DIGEST: Final = "count(), toString(sum(cityHash64(toString(tuple(*)))))"
_STATUS: Final = "SELECT toString(status), error FROM system.backups WHERE id = {id:String}"
_STALE: Final = (
    f"SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '{_SCRATCH}') "  # noqa: S608
    "AND metadata_modification_time < now() - INTERVAL 1 DAY"
)
_WHAT_TO_DO: Final = (
    ("allowed_path", "The server's configuration names the folders that are allowed: backups.allowed_path."),
    ("allowed_disk", "The server's configuration names the disks that are allowed: backups.allowed_disk."),
    ("ACCESS_DENIED", "The user needs BACKUP, CREATE TABLE, DROP TABLE and SELECT on system.backups."),
    ("UNKNOWN_DISK", "The server's configuration has no such disk."),
    ("BACKUP_ALREADY_EXISTS", "Something with that name is there already; it was left untouched."),
    ("BACKUP_NOT_FOUND", "It was removed from there, or the server reads another folder now."),
)


def destination(place: str, name: str) -> str:
    """SQL of where a backup goes. ``place``: ``disk:NAME`` or ``file:FOLDER``, as the server knows them."""
    kind, _, where = place.partition(":")
    if kind == "disk":
        return f"Disk({literal(where)}, {literal(name)})"
    path = f"{where.rstrip('/')}/{name}" if where else name
    return f"File({literal(path)})"


class ClickHouseBackups:
    """For one thread. Methods raise ``BackupError`` with what to do, or ``StoreError`` if the server is away."""

    def __init__(self, connection: Connection, stop: threading.Event) -> None:
        """``connection`` stays its owner's; ``stop`` ends the waiting, and what is made is removed."""
        self._connection, self._stop = connection, stop
        if connection.cluster is not None:
            raise BackupError(
                "Backups of a cluster are made with its own means: BACKUP … ON CLUSTER, to a disk that all servers see."
            )
        check(connection)
        refuse_unfinished(connection)

    def create(self, place: str, name: str) -> RecordsBackup:
        """Make one, and prove it."""
        for (stale,) in self._connection.query(_STALE):
            self._drop(str(stale))
        target = destination(place, name)
        self._run(f"BACKUP TABLE {TABLE} TO {target}")
        with self._restored(target) as scratch:
            records, digest = self._digest(scratch)
            newest = self._connection.query(f"SELECT host, max(arrival) FROM {scratch} GROUP BY host")  # noqa: S608
            bound = " OR ".join(f"(host = {literal(host)} AND arrival <= {last})" for host, last in newest) or "0"
            where = f" WHERE ({bound})"
            kept_from = ClickHouseRecords(self._connection).kept_from()
            if kept_from is not None:  # what is older, the server deletes at any moment
                where += f" AND timestamp >= toDateTime64('{kept_from:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"
            if self._digest(scratch, where) != self._digest(TABLE, where):
                raise BackupError(
                    f"The backup {target} does not hold what the records are: it must not be relied on. If records "
                    "were repriced or migrated meanwhile, make another one; else please report this."
                )
        return RecordsBackup(place, name, records, digest, LAYOUT, str(self._connection.address))

    def verify(self, made: RecordsBackup) -> None:
        """It still holds what it held."""
        with self._restored(destination(made.place, made.name)) as scratch:
            found = self._digest(scratch)
        if found != (made.records, made.digest):
            raise BackupError(
                f"The records of the backup {made.name} are others: {found[0]:,} with digest {found[1]}, and were "
                f"{made.records:,} with {made.digest}."
            )

    def restore(self, made: RecordsBackup) -> str | None:
        """Put it in the place of the records, in one step; the name of the table that has what was there before."""
        if made.layout > LAYOUT:
            raise BackupError(f"The records of {made.name} were written by a newer program, which has to restore them.")
        before = f"{TABLE}_before_restore_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        with self._restored(destination(made.place, made.name)) as scratch:
            if self._digest(scratch) != (made.records, made.digest):
                raise BackupError(f"The records of the backup {made.name} are not what they were. Nothing was changed.")
            there = self._connection.query(f"EXISTS {TABLE}")[0][0]
            if not there:
                self._connection.command(f"RENAME TABLE {scratch} TO {TABLE}")
                return None
            self._connection.command(f"EXCHANGE TABLES {scratch} AND {TABLE}")
            self._connection.command(f"RENAME TABLE {scratch} TO {before}")
        return before

    @contextmanager
    def _restored(self, target: str) -> Iterator[str]:
        """The backup as a table, from which the server deletes nothing by its age."""
        scratch = f"{_SCRATCH}{secrets.token_hex(8)}"
        restore = f"RESTORE TABLE {TABLE} AS {scratch} FROM {target}"
        try:
            self._run(restore, "structure_only = 1")
            with suppress(StoreError):  # it has none
                self._connection.command(f"ALTER TABLE {scratch} REMOVE TTL")
            self._run(restore, "allow_different_table_def = 1")
            yield scratch
        finally:
            with suppress(StoreError):
                self._drop(scratch)

    def _digest(self, table: str, where: str = "") -> tuple[int, str]:
        ((records, digest),) = self._connection.query(f"SELECT {_DIGEST} FROM {table}{where}")  # noqa: S608
        return int(records), str(digest)

    def _run(self, sql: str, setting: str = "") -> None:
        """In the background of the server, which may take hours."""
        settings = f"SETTINGS {setting}, async = 1" if setting else "SETTINGS async = 1"
        try:
            ((number, _),) = self._connection.query(f"{sql} {settings}")
            while True:
                ((status, error),) = self._connection.query(_STATUS, {"id": str(number)})
                if status in ("BACKUP_CREATED", "RESTORED"):
                    return
                if status not in ("CREATING_BACKUP", "RESTORING"):
                    raise self._failed(str(error))
                if self._stop.is_set():
                    raise BackupError("Stopped; what the server had written of the backup may still be there.")
                time.sleep(_POLL_S)
        except StoreError as error:
            raise self._failed(str(error)) from error

    def _failed(self, why: str) -> BackupError:
        advice = next((words for sign, words in _WHAT_TO_DO if sign in why), "")
        reason = (why.partition("DB::Exception: ")[2] or why).partition(", Stack trace")[0]
        return BackupError(
            f"The server at {self._connection.address} refused: {reason[:400].strip()} {advice}".rstrip()
        )

    def _drop(self, table: str) -> None:
        self._connection.command(f"DROP TABLE IF EXISTS {table} SYNC")
