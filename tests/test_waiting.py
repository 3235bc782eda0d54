import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until


def test_it_looks_until_it_is_so() -> None:
    answers = iter([0, "", None, [1]])
    wait_until(lambda: next(answers))
    assert not list(answers)


def test_it_gives_up_and_tells_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match=r"^a bus: not within 0 s$"):
        wait_until(lambda: False, "a bus", 0)
    with pytest.raises(AssertionError, match=r"^\['seen so far'\]: not within 0\.02 s$"):
        wait_until(lambda: False, lambda: ["seen so far"], 0.02)


def test_a_process_that_has_ended_is_waited_for_no_longer(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("no such option")
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        with pytest.raises(AssertionError, match="a port: the process ended with 7\nno such option"):
            wait_until(lambda: False, "a port", process=process, log=log)
        wait_until(lambda: True, process=process, log=log)  # it was reached all the same
