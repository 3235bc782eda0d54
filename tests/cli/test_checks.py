"""What ``doctor`` finds, with real files, sockets and servers."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.cli import backend_checks, checks
from llm_metrics_proxy.cli.finding import CheckStatus, Finding
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.processes import discovery
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.disk_space import RESERVE_BYTES, space_in
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import make_record
from tests.proxy.harness import ProxyWorker


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(**{"data_dir": tmp_path / "data", "port": 0, "metrics_port": 0, **values})


@contextmanager
def answering(document: bytes) -> Iterator[int]:
    """A server that answers every request with the same JSON; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    if not connection.recv(65_536):
                        return
                    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(document)
                    connection.sendall(head + document)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.create_connection(server.getsockname()):
                pass  # a connection that says nothing ends the thread
            thread.join()


def test_a_backend_that_answers_is_named(tmp_path: Path) -> None:
    with answering(b'{"object":"list","data":[{"id":"m","owned_by":"vllm"}]}') as port:
        finding = backend_checks.backend(settings(tmp_path, backend=f"http://127.0.0.1:{port}"))
    assert finding == Finding("backend", CheckStatus.OK, f"vLLM at http://127.0.0.1:{port} (1 model)")


def test_a_backend_that_is_none_is_a_failure_with_advice(tmp_path: Path) -> None:
    with answering(b"{}") as port:
        finding = backend_checks.backend(settings(tmp_path, backend=f"http://127.0.0.1:{port}"))
    assert finding.status is CheckStatus.FAILED
    assert "is not a list of models" in finding.found
    assert finding.advice


def test_the_simulated_backend_needs_no_look(tmp_path: Path) -> None:
    assert backend_checks.backend(settings(tmp_path, backend="demo")).status is CheckStatus.OK


def test_no_backend_is_a_warning_that_says_what_serve_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "CANDIDATES", ())
    finding = backend_checks.backend(settings(tmp_path))
    assert finding.status is CheckStatus.WARNING
    assert "simulated" in finding.advice


@pytest.mark.parametrize(
    ("version", "status"), [("3.51.2", CheckStatus.FAILED), ("3.51.3", CheckStatus.OK), ("3.100.0", CheckStatus.OK)]
)
def test_sqlite_must_be_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, status: CheckStatus
) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: version)
    assert checks.sqlite(settings(tmp_path)).status is status


def test_a_journal_that_fills_up_is_a_warning(tmp_path: Path) -> None:
    chosen = settings(tmp_path, journal_max_bytes="1MiB", journal_segment_bytes="64KiB")
    assert checks.journal(chosen).found.endswith("it is made at the first start")
    chosen.journal_dir.mkdir(parents=True)
    (chosen.journal_dir / "a").write_bytes(bytes(800_000))
    assert checks.journal(chosen) == Finding("journal", CheckStatus.OK, f"{chosen.journal_dir}: 0.8 MiB in 1 files")
    (chosen.journal_dir / "b").write_bytes(bytes(100_000))
    assert checks.journal(chosen).status is CheckStatus.WARNING


def test_a_journal_that_cannot_be_written_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as root, who may write anywhere
    finding = checks.journal(settings(tmp_path))
    assert finding.status is CheckStatus.FAILED
    assert str(tmp_path) in finding.advice


@pytest.mark.parametrize(
    ("free", "status"),
    [
        (RESERVE_BYTES - 1, CheckStatus.FAILED),
        (RESERVE_BYTES, CheckStatus.WARNING),
        (2**30, CheckStatus.WARNING),
        (2**40, CheckStatus.OK),
    ],
)
def test_a_disk_fails_where_a_running_proxy_would_put_work_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: CheckStatus
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free, "total": 2**40}))
    finding = checks.disk(settings(tmp_path))
    assert finding.status is status
    assert space_in(tmp_path).has() == (status is not CheckStatus.FAILED)
    assert ("free at least 67.1 MB" in finding.advice) == (status is CheckStatus.FAILED)


def test_a_clock_behind_the_newest_record_is_a_failure(store: SqliteStore, tmp_path: Path) -> None:
    assert checks.clock(settings(tmp_path)).status is not CheckStatus.FAILED
    store.append(IngestBatch(rows=[to_row(make_record(9, timestamp="2999-01-01T00:00:00.000000Z"))]))
    finding = checks.clock(settings(tmp_path))
    assert finding.status is CheckStatus.FAILED
    assert "the newest record is of 2999-01-01" in finding.found


def test_a_port_of_another_program_is_a_failure_and_one_of_this_proxy_is_not(tmp_path: Path) -> None:
    with answering(b'{"status":"ok","reasons":[],"workers":[]}') as ours, answering(b'{"status":"ok"}') as other:
        running = checks.ports(settings(tmp_path, port=ours))
        taken = checks.ports(settings(tmp_path, port=ours, metrics_port=other))
    assert (running.status, running.found) == (
        CheckStatus.OK,
        f"127.0.0.1:{ours} is this proxy, running; 127.0.0.1: the kernel chooses a port",
    )
    assert taken.status is CheckStatus.FAILED
    assert f"127.0.0.1:{other} is in use" in taken.found
    assert "--metrics-port" in taken.found


@pytest.mark.system
def test_a_running_worker_is_known_by_the_mark_of_its_answers(tmp_path: Path) -> None:
    with ProxyWorker(tmp_path / "proxy", "http://127.0.0.1:1") as proxy:
        proxy.health()  # it has started
        finding = checks.ports(settings(tmp_path, port=proxy.port))
    assert f"127.0.0.1:{proxy.port} is this proxy, running" in finding.found


def test_a_low_limit_of_open_files_is_a_warning(tmp_path: Path) -> None:
    assert checks.descriptors(settings(tmp_path, max_connections=10)).status is CheckStatus.OK
    finding = checks.descriptors(settings(tmp_path, max_connections=1_000_000))
    assert finding.status in {CheckStatus.WARNING, CheckStatus.OK}
    assert "needs 2000064" in finding.found


def test_the_secret_is_looked_at_and_not_made(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    assert checks.secret(chosen).status is CheckStatus.OK
    assert not chosen.data_dir.exists()
    chosen.data_dir.mkdir()
    secret = chosen.data_dir / "api_key_secret"
    secret.write_bytes(b"short")
    assert checks.secret(chosen).status is CheckStatus.FAILED
    secret.write_bytes(bytes(32))
    secret.chmod(0o644)
    assert checks.secret(chosen).status is CheckStatus.WARNING
    secret.chmod(0o600)
    assert checks.secret(chosen) == Finding("secret", CheckStatus.OK, str(secret))


def test_every_check_is_run_and_named_after_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "CANDIDATES", ())
    asyncio.set_event_loop_policy(None)
    for check in checks.CHECKS:
        assert check(settings(tmp_path)).check == check.__name__
