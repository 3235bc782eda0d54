"""The SQLite store: all of a batch or none of it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import RecordsRefusedError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION, to_row
from llm_metrics_proxy.record import COLUMNS, ROW_COLUMNS
from llm_metrics_proxy.storage.base import IngestBatch, OpenRequest, Reader, SegmentPosition, SqlValue, Store
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.journal_parts import an_ended_record

Rows = list[Sequence[SqlValue]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path, host="a-host")
    yield store
    store.close()


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(path)
    yield reader
    reader.close()


def rows(*indexes: int) -> Rows:
    return [to_row(an_ended_record(index)) for index in indexes]


def replaced(row: Sequence[SqlValue], column: str, value: SqlValue) -> list[SqlValue]:
    return [value if name == column else each for name, each in zip(ROW_COLUMNS, row, strict=True)]


def count(reader: Reader) -> int:
    ((found,),) = reader.query("SELECT count(*) FROM completion_requests")
    return int(found)


def state(store: Store) -> tuple[list[SegmentPosition], list[OpenRequest], list[tuple[str, bytes]]]:
    return store.positions(), store.open_requests(), store.counters()


def test_everything_of_a_batch_is_there_afterwards(store: SqliteStore, reader: SqliteReader) -> None:
    batch = IngestBatch(
        rows=rows(1, 2),
        opened=[OpenRequest("a", "w1", b"\x01a"), OpenRequest("b", "w1", b"\x01b")],
        positions=[SegmentPosition("w1", 1, 500)],
        counters=[("series", b"state")],
    )
    store.append(batch)
    assert count(reader) == 2
    assert state(store) == (list(batch.positions), list(batch.opened), [("series", b"state")])
    store.append(IngestBatch(closed=["a"], positions=[SegmentPosition("w1", 2, 8)], counters=[("series", b"later")]))
    assert state(store) == (
        [SegmentPosition("w1", 2, 8)],
        [OpenRequest("b", "w1", b"\x01b")],
        [("series", b"later")],
    )


def test_it_is_all_there_after_opening_again(path: Path) -> None:
    store = SqliteStore(path)
    store.append(IngestBatch(rows=rows(1), positions=[SegmentPosition("w1", 3, 9, done=True)]))
    store.close()
    store = SqliteStore(path)
    assert store.positions() == [SegmentPosition("w1", 3, 9, done=True)]
    store.close()


def test_values_come_back_as_they_went_in(store: SqliteStore, reader: SqliteReader) -> None:
    record = an_ended_record(
        1, model="NUL \0 and \U0001f600", is_streaming=True, temperature=0.1, top_p=1, max_tokens=2**63 - 1
    )
    store.append(IngestBatch(rows=[to_row(record)]))
    (found,) = reader.query(f"SELECT {', '.join(COLUMNS)} FROM completion_requests")
    assert found == (1, "a-host", *to_row(record))
    ((top_p_type, streaming),) = reader.query("SELECT typeof(top_p), is_streaming FROM completion_requests")
    assert (top_p_type, streaming) == ("real", 1)
    assert dict(zip(COLUMNS, found, strict=True))["app_version"] == APP_VERSION


def test_a_finished_worker_is_forgotten_and_no_other(store: SqliteStore) -> None:
    unfinished = SegmentPosition("w2", 1, 8)
    store.append(IngestBatch(positions=[SegmentPosition("w1", 1, 8, done=True), unfinished]))
    store.forget_worker("w1")
    store.forget_worker("w2")
    assert store.positions() == [unfinished]


def test_refused_rows_are_all_named_and_nothing_of_the_batch_is_stored(
    store: SqliteStore, reader: SqliteReader
) -> None:
    store.append(IngestBatch(rows=rows(1)))
    batch = rows(2, 1, 3, 4, 2)
    batch[2] = replaced(batch[2], "top_p", "text")
    batch.append(replaced(rows(9)[0], "max_tokens", 2**63))
    batch.append(replaced(rows(10)[0], "app_version", None))
    with pytest.raises(RecordsRefusedError) as caught:
        store.append(IngestBatch(rows=batch, positions=[SegmentPosition("w", 1, 8)]))
    assert [index for index, _ in caught.value.refused] == [1, 2, 4, 5, 6]
    assert "request_id" in caught.value.refused[0][1]
    assert count(reader) == 1
    assert store.positions() == []
    store.append(IngestBatch(rows=rows(2)))
    assert count(reader) == 2


def test_in_a_large_batch_each_row_is_whole_and_refused_ones_are_named_wherever_they_are(
    store: SqliteStore, reader: SqliteReader
) -> None:
    batch = rows(*range(2_000))
    odd = replaced(batch[777], "retry_after_ms", 1.5)  # no other row has anything there
    batch[777] = odd
    store.append(IngestBatch(rows=batch))
    found = reader.query(f"SELECT {', '.join(COLUMNS)} FROM completion_requests ORDER BY arrival")
    assert found == [(number, "a-host", *row) for number, row in enumerate(batch, 1)]
    again = rows(*range(2_000, 4_000))
    for index in (3, 1_500):
        again[index] = replaced(again[index], "total_tokens", 2**63)
    again[777] = replaced(odd, "request_id", odd[0])
    again[778] = replaced(again[778], "retry_after_ms", "text")
    with pytest.raises(RecordsRefusedError) as caught:
        store.append(IngestBatch(rows=again))
    assert [index for index, _ in caught.value.refused] == [3, 777, 778, 1_500]
    assert count(reader) == 2_000


def test_a_number_that_is_none_is_unknown(store: SqliteStore, reader: SqliteReader) -> None:
    store.append(IngestBatch(rows=[to_row(an_ended_record(1, temperature=math.nan))]))
    assert reader.query("SELECT temperature FROM completion_requests") == [(None,)]


def test_a_full_database_takes_nothing_of_the_batch_and_goes_on_when_there_is_room(
    store: SqliteStore, reader: SqliteReader
) -> None:
    store.append(IngestBatch(rows=rows(0)))
    pages = store._connection.pragma("page_count")
    store._connection.pragma("max_page_count", pages + 4)
    with pytest.raises(StoreError, match="full"):
        store.append(IngestBatch(rows=rows(*range(1, 2_000)), positions=[SegmentPosition("w", 1, 8)]))
    assert count(reader) == 1
    assert store.positions() == []
    store._connection.pragma("max_page_count", 1_000_000)
    store.append(IngestBatch(rows=rows(*range(1, 2_000)), positions=[SegmentPosition("w", 1, 8)]))
    assert count(reader) == 2_000


def test_a_locked_database_is_busy_soon(store: SqliteStore, path: Path, reader: SqliteReader) -> None:
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        store.append(IngestBatch(rows=rows(1)))
    assert count(reader) == 0
    holder.execute("ROLLBACK")
    store.append(IngestBatch(rows=rows(1)))
    assert count(reader) == 1
    holder.close()


@pytest.mark.parametrize("replacement", ["nothing", "a new database"])
def test_a_database_deleted_under_us_is_noticed_and_made_again(
    store: SqliteStore, path: Path, reader: SqliteReader, replacement: str
) -> None:
    store.append(IngestBatch(rows=rows(1), positions=[SegmentPosition("w", 1, 8)]))
    assert count(reader) == 1
    for each in path.parent.glob("metrics.db*"):
        each.unlink()
    if replacement == "a new database":
        SqliteStore(path).close()
    with pytest.raises(StoreError, match="opened again"):
        store.append(IngestBatch(rows=rows(2)))
    assert store.positions() == []
    store.append(IngestBatch(rows=rows(2)))
    assert count(reader) == 1


def test_commits_that_let_segments_be_deleted_are_synced_and_no_others(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def committed_with(*positions: SegmentPosition) -> int:
        store.append(IngestBatch(positions=positions))
        return int(store._connection.pragma("synchronous"))

    normal, full = 1, 2
    assert committed_with(SegmentPosition("w", 1, 8)) == normal
    assert committed_with(SegmentPosition("w", 1, 90)) == normal
    assert committed_with(SegmentPosition("w", 2, 0)) == full
    assert committed_with(SegmentPosition("w", 2, 8)) == normal
    assert committed_with(SegmentPosition("w", 2, 8, done=True)) == full
