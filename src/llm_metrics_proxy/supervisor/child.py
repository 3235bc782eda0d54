"""One process over all its lives, and how long to wait before the next of them."""

import os
import signal
import subprocess
from contextlib import suppress
from typing import Final

import msgspec

from llm_metrics_proxy.supervisor.launch_plan import ChildSpec

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 5.0
_NOT_FOR_CHILDREN: Final = (signal.SIGHUP, signal.SIGTTOU)


def restart_delay_s(failures: int) -> float:
    """Pause before start number ``failures`` + 1 in a row."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))


class Child:
    """One process over all its lives. Owned by the ``Supervisor``; decides nothing."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self.failures = 0  # deaths in a row without 30 s of health between them
        self.failed_starts = 0  # deaths in a row before it had started
        self.restart_at_s: float | None = None
        self.kill_at_s: float | None = None
        self._pending_stdin = b""  # of new options, what its standard input did not take yet

    def __repr__(self) -> str:
        pid = self.process.pid if self.process else None
        return f"<Child {self.spec.name} pid={pid} failures={self.failures} restart_at_s={self.restart_at_s}>"

    def start(self, now_s: float) -> None:
        """Run it and hand it its options. Raises ``OSError`` if the system cannot start a process."""
        self.started_s, self.restart_at_s, self.kill_at_s = now_s, None, None
        self._pending_stdin = b""
        # Inherited by the child, for whom SIGHUP is to mean nothing, and the terminal's wish that only its foreground
        # writes; what comes to us meanwhile waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_CHILDREN)
        try:
            self.process = subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # standard output belongs to the command; children speak on standard error
                pass_fds=self.spec.fds,
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_FOR_CHILDREN)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it is dead already; its exit code says more
            self.process.stdin.write(self.spec.options_json.encode() + b"\n")
            self.process.stdin.flush()
        os.set_blocking(self.process.stdin.fileno(), False)  # from now on it must not make us wait

    def reload(self, options_json: str, stop_timeout_s: float | None = None) -> None:
        """Hand it new options, now or as soon as it reads; one that is started later gets them first."""
        limit_s = self.spec.stop_timeout_s if stop_timeout_s is None else stop_timeout_s
        self.spec = msgspec.structs.replace(self.spec, options_json=options_json, stop_timeout_s=limit_s)
        if self.process is not None:
            self._pending_stdin += options_json.encode() + b"\n"
            self.flush_stdin()

    @property
    def has_pending_stdin(self) -> bool:
        """Its standard input is full."""
        return bool(self._pending_stdin)

    def flush_stdin(self) -> None:
        """Go on handing over."""
        if self.process is None or not self._pending_stdin:
            return
        assert self.process.stdin is not None
        try:
            self._pending_stdin = self._pending_stdin[os.write(self.process.stdin.fileno(), self._pending_stdin) :]
        except BlockingIOError:
            pass
        except OSError:  # it is dead; its successor gets them
            self._pending_stdin = b""

    def signal(self, signum: int) -> None:
        """Send a signal if it runs; ``Popen`` never signals a pid that was reaped."""
        if self.process is not None:
            self.process.send_signal(signum)

    def reap(self) -> int | None:
        """The exit code of a process that has ended since the last call (negative: the signal that ended it)."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, BlockingIOError):
            self.process.stdin.close()
        self.process = None
        self.kill_at_s = None
        return code
