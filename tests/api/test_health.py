import errno
from typing import Any

import pytest
from msgspec.structs import replace

from llm_metrics_proxy.api.health import HEARTBEAT_LIMIT_MS, LAG_LIMIT_MS, LOSS_TOLD_MS, Health, assess, worker_health
from llm_metrics_proxy.api.ports import TurnedAway
from llm_metrics_proxy.ingestion import IngestionStatus
from llm_metrics_proxy.scoreboard import Scoreboard, WorkerStatus
from llm_metrics_proxy.storage.disk_space import DiskSpace

NOW_MS = 1_772_366_400_000.0
WELL = IngestionStatus(running=True, records_ingested=5, lag_bytes=10, lag_ms=200)


def a_worker(**values: int) -> WorkerStatus:
    scoreboard = Scoreboard.create()
    slot = scoreboard.slot(3)
    for name, value in {"pid": 42, "heartbeat_unix_ms": int(NOW_MS) - 500, **values}.items():
        slot.set(name, value)
    (worker,) = scoreboard.workers()
    return worker


def judged(*workers: WorkerStatus, status: IngestionStatus | None = WELL) -> Health:
    return assess("2.0.0", status, workers, NOW_MS)


def test_all_is_well_with_a_living_worker_and_a_little_lag() -> None:
    health = judged(a_worker(open_requests=2, requests=7))
    assert (health.status, health.reasons) == ("ok", [])
    (worker,) = health.workers
    assert (worker.worker, worker.pid, worker.up, worker.open_requests, worker.requests) == (3, 42, True, 2, 7)
    assert health.ingestion is not None
    assert (health.ingestion.records_ingested, health.ingestion.lag_ms) == (5, 200)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"heartbeat_unix_ms": int(NOW_MS) - HEARTBEAT_LIMIT_MS - 1}, "worker 3 (pid 42) has given no sign of life"),
        ({"journal_errno": errno.ENOSPC}, "No space left on device"),
        ({"records_dropped": 9}, "9 requests were served without a record since the start"),
        ({"bodies_refused": 9, "bodies_refused_unix_ms": int(NOW_MS) - 1}, "worker 3 turned requests away"),
        ({"connections_refused": 9, "connections_refused_unix_ms": int(NOW_MS)}, "worker 3 turned connections away"),
    ],
)
def test_a_worker_in_trouble_degrades_health_with_its_reason(values: dict[str, int], words: str) -> None:
    health = judged(a_worker(**values), a_worker())
    assert health.status == "degraded"
    (reason,) = health.reasons
    assert words in reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"last_error": "the database is locked"}, "the database is locked"),
        ({"lag_ms": LAG_LIMIT_MS + 1}, "30001 ms behind"),
        ({"damaged_bytes": 17}, "17 bytes"),
        ({"records_rejected": 1}, "1 records could not be stored"),
        ({"unknown_frames": 2}, "newer program"),
    ],
)
def test_ingestion_in_trouble_degrades_health_with_its_reason(changes: dict[str, Any], words: str) -> None:
    health = judged(status=replace(WELL, **changes))
    assert health.status == "degraded"
    (reason,) = health.reasons
    assert words in reason


def test_what_was_lost_is_told_for_a_day_and_counted_for_ever() -> None:
    lost = replace(
        WELL,
        records_lost=493,
        lost_first_unix_ms=int(NOW_MS) - 120_000,
        lost_last_unix_ms=int(NOW_MS) - 60_000,
        lost_reason="No space left on device",
    )
    health = judged(status=lost)
    (reason,) = health.reasons
    assert reason.startswith("493 requests were served without a record between 2026-03-01T11:58:00Z and ")
    assert reason.endswith("2026-03-01T11:59:00Z: No space left on device")
    later = assess("2.0.0", lost, [], NOW_MS + LOSS_TOLD_MS)
    assert (later.status, later.ingestion and later.ingestion.records_lost) == ("ok", 493)
    assert judged(status=replace(WELL, records_lost=0)).status == "ok"


def test_a_loss_is_told_once_by_whoever_knows_most_of_it() -> None:
    known = replace(
        WELL, records_lost=9, lost_first_unix_ms=int(NOW_MS), lost_last_unix_ms=int(NOW_MS), lost_reason="full"
    )
    (reason,) = judged(a_worker(records_dropped=9), status=known).reasons
    assert reason.startswith("9 requests were served without a record between ")
    (reason,) = judged(a_worker(records_dropped=10), status=known).reasons
    assert reason == "10 requests were served without a record since the start"
    day_after = a_worker(records_dropped=9, heartbeat_unix_ms=int(NOW_MS) + LOSS_TOLD_MS)
    assert assess("2.0.0", known, [day_after], NOW_MS + LOSS_TOLD_MS + 1).status == "ok"
    (reason,) = judged(a_worker(records_dropped=9), status=None).reasons[1:]
    assert reason == "9 requests were served without a record since the start"


def test_a_disk_that_is_low_degrades_health_once_for_each_disk() -> None:
    rooms = {name: DiskSpace(folder=f"/{name}", free_bytes=5, reserve_bytes=9, device=3) for name in ("one", "two")}
    rooms["three"] = DiskSpace(folder="/three", free_bytes=50, reserve_bytes=9, device=4)
    low = {name: rooms[name] for name in ("one", "two")}
    health = assess("2.0.0", WELL, [], NOW_MS, disks=rooms, low_disks=low)
    assert health.status == "degraded"
    (reason,) = health.reasons
    assert "only 5 bytes are free in /one" in reason
    assert [(disk.disk, disk.free_bytes, disk.low) for disk in health.disks] == [
        ("one", 5, True), ("two", 5, True), ("three", 50, False),
    ]  # fmt: skip


def test_what_keeps_roll_ups_waiting_degrades_health() -> None:
    assert assess("2.0.0", WELL, [], NOW_MS, upkeep_problem="roll-ups wait: x").reasons == ["roll-ups wait: x"]


def test_torn_frames_are_normal() -> None:
    assert judged(status=replace(WELL, torn_frames=4)).status == "ok"


def test_every_trouble_is_told_not_only_the_first() -> None:
    health = judged(a_worker(records_dropped=1, journal_errno=errno.EROFS), status=None)
    assert len(health.reasons) == 3
    assert health.ingestion is None


def test_no_worker_in_sight_is_no_fault_where_they_run_elsewhere() -> None:
    assert judged().status == "ok"


def test_a_worker_that_drains_says_so() -> None:
    worker = worker_health(a_worker(draining=1), NOW_MS)
    assert worker.draining is True
    assert worker.journal_error is None


def test_a_backend_that_is_passed_over_degrades_health_and_is_named_once() -> None:
    board = Scoreboard.create()
    up = {"up": 1, "open_requests": 3, "failures_in_a_row": 0, "ejections": 0}
    down = {"up": 0, "open_requests": 0, "failures_in_a_row": 4, "ejections": 2}
    for slot in (0, 1):
        board.slot(slot).set("pid", 1 + slot)
        board.slot(slot).set("heartbeat_unix_ms", int(NOW_MS))
        board.show_backends(slot, [("good", up), ("bad", down)])
    health = assess("2.0.0", WELL, board.workers(), NOW_MS, backends=board.backends())
    assert health.reasons == ["backend bad is passed over by worker 0, 1, until it answers"]
    assert [(each.worker, each.name, each.up) for each in health.backends] == [
        (0, "good", True), (0, "bad", False), (1, "good", True), (1, "bad", False),
    ]  # fmt: skip
    assert (health.backends[1].failures_in_a_row, health.backends[1].ejections) == (4, 2)


def test_readers_who_were_turned_away_lately_are_a_reason() -> None:
    state = assess("2.0.0", WELL, (), NOW_MS, turned_away=TurnedAway(3, lately=True))
    assert (state.status, state.readers_refused) == ("degraded", 3)
    assert "readers of the metrics were turned away in the last minute (3 since the start)" in state.reasons[0]
    assert assess("2.0.0", WELL, (), NOW_MS, turned_away=TurnedAway(3, lately=False)).status == "ok"
