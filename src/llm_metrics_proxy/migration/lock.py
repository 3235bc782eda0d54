"""One migrator at a time: an ``flock`` that the kernel frees when its holder dies, and a number that proves it.

The lock is on a file next to the database, never on the database, which other programs may lock too. A
holder that was stopped, while the lock was lost in a way that should not happen (a network file system), finds in its
next batch that the number in the database is no longer its own, and stops.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import apsw

from llm_metrics_proxy.errors import MigrationFailedError, MigrationRefusedError
from llm_metrics_proxy.migration.batches import Pace, transaction
from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase, quiet
from llm_metrics_proxy.migration.runs import FENCE, get_fact, set_fact
from llm_metrics_proxy.ownership import open_lock

_POLL_S: Final = 0.1
_TRIES: Final = 4  # without waiting: a look at the holder takes the lock for an instant


def lock_path(database: Path) -> Path:
    """The side file; it stays, empty of meaning, when nobody holds the lock. Every link to a database has the same."""
    database = database.resolve()
    return database.with_name(f"{database.name}.migration-lock")


@contextmanager
def migration_lock(
    database: Path, *, wait: bool = False, stop: threading.Event | None = None, report: Report = quiet
) -> Iterator[None]:
    """Be the only migrator, for as long as the block runs.

    Raises ``MigrationRefusedError`` if another process is, unless ``wait``; and if ``stop`` was set while waiting.
    """
    path = lock_path(database)
    model = database.resolve()
    try:
        descriptor = open_lock(path, model if model.exists() else model.parent)
    except OSError as error:
        raise MigrationRefusedError(
            f"The lock {path} cannot be opened: {error.strerror}. This user must be allowed to read it; where it "
            "is missing, the folder of the database has to be writable."
        ) from error
    try:
        _acquire(descriptor, path, wait=wait, stop=stop or threading.Event(), report=report)
        with suppress(OSError):  # a full disk, another's file: it only names the holder for people
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # frees the lock; the file stays, for removing it would race with the next holder


def _acquire(descriptor: int, path: Path, *, wait: bool, stop: threading.Event, report: Report) -> None:
    for attempt in count():
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise MigrationRefusedError(f"The lock {path} cannot be taken: {error.strerror}.") from error
        else:
            return
        holder = f"process {_written_pid(descriptor) or 'unknown'}"
        if not wait and attempt >= _TRIES:
            raise MigrationRefusedError(
                f"{holder} is migrating, restoring or undoing this database and holds {path.name}; wait for it to end."
            )
        if wait:
            report(Progress(phase=WorkPhase.WAITING, detail=f"{holder} holds the lock"))
        if stop.wait(_POLL_S):
            raise MigrationRefusedError(f"Stopped while waiting for {holder}; nothing was changed.")


def _written_pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None


def lock_holder(database: Path) -> int | None:
    """Id of the process that holds the lock now (0: unknown); ``None``: none does. Takes no lasting lock."""
    try:
        descriptor = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _written_pid(descriptor) or 0
    else:
        return None
    finally:
        os.close(descriptor)


class Fence:
    """The number that permits writing; every holder of the lock takes the next one."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        with transaction(connection):
            self.number = int(get_fact(connection, FENCE) or 0) + 1
            set_fact(connection, FENCE, self.number)

    @contextmanager
    def transaction(self, pace: Pace | None = None, connection: apsw.Connection | None = None) -> Iterator[None]:
        """One write transaction, of another ``connection`` of this process if there is one.

        Raises ``MigrationFailedError`` if another process has taken a later number.
        """
        writing = connection or self._connection
        with transaction(writing, pace):
            self._check(writing)
            yield

    def _check(self, connection: apsw.Connection) -> None:
        current = get_fact(connection, FENCE)
        if current != self.number:
            raise MigrationFailedError(
                f"Another process has taken over this migration (its turn is {current}, ours was {self.number}); "
                "this one stops. What it has committed is whole."
            )
