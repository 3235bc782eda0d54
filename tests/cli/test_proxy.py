"""``proxy``: workers alone."""

import re
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.processes import discovery
from tests.child_processes import answers, child
from tests.cli.conftest import Cli
from tests.cli.test_serve import ANY_PORTS, PROGRAM
from tests.waiting import wait_until


def test_without_any_backend_there_is_nothing_to_proxy(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "CANDIDATES", ())
    ran = cli("proxy", "--port", "0")
    assert ran.code == 2
    assert ran.err.startswith("llm-metrics-proxy: backend = none (default): no backend was named")
    assert ran.err.count("\n") == 1


@pytest.mark.system
def test_workers_serve_without_a_metrics_process_and_without_a_database(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [PROGRAM, "proxy", "--data-dir", str(tmp_path / "data"), *ANY_PORTS, "--backend", "http://127.0.0.1:9"]
    with child(command, log) as process:
        wait_until(lambda: "Proxy http" in log.read_text(), "start line", 20, process=process, log=log)
        (host,) = re.findall(r"Proxy http://(\S+)", log.read_text())
        wait_until(lambda: answers(host, "/health"), "health", 20, process=process, log=log)
        assert len(psutil.Process(process.pid).children()) == 1
    assert process.returncode == 0
    assert not (tmp_path / "data" / "metrics.db").exists()
