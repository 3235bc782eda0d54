"""The reader: it tells a frame being written from a torn one and a torn one from damage, and always goes on."""

import random
from pathlib import Path

import pytest

from llm_metrics_proxy.errors import JournalError
from llm_metrics_proxy.journal import JournalFolder, JournalWriter, frames, reader
from tests.journal_parts import WORKER, a_record, an_ended_record, ids, read_all


def write_segment(folder: Path, count: int, segment: int = 1) -> tuple[Path, list[int]]:
    """A segment of closed frames; returns its path and where each frame begins, and the end."""
    name = frames.segment_name(WORKER, segment)
    data, starts = frames.MAGIC, []
    for index in range(count):
        starts.append(len(data))
        data += frames.frame(b"\x02" + frames.encode(an_ended_record(index)), name)
    (folder / name).write_bytes(data)
    return folder / name, [*starts, len(data)]


def drain(folder: Path, *, final: bool) -> tuple[list[int], int, int, int]:
    """(record indexes, end, skipped bytes, torn frames) of segment 1."""
    journal = JournalFolder(folder)
    found: list[int] = []
    offset = skipped = torn = 0
    for _ in range(10_000):
        piece = journal.read(WORKER, 1, offset, final=final)
        assert piece.end_bytes >= offset
        assert piece.end_bytes > offset or not piece.more
        found += ids(piece.frames, frames.CLOSED)
        offset, skipped, torn = piece.end_bytes, skipped + piece.skipped_bytes, torn + piece.torn
        if not piece.more:
            return found, offset, skipped, torn
    raise AssertionError("the reader loops")


def test_an_empty_folder_has_no_workers(tmp_path: Path) -> None:
    assert JournalFolder(tmp_path).workers() == {}


def test_workers_are_listed_with_their_segments_in_order(tmp_path: Path) -> None:
    for name in ("b-00000010.journal", "b-00000009.journal", "a.lock", "b.lock", "c-1.journal", "x-00000001.journal"):
        (tmp_path / name).touch()
    (tmp_path / "b-00000009.journal.damaged").touch()
    assert JournalFolder(tmp_path).workers() == {"a": [], "b": [9, 10]}


def test_only_one_reader_at_a_time(tmp_path: Path) -> None:
    first, second = JournalFolder(tmp_path), JournalFolder(tmp_path)
    first.claim()
    first.claim()
    with pytest.raises(JournalError, match="Another metrics process"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"file.*cannot be used"):
        JournalFolder(tmp_path / "file").claim()


def test_a_long_segment_is_read_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PIECE_BYTES", 1_000)
    write_segment(tmp_path, 50)
    journal = JournalFolder(tmp_path)
    sizes, offset, more = [], 0, True
    while more:
        piece = journal.read(WORKER, 1, offset, final=True)
        sizes.append(len(piece.frames))
        offset, more = piece.end_bytes, piece.more
    assert sum(sizes) == 50
    assert max(sizes) < 10


def test_a_segment_that_is_gone_is_at_its_end(tmp_path: Path) -> None:
    assert JournalFolder(tmp_path).read(WORKER, 1, 77, final=True) == reader.JournalPiece([], 77, more=False)
    assert JournalFolder(tmp_path).size_bytes(WORKER, 1) == 0


def test_a_position_behind_the_end_stays(tmp_path: Path) -> None:
    """After a power loss the database can know of frames that the journal has lost."""
    write_segment(tmp_path, 2)
    assert JournalFolder(tmp_path).read(WORKER, 1, 100_000, final=True) == reader.JournalPiece([], 100_000, more=False)


@pytest.mark.parametrize("final", [True, False])
def test_cut_anywhere_gives_every_whole_frame(tmp_path: Path, final: bool) -> None:
    path, starts = write_segment(tmp_path, 2)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        whole = sum(end <= cut for end in starts[1:])
        edge = cut in (0, *starts)
        found, end, skipped, torn = drain(tmp_path, final=final)
        assert (found, skipped) == (list(range(whole)), 0)
        if final:
            assert (end, torn) == (cut, not edge)
        else:
            assert (end, torn) == (starts[whole] if cut >= 8 else 0, 0)


def test_a_flipped_byte_anywhere_costs_at_most_its_own_frame(tmp_path: Path) -> None:
    path, starts = write_segment(tmp_path, 4)
    data = path.read_bytes()
    for position in range(8, len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 0xFF
        path.write_bytes(flipped)
        hit = sum(start <= position for start in starts[:-1]) - 1
        found, end, skipped, torn = drain(tmp_path, final=True)
        assert found == [index for index in range(4) if index != hit]
        assert end == len(data)
        last = hit == 3
        assert (skipped, torn) == ((0, 1) if last else (starts[hit + 1] - starts[hit], 0))
    assert path.with_name(f"{path.name}.damaged").exists()


def test_a_damaged_header_costs_nothing_but_itself(tmp_path: Path) -> None:
    path, _ = write_segment(tmp_path, 3)
    path.write_bytes(bytes(8) + path.read_bytes()[8:])
    found, _, skipped, torn = drain(tmp_path, final=True)
    assert (found, skipped, torn) == ([0, 1, 2], 8, 0)


def test_the_damaged_segment_is_kept_after_its_deletion(tmp_path: Path) -> None:
    path, starts = write_segment(tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[starts[1] + 20] ^= 1
    path.write_bytes(data)
    drain(tmp_path, final=True)
    JournalFolder(tmp_path).delete_segment(WORKER, 1)
    assert path.with_name(f"{path.name}.damaged").read_bytes() == data


def test_a_live_writers_damage_is_passed_as_soon_as_a_sound_frame_follows(tmp_path: Path) -> None:
    path, starts = write_segment(tmp_path, 3)
    data = bytearray(path.read_bytes())
    data[starts[1] + 20] ^= 1
    path.write_bytes(data[: starts[2]])
    assert drain(tmp_path, final=False) == ([0], starts[1], 0, 0)
    path.write_bytes(data)
    assert drain(tmp_path, final=False) == ([0, 2], starts[3], starts[2] - starts[1], 0)


@pytest.mark.parametrize("zeros", [1, 8, 9, 4096, 3_000_000])
def test_a_tail_of_zeros_is_torn(tmp_path: Path, zeros: int) -> None:
    path, starts = write_segment(tmp_path, 2)
    path.write_bytes(path.read_bytes() + bytes(zeros))
    assert drain(tmp_path, final=True) == ([0, 1], starts[2] + zeros, 0, 1)


@pytest.mark.parametrize("gap", [1, 7, 1024 * 1024 - 3, 1024 * 1024, 2 * 1024 * 1024 + 5])
def test_sound_frames_are_found_behind_any_gap(tmp_path: Path, gap: int) -> None:
    path, starts = write_segment(tmp_path, 2)
    data = path.read_bytes()
    path.write_bytes(data[: starts[1]] + random.Random(gap).randbytes(gap) + data[starts[1] :])
    assert drain(tmp_path, final=True) == ([0, 1], len(data) + gap, gap, 0)


def test_any_garbage_is_survived(tmp_path: Path) -> None:
    rng = random.Random(20)
    path, starts = write_segment(tmp_path, 6)
    data = path.read_bytes()
    for _ in range(400):
        mixed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(mixed))
            operation = rng.randrange(3)
            if operation == 0:
                mixed[at : at + rng.randrange(60)] = rng.randbytes(rng.randrange(60))
            elif operation == 1:
                del mixed[at:]
            else:
                mixed[at:at] = bytes(rng.randrange(30))
            mixed = mixed or bytearray(1)
        path.write_bytes(mixed)
        try:
            found, end, _, _ = drain(tmp_path, final=True)
        except JournalError:  # the format's version byte was hit
            assert mixed[7] > 1
            continue
        assert end == len(mixed)
        assert found == sorted(set(found))
    assert len(starts) == 7


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    path, _ = write_segment(tmp_path, 1)
    path.write_bytes(frames.MAGIC[:-1] + b"\x02" + path.read_bytes()[8:])
    with pytest.raises(JournalError, match="journal format 2; this program reads up to 1"):
        JournalFolder(tmp_path).read(WORKER, 1, 0, final=True)


def test_reading_while_writing_sees_each_frame_once(tmp_path: Path) -> None:
    journal, folder = JournalWriter(tmp_path, WORKER), JournalFolder(tmp_path)
    found: list[int] = []
    offset = 0
    for index in range(100):
        journal.opened(a_record(index))
        journal.closed(an_ended_record(index))
        if index % 3 == 0:
            journal.flush()
        more = True
        while more:
            piece = folder.read(WORKER, 1, offset, final=False)
            found += ids(piece.frames, frames.CLOSED)
            offset, more = piece.end_bytes, piece.more
    journal.close()
    assert found == list(range(100))
    assert ids(read_all(tmp_path), frames.CLOSED) == found
