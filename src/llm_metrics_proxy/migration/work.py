"""One call of the engine, with the lock held: decide what is due, back up, adopt, write the run down, execute it.

The order keeps every promise: look again, check the disk, back up, adopt, walk the records in batches, build indexes,
verify, stamp, record; and back, by the undo entries, if anything is not as it must be.
"""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError, StoreError
from llm_metrics_proxy.migration.adoption import adopt
from llm_metrics_proxy.migration.batches import transaction
from llm_metrics_proxy.migration.chain import known_checksums, refuse_unknown, statements
from llm_metrics_proxy.migration.execution import Execution
from llm_metrics_proxy.migration.legacy import FileKind, fingerprint
from llm_metrics_proxy.migration.model import (
    Ended,
    MigrationResult,
    Progress,
    Run,
    RunState,
    WorkPhase,
    chain_checksum,
    describe_stamp,
)
from llm_metrics_proxy.migration.options import EngineCall
from llm_metrics_proxy.migration.overview import Look, Survey, disk_of, refuse, refuse_newer, survey
from llm_metrics_proxy.migration.rehearsal import rehearse
from llm_metrics_proxy.migration.runs import CLEAN_FOR, CLEAN_THROUGH, DISTRUSTED, insert_run, now, set_fact
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.migration.undo import HELD, begin_undo
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, Pragmas, connect
from llm_metrics_proxy.storage.sqlite_schema import TABLE, applied_steps, apply_steps

NOTHING: Final = "every record follows the newest formulas"
_PRAGMAS: Final[Pragmas] = {
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "cache_size": -32 * 1024,  # KiB
    "wal_autocheckpoint": 4096,  # pages
}


class LockedWork:
    """One call, with the lock held; its maker closes it."""

    def __init__(self, call: EngineCall) -> None:
        self._call, self._path, self._options, self._migrations = call, call.path, call.options, call.migrations
        self._app_version = call.app_version
        self._connection: apsw.Connection | None = None
        self._before_look: tuple[object, ...] = ()

    def close(self) -> None:
        """Release the database; its log is written back if nobody else has it open."""
        if self._connection is not None:
            self._connection.close()

    def migrate(self, looked: Look | None) -> MigrationResult:
        """Go on with an unfinished run, or begin one. ``looked``: a look that still holds, if there is one."""
        seen = self._look(quick=self._options.automatic) if looked is None else self._taken(looked)
        if seen.status.has_work and seen.status.counted_above_id:
            seen = self._look()  # a run says how many records of every version there were
        while (run := seen.status.unfinished) is not None:
            refuse_unknown(run, self._migrations, self._app_version)
            if run.state is not RunState.UNDOING and run.checksums != known_checksums(run, self._migrations):
                # begun by other code: what it wrote is taken back, and then done again by this one
                with self._transaction() as connection:
                    run = begin_undo(
                        connection, run, to_version=None, ends=RunState.ROLLED_BACK, error="the program was changed"
                    )
            if run.state is RunState.MIGRATING:
                self._check_disk(seen)
            result = self._execute(run, seen)
            if result.ended in (Ended.STOPPED, Ended.UNDONE) or (
                result.ended is Ended.ROLLED_BACK and run.state is not RunState.UNDOING
            ):
                return result
            seen = self._look()  # what this program can do may go beyond the run that was interrupted
            if not seen.status.has_work:
                return result
        status, last = seen.status, seen.status.last
        if not status.has_work:
            if seen.inspection.found is FileKind.OURS and seen.through_id > status.counted_above_id:
                with suppress(apsw.Error, StoreError):  # a full disk or a lock: then the next start counts again
                    self._remember_clean(seen)
            return MigrationResult(Ended.NOTHING_TO_DO, last, message=NOTHING)
        if self._options.automatic and (status.held or status.failed_before):
            message = "a person took the last migration back; `migrate run` does it again"
            if not status.held:
                why = last.error if last else ""
                message = f"this migration was tried and taken back ({why}); `migrate run` tries again"
            return MigrationResult(Ended.HELD, last, message=message)
        if seen.status.needs_adoption:
            rehearse(seen.inspection)
        if seen.status.needs_adoption and not seen.inspection.has_rowid_id:
            self._adopt_by_copy(seen)
            seen = self._look()
        return self._execute(*self._begin(seen))

    def undo(self, to_version: str | None) -> MigrationResult:
        """Take the last run back."""
        seen = self._look()
        run = seen.status.last
        if run is None or run.state in (RunState.UNDONE, RunState.ROLLED_BACK):
            raise MigrationRefusedError(f"{self._path} has no migration that could be taken back; nothing was changed.")
        if run.state is not RunState.UNDOING:
            if run.checksums != known_checksums(run, self._migrations):
                raise MigrationRefusedError(
                    f"Run {run.id} was made by {run.app_version}, whose formulas are not those of {self._app_version}; "
                    "undo it with that version, or restore its backup."
                )
            targets = [version for version in run.checksums if to_version is None or is_older(to_version, version)]
            if not targets:
                raise MigrationRefusedError(
                    f"The last run brought records to {', '.join(run.checksums)}; nothing in it is above {to_version}."
                )
            with self._transaction() as connection:
                run = begin_undo(connection, run, to_version=to_version, ends=RunState.UNDONE, error=None)
        return self._execute(run, seen)

    def _execute(self, run: Run, seen: Survey) -> MigrationResult:
        other_code = run.checksums != known_checksums(run, self._migrations)
        return Execution(self._call, self._open(), other_code=other_code).go_on(run, self._sql(run, seen))

    def _look(self, *, quick: bool = False) -> Survey:
        self._before_look = fingerprint(self._path)
        seen = survey(self._path, self._migrations, app_version=self._app_version, quick=quick)
        refuse(seen.inspection)
        refuse_newer(self._path, seen.status.newer, self._app_version)
        return seen

    def _taken(self, looked: Look) -> Survey:
        self._before_look = looked.before
        return looked.seen

    def _sql(self, run: Run, seen: Survey) -> RunSql:
        stamps = [stamp for stamp, _count in seen.census.counts]
        return statements(self._open(), run, self._migrations, stamps, self._app_version)

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = connect(self._path, Access.WRITE, busy_ms=1000, pragmas=_PRAGMAS)
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        connection = self._open()
        with transaction(connection):
            yield connection

    def _remember_clean(self, seen: Survey) -> None:
        """So that the next start need not count these records again."""
        connection = self._open()
        apply_steps(self._path, connection, applied_steps(self._path))
        with transaction(connection):
            set_fact(connection, CLEAN_THROUGH, seen.through_id)
            set_fact(connection, CLEAN_FOR, self._call.newest)

    def _back_up(self, seen: Survey) -> backups.Backup:
        self._check_disk(seen)
        report = self._call.report
        return backups.create(
            self._path,
            self._options.backup_dir,
            reason="migration",
            app_version=self._app_version,
            report=lambda done, total: report(Progress(phase=WorkPhase.BACKING_UP, done=done, total=total)),
            stop=self._call.stop,
        )

    def _adopt_by_copy(self, seen: Survey) -> None:
        """Adopt a file whose records have no integer id. They get one, so that the run needs a backup that has it."""
        backup = self._back_up(seen)
        self._call.report(Progress(phase=WorkPhase.ADOPTING))
        with self._transaction() as connection:
            added = adopt(connection, seen.inspection, app_version=self._app_version, backup=backup.name)
            set_fact(connection, DISTRUSTED, json.dumps(added))

    def _begin(self, seen: Survey) -> tuple[Run, Survey]:
        """Back up; then, in one transaction, adopt the file if it has to be, and write down the run.

        With the look that the run rests on: another one where a program wrote to the file since ``seen``.
        """
        backup = self._back_up(seen)
        if fingerprint(self._path) != self._before_look or backup.records != sum(n for _, n in seen.census.counts):
            seen = self._look()  # records of a run may not have stamps that it has not seen
        adopted = seen.status.needs_adoption or seen.distrusted is not None
        chain = [m for m in self._migrations if m.version in seen.status.pending or adopted]
        self._call.report(Progress(phase=WorkPhase.ADOPTING))
        bound_id = self._last_in(backup.name)
        connection = self._open()
        if seen.inspection.found is FileKind.OURS:
            apply_steps(self._path, connection, applied_steps(self._path))
        with transaction(connection):
            added = seen.distrusted or []
            if seen.status.needs_adoption:
                added = adopt(connection, seen.inspection, app_version=self._app_version, backup=backup.name)
                set_fact(connection, DISTRUSTED, json.dumps(added))
            run = Run(
                from_versions={describe_stamp(stamp): count for stamp, count in seen.census.ordered()},
                to_version=chain[-1].version if chain else self._app_version,
                checksums=chain_checksum(chain),
                app_version=self._app_version,
                distrusts_stamps=adopted,
                added_columns=added,
                bound_id=bound_id,
                records_total=backup.records or 0,
                backup=backup.name,
                started_at=now(),
            )
            run = insert_run(connection, run)
            set_fact(connection, HELD, None)
            sql = self._sql(run, seen)
            for k in range(len(chain)):
                connection.execute(sql.create_undo_table(k))
        return run, seen

    def _last_in(self, backup: str) -> int:
        """The greatest id in the backup: later records are not part of the run."""
        path = backups.path_of(self._options.backup_dir, backup)
        with closing(connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
            return int(connection.execute(f"SELECT coalesce(max(id), 0) FROM {TABLE}").get)  # noqa: S608

    def _check_disk(self, seen: Survey) -> None:
        self._call.report(Progress(phase=WorkPhase.CHECKING))
        needs = disk_of(self._path, self._options.backup_dir, seen)
        if not needs.enough:
            raise MigrationRefusedError(
                f"The disk has no room for the migration of {self._path}: {needs.lacking()}. Make room, or name "
                "another folder with --backup-dir; nothing was changed."
            )
