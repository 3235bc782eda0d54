"""A process made of this one: what all of them need is loaded once, and the memory that holds it is shared.

The new process lets go of everything that is the supervisor's by raising ``Born`` to the very top (``__main__``), where
it becomes the module that it is to run, with nothing but its standard input, standard error and the descriptors of its
``ChildSpec``. From ``fork`` until then the signals that stop a process wait.
"""

import ctypes
import gc
import os
import runpy
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from llm_metrics_proxy import descriptors
from llm_metrics_proxy.supervisor.launch_plan import STOP_SIGNALS, ChildSpec, command

_NOT_FOR_CHILDREN: Final = (signal.SIGHUP, signal.SIGTTOU)  # SIGTTOU: a terminal's wish that only its foreground writes
_ARGUMENTS: Final = slice(45, 47)  # where in /proc/self/stat, after the name: begin and end of the command line


class Born(BaseException):
    """Raised in the new process. ``stdin_fd``: where it reads its options."""

    def __init__(self, spec: ChildSpec, stdin_fd: int) -> None:
        super().__init__(spec.name)
        self.spec, self.stdin_fd = spec, stdin_fd


class Forked:
    """The new process, as the one that made it sees it. ``stdin_fd``: its standard input, which makes nobody wait."""

    def __init__(self, pid: int, stdin_fd: int) -> None:
        self.pid, self.stdin_fd = pid, stdin_fd

    def poll(self) -> int | None:
        """Its exit code once it has ended, negative: the signal that ended it; its pid must not be used any more."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


def fork(spec: ChildSpec) -> Forked:
    """Raises ``OSError`` if the system cannot start a process, and ``Born`` in the new one."""
    stdin_fd, ours_fd = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, *_NOT_FOR_CHILDREN))
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            os.close(stdin_fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pid < 0:
            os.close(ours_fd)
    if not pid:
        raise Born(spec, stdin_fd)
    os.set_blocking(ours_fd, False)
    return Forked(pid, ours_fd)


def live(spec: ChildSpec, stdin_fd: int) -> None:
    """Run its module as ``python -m`` does. The supervisor's handlers of signals are gone already."""
    gc.collect()  # whatever still holds one of its files must not close another's number later
    os.setpgid(0, 0)
    os.dup2(stdin_fd, 0)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # standard output belongs to the command; children speak on standard error
    descriptors.close_all_but({0, 1, 2, *spec.fds})
    _be_called(command(spec.module))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    runpy.run_module(spec.module, run_name="__main__", alter_sys=True)


def _be_called(words: list[str]) -> None:
    """In ``ps``: over the words that this process was started with, as far as there is room. On Linux alone."""
    with suppress(OSError):
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        begin, end = map(int, fields[_ARGUMENTS])
        if begin:
            text = "\0".join(words).encode(errors="surrogateescape")[: end - begin - 1]
            ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)
