"""SIGTERM under load: what is open ends well, and everything is recorded. A second one stops at once, and says so."""

import signal
import time

import pytest

from tests.stack import Stack
from tests.system.house import House
from tests.system.kinds import KINDS, MIXED
from tests.system.load import Note, Seen
from tests.system.truth import compare
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_one_sigterm_lets_every_stream_end_and_leaves_every_record(house: House) -> None:
    notes: list[Note] = []
    for _ in range(3):
        with house.live() as stack, house.load(*MIXED, "slow", "slow", seed=house.lives) as load:
            wait_until(lambda: load.count(Seen.WHOLE) > 100, "100 answers")
            stack.expect_exit(0)
            stack.process.send_signal(signal.SIGTERM)
            asked_s = time.monotonic()
            assert stack.process.wait(20) == 0
            notes += load.stop()
        house.assert_tidy()
        assert [note for note in notes if note.sent_s < asked_s < note.ended_s and note.kind == "slow"]
    verdict = compare(notes, house.rows())
    print(f"\n{verdict}")
    broken = [note for note in notes if note.seen is Seen.BROKEN and KINDS[note.kind].ends]
    assert broken == []
    assert verdict.crashed == 0
    # Of what nobody saw anything, nothing was begun: it came on a connection that was being closed just then.
    assert verdict.unseen_recorded == 0


def test_what_is_still_open_when_draining_ends_is_cut_off_and_recorded_so(house: House) -> None:
    with house.live("--drain-timeout-s", "0.5") as stack, house.load("long", clients=6) as load:
        wait_until(lambda: _open_requests(stack) == 6, "open requests")
        time.sleep(0.3)  # the heads reach the clients
        stack.expect_exit(0)
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(10) == 0
        notes = load.stop()
    assert [note.seen for note in notes] == [Seen.BROKEN] * 6
    house.assert_tidy()
    rows = {row["request_id"]: row for row in house.rows()}
    assert set(rows) == {note.request_id for note in notes}
    assert {(row["outcome"], row["error_type"], row["status_code"]) for row in rows.values()} == {
        ("proxy_crashed", "shutdown", 200)
    }


def test_two_sigterms_stop_at_once_and_the_records_say_so(house: House) -> None:
    with house.live() as stack, house.load("slow", "plain") as load:
        wait_until(lambda: load.count(Seen.WHOLE) > 50, "50 answers")
        wait_until(lambda: _open_requests(stack) > 2, "open requests")
        stack.expect_exit(128 + signal.SIGTERM)
        stack.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)  # two signals of one number that wait together are one
        stack.process.send_signal(signal.SIGTERM)
        asked_s = time.monotonic()
        stack.process.wait(10)
        stopped_after_s = time.monotonic() - asked_s
        notes = load.stop()
    with house.live() as stack:
        verdict = compare(notes, house.settle(stack))
    print(f"\nstopped after {1000 * stopped_after_s:.0f} ms; {verdict}")
    assert stopped_after_s < 1
    assert verdict.crashed > 0
    house.assert_tidy()


def _open_requests(stack: Stack) -> int:
    return sum(worker["open_requests"] for worker in stack.get("/health")["workers"])
