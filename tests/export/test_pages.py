from contextlib import AbstractContextManager
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.filters import parse_time
from llm_metrics_proxy.export import pages as module
from llm_metrics_proxy.export.pages import Bounds, bounds, pages
from llm_metrics_proxy.storage.base import Snapshot
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record

ALL = RequestFilter()


def ids(database: Database, selection: RequestFilter = ALL) -> list[int]:
    within = bounds(database.reader, selection)
    assert within is not None
    return [row[0] for page in pages(database.reader, selection, ("id",), within) for row in page.rows]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and windows so small that few records need many."""
    monkeypatch.setattr(module, "PAGE_ROWS", 3)
    monkeypatch.setattr(module, "WINDOW_IDS", 7)


def test_nothing_has_no_bounds(database: Database) -> None:
    assert bounds(database.reader, RequestFilter()) is None
    database.add(a_record())
    assert bounds(database.reader, RequestFilter(start=parse_time("2027-01-01", "start"))) is None


@pytest.mark.usefixtures("small")
def test_every_record_comes_once_in_the_order_of_ids_whatever_is_selected(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 5 == 0]) for number in range(100)))
    assert ids(database) == list(range(1, 101))
    assert ids(database, RequestFilter(model="b")) == list(range(1, 101, 5))
    assert ids(database, RequestFilter(model="nobody")) == []
    some = RequestFilter(
        start=parse_time("2026-03-01T12:00:10", "start"), end=parse_time("2026-03-01T12:00:20", "end"), model="b"
    )
    assert ids(database, some) == [11, 16]


def test_a_range_of_time_bounds_the_ids(database: Database) -> None:
    database.add(*(a_record(number) for number in range(50)))
    selection = RequestFilter(start=parse_time("2026-03-01T12:00:10", "s"), end=parse_time("2026-03-01T12:00:20", "e"))
    assert bounds(database.reader, selection) == Bounds(11, 20)
    assert bounds(database.reader, RequestFilter(model="nobody")) == Bounds(1, 50)


@pytest.mark.usefixtures("small")
def test_records_that_arrive_meanwhile_are_left_out(database: Database) -> None:
    database.add(*(a_record(number) for number in range(10)))
    within = bounds(database.reader, RequestFilter())
    assert within is not None
    seen: list[int] = []
    for page in pages(database.reader, RequestFilter(), ("id",), within):
        seen += [row[0] for row in page.rows]
        database.add(a_record(99))
    assert seen == list(range(1, 11))


@pytest.mark.usefixtures("small")
def test_gaps_of_any_width_between_ids_are_jumped_over(tmp_path: Path) -> None:
    there = [-(2**63), -5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 500, 2**40, 2**63 - 1]
    connection = apsw.Connection(str(tmp_path / "gaps.db"))
    connection.execute("CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT)")
    connection.executemany("INSERT INTO completion_requests VALUES (?, 't')", [(one,) for one in there[1:]])
    connection.close()
    reader = SqliteReader(tmp_path / "gaps.db")
    within = bounds(reader, RequestFilter())
    assert within == Bounds(-5, 2**63 - 1)
    found = list(pages(reader, RequestFilter(), ("id",), within))
    assert [row[0] for page in found for row in page.rows] == there[1:]
    assert len(found) < 20
    assert found[-1].through == within.last
    reader.close()


def test_a_page_walks_along_the_ids_and_never_sorts(database: Database) -> None:
    """By the index on ``timestamp``, each page would look at the whole range and sort it."""
    seen: list[str] = []

    class Spy:
        def query(self, sql: str, parameters: object = ()) -> list[tuple[object, ...]]:
            seen.append(sql)
            return database.reader.query(sql, parameters)  # type: ignore[arg-type]

        def snapshot(self) -> AbstractContextManager[Snapshot]:
            return database.reader.snapshot()

        def close(self) -> None:
            """Nothing of its own."""

    database.add(*(a_record(number) for number in range(50)))
    selection = RequestFilter(start=parse_time("2026-03-01T12:00:10", "s"), model="llama3.1:8b")
    list(pages(Spy(), selection, ("id", "model"), Bounds(1, 50)))
    statement = next(sql for sql in seen if "NOT INDEXED" in sql)
    plan = " ".join(str(row) for row in database.reader.query(f"EXPLAIN QUERY PLAN {statement}", ("", "", 0, 50)))
    assert "USING INTEGER PRIMARY KEY" in plan
    assert "B-TREE" not in plan


def test_a_record_says_which_formulas_it_follows_when_they_change_between_two_pages(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", 2)
    database.add(*(a_record(number) for number in range(4)), app_version="1.0.0", tokens_per_second=1.0)
    writer = apsw.Connection(str(database.path))
    seen = []
    columns = ("id", "app_version", "tokens_per_second")
    for page in pages(database.reader, RequestFilter(), columns, Bounds(1, 4)):
        seen += page.rows
        writer.execute("UPDATE completion_requests SET app_version = '2.0.0', tokens_per_second = 2.0")
    writer.close()
    assert seen == [(1, "1.0.0", 1.0), (2, "1.0.0", 1.0), (3, "2.0.0", 2.0), (4, "2.0.0", 2.0)]
