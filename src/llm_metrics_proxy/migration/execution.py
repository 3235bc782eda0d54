"""One run, from its present state to its end: walk, index, verify, record; or take back.

The caller holds the lock. The process may be killed between any two statements: each stored state says what is left to
do, and nothing else needs to be remembered.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.migration.batches import Log, Pace, ProgressReporter, ranges, transaction
from llm_metrics_proxy.migration.grafting import Grafting
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Ended, Fault, MigrationResult, Progress, Run, RunState, WorkPhase
from llm_metrics_proxy.migration.options import EngineCall
from llm_metrics_proxy.migration.runs import CLEAN_FOR, CLEAN_THROUGH, DISTRUSTED, all_runs, change_run, now, set_fact
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.migration.undo import begin_undo, drop_other_entries, go_on_undoing
from llm_metrics_proxy.migration.verify import StoppedError, differences_from_backup, verify_run
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.disk_space import refuse_when_low
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_LOOK_S: Final = 1.0  # between two looks at the clock while the window is closed
# SQLite's words for a formula that cannot be calculated; all others are the disk's or the file's trouble.
_FORMULA_ERRORS: Final = (apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError)


class Execution:
    """One run of a call. ``other_code``: the program that began the run had other formulas than this one."""

    def __init__(self, call: EngineCall, connection: apsw.Connection, *, other_code: bool) -> None:
        self._call, self._path, self._options, self._connection = call, call.path, call.options, connection
        self._other_code = other_code
        self._pace, self._index_pace = Pace(call.options.batch_lock_ms), Pace(call.options.batch_lock_ms)
        self._log = Log(connection)
        self._goes_back = False
        self._fence = Fence(connection)
        self._grafting = Grafting(
            connection,
            self._fence,
            self._index_pace,
            report=call.report,
            interrupted=lambda: call.interrupted() or not self._window_opens(),
            between=self._between,
        )

    def go_on(self, run: Run, sql: RunSql) -> MigrationResult:
        """Work on the run until it ends or is stopped."""
        if run.state is RunState.MIGRATING:
            # what was begun comes first: its entries are those of records that do not change meanwhile
            if (self._options.staged or self._grafting.is_under_way()) and not self._build_indexes():
                return self._stopped(run)
            try:
                walked = self._walk(run, sql)
            except _FormulaError as error:
                return self._take_back(run, sql, (error.fault,))
            if walked is None:
                return self._stopped(run)
            if not self._build_indexes():
                return self._stopped(run)
            busy_ms, largest_ms = walked.busy_ms + self._index_pace.busy_ms, self._longest_ms(walked)
            run = self._change(walked, state=RunState.VERIFYING, busy_ms=busy_ms, largest_lock_ms=largest_ms)
        if run.state is RunState.VERIFYING:
            try:
                faults, gaps = self._verify(run, sql)
            except StoppedError:
                return self._stopped(run)
            if faults:
                return self._take_back(run, sql, faults)
            return self._record(run, gaps)
        return self._undo(run, sql, ())

    def _change(self, run: Run, **changes: Any) -> Run:
        with self._fence.transaction():
            return change_run(self._connection, run, **changes)

    def _stopped(self, run: Run) -> MigrationResult:
        run = next(each for each in all_runs(self._connection) if each.id == run.id)
        return MigrationResult(
            Ended.STOPPED, run, message="stopped after a whole batch; the next run goes on from there"
        )

    def _walk(self, run: Run, sql: RunSql) -> Run | None:
        """Every batch from the cursor on. Raises ``_FormulaError``; ``None``: interrupted."""
        connection, bound = self._connection, run.bound_id
        done = connection.execute(f"SELECT count(*) FROM {TABLE} WHERE id <= ?", (run.cursor_id,)).get  # noqa: S608
        reporter = ProgressReporter(self._call.report, WorkPhase.MIGRATING, run.records_total, done)
        before_ms = run.busy_ms
        for after, through, _records in ranges(connection, bound, lambda: self._pace.records, after=run.cursor_id):
            if self._call.interrupted() or not self._window_opens(done, run.records_total):
                return None
            taken = 0
            try:
                with self._fence.transaction(self._pace):
                    taken = self._batch(sql, after, through)
                    run = change_run(
                        connection,
                        run,
                        cursor_id=through,
                        records_changed=run.records_changed + taken,
                        busy_ms=before_ms + self._pace.busy_ms,
                        largest_lock_ms=max(run.largest_lock_ms, self._pace.largest_ms),
                    )
            except _FORMULA_ERRORS as error:
                raise _FormulaError(self._formula_fault(sql, after, through, error)) from error
            done += _records
            reporter.advance(min(done, run.records_total), force=self._options.pause_ms > 0)
            self._between()
        reporter.advance(run.records_total, force=True)
        # how long a batch took is known after it: the last one's time is in no row yet
        return msgspec.structs.replace(run, busy_ms=before_ms + self._pace.busy_ms)

    def _batch(self, sql: RunSql, after: int, through: int) -> int:
        """Migrate the records of one range in the open transaction; the number of changes."""
        taken = 0
        for k in range(len(sql.migrations)):
            self._connection.execute(sql.save_undo(k), (after, through))
            kept = self._connection.changes()
            if kept:
                self._connection.execute(sql.update(k), (after, through))
            taken += kept
        if taken:
            rollup_state.reset(self._connection)
        return taken

    def _formula_fault(self, sql: RunSql, after: int, through: int, error: apsw.Error) -> Fault:
        """Which record it was, by halving the range."""
        while through - after > 1:
            middle = (after + through) // 2
            try:
                self._try(sql, after, middle)
            except _FORMULA_ERRORS:
                through = middle
            else:
                after = middle
        return Fault("formula", through, f"a formula cannot be calculated: {error}")

    def _try(self, sql: RunSql, after: int, through: int) -> None:
        with transaction(self._connection, keep=False):
            self._batch(sql, after, through)

    def _window_opens(self, done: int = 0, total: int = 0) -> bool:
        """Wait for the allowed hours; false if stopped meanwhile."""
        window = self._options.window
        while window is not None and (wait_s := window.seconds_until_open(datetime.now().astimezone())) > 0:
            self._call.report(Progress(phase=WorkPhase.PAUSED, done=done, total=total, detail=f"until {window}"))
            if self._call.stop.wait(min(wait_s, _LOOK_S)) or self._call.interrupted():
                return False
        return True

    def _between(self) -> None:
        """After each batch of whatever kind. Raises ``DiskLowError``, but while records are put back."""
        self._log.between()
        if not self._goes_back:
            refuse_when_low(self._path.parent)
        if self._options.pause_ms:
            self._call.stop.wait(self._options.pause_ms / 1000)

    def _build_indexes(self) -> bool:
        """The indexes that an adopted file lacks; false: interrupted."""
        are_there = self._grafting.build()
        self._log.between()
        return are_there

    def _longest_ms(self, run: Run) -> float:
        return max(run.largest_lock_ms, self._pace.largest_ms, self._index_pace.largest_ms)

    def _backup_of(self, run: Run) -> Path:
        """The run's backup; a new one if somebody removed it: it still proves what was observed."""
        if run.backup is not None:
            kept = backups.path_of(self._options.backup_dir, run.backup)
            if kept.exists():
                return kept
        made = backups.create(
            self._path, self._options.backup_dir, reason="migration", app_version=run.app_version, stop=self._call.stop
        )
        return backups.path_of(self._options.backup_dir, made.name)

    def _verify(self, run: Run, sql: RunSql) -> tuple[tuple[Fault, ...], dict[str, int]]:
        backup = self._backup_of(run)
        return verify_run(self._path, run, sql, backup, report=self._call.report, interrupted=self._call.interrupted)

    def _record(self, run: Run, gaps: dict[str, int]) -> MigrationResult:
        connection = self._connection
        with self._fence.transaction():
            run = change_run(connection, run, state=RunState.DONE, gaps=gaps, finished_at=now(), error=None)
            set_fact(connection, DISTRUSTED, None)
            set_fact(connection, CLEAN_THROUGH, run.bound_id)
            set_fact(connection, CLEAN_FOR, self._call.newest)
        drop_other_entries(connection, self._fence, run, self._log.between)
        backups.prune(self._options.backup_dir, self._options.backup_keep, spare=[run.backup] if run.backup else [])
        return MigrationResult(Ended.DONE, run, message=f"{run.records_changed:,} changes, every one verified")

    def _take_back(self, run: Run, sql: RunSql, faults: tuple[Fault, ...]) -> MigrationResult:
        """The engine itself found something wrong: everything goes back, and the reason is kept."""
        first = faults[0]
        where = f"record {first.record_id}: " if first.record_id is not None else ""
        error = f"{first.check}: {where}{first.message}"
        with self._fence.transaction():
            run = begin_undo(self._connection, run, to_version=None, ends=RunState.ROLLED_BACK, error=error)
        return self._undo(run, sql, faults)

    def _undo(self, run: Run, sql: RunSql, faults: tuple[Fault, ...]) -> MigrationResult:
        self._goes_back = True
        if self._grafting.is_under_way() and not self._build_indexes():
            return self._stopped(run)
        undone = go_on_undoing(
            self._connection,
            run,
            sql,
            self._fence,
            self._pace,
            report=self._call.report,
            interrupted=self._call.interrupted,
            pause=self._between,
            by_stamp=self._other_code,
        )
        if undone is None:
            return self._stopped(run)
        run, conflicts = undone
        message = "the records are as they were before"
        if conflicts:
            message = f"{len(conflicts)} records or more were changed since by somebody else and were left alone"
        elif run.state in (RunState.UNDONE, RunState.ROLLED_BACK) and run.backup is not None:
            backup = backups.path_of(self._options.backup_dir, run.backup)
            if backup.exists() and (left := differences_from_backup(self._path, backup, run)):
                faults = (*faults, *left)
                message = f"the records differ from the backup {run.backup}, which can be restored: {left[0].message}"
        ended = Ended.ROLLED_BACK if run.state is RunState.ROLLED_BACK else Ended.UNDONE
        return MigrationResult(ended, run, faults, conflicts, message)


class _FormulaError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault
