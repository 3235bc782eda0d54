"""The writer: one write per turn, nothing raised, nothing lost that was promised, and honest counts of the rest."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from llm_metrics_proxy.journal import JournalFolder, JournalWriter, frames, ledger, writer
from tests.journal_parts import WORKER, Clock, FaultyDisk, a_record, an_ended_record, ids, read_all


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    return FaultyDisk(monkeypatch)


def record_pairs(journal: JournalWriter, indexes: range) -> None:
    for index in indexes:
        journal.opened(a_record(index))
        journal.closed(an_ended_record(index))


def test_one_flush_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.write

    def counted(fd: int, data: bytes) -> int:
        writes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(os, "write", counted)
    journal = JournalWriter(tmp_path, WORKER)
    record_pairs(journal, range(50))
    journal.flush()
    journal.flush()
    assert len(writes) == 1
    assert journal.records_written == 50
    assert journal.size_bytes == writes[0]
    journal.close()


def test_what_was_flushed_is_read_back_in_order(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, WORKER)
    for start in range(0, 30, 10):
        record_pairs(journal, range(start, start + 10))
        journal.flush()
    found = read_all(tmp_path)
    assert [kind for kind, _ in found] == [frames.OPENED, frames.CLOSED] * 30
    assert [frames.decode_record(body) for kind, body in found if kind == frames.CLOSED] == [
        an_ended_record(index) for index in range(30)
    ]
    journal.close()


def test_nothing_is_made_on_disk_before_there_is_something_to_write(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "not yet", WORKER)
    journal.flush()
    journal.sync()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_prepared_and_not_needed_goes(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "journal", WORKER)
    journal.prepare()
    assert [path.stat().st_size for path in (tmp_path / "journal").iterdir()] == [ledger.ROOM_BYTES]
    journal.close()
    assert list((tmp_path / "journal").iterdir()) == []


def test_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, WORKER, segment_bytes=2_000)
    for index in range(30):
        record_pairs(journal, range(index, index + 1))
        journal.flush()
        journal.sync()
    assert JournalFolder(tmp_path).workers()[WORKER] == list(range(1, 1 + len(list(tmp_path.glob("*.journal")))))
    assert len(list(tmp_path.glob("*.journal"))) > 3
    assert ids(read_all(tmp_path), frames.CLOSED) == list(range(30))
    journal.close()


def test_a_record_with_half_a_surrogate_pair_is_written_all_the_same(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, WORKER)
    journal.opened(a_record(1, user="\ud800"))
    journal.closed(an_ended_record(1, user="\ud800", max_tokens=2**70))
    journal.flush()
    records = [frames.decode_record(body) for _, body in read_all(tmp_path)]
    assert [(record.user, record.max_tokens) for record in records] == [("?", None), ("?", None)]
    journal.close()


def test_the_lock_is_held_until_close(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, WORKER)
    record_pairs(journal, range(1))
    journal.flush()
    assert JournalFolder(tmp_path).is_alive(WORKER)
    journal.close()
    assert not JournalFolder(tmp_path).is_alive(WORKER)


class TestFullDisk:
    def test_whole_frames_of_a_short_write_stay_and_the_torn_one_is_cut_off(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk
    ) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        record_pairs(journal, range(10))
        disk.free_bytes = 1_500
        journal.flush()
        assert journal.last_errno == errno.ENOSPC
        found = read_all(tmp_path)
        assert 0 < len(found) < 20
        assert journal.records_written == len(ids(found, frames.CLOSED))
        size = next(tmp_path.glob("*.journal")).stat().st_size
        assert size == 8 + sum(9 + len(body) for _, body in found)
        disk.free_bytes = None
        clock.now += 10
        journal.flush()
        assert ids(read_all(tmp_path), frames.CLOSED) == list(range(10))
        assert (journal.records_written, journal.records_dropped, journal.last_errno) == (10, 0, 0)
        journal.close()

    def test_a_full_disk_that_takes_nothing_keeps_its_segment(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk
    ) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        for index in range(5):
            record_pairs(journal, range(index, index + 1))
            disk.free_bytes = 0
            journal.flush()
            disk.free_bytes = None
            clock.now += 10
            journal.flush()
        assert JournalFolder(tmp_path).workers()[WORKER] == [1]
        assert ids(read_all(tmp_path), frames.CLOSED) == list(range(5))
        journal.close()

    @pytest.mark.parametrize("free_bytes", [*range(40), 200, 250, 300, 349, 350, 351])
    def test_any_amount_of_room_leaves_only_whole_frames(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk, free_bytes: int
    ) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        record_pairs(journal, range(2))
        disk.free_bytes = free_bytes
        journal.flush()
        piece = JournalFolder(tmp_path).read(WORKER, 1, 0, final=True)
        assert not piece.torn
        assert not JournalFolder(tmp_path).read(WORKER, 1, piece.end_bytes, final=True).torn
        disk.free_bytes = None
        clock.now += 10
        journal.flush()
        assert ids(read_all(tmp_path), frames.CLOSED) == [0, 1]
        journal.close()

    def test_retries_wait_for_the_back_off(self, tmp_path: Path, clock: Clock, disk: FaultyDisk) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        disk.free_bytes = 0
        record_pairs(journal, range(1))
        journal.flush()
        disk.free_bytes = None
        journal.flush()
        assert journal.records_written == 0
        clock.now += writer.RETRY_FIRST_S
        journal.flush()
        assert journal.records_written == 1
        journal.close()

    def test_what_the_buffer_cannot_hold_is_dropped_counted_and_told_later(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer, "BUFFER_BYTES", 3_000)
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        disk.free_bytes = 0
        record_pairs(journal, range(1))
        journal.flush()
        record_pairs(journal, range(1, 400))
        assert journal.records_dropped > 300
        disk.free_bytes = None
        clock.now += 10
        journal.flush()
        found = read_all(tmp_path)
        written = ids(found, frames.CLOSED)
        lost = [int(stub.request_id, 16) for kind, body in found if kind == 3 for stub in frames.decode_lost(body)]
        assert len(lost) == journal.records_dropped
        assert sorted(written + lost) == list(range(400))
        assert len(written) == journal.records_written
        record_pairs(journal, range(400, 401))
        journal.flush()
        assert ids(read_all(tmp_path), frames.CLOSED)[-1] == 400
        journal.close()

    def test_only_so_many_lost_ids_are_remembered(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer, "BUFFER_BYTES", 0)
        monkeypatch.setattr(writer, "MAX_LOST", 5)
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        disk.free_bytes = 0
        record_pairs(journal, range(1))
        journal.flush()
        record_pairs(journal, range(1, 20))
        disk.free_bytes = None
        clock.now += 10
        journal.flush()
        (lost,) = (frames.decode_lost(body) for kind, body in read_all(tmp_path) if kind == frames.LOST)
        assert len(lost) == 5
        assert journal.records_dropped == 19
        journal.close()

    def test_closing_counts_what_it_could_not_write(self, tmp_path: Path, clock: Clock, disk: FaultyDisk) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        disk.free_bytes = 0
        record_pairs(journal, range(4))
        journal.close()
        assert (journal.records_written, journal.records_dropped) == (0, 4)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system needs rights that this process lacks")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.system
def test_a_real_full_disk_and_a_real_read_only_one_lose_nothing(tiny_disk: Path, clock: Clock) -> None:
    journal = JournalWriter(tiny_disk, WORKER, segment_bytes=50_000, clock=clock)
    filler = tiny_disk / "filler"
    filler.write_bytes(bytes(150_000))
    index = 0
    while not journal.last_errno:
        record_pairs(journal, range(index, index + 10))
        journal.flush()
        index += 10
    assert journal.last_errno == errno.ENOSPC
    filler.unlink()
    clock.now += 10
    journal.flush()
    assert journal.last_errno == 0

    record_pairs(journal, range(index, index + 10))
    journal._files.abandon_segment()
    journal.sync()  # a writable descriptor keeps a file system from becoming read-only
    journal._files.release_lock()
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    journal.flush()
    assert journal.last_errno == errno.EROFS
    subprocess.run(["mount", "-o", "remount,rw", tiny_disk], check=True)
    clock.now += 10
    journal.flush()
    assert (journal.last_errno, journal.records_dropped) == (0, 0)
    journal.close()
    assert ids(read_all(tiny_disk), frames.CLOSED) == list(range(index + 10))


@pytest.mark.system
def test_what_a_worker_lost_that_wrote_nothing_before_the_disk_was_full_is_written_down(tiny_disk: Path) -> None:
    folder = tiny_disk / "journal"
    journal = JournalWriter(folder, WORKER)
    journal.prepare()
    with (tiny_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):  # no space left: what is wanted
        while filler.write(bytes(4096)):
            pass
    record_pairs(journal, range(3))
    journal.flush()
    assert journal.last_errno == errno.ENOSPC
    journal.note_losses()
    assert JournalFolder(folder).losses(WORKER).of_the_dead().dropped == 3
    journal.close()


class TestOtherFaults:
    @pytest.mark.parametrize("code", [errno.EIO, errno.EFBIG, errno.EROFS, errno.ESTALE])
    def test_a_segment_that_cannot_be_trusted_is_left_for_a_new_one(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk, code: int
    ) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        record_pairs(journal, range(2))
        journal.flush()
        record_pairs(journal, range(2, 4))
        disk.free_bytes, disk.error = 100, code
        journal.flush()
        disk.free_bytes = None
        clock.now += 10
        journal.flush()
        assert JournalFolder(tmp_path).workers()[WORKER] == [1, 2]
        assert ids(read_all(tmp_path), frames.CLOSED) == [0, 1, 2, 3]
        journal.close()

    @pytest.mark.parametrize("free_bytes", [50, 250, 320])
    def test_a_torn_frame_that_cannot_be_cut_off_ends_the_segment(
        self, tmp_path: Path, clock: Clock, disk: FaultyDisk, free_bytes: int
    ) -> None:
        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        record_pairs(journal, range(1))
        journal.flush()
        record_pairs(journal, range(1, 2))
        disk.free_bytes, disk.cannot_cut = free_bytes, True
        journal.flush()
        disk.free_bytes, disk.cannot_cut = None, False
        clock.now += 10
        journal.flush()
        assert len(JournalFolder(tmp_path).workers()[WORKER]) > 1
        assert ids(read_all(tmp_path), frames.OPENED) == [0, 1]
        assert ids(read_all(tmp_path), frames.CLOSED) == [0, 1]
        journal.close()

    @pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EMFILE])
    def test_a_folder_that_takes_no_new_files_is_tried_again(
        self, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def refuse(*_: object) -> int:
            raise OSError(code, os.strerror(code))

        journal = JournalWriter(tmp_path, WORKER, clock=clock)
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            record_pairs(journal, range(3))
            journal.flush()
            assert (journal.last_errno, journal.records_written) == (code, 0)
        clock.now += 10
        journal.flush()
        assert (journal.last_errno, journal.records_written) == (0, 3)
        journal.close()

    def test_a_folder_deleted_under_us_is_made_again(self, tmp_path: Path) -> None:
        folder = tmp_path / "journal"
        journal = JournalWriter(folder, WORKER)
        record_pairs(journal, range(1))
        journal.flush()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        journal.measure()
        record_pairs(journal, range(1, 2))
        journal.flush()
        assert ids(read_all(folder), frames.CLOSED) == [1]
        assert JournalFolder(folder).is_alive(WORKER)
        journal.close()

    def test_a_real_file_size_limit_is_survived(self, tmp_path: Path) -> None:
        """RLIMIT_FSIZE of a real process: the kernel writes in part, then says EFBIG."""
        code = (
            "import resource, sys; from pathlib import Path\n"
            "from llm_metrics_proxy.journal import JournalWriter\n"
            "from tests.journal_parts import Clock, an_ended_record\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
            f"clock = Clock(); journal = JournalWriter(Path(sys.argv[1]), {WORKER!r}, clock=clock)\n"
            "for index in range(200):\n"
            "    journal.closed(an_ended_record(index)); journal.flush(); clock.now += 10\n"
            "for _ in range(200): journal.flush(); clock.now += 10\n"
            "assert journal.records_written == 200, journal.records_written\n"
            "journal.close()"
        )
        root = Path(__file__).parents[1]
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root, timeout=30)
        assert ids(read_all(tmp_path), frames.CLOSED) == list(range(200))
        assert max(path.stat().st_size for path in tmp_path.glob("*.journal")) <= 3000


class TestBound:
    def test_a_journal_at_its_bound_drops_and_says_so_until_there_is_room(self, tmp_path: Path) -> None:
        journal = JournalWriter(tmp_path, WORKER, segment_bytes=1_000, max_bytes=3_000)
        for index in range(40):
            record_pairs(journal, range(index, index + 1))
            journal.flush()
        assert journal.is_full
        assert journal.records_dropped == 40 - journal.records_written > 0
        for path in sorted(tmp_path.glob("*.journal"))[:-1]:
            path.unlink()
        journal.measure()
        assert not journal.is_full
        journal.flush()
        lost = [stub for kind, body in read_all(tmp_path) if kind == 3 for stub in frames.decode_lost(body)]
        assert len(lost) == journal.records_dropped
        journal.close()

    def test_other_workers_segments_count_too(self, tmp_path: Path) -> None:
        (tmp_path / frames.segment_name("beef", 1)).write_bytes(bytes(5_000))
        (tmp_path / "note.txt").write_bytes(bytes(5_000))
        journal = JournalWriter(tmp_path, WORKER, max_bytes=6_000)
        journal.measure()
        assert journal.size_bytes == 5_000
        assert not journal.is_full


def test_sync_in_a_thread_never_meets_a_closed_descriptor(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path, WORKER, segment_bytes=500)
    done = threading.Event()
    failures: list[OSError] = []

    def keep_syncing() -> None:
        while not done.is_set():
            try:
                journal.sync()
            except OSError as error:
                failures.append(error)

    thread = threading.Thread(target=keep_syncing)
    thread.start()
    for index in range(300):
        record_pairs(journal, range(index, index + 1))
        journal.flush()
    done.set()
    thread.join()
    journal.close()
    assert failures == []
    assert ids(read_all(tmp_path), frames.CLOSED) == list(range(300))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = _open_descriptors()
    journal = JournalWriter(tmp_path, WORKER, segment_bytes=500)
    for index in range(100):
        record_pairs(journal, range(index, index + 1))
        journal.flush()
    assert _open_descriptors() < before + 10
    journal.close()
    assert _open_descriptors() == before


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
