import json

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.live import Sums
from llm_metrics_proxy.api import live_events as events
from llm_metrics_proxy.metrics_service import APP_VERSION


def lines(event: bytes) -> list[str]:
    assert event.endswith(b"\n\n")
    return event[:-2].decode().split("\n")


def test_the_start_says_when_to_come_back_and_from_where() -> None:
    retry, event_id, name, data = lines(events.start(RequestFilter(model="a"), Arrivals.of_one_host(7)))
    assert (retry, event_id, name) == ("retry: 2000", "id: 7", "event: start")
    start = json.loads(data.removeprefix("data: "))
    assert (start["app_version"], start["newest"], start["filter"]["model"]) == (APP_VERSION, "7", "a")


def test_a_record_is_one_line_of_data_whatever_is_in_it() -> None:
    hostile = "a\n\nevent: totals\ndata: {}\r\n\r\n\u2028\u0000"
    items = [{"arrival": number, "host": hostile, "model": hostile} for number in (1, 2)]
    one, other = events.found(items, ArrivalRange(Arrivals(), Arrivals.of_one_host(2)), 0).split(b"\n\n")[:2]
    event_id, name, data = one.decode().split("\n")
    assert (event_id, name) == ("id: 1", "event: record")
    assert "\r" not in data
    assert json.loads(data.removeprefix("data: ")) == items[0]
    assert other.startswith(b"id: 2\n")


def test_what_is_no_record_has_no_id() -> None:
    for event in (
        events.skipped(ArrivalRange(Arrivals.of_one_host(1), Arrivals.of_one_host(5)), None),
        events.totals(Sums(), "t", None),
        events.problem("x"),
    ):
        assert [line.partition(":")[0] for line in lines(event)] == ["event", "data"]


def test_totals_tell_over_how_many_records_tokens_are_added_up() -> None:
    sums = Sums(3, 2, 1, {**Sums().tokens, "prompt_tokens": (2, 30)}, (1, 0.5))
    data = json.loads(lines(events.totals(sums, "2026-03-01T12:00:00.000000Z", 4))[1].removeprefix("data: "))
    assert (data["requests"], data["succeeded"], data["failed"], data["open_requests"]) == (3, 2, 1, 4)
    assert data["tokens"]["prompt_tokens"] == {"n": 2, "sum": 30}
    assert data["tokens"]["cached_tokens"] == {"n": 0, "sum": None}
    assert data["cost_usd"] == {"n": 1, "sum": 0.5}


def test_a_heartbeat_is_a_comment() -> None:
    assert events.HEARTBEAT.startswith(b":")
    assert events.HEARTBEAT.endswith(b"\n\n")
