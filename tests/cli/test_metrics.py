"""``metrics``: the metrics process alone, under its supervisor."""

import re
from pathlib import Path

import pytest

from tests.child_processes import answers, child
from tests.cli.test_serve import PROGRAM
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_it_serves_a_database_without_workers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [PROGRAM, "metrics", "--data-dir", str(tmp_path / "data"), "--metrics-port", "0"]
    with child(command, log) as process:
        wait_until(lambda: "Metrics http" in log.read_text(), "start line", 20, process=process, log=log)
        (host,) = re.findall(r"Metrics http://([^;\s]+)", log.read_text())
        wait_until(lambda: answers(host, "/ready"), "ready", 20, process=process, log=log)
    assert process.returncode == 0
    assert (tmp_path / "data" / "metrics.db").exists()
