"""No space for the database, none for the journal, a journal folder that turns read-only: proxying goes on.

What cannot be recorded is counted, shown on both ports, to Prometheus and in the log; afterwards recording goes on by
itself, and what was counted as lost is exactly what is missing.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest

from tests.child_processes import answers
from tests.system.disks import filled, read_only, small_disk
from tests.system.house import House, kill
from tests.system.kinds import MIXED
from tests.system.load import Seen
from tests.system.scraper import Scraper, scrape, total
from tests.system.truth import compare
from tests.upstream import FakeUpstream
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_MIB: Final = 1024 * 1024
_CRASHED: Final = {"outcome": "proxy_crashed"}  # opened before the disk was full, and then nothing more


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 48 * _MIB) as folder:
        yield folder


def test_no_space_for_the_database_delays_records_and_nothing_else(
    tmp_path: Path, upstream: FakeUpstream, disk: Path
) -> None:
    house = House(tmp_path, upstream, "--db-path", str(disk / "metrics.db"))
    house.database = disk / "metrics.db"
    with house.live() as stack, Scraper(house.metrics_port), house.load("plain", "stream", "error") as load:
        time.sleep(1)
        with filled(disk):
            wait_until(lambda: "full" in str(stack.get("/health")["reasons"]), lambda: stack.get("/health"))
            assert stack.get("/health")["status"] == "degraded"
            assert house.proxy_status() == "ok"
            assert total(scrape(house.metrics_port), "llm_proxy_journal_lag_bytes") > 0
            assert "ingestion waits" in stack.log.read_text()
            kill(*stack.metrics_pids())  # its successor finds the disk full at its start
            sent = len(load.notes)
            wait_until(lambda: len(load.notes) > sent + 500, "500 more answers")
            wait_until(lambda: answers(f"127.0.0.1:{house.metrics_port}", "/health"), "the API with a full disk")
            wait_until(lambda: "full" in str(stack.get("/health")["reasons"]), lambda: stack.get("/health"))
        notes = load.stop()
        verdict = compare(notes, house.settle(stack))
        wait_until(lambda: stack.get("/health")["status"] == "ok", lambda: stack.get("/health"))
        print(f"\n{verdict}")
    assert (verdict.rows, verdict.whole) == (len(notes), len(notes))
    house.assert_tidy()


@pytest.mark.parametrize(
    ("fault", "word", "database"),
    [
        (filled, "No space left on device", "elsewhere.db"),
        (filled, "No space left on device", "disk/metrics.db"),
        (read_only, "Read-only file system", "elsewhere.db"),
    ],
    ids=["full", "full for the database too", "read-only"],
)
def test_a_journal_that_cannot_be_written_costs_counted_records_and_nothing_else(
    tmp_path: Path,
    upstream: FakeUpstream,
    disk: Path,
    fault: Callable[[Path], AbstractContextManager[None]],
    word: str,
    database: str,
) -> None:
    flags = ("--journal-dir", str(disk), "--journal-segment-bytes", "65536", "--db-path", str(tmp_path / database))
    house = House(tmp_path, upstream, *flags, workers=1)
    house.database = tmp_path / database
    house.journal = disk
    with house.live() as stack, Scraper(house.metrics_port), house.load("fat", pause_s=0.005, clients=8) as load:
        wait_until(lambda: len(load.notes) > 100, "100 answers")
        with fault(disk):
            # 8 MiB of frames wait in memory; whatever comes then is dropped
            wait_until(lambda: house.dropped() > 100, house.health)
            assert house.proxy_status() == "degraded"
            health = house.health()
            assert health["status"] == "degraded"
            assert word in str(health["reasons"]), health
            assert total(scrape(house.metrics_port), "llm_proxy_records_dropped_total") > 100
            assert f"journal: cannot record ({word})" in stack.log.read_text()
        wait_until(lambda: not house.health()["workers"][0]["journal_error"], house.health)
        sent, dropped = len(load.notes), house.dropped()
        wait_until(lambda: len(load.notes) > sent + 100, "100 more answers")
        notes = load.stop()
        verdict = compare(notes, house.settle(stack))
        assert house.dropped() == dropped  # nothing more once there was space again
        assert total(scrape(house.metrics_port), "llm_proxy_records_dropped_total") == dropped
        assert f"{dropped} requests were served without a record" in str(house.health()["reasons"])
        print(f"\n{dropped} dropped, {verdict}")
    assert verdict.whole == len(notes)
    assert verdict.lost == dropped
    assert verdict.rows == len(notes)  # each of the lost ones has a row too, which says that it is lost
    house.assert_tidy()


def test_a_worker_killed_while_its_records_wait_for_the_disk_leaves_their_exact_number(
    tmp_path: Path, upstream: FakeUpstream, disk: Path
) -> None:
    house = House(tmp_path, upstream, "--journal-dir", str(disk), workers=1)
    house.journal = disk
    with house.live() as stack, house.load("plain", "stream", "slow") as load:
        wait_until(lambda: len(load.notes) > 50, "50 answers")
        with filled(disk):
            wait_until(lambda: house.health()["workers"][0]["records_waiting"] > 200, house.health)
            kill(*stack.worker_pids())
            wait_until(lambda: house.dropped() > 200, house.health)
        wait_until(lambda: not house.health()["workers"][0]["journal_error"], house.health)
        notes = load.stop()
        rows = {row["request_id"]: row for row in house.settle(stack)}
        dropped = house.dropped()
    whole = [note for note in notes if note.seen is Seen.WHOLE]
    unrecorded = sum(rows.get(note.request_id, _CRASHED)["outcome"] == _CRASHED["outcome"] for note in whole)
    print(f"\n{dropped} dropped, {unrecorded} of {len(whole)} unrecorded")
    # One that died between counting a record and handing out its last bytes has counted a request that is not whole.
    assert unrecorded <= dropped <= unrecorded + len(notes) - len(whole)


def test_stopping_with_a_journal_that_cannot_be_written_tells_how_many_records_are_missing(
    tmp_path: Path, upstream: FakeUpstream, disk: Path
) -> None:
    house = House(tmp_path, upstream, "--journal-dir", str(disk), workers=1)
    house.journal = disk
    with house.live() as stack, house.load(*MIXED) as load:
        wait_until(lambda: len(load.notes) > 50, "50 answers")
        with filled(disk):
            sent = len(load.notes)
            wait_until(lambda: len(load.notes) > sent + 300, "300 more answers")
            stack.expect_exit(0)
            stack.process.terminate()
            stack.process.wait(20)
        notes = load.stop()
    (missing,) = re.findall(r"(\d+) records of this process could not be written", stack.log.read_text())
    with house.live() as stack:
        rows = house.settle(stack)
    recorded = {row["request_id"] for row in rows if row["outcome"] != "proxy_crashed"}
    print(f"\n{missing} missing, {len(rows)} rows")
    assert int(missing) > 200
    assert len(recorded) + int(missing) == len([note for note in notes if note.request_id])
    compare(
        [note for note in notes if note.request_id in recorded], [row for row in rows if row["request_id"] in recorded]
    )
