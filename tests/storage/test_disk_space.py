"""What is free on a disk, and who may use the last of it."""

import logging
from pathlib import Path

import pytest

from llm_metrics_proxy.errors import DiskLowError
from llm_metrics_proxy.storage import disk_space
from llm_metrics_proxy.storage.disk_space import (
    DATABASE,
    JOURNAL,
    PRUNING_SHARE,
    DiskSpace,
    DiskWatch,
    refuse_when_low,
    space_in,
)

RESERVE = 1000


class Disks:
    """Free bytes by folder, set by hand."""

    def __init__(self, **free: int) -> None:
        self.free = free
        self.devices = {name: number for number, name in enumerate(free)}

    def watch(self) -> DiskWatch:
        return DiskWatch({name: Path(name) for name in self.free}, measure=self.measure, every_s=0)

    def measure(self, folder: Path) -> DiskSpace:
        free = self.free[str(folder)]
        if free < 0:
            raise OSError("no such disk")
        return DiskSpace(folder=str(folder), free_bytes=free, reserve_bytes=RESERVE, device=self.devices[str(folder)])


def test_the_reserve_is_64_mib_and_a_tenth_of_a_small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = {"free": 5, "total": 100_000_000}
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), usage))
    assert space_in(tmp_path / "not" / "there").reserve_bytes == 10_000_000
    with pytest.raises(DiskLowError, match=r"only 5 bytes are free in .*, and 10.0 MB are kept for storing records"):
        refuse_when_low(tmp_path)
    usage.update(free=10**12, total=10**12)
    assert space_in(tmp_path).reserve_bytes == disk_space.RESERVE_BYTES
    refuse_when_low(tmp_path)


def test_a_disk_that_fills_up_is_told_once_and_so_is_that_it_has_room_again(caplog: pytest.LogCaptureFixture) -> None:
    disks = Disks(database=2 * RESERVE)
    watch = disks.watch()
    with caplog.at_level(logging.INFO):
        assert (watch.low(), watch.has(), watch.has(PRUNING_SHARE)) == ({}, True, True)
        for free, pruning in (
            (RESERVE - 1, True),
            (RESERVE // 2, True),
            (RESERVE // 2 - 1, False),
            (RESERVE + 1, True),
        ):
            disks.free[DATABASE] = free
            assert (list(watch.low()), watch.has(), watch.has(PRUNING_SHARE)) == ([DATABASE], False, pruning)
        disks.free[DATABASE] = 5 * RESERVE
        assert (watch.low(), watch.has()) == ({}, True)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the disk of the database fills up",
        "the disk of the database has room again",
    ]


def test_a_disk_of_the_journal_alone_keeps_nothing_else_from_its_work() -> None:
    watch = Disks(database=2 * RESERVE, journal=0).watch()
    assert (list(watch.low()), watch.has()) == ([JOURNAL], True)


def test_one_disk_of_both_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    disks = Disks(database=0, journal=0)
    disks.devices = dict.fromkeys(disks.devices, 7)
    with caplog.at_level(logging.INFO):
        assert sorted(disks.watch().low()) == [DATABASE, JOURNAL]
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "the disk of the database and the journal fills up"
    ]


def test_one_that_cannot_be_measured_stops_nothing() -> None:
    watch = Disks(database=-1).watch()
    assert (watch.rooms(), watch.low(), watch.has()) == ({}, {}, True)
