"""Whole processes on loopback: started, waited for, stopped, and never left behind."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


@contextlib.contextmanager
def child(
    command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None, stop_s: float = 15.0
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own; SIGTERM at the end, and SIGKILL for the whole session after ``stop_s``."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(stop_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(stop_s)


def wait_until(
    reached: Callable[[], bool], what: str, timeout_s: float, *, process: "subprocess.Popen[bytes]", log: Path
) -> None:
    """Poll until it is so; fail with the end of the log when the time is over or the process has ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        if reached():
            return
        time.sleep(0.02)
    ended = "" if process.returncode is None else f", and the process ended with {process.returncode}"
    raise AssertionError(f"{what}: not within {timeout_s:g} s{ended}\n{log.read_text(errors='replace')[-2000:]}")


def answers(netloc: str, path: str) -> bool:
    """Whether ``GET path`` is answered with 200."""
    connection = http.client.HTTPConnection(netloc, timeout=5)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
