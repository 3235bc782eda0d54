"""Hosts that only store, and readers that only answer, on one ClickHouse server."""

import contextlib
import http.client
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.child_processes import answers, child
from tests.clickhouse.server import ClickHouseServer, statement
from tests.upstream import FakeUpstream, openai_handler, unused_port
from tests.waiting import wait_until

pytestmark = pytest.mark.system
_START_S: Final = 60.0


class Process(NamedTuple):
    """One ``serve`` or ``metrics``, with the ports of its proxy and its metrics API, and its supervisor's id."""

    port: int
    metrics_port: int
    pid: int

    def get(self, path: str, status: int = 200) -> Any:
        connection = http.client.HTTPConnection(f"127.0.0.1:{self.metrics_port}", timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == status, (answer.status, answer.read())
            return json.loads(answer.read())

    def ask(self, times: int) -> None:
        connection = http.client.HTTPConnection(f"127.0.0.1:{self.port}", timeout=30)
        with contextlib.closing(connection):
            for _ in range(times):
                body = json.dumps({"model": "fake-1", "messages": [{"role": "user", "content": "hello"}]})
                connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
                assert connection.getresponse().read()


@contextlib.contextmanager
def started(verb: str, name: str, folder: Path, store: str, *flags: str) -> Iterator[Process]:
    port, metrics_port = unused_port(), unused_port()
    ports = ["--metrics-port", str(metrics_port), *(["--port", str(port)] if verb == "serve" else [])]
    command = [
        sys.executable, "-m", "llm_metrics_proxy", verb, "--store", store, "--host-name", name,
        "--data-dir", str(folder / name), *ports, *flags,
    ]  # fmt: skip
    log = folder / f"{name}.log"
    with child(command, log) as process:
        wait_until(
            lambda: answers(f"127.0.0.1:{metrics_port}", "/ready"), f"{name} is ready", _START_S,
            process=process, log=log,
        )  # fmt: skip
        yield Process(port, metrics_port, process.pid)


def live_ids(reader: Process, last: str | None, at_least: int) -> list[str]:
    """Ids of events, from behind ``last`` on."""
    connection = http.client.HTTPConnection(f"127.0.0.1:{reader.metrics_port}", timeout=30)
    with contextlib.closing(connection):
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        connection.request("GET", "/api/v1/live", headers=headers)
        answer = connection.getresponse()
        found: list[str] = []
        while len(found) < at_least:
            line = answer.readline().decode().strip()
            if line.startswith("id:"):
                found.append(line[3:].strip())
        return found


def test_hosts_that_store_and_readers_that_answer(
    tmp_path: Path, clickhouse: ClickHouseServer, clickhouse_url: str
) -> None:
    read, ingest = ("--metrics-role", "read"), ("--metrics-role", "ingest", "--workers", "1")
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream(openai_handler))
        hosts = [
            stack.enter_context(started("serve", name, tmp_path, clickhouse_url, *ingest, "--backend", upstream.url))
            for name in ("one", "two")
        ]
        for host in hosts:
            host.ask(15)
        readers = [
            stack.enter_context(started("metrics", name, tmp_path, clickhouse_url, *read)) for name in ("r1", "r2")
        ]
        database = clickhouse_url.rsplit("/", 1)[1]
        count = f"SELECT count() FROM {database}.completion_requests"
        wait_until(lambda: statement(clickhouse, count) == "30\n", "all are there", 30)

        # who only stores says how it fares, and answers nothing else; who only answers stores nothing
        hosts[0].get("/api/v1/requests", status=404)
        assert hosts[0].get("/health")["ingestion"]["records_ingested"] == 15
        assert readers[0].get("/health")["ingestion"] is None
        assert [reader.get("/health")["status"] for reader in readers] == ["ok", "ok"]

        # a cursor of one reader goes on at the other one
        items: list[Any] = []
        cursor: str | None = ""
        turn = 0
        while cursor is not None:
            page = readers[turn % 2].get(f"/api/v1/requests?limit=4{cursor and f'&cursor={cursor}'}")
            items, cursor, turn = items + page["items"], page["next_cursor"], turn + 1
        keys = [(item["timestamp"], item["host"], item["arrival"]) for item in items]
        assert len(set(keys)) == len(keys) == 30
        assert keys == sorted(keys, reverse=True)
        assert {host for _, host, _ in keys} == {"one", "two"}

        # so does the id of a live event, after its reader was killed
        newest = items[0]
        assert readers[1].get(f"/api/v1/requests/{newest['request_id']}")["arrival"] == newest["arrival"]
        (before,) = live_ids(readers[0], None, 1)
        assert sorted(before.split(",")) == ["one=15", "two=15"]
        os.killpg(readers[0].pid, signal.SIGKILL)
        hosts[1].ask(3)
        wait_until(lambda: statement(clickhouse, count) == "33\n", "those too", 30)
        assert live_ids(readers[1], before, 4)[1:] == [f"one=15,two={number}" for number in (16, 17, 18)]

        # a host that dies takes nothing with it
        os.killpg(hosts[0].pid, signal.SIGKILL)
        assert readers[1].get("/api/v1/summary")["requests"] == 33
