from typing import Any

from llm_metrics_proxy.analytics import list_requests, live
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.live import Arrived, Sums, arrived, earlier
from tests.analytics.database import Database, a_record, a_row

ALL = RequestFilter()


def upto(number: int) -> Arrivals:
    return Arrivals.of_one_host(number)


def between(after: int, through: int) -> ArrivalRange:
    return ArrivalRange(upto(after), upto(through))


def test_an_empty_database_has_no_newest_record(database: Database) -> None:
    assert database.records.newest() == upto(0)
    assert arrived(database.records, ALL, between(0, 0), 10) == Arrived(between(0, 0), [], Sums())
    database.add(a_record(), a_record())
    assert database.records.newest() == upto(2)


def test_records_between_two_looks_come_in_the_order_of_arrival(database: Database) -> None:
    database.add(*(a_record(-number) for number in range(5)))  # those that began earlier arrive later
    found = arrived(database.records, ALL, between(1, 4), 10)
    assert [record["arrival"] for record in found.records] == [2, 3, 4]
    assert found.records[0] == list_requests(database.records, ALL).items[1]
    assert found.sums.requests == 3


def test_of_more_than_the_limit_the_newest_are_read_and_all_are_added_up(database: Database) -> None:
    facts: list[dict[str, Any]] = [{}, {"success": False, "prompt_tokens": None}, {"completion_tokens": None}]
    database.add(*(a_record(number, **facts[number % 3]) for number in range(30)))
    found = arrived(database.records, ALL, between(0, 30), 4)
    assert [record["arrival"] for record in found.records] == [27, 28, 29, 30]
    sums = found.sums
    assert (sums.requests, sums.succeeded, sums.failed) == (30, 20, 10)
    assert (sums.tokens["prompt_tokens"], sums.tokens["completion_tokens"]) == ((20, 200), (20, 2020))
    assert sums.tokens["cached_tokens"] == (0, None)


def test_costs_are_added_up_where_they_are_known(database: Database) -> None:
    database.append(a_row(a_record(number), cost_usd=cost) for number, cost in enumerate((None, 0.25, 0.0, None, 0.5)))
    assert arrived(database.records, ALL, between(0, 5), 0).sums.cost_usd == (3, 0.75)
    assert arrived(database.records, ALL, between(0, 1), 0).sums.cost_usd == (0, None)
    first, rest = (
        arrived(database.records, ALL, between(0, 2), 0).sums,
        arrived(database.records, ALL, between(2, 5), 0).sums,
    )
    assert first.plus(rest).cost_usd == (3, 0.75)


def test_sums_of_two_looks_are_those_of_one(database: Database) -> None:
    database.add(*(a_record(number, cached_tokens=number or None) for number in range(20)))
    parts = [arrived(database.records, ALL, between(after, after + 5), 0).sums for after in range(0, 20, 5)]
    total = Sums()
    for part in parts:
        total = total.plus(part)
    assert total == arrived(database.records, ALL, between(0, 20), 0).sums
    assert total.tokens["cached_tokens"] == (19, 190)


def test_earlier_records_are_sought_not_too_far_back(database: Database) -> None:
    database.add(*(a_record(number, model="rare" if number < 3 else "b") for number in range(10)))
    rare = RequestFilter(model="rare")
    assert [record["arrival"] for record in earlier(database.records, rare, upto(10), 2)] == [2, 3]
    assert [record["arrival"] for record in earlier(database.records, ALL, upto(8), 2)] == [7, 8]
    assert earlier(database.records, rare, upto(live.LOOK_BACK + 3), 2) == []
