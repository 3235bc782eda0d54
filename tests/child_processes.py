"""Whole processes on loopback: started, waited for, stopped, and never left behind."""

import contextlib
import http.client
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
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
