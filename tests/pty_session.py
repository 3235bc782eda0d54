"""A program in a terminal of its own, as a person would see it.

with Terminal([PROGRAM, "top"], folder) as terminal:
    terminal.wait_for("requests/s")
    terminal.type("q")
    assert terminal.wait() == 0
"""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

_LIMIT_S: Final = 60.0


def _take_terminal() -> None:
    """In the child: makes standard input its controlling terminal, from which Ctrl-C comes."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """The child's standard input, output and error are a pseudo-terminal of ``rows`` by ``columns``."""

    def __init__(self, command: Sequence[str], folder: Path, *, rows: int = 40, columns: int = 120) -> None:
        self._controller, self._terminal = pty.openpty()
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self._terminal)
        self.said = ""
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, start_new_session=True,
            stdin=self._terminal, stdout=self._terminal, stderr=self._terminal,
            preexec_fn=_take_terminal,  # noqa: PLW1509 -- one system call
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._controller)
        os.close(self._terminal)

    def settings(self) -> list[object]:
        """How the terminal is set now: echo, lines, signals."""
        return list(termios.tcgetattr(self._terminal))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._controller, text.encode())

    def wait_for(self, text: str) -> None:
        """Until the program has shown it."""
        deadline = time.monotonic() + _LIMIT_S
        while text not in self.said:
            assert time.monotonic() < deadline, f"never shown: {text!r}; shown was {self.said[-2000:]!r}"
            assert self._read(0.2) or self.process.poll() is None, f"ended without {text!r}: {self.said[-2000:]!r}"

    def wait(self) -> int:
        """Until the program has ended; its exit code."""
        deadline = time.monotonic() + _LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end; shown was {self.said[-2000:]!r}"
            self._read(0.1)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._controller], [], [], timeout_s)
        if ready:
            self.said += os.read(self._controller, 65536).decode(errors="replace")
        return bool(ready)


def output_of(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Exit code and all that was shown."""
    with Terminal(command, folder) as terminal:
        return terminal.wait(), terminal.said
