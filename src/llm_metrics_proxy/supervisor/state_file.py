"""The file in which a supervisor says which process it is, and what became of the newest reload.

Its process holds the file's lock as long as it lives, so that nobody takes another process for it. It is written in
place, since another file of the same name would have another lock; who reads it may find it half written, and looks
again.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from llm_metrics_proxy.ownership import open_lock
from llm_metrics_proxy.supervisor.launch_plan import ReloadAnswer


class SupervisorState(msgspec.Struct, frozen=True, kw_only=True):
    """``reloads``: how many have ended since the start; ``last``: the newest, without options."""

    pid: int
    reloads: int = 0
    last: ReloadAnswer | None = None


class StateFile:
    """Owned by the supervisor. Without a lock it writes nothing: another one has the file."""

    def __init__(self, path: Path) -> None:
        """Raises ``OSError``, and ``BlockingIOError`` if another process has it."""
        self._descriptor = open_lock(path, path.parent)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise
        self._state = SupervisorState(pid=os.getpid())
        self._write()

    def reloaded(self, answer: ReloadAnswer) -> None:
        """A reload has ended so; options, which hold secrets, are left out."""
        told = msgspec.structs.replace(answer, options={})
        self._state = SupervisorState(pid=self._state.pid, reloads=self._state.reloads + 1, last=told)
        with suppress(OSError):  # a full disk
            self._write()

    def _write(self) -> None:
        content = msgspec.json.encode(self._state)
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))


def running(path: Path) -> SupervisorState | None:
    """What the supervisor says that has this file; ``None`` if none runs. Raises ``OSError`` if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                with suppress(msgspec.MsgspecError):
                    return msgspec.json.decode(file.read(), type=SupervisorState)
            else:
                return None
