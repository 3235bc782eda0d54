"""Where ``top`` has its records from, on a real database and a real API."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.cli import top_feed
from llm_metrics_proxy.cli.top_feed import ApiFeed, DatabaseFeed, Feed, Update, open_requests, recent
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import ApiUnreachableError, StoreError
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record
from tests.api.service import ports
from tests.api.test_server import running
from tests.waiting import wait_until


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    yield opened
    opened.close()


def ended_ago(seconds: float, **facts: Any) -> RequestRecord:
    began = datetime.now(UTC) - timedelta(seconds=seconds, milliseconds=1125)
    return a_record(timestamp=stored_time(began), **facts)


def polled(feed: Feed, requests: int) -> list[Update]:
    """Updates until so many requests have come."""
    found: list[Update] = []

    def enough() -> bool:
        found.extend(feed.poll())
        return sum(update.requests for update in found) >= requests

    wait_until(enough, lambda: (found, feed.problem))
    return found


def test_of_earlier_records_those_count_that_ended_within_the_window() -> None:
    now = datetime(2026, 3, 1, 12, 1, tzinfo=UTC)

    def record(began: str | None, took_ms: float | None) -> dict[str, object]:
        return {"timestamp": began, "response_time_ms": took_ms}

    records = [
        record("2026-03-01T12:00:50.000000Z", 4000.0),
        record("2026-03-01T11:50:00.000000Z", 650_000.0),  # long, and ended 10 s ago
        record("2026-03-01T11:50:00.000000Z", None),
        record("2026-03-01T12:02:00.000000Z", 5.0),  # a clock that is ahead
        record(None, 5.0),
        record("no time", 5.0),
        record("9999-12-31T23:59:59Z", 1e300),
    ]
    assert [(update.records, update.age_s) for update in recent(records, now, 60)] == [
        ([records[1]], 10.0),
        ([records[0]], 6.0),
        ([records[3]], 0.0),
    ]


def test_a_database_gives_what_is_there_and_then_what_comes(database: Database) -> None:
    database.add(ended_ago(500), ended_ago(5, model="a"), ended_ago(4))
    feed = DatabaseFeed(database.records, lambda: open_requests(database.reader), "metrics.db", RequestFilter())
    assert [update.records[0]["arrival"] for update in feed.first(60)] == [2, 3]
    assert (feed.open_requests, feed.poll()) == (0, [])
    database.add(a_record(), a_record())
    (update,) = feed.poll()
    assert ([record["arrival"] for record in update.records], update.requests) == ([4, 5], 2)


def test_a_database_that_cannot_be_read_is_told_and_tried_again(database: Database) -> None:
    feed = DatabaseFeed(database.records, lambda: open_requests(database.reader), "metrics.db", RequestFilter())
    feed.first(60)
    path = database.path
    hidden = path.with_name("hidden")
    path.rename(hidden)
    assert feed.poll() == []
    assert feed.problem is not None
    assert "does not exist" in feed.problem
    hidden.rename(path)
    database.add(a_record())
    assert feed.poll()[0].requests == 1
    assert feed.problem is None


def test_a_missing_database_cannot_be_begun_with(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        DatabaseFeed(open_records(SqliteReader(tmp_path / "absent.db")), lambda: 0, "x", RequestFilter()).first(60)


def test_an_api_gives_the_same(database: Database) -> None:
    database.add(ended_ago(500), ended_ago(5, model="a"), ended_ago(4))
    with running(create_app(ports(database, token="secret"))) as (port, _, _):
        feed = ApiFeed(f"http://127.0.0.1:{port}/", "secret", "replay=100")
        assert [update.records[0]["arrival"] for update in feed.first(60)] == [2, 3]
        assert feed.open_requests == 0
        database.add(a_record(), a_record())
        found = polled(feed, 2)
        assert [record["arrival"] for update in found for record in update.records] == [4, 5]
        feed.close()


def test_after_a_restart_of_the_api_it_goes_on_where_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_feed, "_AGAIN_S", 0.05)
    stopping = threading.Event()
    with running(create_app(ports(database, stopping=stopping.is_set))) as (port, _, _):
        feed = ApiFeed(f"http://127.0.0.1:{port}", None, "replay=100")
        feed.first(60)
        database.add(a_record())
        assert polled(feed, 1)
        stopping.set()
    wait_until(lambda: feed.poll() or feed.problem)
    database.add(a_record())
    with running(create_app(ports(database)), port=port):
        (update,) = polled(feed, 1)
        assert [record["arrival"] for record in update.records] == [2]
        assert feed.problem is None
        feed.close()


def test_who_is_told_to_stop_while_it_connects_again_stops(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_feed, "_AGAIN_S", 0.05)
    with running(create_app(ports(database))) as (port, _, _):
        feed = ApiFeed(f"http://127.0.0.1:{port}", None, "")
        feed.first(60)
        connect = feed._connect

        def connect_late() -> Any:
            feed._closed.set()  # as `close` does, which then shuts the socket that is there, or none
            return connect()

        monkeypatch.setattr(feed, "_connect", connect_late)
        assert feed._socket is not None
        feed._socket.shutdown(socket.SHUT_RDWR)
        assert feed._thread is not None
        feed._thread.join(60)
        assert not feed._thread.is_alive()
        assert feed._socket.fileno() == -1


@pytest.mark.parametrize("url", ["127.0.0.1:8002", "ftp://host", "http://", "nonsense"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ApiUnreachableError, match="is not the address of a metrics API"):
        ApiFeed(url, None, "")


def test_nothing_there_is_one_line() -> None:
    with pytest.raises(ApiUnreachableError, match=r"http://127\.0\.0\.1:1 does not answer: .*refused"):
        ApiFeed("http://127.0.0.1:1", None, "").first(60)


def test_a_refusal_is_told_in_the_words_of_the_api(database: Database) -> None:
    with running(create_app(ports(database, token="secret"))) as (port, _, _):
        with pytest.raises(ApiUnreachableError, match="refuses: this needs the header Authorization"):
            ApiFeed(f"http://127.0.0.1:{port}", None, "").first(60)
        with pytest.raises(ApiUnreachableError, match="refuses: there is no parameter 'modle'"):
            ApiFeed(f"http://127.0.0.1:{port}", "secret", "modle=a").first(60)
