"""One process over all its lives, and how long to wait before the next of them."""

import os
from contextlib import suppress
from typing import Final

import msgspec

from llm_metrics_proxy.supervisor.forked import Forked, fork
from llm_metrics_proxy.supervisor.launch_plan import ChildSpec

FIRST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 5.0


def restart_delay_s(failures: int) -> float:
    """Pause before start number ``failures`` + 1 in a row."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))


class Child:
    """One process over all its lives. Owned by the ``Supervisor``; decides nothing."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: Forked | None = None
        self.started_s = 0.0
        self.failures = 0  # deaths in a row without 30 s of health between them
        self.failed_starts = 0  # deaths in a row before it had started
        self.restart_at_s: float | None = None
        self.kill_at_s: float | None = None
        self._pending_stdin = b""  # of options, what its standard input did not take yet

    def __repr__(self) -> str:
        pid = self.process.pid if self.process else None
        return f"<Child {self.spec.name} pid={pid} failures={self.failures} restart_at_s={self.restart_at_s}>"

    def start(self, now_s: float) -> None:
        """Run it and hand it its options. Raises ``OSError`` if the system cannot start a process."""
        self.started_s, self.restart_at_s, self.kill_at_s = now_s, None, None
        self._pending_stdin = self.spec.options_json.encode() + b"\n"
        self.process = fork(self.spec)
        self.flush_stdin()

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
        try:
            self._pending_stdin = self._pending_stdin[os.write(self.process.stdin_fd, self._pending_stdin) :]
        except BlockingIOError:
            pass
        except OSError:  # it is dead; its successor gets them
            self._pending_stdin = b""

    def signal(self, signum: int) -> None:
        """Send a signal if it runs: ``reap`` alone forgets its pid."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signum)

    def reap(self) -> int | None:
        """The exit code of a process that has ended since the last call (negative: the signal that ended it)."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        os.close(self.process.stdin_fd)
        self.process = None
        self.kill_at_s = None
        return code
