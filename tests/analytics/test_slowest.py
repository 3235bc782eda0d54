from pathlib import Path

import pytest

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.requests import list_requests
from llm_metrics_proxy.analytics.slowest import slowest
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics import odd
from tests.analytics.database import Database, a_record


def test_the_longest_come_first_whole_and_chosen_by_the_filter(database: Database) -> None:
    times = [5.0, 900.0, None, 70.0, 900.0]
    database.add(
        *(a_record(number, response_time_ms=time, model="ab"[number % 2]) for number, time in enumerate(times))
    )
    found = slowest(database.reader, RequestFilter(), 3)
    assert [record["id"] for record in found] == [2, 5, 4]
    assert found[0] in list_requests(database.reader, RequestFilter()).items
    assert [record["id"] for record in slowest(database.reader, RequestFilter(model="a"), 9)] == [5, 1]


@pytest.mark.parametrize("declared", odd.TYPES)
def test_what_is_no_time_is_not_slow(tmp_path: Path, declared: str) -> None:
    odd.make(tmp_path / "odd.db", declared)
    reader = SqliteReader(tmp_path / "odd.db")
    times = [record["response_time_ms"] for record in slowest(reader, RequestFilter(), 100)]
    assert None not in times
    assert times == sorted(times, reverse=True)
    reader.close()
