"""A step of a set-up says one line when it is done, and everything when it failed."""

import re
import subprocess
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).parents[1] / "tools" / "step.sh"


def step(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["sh", SCRIPT, "the packages", *command], capture_output=True, text=True, check=False)


def test_a_step_that_is_done_is_one_line_with_its_seconds() -> None:
    done = step("sh", "-c", "echo much; echo more >&2")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"  the packages \(\d+ s\)\n", done.stdout)


def test_a_step_that_failed_says_all_that_it_said_and_keeps_its_code() -> None:
    done = step("sh", "-c", "echo first; echo second >&2; exit 7")
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "first\nsecond\nfailed: the packages\n"
