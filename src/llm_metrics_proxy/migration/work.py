"""One call of the engine, with the lock held: decide what is due, back up, set the old table aside, write the run down.

The order keeps every promise: look again, check the disk, back up; then one transaction with the new table and the run,
from which on new records are stored; ``execution`` does the rest.
"""

from contextlib import suppress
from typing import Final

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError, StoreError
from llm_metrics_proxy.migration.batches import transaction
from llm_metrics_proxy.migration.chain import known_checksums, refuse_unknown
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
from llm_metrics_proxy.migration.runs import CLEAN_FOR, CLEAN_THROUGH, change_run, insert_run, now, set_fact
from llm_metrics_proxy.migration.set_aside import Aside, set_aside
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.carried import CarriedCounts, write_carried
from llm_metrics_proxy.storage.connection import Access, Pragmas, connect
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, apply_steps

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
        if seen.status.has_work and seen.status.counted_above:
            seen = self._look()  # a run says how many records of every version there were
        while (run := seen.status.unfinished) is not None:
            refuse_unknown(run, self._migrations, self._app_version)
            result = self._go_on(run, seen)
            if result.ended in (Ended.STOPPED, Ended.UNDONE):
                return result
            if result.ended is Ended.ROLLED_BACK and result.faults:
                return result
            seen = self._look()  # what this program can do may go beyond the run that was interrupted
            if not seen.status.has_work:
                return result
        status, last = seen.status, seen.status.last
        if not status.has_work:
            if seen.inspection.found is FileKind.OURS and seen.through > status.counted_above:
                with suppress(apsw.Error, StoreError):  # a full disk or a lock: then the next start counts again
                    self._remember_clean(seen)
            return MigrationResult(Ended.NOTHING_TO_DO, last, message=NOTHING)
        if self._options.automatic and (status.held or status.failed_before):
            message = "a person took the last migration back; `migrate run` does it again"
            if not status.held:
                why = last.error if last else ""
                message = f"this migration was tried and taken back ({why}); `migrate run` tries again"
            return MigrationResult(Ended.HELD, last, message=message)
        run = self._begin(seen)
        return self._execution().go_on(run)

    def _go_on(self, run: Run, seen: Survey) -> MigrationResult:
        """With a run that was interrupted. One that other code began is taken back, and then done again by this."""
        is_forward = run.state in (RunState.MIGRATING, RunState.VERIFYING)
        if is_forward and run.checksums != known_checksums(run, self._migrations):
            return self._execution().take_back(run, (), "the program was changed")
        if run.state is RunState.MIGRATING:
            self._check_disk(seen)
        return self._execution().go_on(run)

    def undo(self, to_version: str | None) -> MigrationResult:
        """Take the last run back."""
        run = self._look().status.last
        if run is None or (run.state in (RunState.UNDONE, RunState.ROLLED_BACK) and run.old_table is None):
            raise MigrationRefusedError(f"{self._path} has no migration that could be taken back; nothing was changed.")
        if run.old_table is None:
            raise MigrationRefusedError(
                f"Run {run.id} of {run.app_version} cannot be taken back by {self._app_version}: the table from before "
                "is not there. `llm-metrics-proxy backup list` shows what can be restored; nothing was changed."
            )
        if to_version is not None:
            raise MigrationRefusedError(
                f"Run {run.id} brought records to {run.to_version} in one pass: it is taken back whole, without --to. "
                "Nothing was changed."
            )
        if run.state is not RunState.UNDOING:
            connection = self._open()
            with transaction(connection):
                run = change_run(connection, run, state=RunState.UNDOING, error=None, finished_at=None)
        return self._execution().go_on(run)

    def _execution(self) -> Execution:
        return Execution(self._call, self._open())

    def _look(self, *, quick: bool = False) -> Survey:
        self._before_look = fingerprint(self._path)
        seen = survey(self._path, self._migrations, app_version=self._app_version, quick=quick)
        refuse(seen.inspection)
        refuse_newer(self._path, seen.status.newer, self._app_version)
        return seen

    def _taken(self, looked: Look) -> Survey:
        self._before_look = looked.before
        return looked.seen

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = connect(self._path, Access.WRITE, busy_ms=1000, pragmas=_PRAGMAS)
        return self._connection

    def _remember_clean(self, seen: Survey) -> None:
        """So that the next start need not count these records again."""
        connection = self._open()
        apply_steps(self._path, connection, applied_steps(self._path))
        with transaction(connection):
            set_fact(connection, CLEAN_THROUGH, seen.through)
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

    def _begin(self, seen: Survey) -> Run:
        """Back up; then, in one transaction, set the old table aside and write down the run."""
        backup = self._back_up(seen)
        if fingerprint(self._path) != self._before_look or backup.records != sum(n for _, n in seen.census.counts):
            seen = self._look()  # records of a run may not have stamps of a newer program
        self._call.report(Progress(phase=WorkPhase.SETTING_ASIDE))
        connection, chain = self._open(), self._migrations
        version = chain[-1].version if chain else self._app_version
        last = seen.status.last if seen.status.lacks_history else None
        with transaction(connection):
            if last is not None and last.old_table is not None:  # tried again
                aside, versions, total = Aside(last.old_table, last.bound_id), last.from_versions, last.records_total
            else:
                aside = self._set_aside(connection, seen, version)
                versions = {describe_stamp(stamp): count for stamp, count in seen.census.ordered()}
                total = sum(versions.values())
            run = Run(
                from_versions=versions,
                to_version=version,
                checksums=chain_checksum(chain),
                app_version=self._app_version,
                distrusts_stamps=seen.distrusts_stamps if last is None else last.distrusts_stamps,
                old_table=aside.table,
                bound_id=aside.bound,
                cursor_id=aside.bound,
                records_total=total,
                backup=backup.name,
                started_at=now(),
            )
            write_carried(connection, CarriedCounts(0, total, None))
            return insert_run(connection, run)

    def _set_aside(self, connection: apsw.Connection, seen: Survey, version: str) -> Aside:
        try:
            return set_aside(connection, seen.inspection.schema, version, self._app_version)
        except MigrationRefusedError as error:
            raise MigrationRefusedError(f"{self._path} cannot be migrated: {error}") from error

    def _check_disk(self, seen: Survey) -> None:
        self._call.report(Progress(phase=WorkPhase.CHECKING))
        needs = disk_of(self._path, self._options.backup_dir, seen)
        if not needs.enough:
            raise MigrationRefusedError(
                f"The disk has no room for the migration of {self._path}: {needs.lacking()}. Make room, or name "
                "another folder with --backup-dir; nothing was changed."
            )
