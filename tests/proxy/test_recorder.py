"""Records are in the journal before the last bytes of their answers are on their way."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic_ns
from typing import Any, cast

import pytest

from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.proxy.recorder import Recorder
from llm_metrics_proxy.proxy.socket_writer import SocketWriter
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.scoreboard import FIELDS, Slot


class Transport:
    """Notes what was on the disk when it was written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[tuple[bytes, int]] = []
        self.closing = False

    def journal_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*.journal"))

    def write(self, data: bytes) -> None:
        self.notes.append((data, self.journal_bytes()))

    def is_closing(self) -> bool:
        return self.closing

    def get_extra_info(self, name: str) -> None:
        """No socket: every write goes through here."""


def record(number: int) -> RequestRecord:
    return RequestRecord(request_id=f"{number:032d}", timestamp="t", method="GET", endpoint="/")


class Bench:
    """A recorder on a real journal."""

    def __init__(self, folder: Path, fsync: str = "never", **how: Any) -> None:
        self.writer = JournalWriter(folder, os.urandom(8).hex(), **how)
        self.slot = Slot(memoryview(bytearray(8 * len(FIELDS))).cast("q"))
        self.recorder = Recorder(asyncio.get_running_loop(), self.writer, self.slot, fsync)
        self.transport = Transport(folder)
        self.socket_writer = SocketWriter(cast(asyncio.Transport, self.transport))
        self.done: list[str] = []


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 5))


def test_a_request_waits_for_its_opened_frame(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        exchange = Exchange(record(1), monotonic_ns())
        bench.recorder.send(exchange, bench.socket_writer, b"request")
        assert (bench.transport.notes, bench.transport.journal_bytes(), exchange.sent) == ([], 0, 0)
        await asyncio.sleep(0)
        [(data, journal_bytes)] = bench.transport.notes
        assert data == b"request"
        assert journal_bytes == bench.transport.journal_bytes() > 0
        assert exchange.sent > exchange.received

    run(story())


def test_who_cannot_wait_flushes_what_was_opened(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.recorder.flush()  # nothing was opened
        assert bench.transport.journal_bytes() == 0
        bench.recorder.opened(record(1))
        bench.recorder.flush()
        written = bench.transport.journal_bytes()
        assert written > 0
        await asyncio.sleep(0.01)
        assert bench.transport.journal_bytes() == written  # and not once more

    run(story())


@pytest.mark.parametrize("fsync", ["never", "always"])
def test_the_last_bytes_wait_for_the_record(tmp_path: Path, fsync: str) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, fsync)
        for number in range(3):
            bench.recorder.opened(record(number))
        await asyncio.sleep(0)  # counted at the end of the turn
        assert (bench.slot.get("requests"), bench.slot.get("open_requests")) == (3, 3)
        for number in range(3):
            bench.recorder.closed(record(number), bench.socket_writer, b"last", lambda: bench.done.append("then"))
        assert bench.transport.notes == []
        while len(bench.done) < 3:
            await asyncio.sleep(0.001)
        assert [data for data, _ in bench.transport.notes] == [b"last"] * 3
        sizes = {size for _, size in bench.transport.notes}
        assert sizes == {bench.transport.journal_bytes()}
        assert bench.writer.records_written == 3
        assert bench.slot.get("open_requests") == 0
        bench.recorder.close()

    run(story())


def test_a_client_that_is_gone_gets_nothing_and_its_record_is_written(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.transport.closing = True
        bench.recorder.opened(record(1))
        bench.recorder.closed(record(1), bench.socket_writer, b"last", lambda: bench.done.append("then"))
        await asyncio.sleep(0.01)
        assert (bench.transport.notes, bench.done) == ([], ["then"])
        assert bench.writer.records_written == 1
        bench.recorder.close()

    run(story())


def test_closing_hands_out_what_still_waited(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.recorder.opened(record(1))
        bench.recorder.closed(record(1), bench.socket_writer, b"last")
        bench.recorder.close()
        assert [data for data, _ in bench.transport.notes] == [b"last"]
        assert bench.writer.records_written == 1

    run(story())


def test_a_journal_that_cannot_be_written_is_told_when_it_begins_when_it_costs_records_and_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_metrics_proxy.journal.writer.BUFFER_BYTES", 4096)

    async def story() -> None:
        (tmp_path / "file").touch()
        bench = Bench(tmp_path / "file" / "journal")
        bench.recorder.opened(record(1))
        bench.recorder.closed(record(1), bench.socket_writer, b"last")
        await asyncio.sleep(0.01)
        assert [data for data, _ in bench.transport.notes] == [b"last"]  # proxying goes on
        with caplog.at_level(logging.ERROR):
            for now in (100.0, 101.0, 105.0, 111.0):
                bench.recorder.tick(now)
            assert caplog.text.count("cannot record (Not a directory); 1 records wait in memory") == 1
            assert bench.slot.get("journal_errno") != 0
            for number in range(2, 100):
                bench.recorder.closed(record(number))
            await asyncio.sleep(0.01)
            for now in (112.0, 113.0):
                bench.recorder.tick(now)
            assert caplog.text.count("records are being lost (Not a directory)") == 1
            (tmp_path / "file").unlink()
            await asyncio.sleep(2.1)  # longer than it waits between two tries
            for now in (120.0, 121.0):
                bench.recorder.tick(now)
            lost = bench.slot.get("records_dropped")
            assert lost > 0
            assert caplog.text.count(f"can record again after 20 s; {lost} records were lost") == 1

    run(story())


def test_the_bound_on_the_journal_is_known(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path, max_bytes=300)
        for number in range(20):
            bench.recorder.opened(record(number))
            bench.recorder.closed(record(number))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert bench.recorder.is_full
        bench.recorder.tick(0.0)
        assert bench.slot.get("journal_full") == 1
        assert bench.slot.get("losses_untold") == bench.slot.get("records_dropped") > 0
        for segment in tmp_path.glob("*.journal"):
            segment.unlink()  # as the reader does
        bench.recorder.tick(1.0)
        assert bench.slot.get("losses_untold") == 0
        assert bench.slot.get("records_dropped") > 0
        bench.recorder.close()

    run(story())


def test_a_restarted_worker_goes_on_counting_where_its_predecessor_died(tmp_path: Path) -> None:
    async def story() -> None:
        bench = Bench(tmp_path)
        bench.slot.set("records_written", 7)
        bench.slot.set("records_dropped", 1)
        bench.slot.set("records_waiting", 2)  # it died with these in its memory
        recorder = Recorder(asyncio.get_running_loop(), bench.writer, bench.slot, "never")
        recorder.opened(record(1))
        recorder.closed(record(1))
        recorder.tick(0.0)
        assert (bench.slot.get("records_written"), bench.slot.get("records_dropped")) == (8, 3)
        assert bench.slot.get("records_waiting") == 0
        recorder.close()

    run(story())


def test_what_cannot_be_written_at_the_end_is_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    async def story() -> None:
        bench = Bench(tmp_path / "file" / "journal")
        for number in range(2):
            bench.recorder.opened(record(number))
            bench.recorder.closed(record(number), bench.socket_writer, b"last")
        while not bench.transport.notes:
            await asyncio.sleep(0.001)
        assert (bench.slot.get("records_waiting"), bench.slot.get("records_dropped")) == (2, 0)
        bench.recorder.close()
        assert (bench.slot.get("records_waiting"), bench.slot.get("records_dropped")) == (0, 2)

    run(story())
    assert "2 records of this process could not be written" in caplog.text
