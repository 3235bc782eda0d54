"""Migrations of the records on a server: look, run, undo, verify, forget. As ``migration.engine`` for SQLite."""
# ruff: noqa: S608 -- names are ours

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.engines.clickhouse import shadow_state
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.formulas import steps_for
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.prepare import prepare
from llm_metrics_proxy.engines.clickhouse.shadow import Shadow, ShadowCall
from llm_metrics_proxy.engines.clickhouse.table import HOSTS, TABLE
from llm_metrics_proxy.errors import MigrationRefusedError, NewerDatabaseError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.chain import known_checksums, refuse_unknown
from llm_metrics_proxy.migration.model import (
    UNFINISHED,
    Ended,
    Migration,
    MigrationResult,
    Run,
    RunState,
)
from llm_metrics_proxy.migration.overview import MigrationStatus
from llm_metrics_proxy.migration.runs import now
from llm_metrics_proxy.migration.versions import Census, is_older
from llm_metrics_proxy.storage.disk_space import size

NOTHING: Final = "every record follows the newest formulas"
_ROOM: Final = 1.2  # times the records that are calculated anew, on the server's disk
_LATELY: Final = timedelta(hours=1)


def status(
    connection: Connection, migrations: Sequence[Migration], *, app_version: str = APP_VERSION
) -> MigrationStatus:
    """What the records are and need. Changes nothing. Raises ``StoreError``."""
    noted = shadow_state.read(connection)
    census = census_of(connection)
    last, work = noted.last or (None, None)
    known = {migration.version: migration.checksum for migration in migrations}
    applied = {v: c for run in noted.runs if run.state is RunState.DONE for v, c in run.checksums.items()}
    pending = {m.version: sum(n for stamp, n in census.counts if is_older(stamp, m.version)) for m in migrations}
    ends = None
    if last is not None and work is not None and work.parts is not None and last.state in _INCOMPLETE:
        left = work.parts[work.done :]
        ends = None if not left else stored_after(left[0].newest)
    return MigrationStatus(
        found="ours",
        message="Records of this program, on a ClickHouse server.",
        records_by_version=census.by_name(),
        counted_above=0,
        newer=census.newer_than(app_version),
        unreadable=[str(stamp) for stamp in census.unreadable()],
        pending={version: count for version, count in pending.items() if count},
        is_older_layout=False,
        unfinished=last if last is not None and last.state in UNFINISHED else None,
        last=last,
        complete_from=ends,
        held=last is not None and last.state is RunState.UNDONE,
        failed_before=last is not None
        and last.state is RunState.ROLLED_BACK
        and last.app_version == app_version
        and all(known.get(version) == checksum for version, checksum in last.checksums.items()),
        edited=[version for version, checksum in applied.items() if version in known and known[version] != checksum],
        lock_holder=None,
    )


_INCOMPLETE: Final = frozenset({RunState.MIGRATING, RunState.VERIFYING, RunState.TAKING_BACK, RunState.ROLLED_BACK})


def stored_after(unix_us: int) -> str:
    """The next moment, as timestamps are stored."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=unix_us + 1)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def census_of(connection: Connection) -> Census:
    """Records by stamp, of the table that answers."""
    there = connection.value(f"EXISTS TABLE {TABLE}")
    rows = connection.query(f"SELECT app_version, count() FROM {TABLE} GROUP BY app_version") if there else []
    return Census(tuple((str(stamp), int(count)) for stamp, count in rows))


def migrate(call: ShadowCall, lease: Lease) -> MigrationResult:
    """Bring every record to the formulas of this program, or continue an interrupted run.

    The lease is waited for. Raises ``NewerDatabaseError`` and ``MigrationRefusedError`` before anything is changed,
    ``LeaseLostError`` and ``StoreError``: what was done by then is whole, and the next call goes on.
    """
    with _holding(call, lease) as (connection, shadow):
        noted = shadow.notes.all
        found = status(connection, call.migrations, app_version=call.app_version)
        if found.newer:
            raise NewerDatabaseError(
                f"{call.access.address} has records of version {', '.join(found.newer[:5])}; this is "
                f"{call.app_version}, which cannot know what their numbers mean. Start that version or a newer one. "
                "Nothing was changed."
            )
        if found.unfinished is not None:
            refuse_unknown(found.unfinished, call.migrations, call.app_version)
            result = shadow.begin_anew() if _is_anothers(found.unfinished, call) else shadow.go_on()
            if result.ended is not Ended.DONE and (result.ended is not Ended.ROLLED_BACK or result.faults):
                return result
            found = status(connection, call.migrations, app_version=call.app_version)
            if not found.has_work:
                return result
        if not found.has_work:
            return MigrationResult(Ended.NOTHING_TO_DO, found.last, message=NOTHING)
        if call.automatic and (found.held or found.failed_before):
            return MigrationResult(Ended.HELD, found.last, message=_why_held(found))
        if found.lacks_history and noted.last is not None:
            shadow.begin_again()  # history is in the table beside still
        else:
            if call.automatic:
                _refuse_while_others_are_older(connection, call)
            _refuse_without_room(connection, call, census_of(connection))
            shadow.begin(census_of(connection))
        return shadow.go_on()


def undo(call: ShadowCall, lease: Lease) -> MigrationResult:
    """Take the last run back, all of it. Raises as ``migrate``."""
    with _holding(call, lease) as (_connection, shadow):
        last = shadow.notes.all.last
        if last is None or last[0].state is RunState.UNDONE:
            raise MigrationRefusedError(
                f"{call.access.address} has no migration that could be taken back; nothing was changed."
            )
        run, _work = last
        if run.state is RunState.DONE and run.old_table is None:
            raise MigrationRefusedError(
                f"Run {run.id} cannot be taken back: the table from before was deleted. Nothing was changed."
            )
        if run.state is not RunState.UNDOING:
            shadow.begin_undo()
        return shadow.go_on()


def forget(call: ShadowCall, lease: Lease, *, finished_before: str) -> bool:
    """Drop the tables beside that runs left which were over before that moment (ISO 8601 in UTC); if there were any."""
    with _holding(call, lease) as (_connection, shadow):
        return shadow.forget(finished_before)


def dismiss(call: ShadowCall, lease: Lease) -> int:
    """Mark the notices of all ended runs as read; how many were not before. The lease is needed: it is a note."""
    with _holding(call, lease) as (_connection, shadow):
        unread = [run for run in shadow.notes.all.runs if run.state not in UNFINISHED and run.dismissed_at is None]
        for run in unread:
            shadow.notes.replace(run, msgspec.structs.replace(run, dismissed_at=now()))
        return len(unread)


def history(connection: Connection) -> list[Run]:
    """Every run, the oldest first. Raises ``StoreError``."""
    return list(shadow_state.read(connection).runs)


@contextmanager
def _holding(call: ShadowCall, lease: Lease) -> Iterator[tuple[Connection, Shadow]]:
    if call.access.cluster is not None:
        raise MigrationRefusedError(
            "Records on a cluster (store_cluster) are not migrated by this program yet. Nothing was changed."
        )
    lease.hold()
    with closing(Connection(call.access)) as connection, closing(Shadow(call, lease)) as shadow:
        prepare(connection)
        yield connection, shadow


def _is_anothers(run: Run, call: ShadowCall) -> bool:
    is_forward = run.state in (RunState.MIGRATING, RunState.VERIFYING)
    return is_forward and run.checksums != known_checksums(run, call.migrations)


def _why_held(found: MigrationStatus) -> str:
    if found.held:
        return "a person took the last migration back; `migrate run` does it again"
    why = found.last.error if found.last else ""
    return f"this migration was tried and taken back ({why}); `migrate run` tries again"


def _refuse_while_others_are_older(connection: Connection, call: ShadowCall) -> None:
    """Hosts that still record by older formulas: their records would have to be carried again."""
    newest = call.migrations[-1].version
    claims = connection.query(f"SELECT host, argMax(app_version, generation) FROM {HOSTS} GROUP BY host")
    older = {str(host): str(version) for host, version in claims if is_older(version, newest)}
    lately = (datetime.now(UTC) - _LATELY).strftime("%Y-%m-%d %H:%M:%S")
    active = connection.query(f"SELECT DISTINCT host FROM {TABLE} WHERE timestamp > toDateTime64('{lately}', 6, 'UTC')")
    waits = sorted(str(host) for (host,) in active if str(host) in older)
    if waits:
        raise MigrationRefusedError(
            f"The migration to {newest} waits for hosts that run an older version: "
            f"{', '.join(f'{host} ({older[host]})' for host in waits[:5])}. Update them; `migrate run` does not wait."
        )


def _refuse_without_room(connection: Connection, call: ShadowCall, census: Census) -> None:
    steps_for(call.migrations, [str(stamp) for stamp, _count in census.counts])
    of_table = f"active AND database = currentDatabase() AND table = '{TABLE}'"
    sql = f"SELECT sum(bytes_on_disk) FROM system.parts WHERE {of_table}"
    needed = int(_ROOM * int(connection.value(sql)))
    free = int(connection.value("SELECT min(free_space) FROM system.disks"))
    if free < needed:
        raise MigrationRefusedError(
            f"The disk of {call.access.address} has no room for the migration: {size(needed)} are needed, {size(free)} "
            "are free. Nothing was changed."
        )
