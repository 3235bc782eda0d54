import csv
import io
import json
import socket
import threading
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.api.export_routes import AT_ONCE
from llm_metrics_proxy.engines.sqlite import records
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.export import FORMATS
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import ALL_COLUMNS
from tests.analytics.database import Database, a_record
from tests.api.service import client, ports
from tests.api.test_server import ask, running


def test_every_format_is_the_same_records_over_a_real_socket(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 2]) for number in range(5000)))
    found: dict[str, Any] = {}
    with running(create_app(ports(database))) as (port, _, _):
        for name, one in FORMATS.items():
            response, body = ask(port, f"/api/v1/export?format={name}&columns=arrival,model,response_time_ms&model=a")
            assert response.status == 200
            assert response.headers["content-type"] == one.media_type
            assert response.headers["content-disposition"] == f'attachment; filename="llm-requests.{name}"'
            assert response.headers["x-llm-metrics-app-version"] == APP_VERSION
            assert response.headers["cache-control"] == "no-store"
            found[name] = body
    lines = [json.loads(line) for line in found["jsonl"].splitlines()]
    assert [line["arrival"] for line in lines] == list(range(1, 5001, 2))
    assert pq.read_table(io.BytesIO(found["parquet"])).to_pylist() == lines
    rows = csv.DictReader(io.StringIO(found["csv"].decode(), newline=""))
    assert [
        {"arrival": int(row["arrival"]), "model": row["model"], "response_time_ms": float(row["response_time_ms"])}
        for row in rows
    ] == lines


def test_csv_may_begin_with_a_mark_by_which_excel_knows_its_encoding(database: Database) -> None:
    database.add(a_record(model="modèle"))
    http = client(database)
    plain = http.get("/api/v1/export?format=csv&columns=model").content
    assert plain == "model\r\nmodèle\r\n".encode()
    assert http.get("/api/v1/export?format=csv&columns=model&bom=false").content == plain
    assert http.get("/api/v1/export?format=csv&columns=model&bom=true").content == b"\xef\xbb\xbf" + plain


def test_all_columns_come_unless_some_are_named(database: Database) -> None:
    database.add(a_record())
    body = client(database).get("/api/v1/export?format=jsonl").content
    assert tuple(json.loads(body)) == ALL_COLUMNS


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "format"),
        ("format=xlsx", "format"),
        ("format=csv&columns=arrival,modle", "columns"),
        ("format=csv&columns=", "columns"),
        ("format=csv&limit=5", "limit"),
        ("format=csv&format=csv", "format"),
        ("format=csv&start=yesterday", "start"),
        ("format=csv&columns=arrival%27%20OR%201=1", "columns"),
        ("format=jsonl&bom=true", "bom"),
        ("format=parquet&bom=true", "bom"),
        ("format=csv&bom=perhaps", "bom"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_sent(database: Database, query: str, parameter: str) -> None:
    response = client(database).get(f"/api/v1/export?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["parameter"] == parameter


def test_head_is_answered_without_reading_the_records(database: Database) -> None:
    database.add(a_record())
    with running(create_app(ports(database))) as (port, _, _):
        response, body = ask(port, "/api/v1/export?format=csv", "HEAD")
    assert (response.status, body) == (200, b"")
    assert response.headers["content-type"].startswith("text/csv")


class Breaks:
    """A reader that reads so many pages and then fails."""

    def __init__(self, reader: Any, after: int) -> None:
        self.reader, self.left = reader, after

    def query(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        if "NOT INDEXED" in sql:
            self.left -= 1
            if self.left < 0:
                raise StoreError("the disk is gone")
        rows: list[tuple[Any, ...]] = self.reader.query(sql, parameters)
        return rows

    def close(self) -> None:
        """Nothing of its own."""


def test_what_fails_before_the_first_record_is_an_error_in_the_one_shape(database: Database) -> None:
    database.add(a_record())
    response = client(database, reader=Breaks(database.reader, 0)).get("/api/v1/export?format=jsonl")
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "store_unavailable"


def test_what_fails_later_breaks_the_connection_off_so_that_no_file_looks_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PART_ROWS", 10)
    database.add(*(a_record(number) for number in range(50)))
    app = create_app(ports(database, reader=Breaks(database.reader, 2)))
    with running(app) as (port, _, _), socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(b"GET /api/v1/export?format=jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b'"request_id"') == 20
    assert not answer.endswith(b"0\r\n\r\n")


def test_so_many_at_once_and_no_more_and_a_place_is_free_again_when_a_client_leaves(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PART_ROWS", 100)
    database.add(*(a_record(number, error_message="x" * 500) for number in range(20_000)))  # more than sockets hold
    request = b"GET /api/v1/export?format=jsonl HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(create_app(ports(database))) as (port, _, _):
        slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(AT_ONCE)]
        for one in slow:
            one.sendall(request)
            assert one.recv(100).startswith(b"HTTP/1.1 200")  # and no more: the export waits
        response, body = ask(port, "/api/v1/export?format=csv")
        assert response.status == 429
        assert response.headers["retry-after"] == "10"
        assert json.loads(body)["error"]["type"] == "too_many_requests"
        assert ask(port, "/api/v1/summary")[0].status == 200
        slow.pop().close()
        free = threading.Event()

        def try_again() -> None:
            while not free.is_set() and ask(port, "/api/v1/export?format=csv&columns=arrival")[0].status != 200:
                free.wait(0.05)
            free.set()

        thread = threading.Thread(target=try_again)
        thread.start()
        assert free.wait(20), "the place of a client that left is never free again"
        thread.join()
        for one in slow:
            one.close()
