"""Every record of a range once, part by part."""

import apsw
import pytest

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import parse_time
from llm_metrics_proxy.analytics.records import Part
from llm_metrics_proxy.engines.sqlite import records as module
from llm_metrics_proxy.engines.sqlite.records import SqliteRecords
from llm_metrics_proxy.storage.read_pool import Explained
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record

ALL = RequestFilter()


def parts(database: Database, selection: RequestFilter = ALL) -> list[Part]:
    within = ArrivalRange(Arrivals(), database.records.newest())
    return list(database.records.each(selection, ("arrival",), within))


def arrivals(database: Database, selection: RequestFilter = ALL) -> list[int]:
    return [row[0] for part in parts(database, selection) for row in part.rows]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and windows so small that few records need many."""
    monkeypatch.setattr(module, "PART_ROWS", 3)
    monkeypatch.setattr(module, "WINDOW", 7)


def test_nothing_has_no_parts(database: Database) -> None:
    assert parts(database) == []
    database.add(a_record())
    assert parts(database, RequestFilter(start=parse_time("2027-01-01", "start"))) == []


@pytest.mark.usefixtures("small")
def test_every_record_comes_once_in_the_order_of_arrival_whatever_is_selected(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 5 == 0]) for number in range(100)))
    assert arrivals(database) == list(range(1, 101))
    assert arrivals(database, RequestFilter(model="b")) == list(range(1, 101, 5))
    assert arrivals(database, RequestFilter(model="nobody")) == []
    some = RequestFilter(
        start=parse_time("2026-03-01T12:00:10", "start"), end=parse_time("2026-03-01T12:00:20", "end"), model="b"
    )
    assert arrivals(database, some) == [11, 16]


@pytest.mark.usefixtures("small")
def test_shares_grow_to_one_over_the_range_of_time(database: Database) -> None:
    database.add(*(a_record(number) for number in range(50)))
    selection = RequestFilter(start=parse_time("2026-03-01T12:00:10", "s"), end=parse_time("2026-03-01T12:00:20", "e"))
    assert [round(part.share, 1) for part in parts(database, selection)] == [0.3, 0.6, 0.9, 1.0]


@pytest.mark.usefixtures("small")
def test_records_that_arrive_meanwhile_are_left_out(database: Database) -> None:
    database.add(*(a_record(number) for number in range(10)))
    within = ArrivalRange(Arrivals.of_one_host(2), database.records.newest())
    seen: list[int] = []
    for part in database.records.each(ALL, ("arrival",), within):
        seen += [row[0] for row in part.rows]
        database.add(a_record(99))
    assert seen == list(range(3, 11))


@pytest.mark.usefixtures("small")
def test_gaps_of_any_width_are_jumped_over(database: Database) -> None:
    moved = {1: -5, 11: 500, 12: 2**40, 13: 2**62}
    database.add(*(a_record(number) for number in range(13)))
    connection = apsw.Connection(str(database.path))
    connection.executemany("UPDATE completion_requests SET arrival = ?2 WHERE arrival = ?1", moved.items())
    connection.close()
    there = sorted(moved.get(number, number) for number in range(1, 14))
    found = parts(database)
    assert [row[0] for part in found for row in part.rows] == there
    assert len(found) < 20
    assert found[-1].share == 1


def test_a_part_walks_along_the_arrivals_and_never_sorts(database: Database) -> None:
    """By the index on ``timestamp``, each part would look at the whole range and sort it."""
    database.add(*(a_record(number) for number in range(50)))
    seen: list[Explained] = []
    selection = RequestFilter(start=parse_time("2026-03-01T12:00:10", "s"), model="llama3.1:8b")
    reader = SqliteReader(database.path, explain=seen.append)
    within = ArrivalRange(Arrivals(), database.records.newest())
    list(SqliteRecords(reader).each(selection, ("arrival", "model"), within))
    reader.close()
    plan = " ".join(next(one for one in seen if "NOT INDEXED" in one.sql).plan)
    assert "USING INTEGER PRIMARY KEY" in plan
    assert "B-TREE" not in plan


def test_a_record_says_which_formulas_it_follows_when_they_change_between_two_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 2)
    database.add(*(a_record(number) for number in range(4)), app_version="1.0.0", tokens_per_second=1.0)
    writer = apsw.Connection(str(database.path))
    seen = []
    within = ArrivalRange(Arrivals(), database.records.newest())
    for part in database.records.each(ALL, ("arrival", "app_version", "tokens_per_second"), within):
        seen += part.rows
        writer.execute("UPDATE completion_requests SET app_version = '2.0.0', tokens_per_second = 2.0")
    writer.close()
    assert seen == [(1, "1.0.0", 1.0), (2, "1.0.0", 1.0), (3, "2.0.0", 2.0), (4, "2.0.0", 2.0)]
