"""``serve``: the start-up block, and the whole product under its supervisor."""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.cli.serve import print_start_block
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.processes.discovery import ChosenBackend
from tests.child_processes import answers, child
from tests.waiting import wait_until

PROGRAM = str(Path(sys.executable).with_name("llm-metrics-proxy"))
ANY_PORTS = ("--port", "0", "--metrics-port", "0", "--workers", "1")


def block(capsys: pytest.CaptureFixture[str], settings: Settings, *, simulated: bool = False) -> str:
    print_start_block(
        settings, ChosenBackend("http://b", "flag --backend"), "http://p", "http://m", simulated=simulated
    )
    return capsys.readouterr().out


def test_the_start_block_is_plain_in_a_pipe_and_says_how_to_use_the_proxy(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split(maxsplit=1) for line in block(capsys, Settings()).splitlines()]
    told = dict(pair for pair in lines if len(pair) == 2)
    assert told["Proxy"].strip() == "http://p"
    assert told["Dashboard"].strip() == "http://m/  (open it in a browser)"  # what opens, and where
    assert told["Backend"].strip() == "http://b  (flag --backend)"
    assert told["API"].strip() == "docs   http://m/docs"
    assert told["Client"].strip() == "export OPENAI_BASE_URL=http://p/v1"


def test_simulated_numbers_and_open_doors_are_said_aloud(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ITS NUMBERS ARE SIMULATED" in block(capsys, Settings(), simulated=True)
    assert "SIMULATED" not in block(capsys, Settings())
    exposed: dict[str, Any] = {"host": "0.0.0.0", "metrics_host": "0.0.0.0"}
    assert "other machines can reach it" in block(capsys, Settings(**exposed, insecure=True))
    assert "INSECURE" in block(capsys, Settings(**exposed, insecure=True))
    with_token = block(capsys, Settings(**exposed, metrics_token="secret-token"))  # type: ignore[arg-type]
    assert "token needed" in with_token
    assert "secret-token" not in with_token


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[tuple[Any, Path, dict[str, str]]]:
    """``serve`` until it answers on both ports: the process, its log, and host:port by ``Proxy`` and ``Metrics``."""
    log = folder / "serve.log"
    command = [PROGRAM, "serve", "--data-dir", str(folder / "data"), *ANY_PORTS, *flags]
    # a script that plays a server counts what it is asked
    with child(command, log, environment={"LLM_METRICS_PROXY_SERVER_METRICS": "off"}, stop_s=30) as process:
        wait_until(lambda: "Client" in log.read_text(), "start block", 20, process=process, log=log)
        hosts = dict(re.findall(r"(Proxy|Metrics) +http://(\S+)", log.read_text()))
        for name, path in (("Proxy", "/health"), ("Metrics", "/ready")):
            wait_until(lambda n=name, p=path: answers(hosts[n], p), name, 20, process=process, log=log)  # type: ignore[misc]
        yield process, log, hosts
    assert process.returncode == 0, log.read_text()


@pytest.mark.system
def test_the_simulated_backend_fills_the_database_and_everything_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, "--backend", "demo") as (process, log, hosts):
        requests = [PROGRAM, "requests", "--data-dir", str(tmp_path / "data"), "--json", "--limit", "1"]

        def recorded() -> bool:
            listing = tmp_path / "listing"
            with child(requests, listing) as listed:
                listed.wait(20)
            return listing.read_text().startswith('{"arrival":')

        wait_until(recorded, "a record of simulated traffic", 30, process=process, log=log)
        children = psutil.Process(process.pid).children()
        assert len(children) == 3
        own = os.nice(0)  # a child begins with it
        assert {one.nice() - own for one in children} == {0, 5}
        for one in children:
            one.kill()
        for name, path in (("Proxy", "/health"), ("Metrics", "/ready")):
            wait_until(lambda n=name, p=path: answers(hosts[n], p), name, 20, process=process, log=log)  # type: ignore[misc]
        pids = [one.pid for one in psutil.Process(process.pid).children()]
        assert len(pids) == 3
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.system
def test_a_database_of_a_stranger_stops_the_metrics_but_not_the_proxy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "metrics.db"
    database.write_bytes(b"a diary, not a database")
    log = tmp_path / "log"
    command = [PROGRAM, "serve", "--data-dir", str(tmp_path / "data"), *ANY_PORTS, "--backend", "http://127.0.0.1:9"]
    with child(command, log) as process:
        wait_until(lambda: "is not a SQLite database" in log.read_text(), "complaint", 20, process=process, log=log)
        (proxy,) = re.findall(r"Proxy +http://(\S+)", log.read_text())
        wait_until(lambda: answers(proxy, "/health"), "proxy", 20, process=process, log=log)
    assert process.returncode == 0
    assert database.read_bytes() == b"a diary, not a database"


@pytest.mark.system
def test_a_port_that_is_taken_ends_serve_before_anything_is_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [PROGRAM, "serve", "--data-dir", str(tmp_path / "data"), "--port", str(port), "--backend", "http://h"]
        with child(command, log) as process:
            assert process.wait(20) == 1
    (line,) = log.read_text().splitlines()
    assert line.startswith(f"llm-metrics-proxy: 127.0.0.1:{port} is in use by pid {os.getpid()} (")


@pytest.mark.system
def test_ctrl_c_right_after_the_start_is_a_graceful_stop(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [PROGRAM, "serve", "--data-dir", str(tmp_path / "data"), *ANY_PORTS, "--backend", "http://127.0.0.1:9"]
    with child(command, log) as process:
        wait_until(lambda: "Client" in log.read_text(), "start block", 20, process=process, log=log)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
