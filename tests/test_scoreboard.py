"""Counters shared by processes."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from llm_metrics_proxy.scoreboard import (
    BACKEND_COUNT,
    BACKEND_FIELDS,
    FIELDS,
    SIZE_BYTES,
    SLOT_COUNT,
    Scoreboard,
    journal_faults,
    records_lost,
    shortages,
)


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    made = Scoreboard.create()
    yield made
    os.close(made.fd)


def test_a_fresh_board_has_no_workers(board: Scoreboard) -> None:
    assert board.workers() == []


def test_what_another_process_writes_is_seen_and_outlives_it(board: Scoreboard) -> None:
    program = """
import sys
from llm_metrics_proxy.scoreboard import Scoreboard
slot = Scoreboard(int(sys.argv[1])).slot(3)
slot.set("pid", 4711)
slot.add("requests")
slot.add("requests", 2**40)
"""
    subprocess.run([sys.executable, "-c", program, str(board.fd)], pass_fds=[board.fd], check=True)
    (status,) = board.workers()
    assert status.slot == 3
    assert status.values == {**dict.fromkeys(FIELDS, 0), "pid": 4711, "requests": 2**40 + 1}


def test_a_successor_goes_on_counting_in_the_same_slot(board: Scoreboard) -> None:
    for pid in (11, 12):
        slot = board.slot(0)
        slot.set("pid", pid)
        slot.add("records_written", 5)
    assert board.slot(0).get("records_written") == 10
    assert board.slot(0).get("pid") == 12


def test_slots_do_not_touch_each_other(board: Scoreboard) -> None:
    for index in range(SLOT_COUNT):
        for name in FIELDS:
            board.slot(index).set(name, index + 1)
    assert [status.values for status in board.workers()] == [
        dict.fromkeys(FIELDS, index + 1) for index in range(SLOT_COUNT)
    ]


def test_it_leaves_no_file_behind(board: Scoreboard) -> None:
    status = os.fstat(board.fd)
    assert (status.st_nlink, status.st_size) == (0, SIZE_BYTES)


def test_a_name_that_is_no_counter_is_refused(board: Scoreboard) -> None:
    with pytest.raises(KeyError):
        board.slot(0).set("reqests", 1)


def counts(**values: int) -> dict[str, int]:
    return {**dict.fromkeys(BACKEND_FIELDS[1:], 0), **values}


def test_backends_are_seen_by_whoever_maps_the_file() -> None:
    board = Scoreboard.create()
    other = Scoreboard(board.fd)
    for slot in (1, 4):
        board.slot(slot).set("pid", slot)
    board.show_backends(1, [("a", counts(up=1, open_requests=7)), ("b" * 64, counts(ejections=2))])
    board.show_backends(4, [("a", counts())])
    seen = [(each.slot, each.name, each.values) for each in other.backends()]
    assert seen == [
        (1, "a", {"used": 1, **counts(up=1, open_requests=7)}),
        (1, "b" * 64, {"used": 1, **counts(ejections=2)}),
        (4, "a", {"used": 1, **counts()}),
    ]
    board.show_backends(1, [("c", counts())])
    board.show_backends(4, [])
    assert [(each.slot, each.name) for each in other.backends()] == [(1, "c")]


def test_there_is_room_for_every_backend_of_every_worker_and_counters_are_left_alone() -> None:
    board = Scoreboard.create()
    board.slot(SLOT_COUNT - 1).set("pid", 9)
    names = [f"b{number}" for number in range(BACKEND_COUNT)]
    board.show_backends(SLOT_COUNT - 1, [(name, counts()) for name in names])
    assert [each.name for each in board.backends()] == names
    assert board.slot(SLOT_COUNT - 1).get("pid") == 9
    assert board.slot(0).get("pid") == 0


def test_what_was_short_is_told_for_a_minute(board: Scoreboard) -> None:
    for index in (0, 3):
        board.slot(index).set("pid", 1)
    assert shortages(board.workers(), 1_000_000) == []
    slot = board.slot(3)
    slot.set("bodies_limit_bytes", 4096)
    slot.set("bodies_refused", 7)
    slot.set("bodies_refused_unix_ms", 1_000_000)
    slot.set("connections_limit", 40)
    slot.set("connections_refused", 2)
    slot.set("connections_refused_unix_ms", 1_030_000)
    bodies, connections = shortages(board.workers(), 1_059_999)
    assert "worker 3 turned requests away in the last minute (7 since the start)" in bodies
    assert "max_buffered_bytes allows (4096)" in bodies
    assert (
        "worker 3 turned connections away in the last minute (2 since the start): it serves 40 at once" in connections
    )
    assert shortages(board.workers(), 1_060_000) == [connections]
    assert shortages(board.workers(), 1_090_000) == []


def test_faults_of_the_journal_are_told_once_for_each_reason() -> None:
    board = Scoreboard.create()
    for index, number in enumerate((errno.ENOSPC, errno.EROFS, errno.ENOSPC, 0)):
        board.slot(index).set("pid", 1)
        board.slot(index).set("journal_errno", number)
        board.slot(index).set("journal_full", int(index > 1))
        board.slot(index).set("records_dropped", index)
    assert journal_faults(board.workers()) == [
        "the journal cannot be written by worker 0, 2: No space left on device",
        "the journal cannot be written by worker 1: Read-only file system",
        "the journal has reached journal_max_bytes",
    ]
    assert records_lost(board.workers()) == (6, ["6 requests were served without a record since the start"])
    assert records_lost(board.workers()[:1]) == (0, [])
