"""One run, from its present state to its end: carry over, verify, record; or take back.

The caller holds the lock. The process may be killed between any two statements: each stored state says what is left to
do, and nothing else needs to be remembered.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration import carry_functions, kept_beside
from llm_metrics_proxy.migration.batches import Log, Pace, ProgressReporter
from llm_metrics_proxy.migration.carry_sql import Carry, carry
from llm_metrics_proxy.migration.carrying import Carrying, FormulaError
from llm_metrics_proxy.migration.history import Counted, count_history
from llm_metrics_proxy.migration.keys import OldRecords, history_of, number_some
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Ended, Fault, MigrationResult, Progress, Run, RunState, WorkPhase
from llm_metrics_proxy.migration.options import EngineCall
from llm_metrics_proxy.migration.runs import (
    CLEAN_FOR,
    CLEAN_THROUGH,
    HISTORY_ENDS,
    RESTORED_THROUGH,
    all_runs,
    change_run,
    get_fact,
    now,
    set_fact,
)
from llm_metrics_proxy.migration.undo import left_out, put_some, swap_back
from llm_metrics_proxy.migration.verify import StoppedError, verify_run
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.carried import CarriedCounts, write_carried
from llm_metrics_proxy.storage.disk_space import refuse_when_low
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_LOOK_S: Final = 1.0  # between two looks at the clock while the window is closed
_LAST_PUT: Final = 200  # newer records that the transaction may take along in which an undo changes the names


class Execution:
    """One run of a call."""

    def __init__(self, call: EngineCall, connection: apsw.Connection) -> None:
        self._call, self._path, self._options, self._connection = call, call.path, call.options, connection
        self._pace, self._log, self._fence = Pace(call.options.batch_lock_ms), Log(connection), Fence(connection)
        self._goes_back = False
        carry_functions.register(connection)

    def go_on(self, run: Run) -> MigrationResult:
        """Work on the run until it ends or is stopped."""
        if run.state is RunState.UNDOING:
            return self._undo(run)
        if run.state is RunState.TAKING_BACK:
            return self._take_back(run, ())
        try:
            return self._migrate(run)
        except FormulaError as error:
            return self.take_back(run, (error.fault,))
        except StoppedError:
            return self._stopped(run)

    def take_back(self, run: Run, faults: Sequence[Fault], error: str = "") -> MigrationResult:
        """What was carried over goes again, and the reason is kept."""
        if faults:
            first = faults[0]
            where = f"record {first.record_id}: " if first.record_id is not None else ""
            error = f"{first.check}: {where}{first.message}"
        with self._fence.transaction():
            run = change_run(self._connection, run, state=RunState.TAKING_BACK, error=error)
        return self._take_back(run, tuple(faults))

    def _stopped(self, run: Run) -> MigrationResult:
        run = next(each for each in all_runs(self._connection) if each.id == run.id)
        return MigrationResult(
            Ended.STOPPED, run, message="stopped after a whole batch; the next run goes on from there"
        )

    def _migrate(self, run: Run) -> MigrationResult:
        history, counted = self._count(run)
        assert run.old_table is not None
        how = carry(
            self._connection,
            run.old_table,
            [m for m in self._call.migrations if m.version in run.checksums],
            list(counted.stamps),
            app_version=run.app_version,
            distrusts=run.distrusts_stamps,
            rows=history.table,
            key=history.key,
        )
        if run.state is RunState.MIGRATING:
            with self._fence.transaction():
                ends = counted.complete_from(run.bound_id)
                set_fact(self._connection, HISTORY_ENDS, ends)
                carried = CarriedCounts(run.records_changed, counted.records, counted.complete_from(run.cursor_id))
                write_carried(self._connection, carried)
            run = self._carry(run, counted, how)
        if not kept_beside.has_begun(self._connection):
            verified = verify_run(self._path, run, how, report=self._call.report, interrupted=self._call.interrupted)
            if verified.faults:
                return self.take_back(run, verified.faults)
            with self._fence.transaction():
                run = change_run(self._connection, run, gaps=verified.gaps, unfit=verified.unfit)
                kept_beside.begin(self._connection)
        self._restore(run)
        with self._fence.transaction():
            run = change_run(self._connection, run, state=RunState.DONE, finished_at=now(), error=None)
            set_fact(self._connection, RESTORED_THROUGH, None)
            write_carried(self._connection, None)
            rollup_state.reset(self._connection)
            set_fact(self._connection, CLEAN_THROUGH, run.bound_id)
            set_fact(self._connection, CLEAN_FOR, self._call.newest)
        backups.prune(self._options.backup_dir, self._options.backup_keep, spare=[run.backup] if run.backup else [])
        message = f"{run.records_changed:,} records carried over, every one verified"
        return MigrationResult(Ended.DONE, run, message=message)

    def _restore(self, run: Run) -> None:
        """What an earlier undo put into the older table becomes whole again. Raises ``StoppedError``."""
        looked_at = 1
        while looked_at:
            if self._call.interrupted():
                raise StoppedError
            with self._fence.transaction(self._pace):
                looked_at = kept_beside.restore_some(self._connection, run.to_version, run.bound_id, self._pace.records)
            self._between()

    def _count(self, run: Run) -> tuple[OldRecords, Counted]:
        """Number the records where that is necessary, and count them. Raises ``StoppedError``."""
        assert run.old_table is not None
        is_numbered = False
        while not is_numbered:
            self._go_on_only_if_allowed()
            with self._fence.transaction(self._pace):
                is_numbered = number_some(self._connection, run.old_table, self._pace.records)
            self._between()
        history = history_of(self._connection, run.old_table)
        reporter, met = ProgressReporter(self._call.report, WorkPhase.CHECKING, run.records_total), [0]

        def heard(records: int) -> None:
            if self._call.interrupted():
                raise StoppedError
            met[0] += records
            reporter.advance(met[0], detail="counting records")

        return history, count_history(self._path, run.old_table, run.bound_id, heard)

    def _carry(self, run: Run, counted: Counted, how: Carry) -> Run:
        """Every batch from the cursor down. Raises ``FormulaError`` and ``StoppedError``."""
        reporter = ProgressReporter(self._call.report, WorkPhase.MIGRATING, counted.records, run.records_changed)
        before_ms = run.busy_ms - self._pace.busy_ms

        def between(done: int) -> None:
            reporter.advance(done, force=self._options.pause_ms > 0)
            self._rest()

        carrying = Carrying(
            self._path,
            run,
            how,
            counted=counted,
            fence=self._fence,
            pace=self._pace,
            may_go_on=lambda done: self._go_on_only_if_allowed(done, counted.records),
            between=between,
        )
        run = carrying.work()
        # how long a batch took is known after it: the last one's time is in no row yet
        return self._change(
            run,
            state=RunState.VERIFYING,
            busy_ms=before_ms + self._pace.busy_ms,
            largest_lock_ms=max(run.largest_lock_ms, self._pace.largest_ms),
        )

    def _change(self, run: Run, **changes: Any) -> Run:
        with self._fence.transaction():
            return change_run(self._connection, run, **changes)

    def _go_on_only_if_allowed(self, done: int = 0, total: int = 0) -> None:
        """Wait for the allowed hours. Raises ``StoppedError`` if it was stopped, or its time is over."""
        window = self._options.window
        if self._call.interrupted():
            raise StoppedError
        while window is not None and (wait_s := window.seconds_until_open(datetime.now().astimezone())) > 0:
            self._call.report(Progress(phase=WorkPhase.PAUSED, done=done, total=total, detail=f"until {window}"))
            if self._call.stop.wait(min(wait_s, _LOOK_S)) or self._call.interrupted():
                raise StoppedError

    def _between(self) -> None:
        """After each batch of whatever kind. Raises ``DiskLowError``, but while a run is taken back."""
        self._log.between()
        self._rest()

    def _rest(self) -> None:
        if not self._goes_back:
            refuse_when_low(self._path.parent)
        if self._options.pause_ms:
            self._call.stop.wait(self._options.pause_ms / 1000)

    def _step_by_step(self, run: Run, step: Callable[[int], int]) -> bool:
        """``step`` gets a number of records and says how many it did; whether it came to its end."""
        self._goes_back = True
        reporter, done = ProgressReporter(self._call.report, WorkPhase.UNDOING, run.records_changed), 0
        while not self._call.interrupted():
            with self._fence.transaction(self._pace):
                records = step(self._pace.records)
            if not records:
                return True
            done += records
            reporter.advance(done)
            self._between()
        return False

    def _take_back(self, run: Run, faults: tuple[Fault, ...]) -> MigrationResult:
        connection = self._connection
        delete = (
            f"DELETE FROM {TABLE} WHERE arrival IN (SELECT arrival FROM {TABLE} WHERE arrival <= ? "  # noqa: S608
            "ORDER BY arrival LIMIT ?)"
        )

        def remove(records: int) -> int:
            connection.execute(delete, (run.bound_id, records))
            removed = connection.changes()
            if removed:
                rollup_state.reset(connection)
            return removed

        if not self._step_by_step(run, remove):
            return self._stopped(run)
        with self._fence.transaction():
            write_carried(connection, CarriedCounts(0, run.records_total, get_fact(connection, HISTORY_ENDS)))
            run = change_run(connection, run, state=RunState.ROLLED_BACK, finished_at=now())
        message = "the older records are in their own table, as they were"
        return MigrationResult(Ended.ROLLED_BACK, run, faults, message=message)

    def _undo(self, run: Run) -> MigrationResult:
        connection = self._connection
        if not self._step_by_step(run, lambda records: put_some(connection, run, records)):
            return self._stopped(run)
        with self._fence.transaction():
            while put_some(connection, run, _LAST_PUT):
                pass
            refused = left_out(connection)
            run = swap_back(connection, run)
        message = "the database is as it was before, with the records that have arrived since"
        if refused:
            message = f"{len(refused)} newer records or more are in the table beside alone: the old one refuses them"
        return MigrationResult(Ended.UNDONE, run, (), refused, message)
