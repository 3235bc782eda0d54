from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.analytics import list_requests, live
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.live import Arrived, Sums, arrived, earlier, newest_id
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics import odd
from tests.analytics.database import Database, a_record, a_row

ALL = RequestFilter()
GOLDEN = Path(__file__).parents[1] / "fixtures" / "databases"


def test_an_empty_database_has_no_newest_record(database: Database) -> None:
    assert newest_id(database.reader) == 0
    assert arrived(database.reader, ALL, 0, 0, 10) == Arrived(0, 0, [], Sums())
    database.add(a_record(), a_record())
    assert newest_id(database.reader) == 2


def test_records_between_two_looks_come_in_the_order_of_arrival(database: Database) -> None:
    database.add(*(a_record(-number) for number in range(5)))  # those that began earlier arrive later
    found = arrived(database.reader, ALL, 1, 4, 10)
    assert [record["id"] for record in found.records] == [2, 3, 4]
    assert found.records[0] == list_requests(database.reader, ALL).items[1]
    assert found.sums.requests == 3


def test_of_more_than_the_limit_the_newest_are_read_and_all_are_added_up(database: Database) -> None:
    facts: list[dict[str, Any]] = [{}, {"success": False, "prompt_tokens": None}, {"completion_tokens": None}]
    database.add(*(a_record(number, **facts[number % 3]) for number in range(30)))
    found = arrived(database.reader, ALL, 0, 30, 4)
    assert [record["id"] for record in found.records] == [27, 28, 29, 30]
    sums = found.sums
    assert (sums.requests, sums.succeeded, sums.failed) == (30, 20, 10)
    assert (sums.tokens["prompt_tokens"], sums.tokens["completion_tokens"]) == ((20, 200), (20, 2020))
    assert sums.tokens["cached_tokens"] == (0, None)


def test_costs_are_added_up_where_they_are_known(database: Database) -> None:
    database.append(a_row(a_record(number), cost_usd=cost) for number, cost in enumerate((None, 0.25, 0.0, None, 0.5)))
    assert arrived(database.reader, ALL, 0, 5, 0).sums.cost_usd == (3, 0.75)
    assert arrived(database.reader, ALL, 0, 1, 0).sums.cost_usd == (0, None)
    first, rest = arrived(database.reader, ALL, 0, 2, 0).sums, arrived(database.reader, ALL, 2, 5, 0).sums
    assert first.plus(rest).cost_usd == (3, 0.75)


@pytest.mark.parametrize("golden", ["2.0.0", "3.0.0"])
def test_a_file_that_lacks_newer_columns_is_followed_without_them(golden: str) -> None:
    reader = SqliteReader(GOLDEN / f"{golden}.db")
    found = arrived(reader, ALL, 0, newest_id(reader), 5)
    assert len(earlier(reader, ALL, newest_id(reader), 3)) == 3
    reader.close()
    assert (found.sums.requests, len(found.records), found.sums.cost_usd) == (41, 5, (0, None))
    assert found.records[0]["cost_usd"] is None


def test_sums_of_two_looks_are_those_of_one(database: Database) -> None:
    database.add(*(a_record(number, cached_tokens=number or None) for number in range(20)))
    parts = [arrived(database.reader, ALL, after, after + 5, 0).sums for after in range(0, 20, 5)]
    total = Sums()
    for part in parts:
        total = total.plus(part)
    assert total == arrived(database.reader, ALL, 0, 20, 0).sums
    assert total.tokens["cached_tokens"] == (19, 190)


def test_earlier_records_are_sought_not_too_far_back(database: Database) -> None:
    database.add(*(a_record(number, model="rare" if number < 3 else "b") for number in range(10)))
    rare = RequestFilter(model="rare")
    assert [record["id"] for record in earlier(database.reader, rare, 10, 2)] == [2, 3]
    assert [record["id"] for record in earlier(database.reader, ALL, 8, 2)] == [7, 8]
    assert earlier(database.reader, rare, live.LOOK_BACK_IDS + 3, 2) == []


@pytest.mark.parametrize("declared", odd.TYPES)
def test_odd_values_count_in_no_sum(tmp_path: Path, declared: str) -> None:
    n = odd.make(tmp_path / "odd.db", declared)
    odd_reader = SqliteReader(tmp_path / "odd.db")
    found = arrived(odd_reader, ALL, 0, n, n)
    assert (found.sums.requests, len(found.records)) == (n, n)
    tokens, total = found.sums.tokens["prompt_tokens"]
    read = [record["prompt_tokens"] for record in found.records]
    counted = [value for value in read if value is not None and 0 <= value <= 2**40]
    assert (tokens, total) == (len(counted), sum(counted) if counted else None)
    odd_reader.close()
