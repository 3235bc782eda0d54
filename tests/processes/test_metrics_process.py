"""The metrics process alone, spoken to as the supervisor does."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import RunState
from llm_metrics_proxy.pricing import PriceRow
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests import legacy
from tests.cli.conftest import make_record
from tests.options import metrics_options, otlp_options
from tests.telemetry.receiver import Receiver
from tests.waiting import wait_until

pytestmark = pytest.mark.system
COMMAND = [sys.executable, "-P", "-m", "llm_metrics_proxy.processes.metrics_process"]


class MetricsProcess:
    """One metrics process on a socket of the test's."""

    def __init__(
        self, folder: Path, *, metrics_host: str = "127.0.0.1", token: str | None = "secret-token", **more: Any
    ) -> None:
        self.folder = folder
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._server.getsockname()
        options = self._options = metrics_options(
            db_path=str(folder / "m.db"),
            journal_dir=str(folder / "journal"),
            backup_dir=str(folder / "backups"),
            listen_fds=[self._server.fileno()],
            metrics_host=metrics_host,
            metrics_token=token,
            **more,
        )
        (folder / "journal").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[self._server.fileno()]
        )
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(options) + b"\n")
        self.process.stdin.flush()

    def tell(self, **changes: Any) -> None:
        """As after a SIGHUP."""
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(msgspec.structs.replace(self._options, **changes)) + b"\n")
        self.process.stdin.flush()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as response:
            answer = response.status, response.read()
        connection.close()
        return answer

    def records(self) -> int:
        reader = SqliteReader(self.folder / "m.db")
        ((count,),) = reader.query("SELECT count(*) FROM completion_requests")
        reader.close()
        return int(count)

    def close(self) -> None:
        self._server.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[MetricsProcess]:
    started = MetricsProcess(tmp_path)
    yield started
    started.close()


def write_record(folder: Path, number: int, **facts: Any) -> None:
    """What a worker that has ended leaves behind."""
    writer = JournalWriter(folder / "journal", f"{number:016x}", segment_bytes=2**20, max_bytes=2**30)
    record = make_record(number, **facts)
    writer.opened(record)
    writer.closed(record)
    writer.flush()
    writer.close()


def test_it_answers_under_its_token_and_stands_back_behind_the_workers(metrics: MetricsProcess) -> None:
    assert metrics.get("/health")[0] == 200
    assert metrics.get("/api/v1/summary")[0] == 401
    status, body = metrics.get("/api/v1/summary", authorization="Bearer secret-token")
    assert (status, json.loads(body)["requests"]) == (200, 0)
    assert os.getpriority(os.PRIO_PROCESS, metrics.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5


def test_without_a_token_it_answers_by_its_configured_name_and_to_no_other(tmp_path: Path) -> None:
    metrics = MetricsProcess(tmp_path, metrics_host="metrics.lan", token=None)
    for host, status in (("metrics.lan:8002", 200), (f"127.0.0.1:{metrics.port}", 200), ("evil.example", 421)):
        assert metrics.get("/api/v1/summary", host=host)[0] == status
    metrics.close()


@pytest.mark.parametrize("how", ["SIGTERM", "end of input"])
def test_told_to_stop_it_stores_what_the_journal_holds_and_exits_with_0(metrics: MetricsProcess, how: str) -> None:
    assert metrics.get("/health")[0] == 200
    write_record(metrics.folder, 1)
    if how == "SIGTERM":
        metrics.process.send_signal(signal.SIGTERM)
    else:
        assert metrics.process.stdin is not None
        metrics.process.stdin.close()
        metrics.process.stdin = None  # `communicate` would flush it
    assert metrics.process.wait(30) == 0
    assert metrics.records() == 1


def test_what_is_written_while_it_runs_is_stored_within_a_second_or_two(metrics: MetricsProcess) -> None:
    assert metrics.get("/health")[0] == 200
    write_record(metrics.folder, 1)
    wait_until(lambda: metrics.records() == 1, timeout_s=10)


def test_a_later_line_brings_other_prices(metrics: MetricsProcess) -> None:
    assert metrics.get("/health")[0] == 200
    metrics.tell(prices=[PriceRow(model="llama", input_usd_per_mtok=1000.0, output_usd_per_mtok=2000.0)])
    deadline, number = time.monotonic() + 30, 0
    newest: tuple[Any, ...] = ()
    while newest != (2.0, "price_table"):  # the line may be read after the first records
        assert time.monotonic() < deadline
        write_record(metrics.folder, number := number + 1)
        wait_until(lambda so_many=number: metrics.records() >= so_many)  # type: ignore[misc]
        reader = SqliteReader(metrics.folder / "m.db")
        (newest,) = reader.query("SELECT cost_usd, cost_source FROM completion_requests ORDER BY arrival DESC LIMIT 1")
        reader.close()


def test_what_is_stored_is_sent_to_an_otlp_receiver(tmp_path: Path) -> None:
    with Receiver().running() as receiver:
        metrics = MetricsProcess(tmp_path, otlp=otlp_options(receiver.url, headers={"x-key": "k"}))
        write_record(tmp_path, 1, dialect="openai_chat")
        wait_until(lambda: receiver.spans, lambda: receiver.paths)
        metrics.process.send_signal(signal.SIGTERM)
        assert metrics.process.wait(30) == 0
        assert receiver.metrics["gen_ai.client.inference.duration"].histogram.data_points[0].count == 1
        assert receiver.headers[0]["x-key"] == "k"
        metrics.close()


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another program has the database for itself."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.close()


def test_a_database_that_cannot_be_opened_is_told_and_tried_again(tmp_path: Path) -> None:
    write_record(tmp_path, 1)
    SqliteStore(tmp_path / "m.db").close()
    with held(tmp_path / "m.db"):
        metrics = MetricsProcess(tmp_path)
        wait_until(lambda: b"m.db" in metrics.get("/health")[1])
        assert json.loads(metrics.get("/health")[1])["status"] == "degraded"
    wait_until(lambda: json.loads(metrics.get("/health")[1])["status"] == "ok", lambda: metrics.get("/health"))
    metrics.process.terminate()
    assert metrics.process.wait(60) == 0
    assert metrics.records() == 1
    metrics.close()


def test_stopping_does_not_wait_for_a_database_that_could_never_be_opened(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    with held(tmp_path / "m.db"):
        metrics = MetricsProcess(tmp_path)
        assert metrics.get("/health")[0] == 200
        metrics.process.terminate()
        assert metrics.process.wait(20) == 0  # it would try for longer than that
        metrics.close()


def test_what_is_no_file_is_refused_with_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "m.db").mkdir()  # as a container's volume makes it where the file was expected
    refused = MetricsProcess(tmp_path)
    assert refused.process.wait(60) == 3
    refused.close()


def test_an_old_database_is_migrated_and_what_arrived_meanwhile_is_stored(tmp_path: Path) -> None:
    legacy.make(tmp_path / "m.db", "1.1", 500)
    write_record(tmp_path, 1)
    metrics = MetricsProcess(tmp_path, token=None)

    def told(path: str, name: str) -> Any:
        return json.loads(metrics.get(path)[1])[name]

    wait_until(lambda: told("/health", "status") == "ok" and metrics.records() == 501, lambda: metrics.get("/health"))
    wait_until(lambda: told("/api/v1/migrations/current", "phase") == "idle")
    metrics.process.terminate()
    assert metrics.process.wait(60) == 0
    metrics.close()
    ((run),) = engine.history(tmp_path / "m.db")
    assert (run.state, run.records_changed) == (RunState.DONE, 500)
    assert (tmp_path / "backups" / str(run.backup)).exists()


def test_a_newer_programs_database_is_refused_with_exit_code_3(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    connection = apsw.Connection(str(tmp_path / "m.db"))
    connection.execute("INSERT INTO schema_steps VALUES (999, 'from_the_future', 'x', '2030-01-01', '9.0.0')")
    connection.close()
    before = (tmp_path / "m.db").read_bytes()
    refused = MetricsProcess(tmp_path)
    assert refused.process.wait(20) == 3
    assert refused.process.stderr is not None
    message = refused.process.stderr.read().decode()
    assert "was written by version 9.0.0" in message
    assert message.count("\n") == 1
    refused.close()
    assert (tmp_path / "m.db").read_bytes() == before


def test_what_a_killed_compact_left_is_removed_at_the_start(tmp_path: Path) -> None:
    left = tmp_path / "m.db.compacting"
    left.write_bytes(bytes(1000))
    metrics = MetricsProcess(tmp_path)
    assert metrics.get("/health")[0] == 200
    assert not left.exists()
    metrics.process.terminate()
    assert metrics.process.wait(60) == 0
    metrics.close()


def test_it_is_not_started_by_hand() -> None:
    ran = subprocess.run(COMMAND, input=b"hello\n", capture_output=True, check=False)
    assert ran.returncode == 2
    assert b"is started by `llm-metrics-proxy serve` or `metrics`, not by hand" in ran.stderr
    assert ran.stderr.count(b"\n") == 1
