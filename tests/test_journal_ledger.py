"""What could not be recorded is written down where neither a full disk nor ``kill -9`` can make it unknown."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy.journal import JournalFolder, JournalWriter, frames, ledger
from tests.journal_parts import WORKER, FaultyDisk, a_record, an_ended_record, ids, read_all
from tests.system.disks import filled, small_disk


class Wall:
    """Unix milliseconds, moved by hand."""

    def __init__(self) -> None:
        self.ms = 1_000

    def __call__(self) -> int:
        self.ms += 10
        return self.ms


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    return FaultyDisk(monkeypatch)


def a_writer(folder: Path, **options: object) -> JournalWriter:
    return JournalWriter(folder, WORKER, clock=iter(range(0, 10**6, 10)).__next__, unix_ms=Wall(), **options)  # type: ignore[arg-type]


def close_one(writer: JournalWriter, number: int) -> None:
    """A request that begins and ends within one turn."""
    writer.opened(a_record(number))
    close_opened(writer, number)


def close_opened(writer: JournalWriter, number: int) -> None:
    writer.closed(an_ended_record(number))
    writer.flush()
    writer.note_losses()


def test_a_well_worker_has_lost_nothing(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    close_one(writer, 1)
    assert JournalFolder(tmp_path).losses(WORKER) == ledger.NONE
    assert (tmp_path / f"{WORKER}.lock").stat().st_size == ledger.ROOM_BYTES
    writer.close()


def test_what_waits_is_lost_with_its_worker_and_only_then(tmp_path: Path, faulty: FaultyDisk) -> None:
    writer = a_writer(tmp_path)
    close_one(writer, 1)
    faulty.free_bytes = 0
    for number in range(2, 5):
        close_one(writer, number)
    noted = JournalFolder(tmp_path).losses(WORKER)
    assert (noted.dropped, noted.waiting, noted.errno) == (0, 3, errno.ENOSPC)
    assert 0 < noted.first_unix_ms < noted.last_unix_ms
    assert noted.of_the_dead().dropped == 3
    assert noted.reason == "No space left on device"
    faulty.free_bytes = None
    close_one(writer, 5)
    assert JournalFolder(tmp_path).losses(WORKER).of_the_dead().dropped == 0
    writer.close()


def test_a_worker_that_ends_in_trouble_leaves_the_number(tmp_path: Path, faulty: FaultyDisk) -> None:
    writer = a_writer(tmp_path)
    close_one(writer, 1)
    faulty.free_bytes = 0
    close_one(writer, 2)
    writer.close()
    folder = JournalFolder(tmp_path)
    assert (folder.losses(WORKER).dropped, folder.losses(WORKER).waiting) == (1, 0)
    assert not folder.is_alive(WORKER)


def test_a_request_that_the_journal_has_as_open_is_no_loss(tmp_path: Path, faulty: FaultyDisk) -> None:
    writer, folder = a_writer(tmp_path), JournalFolder(tmp_path)
    for number in (1, 2):
        writer.opened(a_record(number))
    writer.flush()
    faulty.free_bytes = 0
    close_opened(writer, 1)
    close_one(writer, 3)
    assert (writer.records_waiting, folder.losses(WORKER).waiting) == (2, 1)
    faulty.free_bytes = None
    close_opened(writer, 2)
    assert folder.losses(WORKER) == ledger.Losses(errno=errno.ENOSPC)
    faulty.free_bytes = 0
    writer.opened(a_record(4))
    writer.flush()
    close_opened(writer, 4)
    assert folder.losses(WORKER).waiting == 1  # that it was opened waits too
    writer.close()
    assert (writer.records_dropped, folder.losses(WORKER).dropped) == (1, 1)


def test_a_request_that_the_journal_has_as_open_is_a_loss_once_a_row_says_so(tmp_path: Path) -> None:
    writer, folder = a_writer(tmp_path, max_bytes=100), JournalFolder(tmp_path)
    writer.opened(a_record(1))
    writer.flush()  # the bound is reached
    close_opened(writer, 1)
    close_one(writer, 2)
    assert (writer.records_dropped, folder.losses(WORKER).dropped) == (2, 1)
    for segment in tmp_path.glob("*.journal"):
        segment.write_bytes(b"")  # as if read and deleted
    writer.measure()
    writer.flush()
    writer.note_losses()
    assert ids(read_all(tmp_path), frames.CLOSED) == []
    assert (writer.losses_untold, folder.losses(WORKER).dropped) == (0, 2)
    writer.close()


def test_the_bound_of_the_journal_is_a_reason_too(tmp_path: Path) -> None:
    writer = a_writer(tmp_path, max_bytes=200)
    for number in range(9):
        close_one(writer, number)
    noted = JournalFolder(tmp_path).losses(WORKER)
    assert noted.dropped == writer.records_dropped > 0
    assert noted.reason == "the journal had reached journal_max_bytes"
    writer.close()


@pytest.mark.parametrize("content", [b"", b"LMPLOSS", b"LMPLOSS\x01" + bytes(60), b"x" * 4096])
def test_what_is_no_ledger_is_no_loss(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{WORKER}.lock").write_bytes(content)
    assert JournalFolder(tmp_path).losses(WORKER) == ledger.NONE
    assert JournalFolder(tmp_path).losses("none") == ledger.NONE


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 2 * 1024**2) as folder:
        yield folder


_WORKER = """
import sys
from pathlib import Path
from llm_metrics_proxy.journal import JournalWriter
from tests.journal_parts import WORKER, a_record, an_ended_record
writer = JournalWriter(Path(sys.argv[1]), WORKER)
for number in range(100):
    if number == 1:
        print("begun", flush=True)
        sys.stdin.readline()
    writer.opened(a_record(number))
    writer.closed(an_ended_record(number))
    writer.flush()
    writer.note_losses()
print("full", flush=True)
sys.stdin.readline()
"""


@pytest.mark.system
def test_a_killed_worker_on_a_full_disk_leaves_the_number(disk: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(disk)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        with filled(disk):
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "full\n"
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            folder = JournalFolder(disk)
            assert not folder.is_alive(WORKER)
            opened = ids(read_all(disk), frames.OPENED)  # each of them will be a row
            assert 0 < len(opened) < 100
            assert folder.losses(WORKER).of_the_dead().dropped == 100 - len(opened)
