"""Single keys from a terminal, without Enter and without showing them."""

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

_QUIT: Final = frozenset({b"q", b"Q", b"\x04", b""})  # also Ctrl-D, and the end of a terminal that is gone


@contextmanager
def quit_key() -> Iterator[Callable[[float], bool]]:
    """A function that waits that many seconds, and returns early and true when the person wants to leave.

    Ctrl-C counts as one; a second Ctrl-C, while the first waits for something, raises ``KeyboardInterrupt`` as
    ever. Without a terminal on standard input there is Ctrl-C alone.
    """
    with _interrupted() as interrupted:
        if not sys.stdin.isatty():
            yield lambda timeout_s: _pressed([interrupted], timeout_s)
            return
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        try:
            tty.setcbreak(fd)  # Ctrl-C stays a signal
            yield lambda timeout_s: _pressed([fd, interrupted], timeout_s)
        finally:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextmanager
def _interrupted() -> Iterator[int]:
    """A file descriptor from which a quitting key can be read after Ctrl-C.

    ``KeyboardInterrupt`` is raised wherever Python happens to be. In a finaliser it is printed and forgotten.
    """
    woken, wake = os.pipe()

    def note(_signum: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(wake, b"q")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield woken
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(woken)
        os.close(wake)


def _pressed(fds: Sequence[int], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select(fds, [], [], left_s)
        if any(os.read(fd, 1) in _QUIT for fd in ready):
            return True
    return False
