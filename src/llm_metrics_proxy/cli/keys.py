"""Single keys from a terminal, without Enter and without showing them."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_QUIT: Final = frozenset({b"q", b"Q", b"\x04", b""})  # also Ctrl-D, and the end of a terminal that is gone


@contextmanager
def quit_key() -> Iterator[Callable[[float], bool]]:
    """A function that waits so many seconds, and returns early and true when the person wants to leave.

    Without a terminal on standard input nobody can; it only waits.
    """
    if not sys.stdin.isatty():
        yield _wait
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)  # Ctrl-C stays a signal
        yield lambda timeout_s: _pressed(fd, timeout_s)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _wait(timeout_s: float) -> bool:
    time.sleep(timeout_s)
    return False


def _pressed(fd: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], left_s)
        if ready and os.read(fd, 1) in _QUIT:
            return True
    return False
