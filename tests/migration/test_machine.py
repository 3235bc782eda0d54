"""Any order of inserting, migrating in part or whole, and undoing: every record is always wholly in one known state."""

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import Any

from hypothesis import Phase as Phase_
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llm_metrics_proxy.errors import BackupError, MigrationRefusedError
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended, MigrationResult, Progress, RunState, WorkPhase
from llm_metrics_proxy.migration.versions import is_older
from tests.examples import examples
from tests.migration.chain import CHAIN
from tests.migration.databases import content, execute, make, options

COLUMNS = (
    "timestamp",
    "total_tokens",
    "response_time_ms",
    "user",
    "tokens_per_second",
    "recompute_reason",
    "app_version",
)
STAMPS = st.sampled_from([None, "", "garbage", "1.0.0", "1.9.0", "2.0.0-rc.1", " 2.0.0 "])
NUMBERS = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.just("words"), st.binary(max_size=3)
)
TIMES = st.sampled_from(
    [None, "2025-01-02T03:04:05.000006", "2025-01-02 03:04:05", "2025-01-02T03:04:05+02:00", "then", 7]
)
ROW = st.tuples(TIMES, NUMBERS, NUMBERS, NUMBERS, STAMPS)

Values = dict[str, Any]


def _after(values: Values, version: str) -> Values:
    """What the migration to ``version`` makes of a record, by its oracle alone."""
    migration = next(each for each in CHAIN if each.version == version)
    *written, reason = migration.oracle(*(values[name] for name in migration.inputs))
    # the file of this test had an origin, so nothing was added that could be filled
    changed = {c.column: v for c, v in zip(migration.changes, written, strict=True) if not c.only_if_added}
    return {**values, **changed, "recompute_reason": reason, "app_version": version}


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.path = make(Path(self._folder.name) / "metrics.db", 30)
        old = execute(
            self.path, f"SELECT id, {', '.join(COLUMNS[:3])}, tokens_per_second, app_version FROM completion_requests"
        )
        # of each record, in the order reached
        self.states = {
            row[0]: [dict(zip(COLUMNS, (*row[1:4], None, row[4], None, row[5]), strict=True))] for row in old
        }
        engine.migrate(self.path, options(self.path), migrations=CHAIN[:1], app_version="2.0.0")
        self.chain = 1
        self.before: dict[int, tuple[Any, ...]] | None = None  # the table before the run that undo would take back

    def teardown(self) -> None:
        self._folder.cleanup()

    def _rows(self) -> dict[int, Values]:
        rows = execute(self.path, f"SELECT id, {', '.join(COLUMNS)} FROM completion_requests")
        return {row[0]: dict(zip(COLUMNS, row[1:], strict=True)) for row in rows}

    @rule(rows=st.lists(ROW, min_size=1, max_size=8))
    def records_arrive(self, rows: list[tuple[Any, ...]]) -> None:
        for row in rows:
            execute(
                self.path,
                "INSERT INTO completion_requests (timestamp, total_tokens, response_time_ms, tokens_per_second, "
                "app_version) VALUES (?, ?, ?, ?, ?)",
                row,
            )
        self.states |= {key: [values] for key, values in self._rows().items() if key not in self.states}

    @precondition(lambda self: self.chain < len(CHAIN))
    @rule()
    def the_program_is_upgraded(self) -> None:
        self.chain += 1

    def _migrate(self, stop: threading.Event, report: Any) -> MigrationResult:
        migrations, version = CHAIN[: self.chain], f"{self.chain + 1}.0.0"
        seen = engine.status(self.path, migrations, app_version=version)
        if seen.has_work and seen.unfinished is None:
            self.before = content(self.path)
        return engine.migrate(
            self.path, options(self.path), migrations=migrations, app_version=version, report=report, stop=stop
        )

    @rule()
    def everything_is_migrated(self) -> None:
        result = self._migrate(threading.Event(), lambda _progress: None)
        if result.ended is Ended.UNDONE:  # an undo had been interrupted, and came first
            return
        assert result.ended in (Ended.DONE, Ended.NOTHING_TO_DO), result
        assert not execute(
            self.path,
            "SELECT id FROM completion_requests WHERE app_version IS NULL "
            "OR app_version NOT IN ('2.0.0', '3.0.0', '4.0.0')",
        )
        assert engine.verify(self.path, migrations=CHAIN[: self.chain], app_version=f"{self.chain + 1}.0.0") == ()

    @rule(phase=st.sampled_from([WorkPhase.CHECKING, WorkPhase.MIGRATING, WorkPhase.VERIFYING, WorkPhase.UNDOING]))
    def a_migration_is_stopped(self, phase: WorkPhase) -> None:
        stop = threading.Event()

        def report(progress: Progress) -> None:
            if progress.phase is phase:
                stop.set()

        # stopped while it was being backed up: nothing began
        with contextlib.suppress(BackupError):
            self._migrate(stop, report)

    @rule(to_version=st.sampled_from([None, "2.0.0", "3.0.0"]))
    def the_last_run_is_undone(self, to_version: str | None) -> None:
        last = engine.history(self.path)[-1]
        try:
            result = engine.undo(
                self.path,
                options(self.path),
                to_version=to_version,
                migrations=CHAIN[: self.chain],
                app_version=f"{self.chain + 1}.0.0",
            )
        except MigrationRefusedError:
            return
        assert result.conflicts == ()
        assert result.faults == ()
        if to_version is None and self.before is not None and last.error is None and last.state is RunState.DONE:
            now = content(self.path, through_id=last.bound_id)
            assert now == {key: row for key, row in self.before.items() if key <= last.bound_id}
            self.before = None

    @invariant()
    def every_record_is_in_one_known_state(self) -> None:
        rows = self._rows()
        assert rows.keys() == self.states.keys(), "a record appeared or is gone"
        for key, values in rows.items():
            known = self.states[key]
            if any(_same(values, state) for state in known):
                continue
            reached = known[0]
            for migration in CHAIN[: self.chain]:
                if is_older(reached["app_version"], migration.version):
                    reached = _after(reached, migration.version)
                    if _same(values, reached):
                        known.append(reached)
                        break
            else:
                raise AssertionError(f"record {key} is {values}, and was {known}")


def _same(one: Values, other: Values) -> bool:
    return one == other and [type(value) for value in one.values()] == [type(value) for value in other.values()]


TestMachine = Machine.TestCase
TestMachine.settings = examples(15, stateful_step_count=12, phases=[Phase_.generate])
