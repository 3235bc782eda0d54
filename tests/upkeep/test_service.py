import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import apsw
import pytest

from llm_metrics_proxy.errors import StoreBusyError
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.disk_space import DATABASE, DiskSpace, DiskWatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.upkeep import Retention, UpkeepService
from llm_metrics_proxy.upkeep import service as service_module
from tests.rollups import oracle
from tests.rollups.records import a_row_of
from tests.waiting import wait_until


def store(path: Path, count: int, seed: int) -> None:
    random = Random(seed)
    opened = SqliteStore(path)
    opened.append(IngestBatch(rows=[a_row_of(random) for _ in range(count)]))
    opened.close()


def service(path: Path, admit: Callable[[], None] = lambda: None) -> UpkeepService:
    return UpkeepService(path, Retention(), admit=admit, look_s=0.01, leftovers_s=0.01, retry_s=0.01)


def wait_until_rolled_up(path: Path) -> None:
    def reached() -> bool:
        with contextlib.closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.set_busy_timeout(10_000)
            question = (
                "SELECT 1 FROM rollup_state WHERE NOT clearing "
                "AND cursor_id = (SELECT max(arrival) FROM completion_requests)"
            )
            return bool(connection.execute(question).fetchall())

    wait_until(reached, "all records are rolled up", 120)


def test_it_rolls_up_what_is_there_and_what_comes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store(path, 50, 1)
    running = service(path)
    running.start()
    try:
        wait_until_rolled_up(path)
        store(path, 20, 2)
        wait_until_rolled_up(path)
    finally:
        running.stop()
    oracle.assert_alike(oracle.stored(path), oracle.expected(oracle.records_in(path), oracle.decided(path)))


def test_it_waits_until_the_file_may_be_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store(path, 10, 1)
    asked, allowed = threading.Event(), threading.Event()

    def admit() -> None:
        asked.set()
        if not allowed.is_set():
            raise StoreBusyError("not yet")

    running = service(path, admit)
    running.start()
    try:
        assert asked.wait(60)
        assert oracle.stored(path) == {}
        allowed.set()
        wait_until_rolled_up(path)
    finally:
        running.stop()


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    running = service(path)
    running.start()
    try:
        store(path, 10, 1)
        wait_until_rolled_up(path)
    finally:
        running.stop()


def test_trouble_is_told_once_and_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "metrics.db"
    store(path, 10, 1)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute("ALTER TABLE rollups RENAME TO elsewhere")
    running = service(path)
    running.start()
    try:
        wait_until(lambda: "roll-ups and retention wait" in caplog.text)
        connection.execute("ALTER TABLE elsewhere RENAME TO rollups")
        wait_until_rolled_up(path)
    finally:
        running.stop()
        connection.close()
    assert caplog.text.count("roll-ups and retention wait") == 1


@pytest.mark.parametrize(("few", "told"), [(50, []), (10, ["are being rolled up", "all records are rolled up"])])
def test_it_tells_of_the_work_when_answers_are_slow_until_it_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, few: int, told: list[str]
) -> None:
    monkeypatch.setattr(service_module, "FOLD_MOST", few)
    path = tmp_path / "metrics.db"
    store(path, 50, 1)
    running = service(path)
    with caplog.at_level(logging.INFO, service_module.__name__):
        running.start()
        try:
            wait_until_rolled_up(path)
            wait_until(lambda: len(caplog.messages) >= len(told), lambda: caplog.messages)
        finally:
            running.stop()
    assert len(caplog.messages) == len(told)
    assert all(words in message for words, message in zip(told, caplog.messages, strict=True))


class Disk:
    """What is free of a reserve of 1,000 bytes, set by hand."""

    def __init__(self, free_bytes: int) -> None:
        self.free_bytes = free_bytes

    def watch(self) -> DiskWatch:
        def measure(folder: Path) -> DiskSpace:
            return DiskSpace(folder=str(folder), free_bytes=self.free_bytes, reserve_bytes=1000)

        return DiskWatch({DATABASE: Path()}, measure=measure, every_s=0)


def states(path: Path) -> tuple[int, int]:
    """Records, and rows of roll-ups."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        ((records, rows),) = connection.execute(
            "SELECT (SELECT count(*) FROM completion_requests), (SELECT count(*) FROM rollups)"
        )
        return records, rows
    finally:
        connection.close()


def test_while_the_last_room_is_kept_for_storing_nothing_is_rolled_up(tmp_path: Path) -> None:
    path, disk = tmp_path / "metrics.db", Disk(999)
    store(path, 30, 1)
    running = UpkeepService(
        path, Retention(), admit=lambda: None, disk=disk.watch(), look_s=0.01, leftovers_s=0.01, retry_s=0.01
    )
    running.start()
    try:
        time.sleep(0.5)
        assert states(path) == (30, 0)
        assert running.problem() is None  # that the disk is low is told by the disk
        disk.free_bytes = 2000
        wait_until_rolled_up(path)
    finally:
        running.stop()


@pytest.mark.parametrize(("free_bytes", "goes"), [(501, True), (499, False)])
def test_pruning_goes_on_with_half_of_the_reserve(tmp_path: Path, free_bytes: int, goes: bool) -> None:
    path, disk = tmp_path / "metrics.db", Disk(10_000)
    store(path, 30, 1)
    running = service(path)
    running.start()
    try:
        wait_until_rolled_up(path)
    finally:
        running.stop()
    disk.free_bytes = free_bytes
    upkeep = UpkeepService(
        path, Retention(days=1), admit=lambda: None, disk=disk.watch(), look_s=0.01, leftovers_s=0.01, retry_s=0.01
    )
    upkeep.start()
    try:
        if goes:
            wait_until(lambda: states(path)[0] < 30, "records are pruned")
        else:
            time.sleep(0.5)
            assert states(path)[0] == 30
    finally:
        upkeep.stop()


def test_trouble_can_be_asked_for_until_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    store(path, 10, 1)
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute("ALTER TABLE rollups RENAME TO elsewhere")
    running = service(path)
    running.start()
    try:
        wait_until(
            lambda: (running.problem() or "").startswith("roll-ups and retention wait: The database "), running.problem
        )
        connection.execute("ALTER TABLE elsewhere RENAME TO rollups")
        wait_until_rolled_up(path)
        wait_until(lambda: running.problem() is None, running.problem)
    finally:
        running.stop()
        connection.close()
