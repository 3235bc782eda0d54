"""Any order of records arriving, migrating in part or whole, and undoing: each record is there once, and as it was."""

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from hypothesis import Phase as Phase_
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llm_metrics_proxy.errors import BackupError, MigrationRefusedError
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended, MigrationResult, Progress, WorkPhase
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.examples import examples
from tests.migration.databases import content, execute, make, options
from tests.migration.faults.jobs import new_record

_OLD: Final = 30
_BESIDE: Final = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'completion_requests_before_*'"
_PHASES: Final = [WorkPhase.CHECKING, WorkPhase.MIGRATING, WorkPhase.VERIFYING, WorkPhase.UNDOING]


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.path = make(Path(self._folder.name) / "metrics.db", _OLD)
        self.before = content(self.path)
        self.arrived = 0

    def teardown(self) -> None:
        self._folder.cleanup()

    def _columns(self, table: str) -> set[str]:
        return {name for (name,) in execute(self.path, "SELECT name FROM pragma_table_info(?)", (table,))}

    @rule(records=st.integers(1, 5))
    def records_arrive(self, records: int) -> None:
        if "arrival" not in self._columns("completion_requests"):
            return  # they wait in the journal
        store = SqliteStore(self.path)
        store.append(IngestBatch(rows=[new_record(self.arrived + number) for number in range(records)]))
        store.close()
        self.arrived += records

    def _migrate(self, stop: threading.Event, report: Any, *, automatic: bool = False) -> MigrationResult:
        how = options(self.path, automatic=automatic)
        return engine.migrate(self.path, how, migrations=MIGRATIONS, report=report, stop=stop)

    @rule(automatic=st.booleans())
    def everything_is_migrated(self, automatic: bool) -> None:
        result = self._migrate(threading.Event(), lambda _progress: None, automatic=automatic)
        assert result.ended in (Ended.DONE, Ended.NOTHING_TO_DO, Ended.UNDONE, Ended.HELD), result
        if result.ended in (Ended.DONE, Ended.NOTHING_TO_DO):
            assert execute(self.path, "SELECT count(*) FROM completion_requests") == [(_OLD + self.arrived,)]
            assert engine.verify(self.path, migrations=MIGRATIONS) == ()

    @rule(phase=st.sampled_from(_PHASES))
    def a_migration_is_stopped(self, phase: WorkPhase) -> None:
        stop = threading.Event()

        def report(progress: Progress) -> None:
            if progress.phase is phase:
                stop.set()

        with contextlib.suppress(BackupError):  # stopped while it was being backed up: nothing began
            self._migrate(stop, report)

    @rule(is_stopped=st.booleans())
    def the_last_run_is_undone(self, is_stopped: bool) -> None:
        stop = threading.Event()
        if is_stopped:
            stop.set()
        try:
            result = engine.undo(self.path, options(self.path), migrations=MIGRATIONS, stop=stop)
        except MigrationRefusedError:
            return
        assert result.conflicts == ()
        assert result.ended is (Ended.STOPPED if is_stopped else Ended.UNDONE)

    @invariant()
    def the_old_table_is_as_it_was_with_what_was_put_there(self) -> None:
        beside = [name for (name,) in execute(self.path, _BESIDE)]
        table = beside[0] if beside else "completion_requests"
        assert len(beside) <= 1
        assert "id" in self._columns(table)
        rows = execute(self.path, f"SELECT id, timestamp, total_tokens, tokens_per_second, extra FROM {table}")
        assert {row[0] for row in rows if row[0] <= _OLD} == set(self.before)
        if not beside:
            assert {key: row for key, row in content(self.path).items() if key <= _OLD} == self.before
            assert len(rows) == _OLD + self.arrived

    @invariant()
    def every_newer_record_is_there_once(self) -> None:
        """In the table that is used, or in the old one if it was put there before that was set aside again."""
        newer = "SELECT count(*) FROM {} WHERE timestamp = '2026-11-01T00:00:00.000000Z' AND {}"
        beside = [name for (name,) in execute(self.path, _BESIDE)]
        if not beside:
            assert execute(self.path, newer.format("completion_requests", "1")) == [(self.arrived,)]
            return
        ((bound,),) = execute(self.path, "SELECT max(bound_id) FROM migration_runs WHERE old_table IS NOT NULL")
        ((here,),) = execute(self.path, newer.format("completion_requests", f"arrival > {bound}"))
        ((there,),) = execute(self.path, newer.format(beside[0], f"id <= {bound}"))
        assert here + there == self.arrived


TestMachine = Machine.TestCase
TestMachine.settings = examples(12, stateful_step_count=10, phases=[Phase_.generate])
