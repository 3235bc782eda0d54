import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.api.server import serve
from tests.analytics.database import Database, a_record
from tests.api.service import ports


@contextmanager
def running(app: Any, port: int = 0) -> Iterator[tuple[int, threading.Event, threading.Thread]]:
    """The API in a thread, on a port of the kernel's choice or on this one."""
    listener = socket.create_server(("127.0.0.1", port))
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(app, listener, stop))
    thread.start()
    try:
        yield listener.getsockname()[1], stop, thread
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive()


def ask(port: int, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_person_can_page_through_records_over_a_real_socket(database: Database) -> None:
    database.add(*(a_record(number) for number in range(7)))
    with running(create_app(ports(database))) as (port, _, _):
        first = json.loads(ask(port, "/api/v1/requests?limit=5")[1])
        second = json.loads(ask(port, f"/api/v1/requests?limit=5&cursor={first['next_cursor']}")[1])
        ids = [item["arrival"] for item in first["items"] + second["items"]]
        assert ids == [7, 6, 5, 4, 3, 2, 1]
        response, body = ask(port, "/api/v1/summary")
        assert response.status == 200
        assert json.loads(body)["requests"] == 7


def test_the_server_does_not_tell_its_name_and_head_has_no_body(database: Database) -> None:
    with running(create_app(ports(database))) as (port, _, _):
        response, body = ask(port, "/health", "HEAD")
        assert (response.status, body) == (200, b"")
        assert int(response.headers["content-length"]) > 0
        assert response.headers["server"] is None
        assert response.headers["x-content-type-options"] == "nosniff"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(
                b"HEAD /health HTTP/1.1\r\nHost: [::1]\r\n\r\n"
                b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert rest.startswith(b"HTTP/1.1 200")  # right behind: no byte of a body between them


def test_many_clients_at_once_are_answered(database: Database) -> None:
    database.add(*(a_record(number) for number in range(50)))
    with running(create_app(ports(database))) as (port, _, _), ThreadPoolExecutor(8) as pool:
        statuses = [
            future.result()[0].status for future in [pool.submit(ask, port, "/api/v1/summary") for _ in range(40)]
        ]
    assert statuses == [200] * 40


def test_a_broken_request_gets_400_and_the_server_lives_on(database: Database) -> None:
    with running(create_app(ports(database))) as (port, _, _):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
            assert raw.recv(65536).startswith(b"HTTP/1.1 400")
        assert ask(port, "/health")[0].status == 200


def test_only_names_that_lead_nowhere_else_are_answered_over_a_real_socket(database: Database) -> None:
    def status(port: int, head: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(head + b"Connection: close\r\n\r\n")
            return b"".join(iter(lambda: raw.recv(65536), b""))[:12]

    with running(create_app(ports(database))) as (port, _, _):
        own = f"Host: localhost:{port}\r\n".encode()
        evil = f"Host: evil.example:{port}\r\n".encode()
        assert status(port, b"GET /metrics HTTP/1.1\r\n" + own) == b"HTTP/1.1 200"
        assert status(port, b"GET /metrics HTTP/1.1\r\n" + evil) == b"HTTP/1.1 421"
        assert status(port, b"GET /metrics HTTP/1.1\r\n" + own + evil) == b"HTTP/1.1 400"
        assert status(port, b"GET /metrics HTTP/1.1\r\n") == b"HTTP/1.1 400"
        assert status(port, b"GET /health HTTP/1.0\r\n") == b"HTTP/1.1 200"  # as some load balancers ask


def test_a_head_without_end_is_refused_before_it_fills_the_memory(database: Database) -> None:
    with running(create_app(ports(database))) as (port, _, _):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n")
            answer = b""
            sent = 0
            with suppress(ConnectionError):
                while sent < 1_000_000:
                    raw.sendall(b"X-Filler: " + b"x" * 8000 + b"\r\n")
                    sent += 8000
                answer = raw.recv(65536)
        assert sent < 1_000_000 or answer.startswith(b"HTTP/1.1 4")
        assert ask(port, "/health")[0].status == 200


class Slow:
    """A reader that takes its time."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def query(self, sql: str, parameters: object = ()) -> list[tuple[Any, ...]]:
        self.asked.set()
        time.sleep(0.5)
        return [(0, "version", "2.0.0", 1)] if "GROUP BY" in sql else []

    @contextmanager
    def snapshot(self) -> Iterator["Slow"]:
        yield self

    def close(self) -> None:
        """Nothing is open."""


def test_a_stop_lets_the_answer_under_way_finish_and_closes_idle_connections(database: Database) -> None:
    slow = Slow()
    with running(create_app(ports(database, reader=slow))) as (port, stop, thread), ThreadPoolExecutor(1) as pool:
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        idle.request("GET", "/health")
        idle.getresponse().read()
        answer = pool.submit(ask, port, "/api/v1/versions")
        assert slow.asked.wait(10)
        stop.set()
        response, body = answer.result()
        assert response.status == 200
        assert json.loads(body)["records_by_version"] == {"2.0.0": 1}
        thread.join(10)
        assert not thread.is_alive()
        with pytest.raises(ConnectionError):
            ask(port, "/health")
        idle.close()


def test_any_callable_can_tell_it_to_stop(database: Database) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    asked = []

    def enough() -> bool:
        asked.append(True)
        return len(asked) >= 2

    serve(create_app(ports(database)), listener, enough)
    assert len(asked) == 2
    assert listener.fileno() == -1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea",
    ],
    ids=["silence", "half a head", "half a body", "half a second head"],
)
def test_a_request_that_never_arrives_is_waited_for_so_long_and_no_longer(
    database: Database, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """However often a byte of it comes."""
    monkeypatch.setattr("llm_metrics_proxy.api.server._ARRIVAL_S", 0.5)
    with running(create_app(ports(database))) as (port, _, _):
        with socket.create_connection(("127.0.0.1", port), timeout=0.1) as client:
            client.sendall(said)
            heard, ended = b"", False
            for _ in range(100):
                with suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
                    piece = client.recv(65536)
                    heard, ended = heard + piece, not piece
                    if ended:
                        break
                    continue
                if said:
                    with suppress(OSError):
                        client.sendall(b"x")
            assert ended
        assert heard.count(b"HTTP/1.1 200") == said.count(b"\r\n\r\nGET")
        assert ask(port, "/health")[0].status == 200
