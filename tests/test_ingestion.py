"""From the journal into a real database: every request becomes exactly one row, whatever fails on the way."""

import errno
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.errors import JournalError, StoreBusyError, StoreError
from llm_metrics_proxy.ingestion import REJECTED_NAME, Ingestor, ingestor, storing
from llm_metrics_proxy.journal import JournalFolder, JournalWriter, frames
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.storage.base import SHORTENED, IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.counted import snapshot
from tests.journal_parts import WORKER, FaultyDisk, a_record, an_ended_record
from tests.waiting import wait_until


class Site:
    """A journal folder, a database and what is needed to look into both."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal"
        self.database = folder / "metrics.db"
        self.store = SqliteStore(self.database)
        self.reader = SqliteReader(self.database)
        self.book = CounterBook()
        self.ingestor = Ingestor(self.store, self.journal, self.book)
        self.writers: list[JournalWriter] = []

    def writer(self, worker_id: str = WORKER, segment_bytes: int = 1 << 24) -> JournalWriter:
        self.writers.append(JournalWriter(self.journal, worker_id, segment_bytes=segment_bytes))
        return self.writers[-1]

    def restart(self, batch_rows: int = 10_000) -> Ingestor:
        """As after a ``kill -9`` of the metrics process: nothing but files remains."""
        self.ingestor.stop(drain=False)
        self.store.close()
        self.store = SqliteStore(self.database)
        self.book = CounterBook()
        self.ingestor = Ingestor(self.store, self.journal, self.book, batch_rows=batch_rows)
        return self.ingestor

    def ingest(self) -> int:
        total = 0
        while True:
            before = self.ingestor.status().lag_bytes
            total += (done := self.ingestor.step())
            if not done and self.ingestor.status().lag_bytes == before:
                return total

    def outcomes(self) -> dict[int, str]:
        found = self.reader.query("SELECT request_id, outcome FROM completion_requests")
        assert len(dict(found)) == len(found)
        return {int(request_id, 16): outcome for request_id, outcome in found}

    def counted(self) -> int:
        """Requests in the counters that are stored, which are those that Prometheus is shown."""
        stored = CounterBook()
        stored.load(self.store.counters())
        assert snapshot(stored) == snapshot(self.book)
        return self.shown()

    def shown(self) -> int:
        """Requests in the counters that Prometheus is shown at this moment."""
        return sum(sum(series.outcomes.values()) for _, series in snapshot(self.book))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.journal.iterdir() if path.name != "reader.claim")

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
        self.ingestor.stop(drain=False)
        self.reader.close()
        self.store.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.close()


def serve(writer: JournalWriter, *indexes: int) -> None:
    """Whole requests."""
    for index in indexes:
        writer.opened(a_record(index))
        writer.closed(an_ended_record(index))
    writer.flush()


def test_requests_become_rows_and_counters_while_their_worker_lives(site: Site) -> None:
    writer = site.writer()
    serve(writer, *range(10))
    assert site.ingestor.step() == 10
    assert site.outcomes() == dict.fromkeys(range(10), Outcome.COMPLETED)
    assert site.counted() == 10
    assert site.ingestor.step() == 0
    serve(writer, 10)
    assert site.ingestor.step() == 1
    assert site.ingestor.status().records_ingested == 11


def test_a_request_that_stays_open_is_remembered_and_becomes_one_row_when_it_ends(site: Site) -> None:
    writer = site.writer()
    writer.opened(a_record(1, model="m"))
    writer.flush()
    assert site.ingestor.step() == 0
    assert site.ingestor.status().open_requests == 1
    site.restart().step()
    assert site.ingestor.status().open_requests == 1
    writer.closed(an_ended_record(1))
    writer.flush()
    assert site.ingestor.step() == 1
    assert site.ingestor.status().open_requests == 0
    assert site.outcomes() == {1: Outcome.COMPLETED}


def test_an_orderly_end_leaves_nothing_in_the_folder(site: Site) -> None:
    writer = site.writer(segment_bytes=1_000)
    serve(writer, *range(20))
    writer.close()
    assert site.ingest() == 20
    assert site.files() == []
    assert site.store.positions() == []


def test_what_a_dead_worker_left_open_has_crashed(site: Site) -> None:
    writer = site.writer()
    serve(writer, 1)
    writer.opened(a_record(2, model="m"))
    writer.flush()
    site.ingest()
    writer.opened(a_record(3))
    writer.close()
    assert site.ingest() == 2
    assert site.outcomes() == {1: Outcome.COMPLETED, 2: Outcome.PROXY_CRASHED, 3: Outcome.PROXY_CRASHED}
    crashed = site.reader.query(
        "SELECT DISTINCT error_type, success, response_time_ms, tokens_per_second FROM completion_requests "
        "WHERE arrival > 1"
    )
    assert crashed == [("crashed", 0, None, None)]
    assert site.ingestor.status().open_requests == 0
    assert site.files() == []


def test_a_live_workers_read_segments_are_deleted_and_its_newest_stays(site: Site) -> None:
    writer = site.writer(segment_bytes=500)
    for index in range(20):
        serve(writer, index)
    assert site.ingest() == 20
    assert [name for name in site.files() if name.endswith(".journal")] == [writer._files.name]


def test_lost_records_have_rows_that_say_so(site: Site) -> None:
    writer = site.writer()
    writer.opened(a_record(1, model="m"))
    writer.flush()
    site.ingest()
    writer._lose(an_ended_record(1))
    writer._lose(an_ended_record(2))
    writer.flush()
    assert site.ingest() == 2
    assert site.outcomes() == {1: "proxy_crashed", 2: "proxy_crashed"}
    assert site.reader.query("SELECT DISTINCT error_category, error_type FROM completion_requests") == [
        ("proxy", "record_lost")
    ]
    assert site.reader.query("SELECT model FROM completion_requests ORDER BY arrival") == [("m",), (None,)]


def test_with_debug_each_request_that_is_stored_is_a_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    serve(site.writer(), 1)
    with caplog.at_level(logging.DEBUG, "llm_metrics_proxy.ingestion"):
        assert site.ingest() == 1
    assert caplog.messages == [f"request {an_ended_record(1).request_id}: stored, completed"]


def test_many_workers_share_batches_fairly(site: Site) -> None:
    for worker in range(5):
        serve(site.writer(f"{worker:x}"), *range(worker * 100, worker * 100 + 100))
    site.restart(batch_rows=100)
    for turn in range(1, 6):
        assert site.ingestor.step() == 100
        assert len(site.outcomes()) == turn * 100
    assert site.ingestor.step() == 0


def test_a_torn_end_of_a_dead_worker_is_cut_off_and_counted(site: Site) -> None:
    writer = site.writer()
    serve(writer, 1, 2)
    writer.close()
    (segment,) = site.journal.glob("*.journal")
    segment.write_bytes(segment.read_bytes()[:-7])
    site.ingest()
    assert site.outcomes() == {1: Outcome.COMPLETED, 2: Outcome.PROXY_CRASHED}
    assert site.ingestor.status().torn_frames == 1


def test_damage_costs_what_it_hit_and_is_kept_for_a_person(site: Site) -> None:
    writer = site.writer()
    serve(writer, 1, 2, 3)
    writer.close()
    (segment,) = site.journal.glob("*.journal")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    site.ingest()
    assert set(site.outcomes()) == {1, 2, 3}
    assert site.ingestor.status().damaged_bytes > 0
    assert site.files() == [f"{segment.name}.damaged"]


def test_a_segment_of_a_newer_format_holds_up_only_its_own_worker(site: Site) -> None:
    (site.journal).mkdir()
    newer = site.journal / frames.segment_name("beef", 1)
    newer.write_bytes(frames.MAGIC[:-1] + b"\x09 who knows")
    serve(site.writer(), 1)
    site.ingest()
    assert site.outcomes() == {1: Outcome.COMPLETED}
    assert "journal format 9" in str(site.ingestor.status().last_error)
    assert newer.exists()


def test_frames_of_unknown_kinds_are_counted(site: Site) -> None:
    writer = site.writer()
    writer._pending.append(b"\x63future")
    serve(writer, 1)
    assert site.ingest() == 1
    assert site.ingestor.status().unknown_frames == 1


def test_files_deleted_by_hand_end_their_worker(site: Site) -> None:
    writer = site.writer()
    writer.opened(a_record(1))
    writer.flush()
    site.ingest()
    writer.close()
    for name in site.files():
        (site.journal / name).unlink()
    site.ingest()
    assert site.outcomes() == {1: Outcome.PROXY_CRASHED}
    assert site.store.positions() == []


class TestRefusedRows:
    def test_what_can_be_stored_in_part_is(self, site: Site) -> None:
        writer = site.writer()
        writer.opened(a_record(1))
        writer.closed(an_ended_record(1, max_tokens=2**63, model="m"))
        serve(writer, 2)
        assert site.ingest() == 2
        assert site.reader.query("SELECT model, max_tokens FROM completion_requests ORDER BY arrival") == [
            ("m", None),
            (None, None),
        ]
        assert site.counted() == 2
        assert not (site.journal / REJECTED_NAME).exists()

    def test_what_cannot_goes_to_a_side_file_and_holds_up_nothing(self, site: Site) -> None:
        writer = site.writer()
        serve(writer, 1, 2)
        writer.closed(an_ended_record(1, model="the same id again"))
        serve(writer, 3)
        assert site.ingest() == 3
        assert set(site.outcomes()) == {1, 2, 3}
        assert site.counted() == 3
        assert site.ingestor.status().records_rejected == 1
        (line,) = (site.journal / REJECTED_NAME).read_bytes().splitlines()
        rejected = msgspec.json.decode(line)
        assert "request_id" in rejected["reason"]
        assert rejected["record"]["model"] == "the same id again"
        assert frames.decode_record(bytes.fromhex(rejected["frame_hex"])).model == "the same id again"

    def test_a_body_that_cannot_be_decoded_goes_there_too(self, site: Site) -> None:
        writer = site.writer()
        writer._pending.append(b"\x02\xc1")
        serve(writer, 1)
        assert site.ingest() == 1
        assert site.ingestor.status().records_rejected == 1
        assert msgspec.json.decode((site.journal / REJECTED_NAME).read_bytes())["frame_hex"] == "c1"


class FailingStore(SqliteStore):
    """Fails the next ``failures`` commits, before or after they took effect."""

    failures = 0
    after = False

    def append(self, batch: IngestBatch) -> None:
        if self.failures and not self.after:
            self.failures -= 1
            raise StoreError("disk I/O error")
        super().append(batch)
        if self.failures:
            self.failures -= 1
            raise StoreError("disk I/O error, and nobody knows")


@pytest.mark.parametrize("after", [False, True])
def test_a_failed_commit_is_read_again_from_what_is_committed(site: Site, after: bool) -> None:
    site.store.close()
    store = site.store = FailingStore(site.database)
    site.ingestor = Ingestor(store, site.journal, site.book)
    writer = site.writer(segment_bytes=600)
    total = 0
    for start in range(0, 40, 4):
        serve(writer, *range(start, start + 4))
        writer.opened(a_record(1_000 + start))
        writer.flush()
        store.failures, store.after = 1, after
        with pytest.raises(StoreError):
            site.ingestor.step()
        total += site.ingest()
    writer.close()
    site.ingest()
    assert len(site.outcomes()) == 50
    assert site.counted() == 50


class Killed(BaseException):
    """As good as ``kill -9``: nothing in the package catches it."""


@pytest.mark.parametrize("after", [False, True])
def test_prometheus_never_saw_what_a_kill_around_the_commit_takes_back(
    site: Site, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    writer = site.writer()
    serve(writer, *range(5))
    site.ingestor.step()
    commit = site.store.append

    def killed(batch: IngestBatch) -> None:
        assert len(batch.rows) == 3
        if after:
            commit(batch)
        assert site.shown() == 5  # a scrape at the worst moment
        raise Killed

    serve(writer, 5, 6, 7)
    monkeypatch.setattr(site.store, "append", killed)
    with pytest.raises(Killed):
        site.ingestor.step()
    assert site.shown() == 5
    site.restart().step()
    assert site.counted() == len(site.outcomes()) == 8


@pytest.mark.parametrize("when", ["delete_segment", "delete_lock", "sync"])
def test_a_fault_while_tidying_is_made_up_for_by_the_next_start(
    site: Site, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    writer = site.writer(segment_bytes=600)
    for index in range(8):
        serve(writer, index)
    writer.opened(a_record(8))
    writer.close()
    with monkeypatch.context() as patch:
        patch.setattr(JournalFolder, when, fail)
        with pytest.raises(OSError, match="Input/output error"):
            site.ingestor.step()
    assert len(site.outcomes()) == 9
    site.restart()
    assert site.ingest() == 0
    assert len(site.outcomes()) == 9
    assert (site.files(), site.store.positions()) == ([], [])


def test_a_second_ingester_waits_for_the_first(site: Site) -> None:
    serve(site.writer(), 1)
    site.ingestor.step()
    other_store = SqliteStore(site.database)
    other = Ingestor(other_store, site.journal, CounterBook())
    with pytest.raises(JournalError, match="Another metrics process"):
        other.step()
    site.ingestor.stop(drain=False)
    assert other.step() == 0
    other.stop(drain=False)
    other_store.close()


def test_a_locked_database_loses_nothing(site: Site) -> None:
    holder = apsw.Connection(str(site.database))
    holder.execute("BEGIN IMMEDIATE")
    serve(site.writer(), *range(100))
    with pytest.raises(StoreBusyError):
        site.ingestor.step()
    holder.execute("ROLLBACK")
    holder.close()
    assert site.ingest() == 100
    assert (len(site.outcomes()), site.counted()) == (100, 100)


def test_a_full_database_loses_nothing(site: Site) -> None:
    site.store._connection.pragma("max_page_count", site.store._connection.pragma("page_count") + 3)
    serve(site.writer(), *range(500))
    with pytest.raises(StoreError, match="full"):
        site.ingestor.step()
    site.store._connection.pragma("max_page_count", 1_000_000)
    assert site.ingest() == 500
    assert (len(site.outcomes()), site.counted()) == (500, 500)


class Flat:
    """A price for everything."""

    def __init__(self, usd: float) -> None:
        self.usd = usd

    def price(self, record: RequestRecord, busy_ms: float | None) -> tuple[float, str, None]:
        return self.usd, f"by {record.model}", None


def test_records_are_stored_with_the_price_of_their_time(site: Site) -> None:
    writer = site.writer()
    ask = "SELECT cost_usd, cost_source FROM completion_requests ORDER BY arrival"
    serve(writer, 1)
    site.ingestor.step()
    site.ingestor.use_pricer(Flat(0.5))
    writer.closed(an_ended_record(2, model="m"))
    writer.flush()
    site.ingestor.step()
    site.ingestor.use_pricer(Flat(0.25))
    writer.closed(an_ended_record(3, model="m"))
    writer.flush()
    site.ingestor.step()
    assert site.reader.query(ask) == [(None, None), (0.5, "by m"), (0.25, "by m")]
    assert sum(series.cost_usd for _, series in snapshot(site.book)) == 0.75


class TestThread:
    def test_records_are_there_soon_and_stop_drains(self, site: Site) -> None:
        site.ingestor.start()
        writer = site.writer()
        serve(writer, 1)
        wait_until(lambda: len(site.outcomes()) == 1)
        serve(writer, *range(2, 5_000))
        writer.close()
        site.ingestor.stop(drain=True)
        assert len(site.outcomes()) == 4_999
        assert site.files() == []
        assert not site.ingestor.status().running

    def test_trouble_is_shown_and_ends_by_itself(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ingestor, "RETRY_FIRST_S", 0.01)
        holder = apsw.Connection(str(site.database))
        holder.execute("BEGIN IMMEDIATE")
        serve(site.writer(), *range(10))
        site.ingestor.start()
        wait_until(lambda: site.ingestor.status().last_error is not None)
        status = site.ingestor.status()
        assert "locked by another program" in str(status.last_error)
        assert status.lag_bytes > 0
        wait_until(lambda: site.ingestor.status().lag_ms > 0)
        holder.execute("ROLLBACK")
        holder.close()
        wait_until(lambda: site.ingestor.status().records_ingested == 10)
        wait_until(lambda: site.ingestor.status().last_error is None)
        status = site.ingestor.status()
        assert (status.lag_bytes, status.lag_ms) == (0, 0)
        assert status.last_commit_unix_ms is not None

    def test_a_lock_is_worth_a_line_of_the_log_only_if_it_lasts(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(ingestor, "RETRY_FIRST_S", 0.01)
        monkeypatch.setattr(ingestor, "RETRY_LONGEST_S", 0.01)
        real, locked = site.store.append, [0]

        def append(batch: IngestBatch) -> None:
            if locked[0]:
                locked[0] -= 1
                raise StoreBusyError("locked")
            real(batch)

        monkeypatch.setattr(site.store, "append", append)
        writer = site.writer()
        site.ingestor.start()
        for times, lines in ((2, []), (20, ["ingestion waits: locked"])):
            locked[0] = times
            serve(writer, times)
            wait_until(lambda known=times: known in site.outcomes())  # type: ignore[misc]
            assert locked[0] == 0
            assert caplog.messages == lines

    def test_a_bug_is_shown_and_ends_nothing(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ingestor, "RETRY_FIRST_S", 0.01)
        with monkeypatch.context() as patch:
            patch.setattr(storing, "to_columns", lambda *_: 1 // 0)
            serve(site.writer(), 1)
            site.ingestor.start()
            wait_until(lambda: "ZeroDivisionError" in str(site.ingestor.status().last_error))
        wait_until(lambda: len(site.outcomes()) == 1)

    def test_a_stop_that_cannot_drain_ends_all_the_same(self, site: Site) -> None:
        holder = apsw.Connection(str(site.database))
        holder.execute("BEGIN IMMEDIATE")
        serve(site.writer(), 1)
        site.ingestor.start()
        site.ingestor.stop(drain=True, timeout_s=0.1)
        holder.execute("ROLLBACK")
        holder.close()
        site.restart()
        assert site.ingest() == 1

    def test_writers_at_full_speed_lose_nothing(self, site: Site) -> None:
        site.ingestor.start()

        def work(worker: int) -> None:
            writer = site.writer(f"{worker:x}", segment_bytes=20_000)
            for index in range(worker * 10_000, worker * 10_000 + 600):
                writer.opened(a_record(index))
                writer.closed(an_ended_record(index))
                if index % 7 == 0:
                    writer.flush()
            writer.close()

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        site.ingestor.stop(drain=True)
        assert len(site.outcomes()) == 1_800
        assert site.counted() == 1_800
        assert site.files() == []


def lose(
    site: Site, monkeypatch: pytest.MonkeyPatch, worker_id: str, records: int, under_way: int = 0
) -> JournalWriter:
    """A worker whose disk is full: so many records wait in its memory, and those of requests that were under way."""
    writer = site.writer(worker_id)
    serve(writer, 900)
    opened = range(2000, 2000 + under_way)
    for index in opened:
        writer.opened(a_record(index))
    writer.flush()
    disk = FaultyDisk(monkeypatch)
    disk.free_bytes = 0
    for index in range(1000, 1000 + records):
        writer.opened(a_record(index))
        writer.closed(an_ended_record(index))
        writer.flush()
    for index in opened:
        writer.closed(an_ended_record(index))
    writer.flush()
    writer.note_losses()
    disk.free_bytes = None
    return writer


def die(writer: JournalWriter) -> None:
    """As after ``kill -9``: the kernel frees the lock, and nothing else happens."""
    os.close(writer._files.lock_fd)
    writer._files.lock_fd = -1


def test_what_a_dead_worker_lost_is_counted_once_whatever_is_restarted(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer = lose(site, monkeypatch, WORKER, 7)
    site.ingest()
    assert site.ingestor.status().records_lost == 0  # it may write them yet
    die(writer)
    site.ingest()
    status = site.ingestor.status()
    assert (status.records_lost, status.lost_reason) == (7, "No space left on device")
    assert 0 < (status.lost_first_unix_ms or 0) <= (status.lost_last_unix_ms or 0)
    assert site.files() == []
    site.restart().step()
    assert site.ingestor.status().records_lost == 7
    assert caplog.text.count("7 requests were served without a record between ") == 1
    die(lose(site, monkeypatch, "beef", 2))
    site.ingest()
    assert site.ingestor.status().records_lost == 9


def test_a_request_that_was_opened_and_whose_end_is_lost_is_a_row_and_no_loss(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(lose(site, monkeypatch, WORKER, 4, under_way=3))
    site.ingest()
    crashed = [index for index, outcome in site.outcomes().items() if outcome == Outcome.PROXY_CRASHED]
    assert crashed == [2000, 2001, 2002]
    assert site.ingestor.status().records_lost == 4  # seven requests, each counted once


def test_a_loss_is_told_while_the_database_cannot_be_written_and_is_stored_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.ingest()
    die(lose(site, monkeypatch, WORKER, 5))
    holder = apsw.Connection(str(site.database))
    holder.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        assert not site.ingestor._attempt()
        assert site.ingestor.status().records_lost == 5
    holder.execute("ROLLBACK")
    holder.close()
    site.ingest()
    assert site.ingestor.status().records_lost == 5
    assert site.reader.query("SELECT worker_id, records FROM journal_losses") == [(WORKER, 5)]


def test_stopping_does_not_wait_for_a_disk_that_is_full(site: Site) -> None:
    site.ingestor.start()
    site.store._connection.pragma("max_page_count", site.store._connection.pragma("page_count") + 3)
    serve(site.writer(), *range(500))
    begun = time.monotonic()
    site.ingestor.stop(timeout_s=300)
    assert time.monotonic() - begun < 150  # it would go on trying for twice as long
    assert "full" in str(site.ingestor.status().last_error)
    site.store._connection.pragma("max_page_count", 1_000_000)
    assert site.ingest() == 500


@pytest.mark.parametrize("keeps", [True, False])
def test_tokens_are_counted_from_what_was_reported_whether_that_is_kept_or_not(site: Site, keeps: bool) -> None:
    reported = '{"usage":{"prompt_tokens":20,"completion_tokens":5}}'
    facts = {"dialect": "openai_chat", "usage_reported": reported, "total_tokens": None}
    site.ingestor.keep_reports(keeps)
    writer = site.writer()
    for index in range(3):
        writer.closed(an_ended_record(index, **facts))
    writer.closed(an_ended_record(3))  # of a worker of 4.4, which counted itself
    writer.flush()
    site.ingest()
    report = SHORTENED["usage_reported"].format("usage_reported")
    shown = f"SELECT {report}, prompt_tokens, completion_tokens, total_tokens, usage_source FROM completion_requests"
    counted = (reported if keeps else None, 20, 5, 25, "reported")
    assert site.reader.query(f"{shown} ORDER BY arrival") == [counted] * 3 + [(None, None, None, 30, "none")]
