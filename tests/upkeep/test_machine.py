"""Any order of storing, rolling up, dying, changing, clearing and pruning: roll-ups are what was counted, exactly."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llm_metrics_proxy.rollups.grains import DAY
from llm_metrics_proxy.rollups.state import FINGERPRINT, NOTHING, RollupState
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.retention import oldest_day, prune_some
from llm_metrics_proxy.storage.rollup_state import clear_some, read_state, reset, write_state
from llm_metrics_proxy.storage.rollup_store import Gathered, add, gather
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.examples import examples
from tests.rollups import oracle
from tests.rollups.records import a_row_of


class RollUps(RuleBasedStateMachine):
    """The model: every record with the values that it had when it was counted.

    ``kept``: records of pruned days, as counted before the last change. ``counted``: ids counted since.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "metrics.db"
        self._random = Random(1)
        self._records: dict[int, dict[str, Any]] = {}
        self._counted: set[int] = set()
        self._kept: list[dict[str, Any]] = []
        self._kept_before = self._kept_through = NOTHING
        self._gathered: Gathered | None = None
        self._store = SqliteStore(self._path, after_insert=rollup_store.Folding(batches=1))
        self._connection = apsw.Connection(str(self._path))

    def teardown(self) -> None:
        self._connection.close()
        self._store.close()
        self._folder.cleanup()

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self._random.seed(seed)
        write_state(self._connection, RollupState(tables=FINGERPRINT))

    def _notice(self) -> None:
        """Records that are new, and those that the cursor has passed."""
        for record in oracle.records_in(self._path):
            self._records.setdefault(record["arrival"], record)
        cursor = read_state(self._connection).cursor_id
        for id_, record in self._records.items():
            if id_ <= cursor and id_ not in self._counted and not self._is_kept(id_, record):
                self._counted.add(id_)

    def _is_kept(self, id_: int, record: dict[str, Any]) -> bool:
        minute = oracle.minute_of(record["timestamp"])
        return minute is not None and minute < self._kept_before and id_ <= self._kept_through

    @rule(count=st.integers(1, 30), hours=st.sampled_from([1, 30, 60]), roll_up_at=st.sampled_from([1, 40, 1000]))
    def store(self, count: int, hours: int, roll_up_at: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rollup_store, "FOLD_AT", roll_up_at)
            patch.setattr(rollup_store, "REMEMBERED_FROM", 3)
            self._store.append(IngestBatch(rows=[a_row_of(self._random, hours=hours) for _ in range(count)]))
        self._notice()

    @rule(size=st.integers(1, 60))
    def gather_some(self, size: int) -> None:
        self._gathered = gather(self._connection, read_state(self._connection), size)

    @precondition(lambda self: self._gathered is not None)
    @rule()
    def add_what_was_gathered(self) -> None:
        """However much has happened since."""
        assert self._gathered is not None
        with self._connection:
            add(self._connection, self._gathered)
        self._gathered = None
        self._notice()

    @precondition(lambda self: self._gathered is not None)
    @rule()
    def die_before_the_commit(self) -> None:
        assert self._gathered is not None
        self._connection.execute("BEGIN IMMEDIATE")
        add(self._connection, self._gathered)
        self._connection.execute("ROLLBACK")
        self._gathered = None

    @rule()
    def change_records(self) -> None:
        """As a migration, an undo or a new price does."""
        with self._connection:
            self._connection.execute("UPDATE completion_requests SET proxy_overhead_ms = proxy_overhead_ms + 1")
            reset(self._connection)
        cursor = max(self._counted, default=NOTHING)
        for id_ in self._counted:
            minute = oracle.minute_of(self._records[id_]["timestamp"])
            if minute is not None and minute < self._kept_before:
                self._kept.append(self._records[id_])
        self._kept_through = max(self._kept_through, cursor)
        self._counted.clear()
        for record in oracle.records_in(self._path):
            self._records[record["arrival"]] = record

    @rule(rows=st.integers(20, 5000))
    def clear(self, rows: int) -> None:
        with self._connection:
            clear_some(self._connection, rows)

    @rule(records=st.integers(1, 40))
    def prune(self, records: int) -> None:
        day = oldest_day(self._connection)
        if day is None:
            return
        with self._connection:
            done = prune_some(self._connection, day + DAY.seconds, records)
        if done:
            assert max(self._counted) >= self._kept_through  # all is counted that was before the last change
            self._kept_before = max(self._kept_before, day + DAY.seconds)

    @invariant()
    def roll_ups_are_what_was_counted(self) -> None:
        state = read_state(self._connection)
        if state.clearing:
            return
        counted = [*self._kept, *(self._records[id_] for id_ in self._counted)]
        decided = oracle.decided(self._path)
        found = oracle.stored(self._path)
        oracle.assert_alike(found, oracle.expected(counted, decided))


RollUps.TestCase.settings = examples(12, stateful_step_count=25)
TestRollUps = RollUps.TestCase
