"""Readers: how many ask at once, for how long, and what they see."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.read_pool import Explained
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.storage.test_sqlite import count, rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(path)
    yield reader
    reader.close()


class TestReader:
    def test_a_database_that_is_not_there_yet_is_said(self, reader: SqliteReader, path: Path) -> None:
        with pytest.raises(StoreError, match="does not exist yet"):
            reader.query("SELECT 1")
        SqliteStore(path).close()
        assert count(reader) == 0

    def test_it_cannot_write(self, store: SqliteStore, reader: SqliteReader) -> None:
        with pytest.raises(StoreError, match="readonly"):
            reader.query("DELETE FROM completion_requests")

    def test_parameters_are_values(self, store: SqliteStore, reader: SqliteReader) -> None:
        assert reader.query("SELECT ?, ?", ("'; --", 2)) == [("'; --", 2)]

    def test_wrong_sql_is_a_store_error_and_the_next_query_works(
        self, store: SqliteStore, reader: SqliteReader
    ) -> None:
        with pytest.raises(StoreError, match="no such column"):
            reader.query("SELECT nonsense FROM completion_requests")
        assert count(reader) == 0

    def test_a_query_that_takes_too_long_is_stopped(self, store: SqliteStore, path: Path) -> None:
        reader = SqliteReader(path, timeout_s=0.05)
        endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        with pytest.raises(StoreError, match=r"longer than 0\.05 s"):
            reader.query(endless)
        assert count(reader) == 0
        reader.close()

    def test_many_threads_read_while_one_writes(self, store: SqliteStore, reader: SqliteReader) -> None:
        seen: list[list[int]] = [[] for _ in range(6)]
        done = threading.Event()

        def watch(mine: list[int]) -> None:
            while not done.is_set():
                mine.append(count(reader))

        threads = [threading.Thread(target=watch, args=(mine,)) for mine in seen]
        for thread in threads:
            thread.start()
        for start in range(0, 1_000, 50):
            store.append(IngestBatch(rows=rows(*range(start, start + 50))))
        done.set()
        for thread in threads:
            thread.join()
        for mine in seen:
            assert mine == sorted(mine)
            assert all(number % 50 == 0 for number in mine)
        assert count(reader) == 1_000

    def test_a_replaced_database_is_read_anew(self, path: Path, reader: SqliteReader) -> None:
        store = SqliteStore(path)
        store.append(IngestBatch(rows=rows(1)))
        assert count(reader) == 1
        store.close()
        path.unlink()
        SqliteStore(path).close()
        assert count(reader) == 0


def test_only_so_many_ask_at_once_and_the_others_wait_for_their_turn(store: SqliteStore, path: Path) -> None:
    reader = SqliteReader(path, timeout_s=30, most=2)
    inside, leave = threading.Barrier(3), threading.Event()

    def ask() -> list[tuple[Any, ...]]:
        with reader.snapshot() as snapshot:
            inside.wait(30)
            leave.wait(30)
            reader.query("SELECT 1")  # who is in needs no second place
            return snapshot.query("SELECT 2")

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(ask) for _ in range(2)]
        inside.wait(30)
        waiting = pool.submit(reader.query, "SELECT 3")
        with pytest.raises(TimeoutError):
            waiting.result(0.1)
        leave.set()
        assert waiting.result(30) == [(3,)]
        assert [each.result(30) for each in busy] == [[(2,)], [(2,)]]
    reader.close()


def test_who_finds_no_place_in_time_is_told_and_a_failed_question_gives_its_place_back(
    store: SqliteStore, path: Path
) -> None:
    reader = SqliteReader(path, timeout_s=0.05, most=1)
    for _ in range(3):
        with pytest.raises(StoreError):
            reader.query("SELECT nothing FROM nowhere")
    with reader.snapshot(), ThreadPoolExecutor(1) as pool, pytest.raises(StoreBusyError, match="1 other questions"):
        pool.submit(reader.query, "SELECT 1").result(30)
    assert reader.query("SELECT 1") == [(1,)]
    reader.close()


def test_each_statement_of_a_reader_can_be_explained(store: SqliteStore, path: Path) -> None:
    store.append(IngestBatch(rows=rows(1, 2)))
    seen: list[Explained] = []
    explained = SqliteReader(path, explain=seen.append)
    assert explained.query("SELECT arrival FROM completion_requests WHERE arrival > ?", (0,)) == [(1,), (2,)]
    with explained.snapshot() as now:
        now.query("SELECT 1")
    explained.close()
    assert [(each.sql, each.rows) for each in seen] == [
        ("SELECT arrival FROM completion_requests WHERE arrival > ?", 2),
        ("SELECT 1", 1),
    ]
    assert seen[0].plan == ("SEARCH completion_requests USING INTEGER PRIMARY KEY (rowid>?)",)
    assert all(each.ms >= 0 for each in seen)


def test_with_debug_a_reader_logs_each_statement_with_its_plan_and_nothing_else(
    store: SqliteStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.append(IngestBatch(rows=rows(1)))
    with caplog.at_level(logging.DEBUG, "llm_metrics_proxy.storage"):
        reader = SqliteReader(path)
        reader.query("SELECT arrival FROM completion_requests WHERE arrival = ?", (1,))
        reader.close()
    statement, plan = caplog.messages
    assert statement.startswith("sql: ")
    assert statement.endswith(" ms, 1 rows: SELECT arrival FROM completion_requests WHERE arrival = ?")
    assert plan == "plan: SEARCH completion_requests USING INTEGER PRIMARY KEY (rowid=?)"
