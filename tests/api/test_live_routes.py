"""``/api/v1/live`` over real sockets, records going into a real database meanwhile."""

import http.client
import logging
import socket
import threading
import time
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.analytics import list_requests
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.api import create_app, live_hub, live_routes
from llm_metrics_proxy.api.live_events import LiveSkipped, LiveStart, LiveTotals
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record
from tests.api.service import client, ports
from tests.api.sse import Events
from tests.api.test_server import ask, running
from tests.waiting import wait_until


def test_new_records_come_whole_with_their_ids_and_totals_run_along(database: Database) -> None:
    database.add(a_record(0))
    with running(create_app(ports(database))) as (port, _, _), Events(port) as events:
        assert events.status == 200
        assert events.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert events.headers["cache-control"] == "no-store"
        start = events.until("start")
        assert msgspec.convert(start.data, LiveStart).app_version == APP_VERSION
        assert (start.id, start.data["newest"]) == ("1", "1")
        assert events.until("totals").data["requests"] == 0
        database.add(a_record(1, model="a\nb"), a_record(2, success=False, outcome="timeout", prompt_tokens=None))
        found = [events.until("record") for _ in range(2)]
        assert [event.id for event in found] == ["2", "3"]
        assert [event.data for event in found] == list_requests(database.records, RequestFilter()).items[1::-1]
        totals = msgspec.convert(events.until("totals").data, LiveTotals)
        assert (totals.requests, totals.succeeded, totals.failed) == (2, 1, 1)
        assert (totals.tokens["prompt_tokens"].n, totals.tokens["prompt_tokens"].sum) == (1, 10)
        assert (totals.tokens["reasoning_tokens"].n, totals.tokens["reasoning_tokens"].sum) == (0, None)
        assert totals.open_requests == 0


def test_filters_choose_what_is_sent_and_counted(database: Database) -> None:
    with (
        running(create_app(ports(database))) as (port, _, _),
        Events(port, "/api/v1/live?model=a") as some,
        Events(port) as every,
    ):
        for events in (some, every):
            events.until("start")
        database.add(*(a_record(number, model="abc"[number % 3]) for number in range(9)))
        assert some.records(3) == [1, 4, 7]
        assert some.until("totals").data["requests"] == 3
        assert every.records(9) == list(range(1, 10))


def test_two_listeners_with_one_filter_get_the_same(database: Database) -> None:
    with running(create_app(ports(database))) as (port, _, _), Events(port) as first:
        first.until("start")
        database.add(a_record(0))
        assert first.records(1) == [1]
        with Events(port) as second:
            assert second.until("start").data["newest"] == "1"
            database.add(a_record(1))
            assert first.records(1) == second.records(1) == [2]
            assert first.until("totals").data["requests"] == 2
            assert second.until("totals").data["requests"] == 1


@pytest.mark.parametrize("by", ["header", "parameter"])
def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(database: Database, by: str) -> None:
    database.add(*(a_record(number, model="ab"[number % 2]) for number in range(10)))
    path, headers = "/api/v1/live?model=a", ["Last-Event-ID: 4"]
    if by == "parameter":
        path, headers = f"{path}&last_event_id=4", []
    with running(create_app(ports(database))) as (port, _, _), Events(port, path, *headers) as events:
        assert events.until("start").id == "10"
        assert events.records(3) == [5, 7, 9]
        assert events.until("totals").data["requests"] == 0  # of before the stream began
        database.add(a_record(11, model="a"))
        assert events.records(1) == [11]


def test_the_newest_records_can_come_first(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 2]) for number in range(10)))
    with running(create_app(ports(database))) as (port, _, _):
        with Events(port, "/api/v1/live?replay=3&model=b") as events:
            assert events.records(3) == [6, 8, 10]
        with Events(port, "/api/v1/live?replay=3", "Last-Event-ID: 9") as events:
            assert events.records(1) == [10]


def test_what_is_too_much_to_follow_is_told_and_still_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "MAX_RECORDS", 5)
    monkeypatch.setattr(live_hub, "MAX_REPLAY", 3)
    with running(create_app(ports(database))) as (port, _, _):
        with Events(port) as events:
            events.until("start")
            database.add(*(a_record(number) for number in range(100)))
            assert msgspec.convert(events.until("skipped").data, LiveSkipped) == LiveSkipped(
                after="0", through="95", arrived=95, records=95
            )
            assert events.records(5) == [96, 97, 98, 99, 100]
            assert events.until("totals").data["requests"] == 100
        with Events(port, "/api/v1/live", "Last-Event-ID: 10") as events:
            assert events.until("skipped").data == {"after": "10", "through": "97", "arrived": 87, "records": 87}
            assert events.records(3) == [98, 99, 100]


def test_what_lies_too_far_back_is_told_without_being_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "LOOK_BACK", 4)
    database.add(*(a_record(number) for number in range(10)))
    with running(create_app(ports(database))) as (port, _, _), Events(port, "/api/v1/live?last_event_id=2") as events:
        assert events.until("skipped").data == {"after": "2", "through": "6", "arrived": 4, "records": None}
        assert events.records(4) == [7, 8, 9, 10]


def test_an_id_from_the_future_begins_now(database: Database) -> None:
    database.add(a_record())
    with running(create_app(ports(database))) as (port, _, _), Events(port, "/api/v1/live?last_event_id=99") as events:
        assert events.until("start").id == "1"
        database.add(a_record())
        assert events.records(1) == [2]


@pytest.mark.parametrize(
    ("path", "header", "parameter"),
    [
        ("/api/v1/live", "x", "Last-Event-ID"),
        ("/api/v1/live", "-1", "Last-Event-ID"),
        ("/api/v1/live", "9" * 30, "Last-Event-ID"),
        ("/api/v1/live?last_event_id=-1", None, "last_event_id"),
        ("/api/v1/live?replay=501", None, "replay"),
        ("/api/v1/live?limit=1", None, "limit"),
        ("/api/v1/live?outcome=x", None, "outcome"),
    ],
)
def test_a_wrong_parameter_is_named(database: Database, path: str, header: str | None, parameter: str) -> None:
    response = client(database).get(path, headers={"Last-Event-ID": header} if header else {})
    assert response.status_code == 422
    assert response.json()["error"]["parameter"] == parameter


def test_a_quiet_stream_gives_signs_of_life(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_routes, "HEARTBEAT_S", 0.05)
    with running(create_app(ports(database))) as (port, _, _), Events(port) as events:
        assert [events.until("").data for _ in range(3)] == ["nothing new"] * 3


def test_so_many_listen_and_no_more_until_one_leaves(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_hub, "MAX_LISTENERS", 3)
    with running(create_app(ports(database))) as (port, _, _):
        all_of_them = [Events(port) for _ in range(3)]
        with Events(port) as one_more:
            assert one_more.status == 429
            assert one_more.headers["retry-after"] == "10"
            assert one_more.body()["error"]["type"] == "too_many_requests"
        all_of_them.pop().close()
        wait_until(lambda: _listens(port), "the place of a client that left is free again")
        for events in all_of_them:
            events.close()


def _listens(port: int) -> bool:
    with Events(port) as events:
        return events.status == 200


def test_a_reader_that_stops_reading_is_dropped_and_nobody_else_notices(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "MAX_WAITING_BYTES", 200_000)
    monkeypatch.setattr(live_hub, "TICK_S", 0.02)
    app = create_app(ports(database))
    with running(app) as (port, _, _), Events(port, small=True) as stuck, Events(port) as well:
        stuck.until("start")
        well.until("start")
        seen = 0
        deadline = time.monotonic() + 60
        while not _reset(stuck.socket):
            assert time.monotonic() < deadline, "a reader that takes nothing keeps its connection"
            database.add(*(a_record(number, error_message="x" * 500) for number in range(30)))
            assert well.records(30) == list(range(seen + 1, seen + 31))
            seen += 30
        assert seen * 2000 < 8_000_000  # long before memory would matter
        database.add(a_record())
        assert well.records(1) == [seen + 1]


def _reset(connection: socket.socket) -> bool:
    """Whether the other side has broken the connection off; looks without reading."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


def test_a_stop_ends_every_stream_well_and_waits_for_nobody_who_takes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_hub, "TICK_S", 0.02)
    monkeypatch.setattr(live_hub, "MAX_WAITING_BYTES", 10**9)
    caplog.set_level(logging.ERROR)
    stopping = threading.Event()
    with (
        running(create_app(ports(database, stopping=stopping.is_set))) as (port, stop, thread),
        Events(port, small=True) as stuck,
        Events(port) as well,
    ):
        stuck.until("start")
        well.until("start")
        # more than the sockets' buffers hold, less than what may wait: the answer is stuck in a write
        for _ in range(50):
            database.add(*(a_record(number, error_message="x" * 500) for number in range(90)))
            well.records(90)
        stopping.set()
        stop.set()
        while well.next() is not None:
            pass
        assert well.ended_well
        thread.join(30)
        assert not thread.is_alive()
    assert "graceful shutdown exceeded" not in caplog.text
    assert caplog.text == ""


def test_with_a_token_set_nothing_is_told_without_it(database: Database) -> None:
    with running(create_app(ports(database, token="secret"))) as (port, _, _):
        with Events(port) as refused:
            assert refused.status == 401
        with Events(port, "/api/v1/live", "Authorization: Bearer secret") as events:
            assert events.until("start").data["newest"] == "0"


def test_head_is_answered_and_ends(database: Database) -> None:
    with running(create_app(ports(database))) as (port, _, _):
        response, body = ask(port, "/api/v1/live", "HEAD")
    assert (response.status, body) == (200, b"")


def test_a_missing_database_is_503_and_not_a_stream(database: Database, tmp_path: Any) -> None:
    response = client(database, reader=SqliteReader(tmp_path / "absent.db")).get("/api/v1/live")
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "store_unavailable"


class Moody:
    """A reader that fails while it is told to."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.fails = False

    def query(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        if self.fails:
            raise StoreError("the disk is gone")
        rows: list[tuple[Any, ...]] = self.reader.query(sql, parameters)
        return rows

    def close(self) -> None:
        """Nothing of its own."""


def test_trouble_with_the_database_is_told_once_and_the_stream_goes_on_after_it(database: Database) -> None:
    reader = Moody(database.reader)
    with running(create_app(ports(database, reader=reader))) as (port, _, _), Events(port) as events:
        events.until("start")
        reader.fails = True
        assert events.until("problem").data == {"message": "the disk is gone"}
        database.add(a_record())
        time.sleep(3 * live_hub.TICK_S)  # some more looks that fail
        reader.fails = False
        following = [events.next(), events.next()]
        names = [event.name for event in following if event is not None]
        assert "problem" not in names
        assert "record" in names


def test_it_goes_on_while_long_questions_occupy_every_thread_of_the_api(database: Database) -> None:
    release = threading.Event()

    class Slow(Moody):
        def query(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
            if "app_version, count(*)" in sql or "GROUP BY" in sql:
                release.wait(60)
            return super().query(sql, parameters)

    with running(create_app(ports(database, reader=Slow(database.reader)))) as (port, _, _), Events(port) as events:
        events.until("start")
        waiting = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(45)]
        try:
            for connection in waiting:
                connection.request("GET", "/api/v1/summary")
            database.add(a_record())
            assert events.records(1) == [1]
        finally:
            release.set()
            for connection in waiting:
                connection.getresponse().read()
                connection.close()
