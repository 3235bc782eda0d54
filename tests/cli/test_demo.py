"""``demo``: the simulated server in the foreground."""

import re
import signal
from pathlib import Path

import pytest

from tests.child_processes import answers, child
from tests.cli.conftest import Cli
from tests.cli.test_serve import PROGRAM
from tests.waiting import wait_until


def test_a_value_that_cannot_be_is_one_line(cli: Cli) -> None:
    ran = cli("demo", "--fault-rate", "2")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "fault-rate" in ran.err


@pytest.mark.system
def test_it_says_where_it_is_and_that_it_is_simulated_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with child([PROGRAM, "demo", "--port", "0"], log) as process:
        wait_until(lambda: "simulated" in log.read_text(), "announcement", 60, process=process, log=log)
        (host,) = re.findall(r"at http://(\S+);", log.read_text())
        wait_until(lambda: answers(host, "/v1/models"), "models", 60, process=process, log=log)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert log.read_text().count("\n") == 1
