"""Waiting for what other threads and processes do, but not for ever."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

# For what takes moments on a quiet machine; nothing is decided by it but when a test that would fail does so.
PATIENCE_S: Final = 60.0
_LOOKS_S: Final = (0.005, 0.05)  # soon at first, and less and less often: looking costs the time of what is waited for


def wait_until(
    reached: Callable[[], object],
    what: object = "it comes to pass",
    timeout_s: float = PATIENCE_S,
    *,
    process: "subprocess.Popen[Any] | None" = None,
    log: Path | None = None,
) -> None:
    """Look again and again until ``reached`` says something true.

    When the time is over, or ``process`` has ended, the test fails with ``what`` (called, if it can be) and the end of
    ``log``.
    """
    deadline, (pause_s, longest_s) = time.monotonic() + timeout_s, _LOOKS_S
    while not reached():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            why = f"the process ended with {process.returncode}" if ended and process else f"not within {timeout_s:g} s"
            tail = f"\n{log.read_text(errors='replace')[-2000:]}" if log else ""
            raise AssertionError(f"{what() if callable(what) else what}: {why}{tail}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, longest_s)
