"""Signals as bytes on a socket, so that the loop can wait for them as for anything else."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from llm_metrics_proxy.supervisor.launch_plan import STOP_SIGNALS


@contextmanager
def signals() -> Iterator[socket.socket]:
    """A socket on which the number of every signal that matters arrives as one byte."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before_fd = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        handled = (*STOP_SIGNALS, signal.SIGHUP, signal.SIGCHLD)
        before = {signum: signal.signal(signum, lambda *_: None) for signum in handled}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, signal.SIGHUP))
        try:
            yield ours
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            signal.set_wakeup_fd(before_fd)
