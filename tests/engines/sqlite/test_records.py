"""Pages, single records and records by arrival; which way SQLite walks to them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.records import Only, Place
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.engines.sqlite import records as module
from llm_metrics_proxy.engines.sqlite.records import SqliteRecords
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.rollup_state import read_state, reset, write_state
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.engines.sqlite.watching import Watching

ALL = RequestFilter()
SOME = RequestFilter(start=NOON + timedelta(seconds=10), end=NOON + timedelta(seconds=20))


def upto(number: int) -> Arrivals:
    return Arrivals.of_one_host(number)


def everything(database: Database) -> ArrivalRange:
    return ArrivalRange(Arrivals(), database.records.newest())


def exported(database: Database, selection: RequestFilter = ALL) -> list[int]:
    parts = database.records.each(selection, ("arrival",), everything(database))
    return [arrival for part in parts for (arrival,) in part.rows]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts and windows so small that few records need many."""
    monkeypatch.setattr(module, "PART_ROWS", 3)
    monkeypatch.setattr(module, "WINDOW", 7)


def test_nothing_has_no_parts(database: Database) -> None:
    assert list(database.records.each(ALL, ("arrival",), everything(database))) == []
    database.add(a_record())
    later = RequestFilter(start=datetime(2027, 1, 1, tzinfo=UTC))
    assert list(database.records.each(later, ("arrival",), everything(database))) == []


@pytest.mark.usefixtures("small")
def test_every_record_comes_once_in_the_order_of_arrival_whatever_is_selected(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 5 == 0]) for number in range(100)))
    assert exported(database) == list(range(1, 101))
    assert exported(database, RequestFilter(model="b")) == list(range(1, 101, 5))
    assert exported(database, RequestFilter(model="nobody")) == []
    assert exported(database, RequestFilter(start=SOME.start, end=SOME.end, model="b")) == [11, 16]
    part_of_it = database.records.each(ALL, ("arrival",), ArrivalRange(upto(7), upto(12)))
    assert [row for part in part_of_it for row in part.rows] == [(8,), (9,), (10,), (11,), (12,)]


def test_a_range_of_time_is_looked_through_alone(database: Database) -> None:
    database.add(*(a_record(number) for number in range(50)))
    watching = Watching(database.reader)
    (part,) = SqliteRecords(watching).each(SOME, ("arrival",), everything(database))
    assert (len(part.rows), part.share) == (10, 1.0)
    assert watching.asked[-1][1][-2:] == (10, 20)
    assert "records_by_timestamp" in watching.plans()[0]


@pytest.mark.usefixtures("small")
def test_records_that_arrive_meanwhile_are_left_out(database: Database) -> None:
    database.add(*(a_record(number) for number in range(10)))
    seen: list[int] = []
    for part in database.records.each(ALL, ("arrival",), everything(database)):
        seen += [arrival for (arrival,) in part.rows]
        database.add(a_record(99))
    assert seen == list(range(1, 11))


@pytest.mark.usefixtures("small")
def test_gaps_of_any_width_between_arrivals_are_jumped_over(database: Database) -> None:
    there = [-5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 500, 2**40, 2**63 - 1]
    with apsw.Connection(str(database.path)) as writer:
        writer.executemany(
            "INSERT INTO completion_requests (arrival, app_version) VALUES (?, '1.0.0')", [(one,) for one in there]
        )
    found = list(database.records.each(ALL, ("arrival",), everything(database)))
    assert [arrival for part in found for (arrival,) in part.rows] == there
    assert len(found) < 20
    assert found[-1].share == 1.0


def test_a_record_says_which_formulas_it_follows_when_they_change_between_two_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 2)
    database.add(*(a_record(number) for number in range(4)), app_version="1.0.0", tokens_per_second=1.0)
    writer = apsw.Connection(str(database.path))
    seen = []
    columns = ("arrival", "app_version", "tokens_per_second")
    for part in database.records.each(ALL, columns, everything(database)):
        seen += part.rows
        writer.execute("UPDATE completion_requests SET app_version = '2.0.0', tokens_per_second = 2.0")
    writer.close()
    assert seen == [(1, "1.0.0", 1.0), (2, "1.0.0", 1.0), (3, "2.0.0", 2.0), (4, "2.0.0", 2.0)]


@pytest.mark.parametrize("only", [None, *Only])
@pytest.mark.parametrize("after", [None, Place(stored_time(NOON), "one", 5), Place(None, "one", 5)])
@pytest.mark.parametrize("selection", [ALL, SOME, RequestFilter(model="a", start=NOON)])
def test_a_page_walks_along_the_times_and_never_sorts(
    database: Database, selection: RequestFilter, after: Place | None, only: Only | None
) -> None:
    watching = Watching(database.reader)
    SqliteRecords(watching).page(selection, ALL_COLUMNS, after, 10, only)
    for plan in watching.plans():
        assert "USING INDEX records_by_timestamp" in plan
        assert "B-TREE" not in plan


def test_records_without_a_time_are_the_last_ones_on_pages_of_any_size(database: Database) -> None:
    database.append(
        a_row(a_record(number % 3, **({"timestamp": None} if number % 4 == 0 else {}))) for number in range(12)
    )
    whole = [arrival for (arrival,) in database.records.page(ALL, ("arrival",), None, 100)]
    assert whole[-3:] == [9, 5, 1]
    for limit in (1, 2, 5, 12):
        seen: list[int] = []
        after = None
        while rows := database.records.page(ALL, ("timestamp", "host", "arrival"), after, limit):
            seen += [arrival for *_, arrival in rows]
            after = Place(*rows[-1])
        assert seen == whole


@pytest.mark.parametrize("newest", [False, True])
def test_what_arrived_is_found_along_the_arrivals(database: Database, newest: bool) -> None:
    database.add(*(a_record(-number, model="ab"[number % 2]) for number in range(20)))
    watching = Watching(database.reader)
    asked = RequestFilter(model="a", start=NOON - timedelta(seconds=50))
    within = ArrivalRange(upto(4), upto(18))
    rows = SqliteRecords(watching).arrived(asked, ("arrival",), within, 3, newest=newest)
    assert rows == ([(13,), (15,), (17,)] if newest else [(5,), (7,), (9,)])
    (plan,) = watching.plans()
    assert "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan
    assert "B-TREE" not in plan


def test_one_record_is_found_without_a_walk(database: Database) -> None:
    record = a_record()
    database.add(a_record(), record)
    watching = Watching(database.reader)
    records = SqliteRecords(watching)
    assert records.get(("arrival", "host"), request_id=record.request_id) == (2, "one")
    assert records.get(("request_id",), arrival=2) == (record.request_id,)
    assert records.get(("request_id",), arrival=3) is None
    assert all("SEARCH" in plan for plan in watching.plans())


def test_a_report_is_whole_however_it_is_stored(database: Database) -> None:
    reports = [f'{{"usage":{{"prompt_tokens":{number},"completion_tokens":7}}}}' for number in range(5)]
    database.add(*(a_record(number, usage_reported=report) for number, report in enumerate(reports)))
    stored = database.reader.query("SELECT usage_reported FROM completion_requests ORDER BY arrival")
    assert stored[-1][0].startswith("~")
    assert database.records.arrived(ALL, ("usage_reported",), everything(database), 9) == [(one,) for one in reports]
    assert database.records.get(("usage_reported",), arrival=5) == (reports[4],)
    (newest, *_) = database.records.page(ALL, ("usage_reported",), None, 1)
    assert newest == (reports[4],)


def test_a_moment_sees_nothing_that_comes_after(database: Database) -> None:
    database.add(a_record())
    with database.records.moment() as now:
        assert now.newest() == upto(1)
        database.add(a_record())
        assert now.newest() == upto(1)
        assert [source.name for source in now.sources()] == ["both", "records"]
        assert len(now.page(ALL, ("arrival",), None, 9)) == 1
        with now.moment() as still:
            assert still.newest() == upto(1)
    assert database.records.newest() == upto(2)


def test_changes_have_an_epoch_and_pruned_days_an_end(database: Database) -> None:
    records = database.records
    before = records.epoch()
    assert records.kept_from() is None
    database.add(a_record())
    assert records.epoch() == before
    with apsw.Connection(str(database.path)) as writer:
        reset(writer)
        write_state(writer, read_state(writer)._replace(kept_before=86_400))
    assert records.epoch() != before
    assert records.kept_from() == datetime(1970, 1, 2, tzinfo=UTC)


def test_a_file_that_is_not_there_cannot_be_read(database: Database, tmp_path: Path) -> None:
    database.records.check()
    with pytest.raises(StoreError, match=r"absent\.db"):
        open_records(SqliteReader(tmp_path / "absent.db")).check()
