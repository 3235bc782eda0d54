"""Any order of opening, closing, flushing, rotating, full disks, kills of either side and ingesting: one row each.

The oracle knows for every request what its row must say: completed once its closed frame was taken by the kernel,
crashed if only its opened frame was, lost if the writer dropped its closed frame and could tell so, and no row if
nothing of it ever reached the kernel.
"""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.journal import JournalWriter, writer
from llm_metrics_proxy.record import Outcome
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.counted import snapshot
from tests.examples import examples
from tests.journal_parts import Clock, FaultyDisk, a_record, an_ended_record


class Killed(BaseException):
    """As good as ``kill -9``: nothing in the package catches it."""


class JournalMachine(RuleBasedStateMachine):
    """One worker at a time (each kill starts another), one database."""

    @initialize(segment_bytes=st.sampled_from([300, 2_000, 1 << 20]), batch_rows=st.sampled_from([1, 3, 1_000]))
    def set_up(self, segment_bytes: int, batch_rows: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="journal-machine-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writer, "BUFFER_BYTES", 2_000)
        self.disk = FaultyDisk(self.patch)
        self.clock = Clock()
        self.segment_bytes, self.batch_rows = segment_bytes, batch_rows
        self.open: list[int] = []
        self.expected: dict[int, str] = {}
        self.count = self.starts = self.recorded_before = self.shown_before = 0
        self.reader = SqliteReader(self.folder / "metrics.db")
        self.store = SqliteStore(self.folder / "metrics.db")
        self.start_ingester()
        self.start_worker()

    def start_ingester(self) -> None:
        self.book = CounterBook()
        self.ingestor = Ingestor(self.store, self.folder / "journal", self.book, batch_rows=self.batch_rows)

    def start_worker(self) -> None:
        self.starts += 1
        self.open = []
        self.journal = JournalWriter(
            self.folder / "journal", f"{self.starts:x}", segment_bytes=self.segment_bytes, clock=self.clock
        )

    @rule()
    def open_request(self) -> None:
        self.count += 1
        self.journal.opened(a_record(self.count))
        self.open.append(self.count)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_request(self, data: st.DataObject) -> None:
        index = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        dropped = self.journal.records_dropped
        self.journal.closed(an_ended_record(index))
        self.expected[index] = Outcome.COMPLETED if self.journal.records_dropped == dropped else Outcome.RECORD_LOST

    @rule()
    def flush(self) -> None:
        self.clock.now += 10
        self.journal.flush()

    @rule(free_bytes=st.integers(0, 700))
    def fill_disk(self, free_bytes: int) -> None:
        self.disk.free_bytes = free_bytes

    @rule()
    def free_disk(self) -> None:
        self.disk.free_bytes = None

    @rule()
    def ingest(self) -> None:
        self.ingestor.step()
        assert self.scrape() == len(self.rows())

    @rule(after=st.booleans())
    def kill_ingester_at_its_commit(self, after: bool) -> None:
        commit = self.store.append

        def killed(batch: IngestBatch) -> None:
            assert self.scrape() == len(self.rows())
            if after:
                commit(batch)
            assert self.scrape() <= len(self.rows())
            raise Killed

        with pytest.MonkeyPatch.context() as patch, suppress(Killed):  # there may be nothing to commit
            patch.setattr(self.store, "append", killed)
            self.ingestor.step()
        self.kill_ingester()

    def scrape(self) -> int:
        """Requests that Prometheus is shown; never fewer than before, unless nothing is read yet after a start."""
        series = snapshot(self.book)
        shown = sum(sum(each.outcomes.values()) for _, each in series)
        assert not series or shown >= self.shown_before
        self.shown_before = max(shown, self.shown_before)
        return shown

    @rule()
    def kill_ingester(self) -> None:
        self.ingestor.stop(drain=False)
        self.store.close()
        self.store = SqliteStore(self.folder / "metrics.db")
        self.start_ingester()

    @rule(orderly=st.booleans())
    def end_worker(self, orderly: bool) -> None:
        """Orderly: everything is flushed first. Else the process dies after its last flush: what it took is there."""
        self.disk.free_bytes = None
        self.flush()
        if not orderly:
            self.journal.opened(a_record(9_000_000 + self.starts))  # pending: dies with the process
            self.journal._pending.clear()
        self.journal.close()
        self.expected.update(dict.fromkeys(self.open, Outcome.PROXY_CRASHED))
        self.start_worker()

    @invariant()
    def no_counter_goes_down(self) -> None:
        self.scrape()

    @invariant()
    def no_row_twice_and_none_unexpected(self) -> None:
        rows = self.rows()
        assert len(rows) >= self.recorded_before
        self.recorded_before = len(rows)
        for index, outcome in rows.items():
            assert outcome == self.expected[index]

    def rows(self) -> dict[int, str]:
        found = self.reader.query("SELECT request_id, outcome FROM completion_requests")
        rows = {int(request_id, 16): outcome for request_id, outcome in found}
        assert len(rows) == len(found)
        return rows

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        self.end_worker(orderly=True)
        self.journal.close()
        for _ in range(10 * self.count + 50):
            self.ingestor.step()
        rows = self.rows()
        # An opened frame that the full buffer refused may leave an open request without a trace; nothing else may.
        missing = {index: outcome for index, outcome in self.expected.items() if index not in rows}
        assert set(missing.values()) <= {Outcome.PROXY_CRASHED}
        assert {index: self.expected[index] for index in rows} == rows
        left = [path.name for path in (self.folder / "journal").iterdir()]
        assert left == ["reader.claim"]
        assert self.ingestor.status().damaged_bytes == self.ingestor.status().torn_frames == 0
        self.ingestor.stop(drain=False)
        self.reader.close()
        self.store.close()
        self.patch.undo()
        shutil.rmtree(self.folder)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = examples(30, stateful_step_count=30)
