"""Another program holds the database's lock for half a minute: clients notice nothing, and no record is lost."""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.child_processes import answers
from tests.system.house import House, kill
from tests.system.load import Note, Seen
from tests.system.scraper import scrape, total
from tests.system.truth import compare
from tests.upstream import FakeUpstream
from tests.waiting import wait_until

pytestmark = pytest.mark.system

LOCKED_S: Final = 30.0
_FULL: Final = "the journal has reached journal_max_bytes"
_HOLDER: Final = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(10_000)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


def test_a_database_locked_by_another_program_costs_neither_time_nor_records(house: House) -> None:
    with house.live() as stack, house.load("plain", "stream", "error", clients=8, pause_s=0.03) as load:
        time.sleep(5)
        with _locked(house.database) as holder:
            since_s = time.monotonic()
            before = len(house.rows())
            wait_until(lambda: "locked by another program" in str(house.health()["reasons"]), "a word")
            health = house.health()
            assert health["status"] == "degraded"
            assert house.proxy_status() == "ok"  # nothing is lost, and the proxy's own side is well
            time.sleep(max(0.0, since_s + LOCKED_S - time.monotonic()))
            assert len(house.rows()) == before
            assert stack.get("/health")["ingestion"]["lag_bytes"] > 0
            until_s = time.monotonic()
            kill(*stack.metrics_pids())  # its successor meets the lock at its start
            wait_until(
                lambda: answers(f"127.0.0.1:{house.metrics_port}", "/health"), "the API beside a locked database"
            )
            wait_until(lambda: "locked by another program" in str(house.health()["reasons"]), "a word")
            holder.communicate()
        notes = load.stop()
        verdict = compare(notes, house.settle(stack))
        assert house.health()["status"] == "ok"
    assert verdict.whole == len(notes)
    free = _latencies_ms(notes, 0.0, since_s)
    locked = _latencies_ms(notes, since_s, until_s)
    print(f"\nfree: {_said(free)}; locked: {_said(locked)}; {verdict}")
    assert len(locked) > 1000
    # Generous for a noisy machine; a worker that waited for the lock would show seconds.
    assert statistics.median(locked) < 2 * statistics.median(free) + 5
    assert _p99(locked) < _p99(free) + 250


def test_a_journal_that_is_full_because_of_the_lock_loses_exactly_what_it_counts(
    tmp_path: Path, upstream: FakeUpstream
) -> None:
    house = House(tmp_path, upstream, "--journal-max-bytes", "1MiB", "--journal-segment-bytes", "64KiB")
    with house.live() as stack, house.load("fat", "plain", clients=8, pause_s=0.005) as load:
        wait_until(lambda: len(load.notes) > 50, "50 answers")
        with _locked(house.database) as holder:
            wait_until(lambda: house.dropped() > 100, house.health)
            assert house.proxy_status() == house.health()["status"] == "degraded"
            assert _FULL in str(house.health()["reasons"])
            holder.communicate()
        wait_until(lambda: _FULL not in str(house.health()["reasons"]), house.health)
        sent = len(load.notes)
        wait_until(lambda: len(load.notes) > sent + 100, "100 more answers")
        notes = load.stop()
        verdict = compare(notes, house.settle(stack))
        dropped = house.dropped()
        print(f"\n{dropped} dropped; {verdict}")
        assert total(scrape(house.metrics_port), "llm_proxy_records_dropped_total") == dropped
    assert verdict.lost == dropped
    assert verdict.rows == verdict.whole == len(notes)


def _locked(database: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    return holder


def _latencies_ms(notes: list[Note], since_s: float, until_s: float) -> list[float]:
    return [1000 * note.latency_s for note in notes if since_s <= note.sent_s < until_s and note.seen is Seen.WHOLE]


def _p99(latencies_ms: list[float]) -> float:
    return statistics.quantiles(latencies_ms, n=100)[98]


def _said(latencies_ms: list[float]) -> str:
    median_ms = statistics.median(latencies_ms)
    return f"{len(latencies_ms)} requests, p50 {median_ms:.1f} ms, p99 {_p99(latencies_ms):.1f} ms"
