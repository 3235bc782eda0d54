from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.requests import list_requests
from llm_metrics_proxy.analytics.slowest import slowest
from tests.analytics.database import Database, a_record


def test_the_longest_come_first_whole_and_chosen_by_the_filter(database: Database) -> None:
    times = [5.0, 900.0, None, 70.0, 900.0]
    database.add(
        *(a_record(number, response_time_ms=time, model="ab"[number % 2]) for number, time in enumerate(times))
    )
    found = slowest(database.records, RequestFilter(), 3)
    assert [record["arrival"] for record in found] == [5, 2, 4]  # of equals the newest
    assert found[0] in list_requests(database.records, RequestFilter()).items
    assert [record["arrival"] for record in slowest(database.records, RequestFilter(model="a"), 9)] == [5, 1]
