"""The faults themselves: each is seen to strike, on a program so plain that what must follow is known."""

import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.migration.faults.points import Fault
from tests.migration.faults.trials import Trials, sample, tell

pytestmark = pytest.mark.system

WAYS = range(4)


def _rows(path: Path) -> list[tuple[Any, ...]]:
    """The table as the next program finds it; raises if the file is damaged."""
    connection = apsw.Connection(str(path))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 't'").fetchall():
            return []
        return list(connection.execute("SELECT id, value, stamp FROM t ORDER BY id"))
    finally:
        connection.close()


def _plain(trials: Trials, fault: Fault, **how: str) -> tuple[Any, Path]:
    path = trials.folder() / "plain.db"
    return trials.nursery.run("plain", fault, path=path, **how), path


@pytest.fixture(scope="module")
def seen(trials: Trials) -> dict[str, int]:
    ending, path = _plain(trials, Fault(action="count"))
    assert ending.ended == "done"
    assert len(_rows(path)) == 40
    return dict(ending.answer["seen"])


def test_every_family_of_sqlite_is_counted(seen: dict[str, int]) -> None:
    assert seen["statement"] >= 43
    assert seen["write"] > 80
    assert seen["sync"] >= 3
    assert seen["read"] >= 1
    assert seen["open"] >= 2
    assert seen["delete"] >= 1


@pytest.mark.parametrize("family", ["statement", "write", "sync", "open", "delete"])
def test_a_kill_ends_the_process_there_and_what_was_committed_stays(
    trials: Trials, seen: dict[str, int], family: str
) -> None:
    lengths = set()
    for number in sample(seen[family], 12):
        for when in ("before", "after"):
            ending, path = _plain(trials, Fault(action="kill", family=family, number=number, when=when))
            assert ending.killed, (family, number, when)
            rows = _rows(path)
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
            lengths.add(len(rows))
    assert max(lengths) == 40 or family in ("statement", "write", "sync", "open")
    assert len(lengths) > 5 or family in ("sync", "open", "delete")


def test_a_fault_beyond_the_last_point_does_not_strike(trials: Trials, seen: dict[str, int]) -> None:
    ending, _path = _plain(trials, Fault(action="kill", number=seen["write"] + 1))
    assert (ending.ended, ending.answer["struck"]) == ("done", 0)


@pytest.mark.parametrize("family", ["read", "write", "sync", "open"])
@pytest.mark.parametrize("lasting", [False, True])
def test_an_io_error_is_what_the_program_sees(trials: Trials, seen: dict[str, int], family: str, lasting: bool) -> None:
    endings = [
        _plain(trials, Fault(action="error", family=family, number=number, lasting=lasting))[0]
        for number in sample(seen[family], 6)
    ]
    assert all(ending.status == 0 and ending.answer["struck"] for ending in endings)
    assert {"IOError", "CantOpenError"} & {ending.ended for ending in endings}


@pytest.mark.parametrize(
    "fault",
    [Fault(action="full", bytes_free=60_000), Fault(page_limit=5), Fault(file_limit=60_000)],
    ids=["bytes", "pages", "limit"],
)
def test_a_full_disk_is_what_the_program_sees(trials: Trials, fault: Fault) -> None:
    ending, path = _plain(trials, fault)
    assert ending.ended in ("FullError", "IOError"), ending
    assert 0 < len(_rows(path)) < 40


def _after_power_cuts(trials: Trials, numbers: list[int], **how: str) -> list[int | None]:
    """Rows that are left after a cut at each of the writes, for every way of forgetting; None: the file is damaged."""
    left: list[int | None] = []
    for number in numbers:
        for seed in WAYS:
            ending, path = _plain(trials, Fault(action="power", number=number, seed=4 * number + seed), **how)
            assert ending.killed
            try:
                left.append(len(_rows(path)))
            except (AssertionError, apsw.Error):
                left.append(None)
            shutil.rmtree(path.parent)
    return left


def test_a_power_cut_forgets_what_was_not_synced_and_damages_nothing(trials: Trials, seen: dict[str, int]) -> None:
    numbers = sample(seen["write"], 8)
    normal = _after_power_cuts(trials, numbers, synchronous="NORMAL")
    full = _after_power_cuts(trials, numbers, synchronous="FULL")
    assert None not in normal + full
    assert normal.count(0) > len(numbers), "with NORMAL the log is not synced, and must be lost now and then"
    assert sum(map(bool, full)) > sum(map(bool, normal))
    assert len(set(full)) > 5


def test_a_program_that_does_not_sync_is_damaged(trials: Trials) -> None:
    ending, _path = _plain(trials, Fault(action="count"), journal="delete", synchronous="OFF")
    numbers = sample(ending.answer["seen"]["write"], 20)
    left = _after_power_cuts(trials, numbers, journal="delete", synchronous="OFF")
    assert None in left, "these power cuts would find nothing"


def test_a_torn_migration_is_found(trials: Trials) -> None:
    made = trials.folder() / "plain.db"
    assert trials.nursery.run("plain", path=made).ended == "done"
    connection = apsw.Connection(str(made))
    connection.execute("UPDATE t SET stamp = 'old'")
    connection.close()
    seen = trials.points(made, "plain", way="torn")
    torn = 0

    def check(path: Path, _ending: Any) -> None:
        nonlocal torn
        rows = _rows(path)
        assert len(rows) == 40
        torn += any((value < 0) != (stamp == "new") for _id, value, stamp in rows)

    faults = [Fault(action="kill", number=number) for number in sample(seen["write"], 20)]
    endings = trials.sweep(made, faults, "plain", check, way="torn")
    tell("torn on purpose", endings, faults)
    assert torn >= 5
