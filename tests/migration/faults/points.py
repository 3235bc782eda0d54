"""The points of a process at which a fault can strike: before and after each thing that touches the disk.

A statement, a read, write, sync, truncation, deletion or opening inside SQLite; an fsync, rename or unlink in Python.
Each family is counted by itself, so that "the 7th write" is the same one in every run of the same work.
"""

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from tests.migration.faults.disk import Disk

# Families in which a kill, a stop or a power cut makes sense: after each of them the disk may be different.
CHANGING: Final = ("statement", "commit", "write", "sync", "truncate", "delete", "open", "fsync", "rename", "unlink")
IN_SQLITE: Final = ("read", "write", "sync", "truncate", "delete", "open")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is to happen where. ``action``: none, kill, stop, power, error or full; ``lasting``: from there on."""

    action: str = "none"
    family: str = "write"
    number: int = 1  # of the family, from 1
    when: str = "before"  # or after
    lasting: bool = False
    seed: int = 0  # of what survives a power cut; its remainder by 4 is the way
    page_limit: int = 0  # every connection's max_page_count
    bytes_free: int = 0  # with ``full``: written through SQLite before the disk is full
    file_limit: int = 0  # RLIMIT_FSIZE


_CODES: Final = {
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "open": apsw.SQLITE_CANTOPEN,
}


class Points:
    """Counts, and acts once (or from then on) where the fault says. One thread at a time is let through."""

    def __init__(self, fault: Fault, cut_power: Callable[[], None]) -> None:
        self.fault = fault
        self.seen: Counter[str] = Counter()
        self.lock = threading.RLock()
        self.struck = 0
        self._cut_power = cut_power
        self.written_bytes = 0

    @contextmanager
    def around(self, family: str, size: int = 0) -> Iterator[None]:
        """One thing of a family is done inside; raises what SQLite is to see instead, where the fault says so."""
        with self.lock:
            self.seen[family] += 1
            number = self.seen[family]
            self._strike(family, number, "before")
            if family == "write":
                self.written_bytes += size
                if self.fault.action == "full" and self.written_bytes > self.fault.bytes_free:
                    self.struck += 1
                    raise apsw.FullError("database or disk is full")
            yield
            self._strike(family, number, "after")

    def tell(self, family: str, when: str) -> None:
        """A statement begins or has ended; a commit counts as both."""
        with self.lock:
            for each in {family, "statement"}:
                self.seen[each] += when == "before"
                self._strike(each, self.seen[each], when)

    def _strike(self, family: str, number: int, when: str) -> None:
        fault = self.fault
        if family != fault.family or when != fault.when:
            return
        if not (number == fault.number or (fault.lasting and number > fault.number)):
            return
        if fault.action in ("kill", "power"):
            if fault.action == "power":
                self._cut_power()
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.action == "stop":
            self.struck += 1
            os.kill(os.getpid(), signal.SIGSTOP)
        elif fault.action == "error":
            self.struck += 1
            raise io_error(family)


def io_error(family: str) -> apsw.Error:
    """As the operating system's layer of SQLite reports it."""
    error: Any = (
        apsw.CantOpenError("unable to open") if family == "open" else apsw.IOError(f"disk I/O error ({family})")
    )
    error.extendedresult = _CODES[family]
    return error  # type: ignore[no-any-return]


def watch_statements(points: Points) -> None:
    """From now on every connection of this process tells when a statement begins and has ended."""

    def hook(connection: apsw.Connection) -> None:
        running: dict[int, str] = {}

        def trace(event: dict[str, Any]) -> None:
            if event["code"] == apsw.SQLITE_TRACE_STMT:
                if event["trigger"]:
                    return
                running[event["id"]] = "commit" if event["sql"] == "COMMIT" else "statement"
                when = "before"
            else:
                when = "after"
            points.tell(running.get(event["id"], "statement"), when)

        connection.trace_v2(apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_PROFILE, trace)
        if points.fault.page_limit:
            limit_pages(connection, points.fault.page_limit)

    apsw.connection_hooks.append(hook)


def limit_pages(connection: apsw.Connection, pages: int) -> None:
    """The database behind this connection cannot grow beyond so many pages."""
    try:
        connection.execute(f"PRAGMA max_page_count = {pages}")
    except apsw.Error:
        return  # no database yet, or none at all: what the connection is opened for will say so


def watch_python(points: Points, disk: Disk) -> None:
    """The same for what Python itself does to files; ``disk`` remembers it for a power cut."""
    fsync, rename, replace, unlink = os.fsync, os.rename, os.replace, os.unlink

    def watched_fsync(fd: Any) -> None:
        number = fd if isinstance(fd, int) else fd.fileno()
        with points.around("fsync"):
            fsync(fd)
            disk.synced(str(Path(f"/proc/self/fd/{number}").readlink()))

    def moving(function: Callable[..., None]) -> Callable[..., None]:
        def watched(source: Any, target: Any, **keywords: Any) -> None:
            with points.around("rename"):
                disk.renames(os.fspath(source), os.fspath(target))
                function(source, target, **keywords)

        return watched

    def watched_unlink(path: Any, **keywords: Any) -> None:
        with points.around("unlink"):
            disk.unlinks(os.fspath(path))
            unlink(path, **keywords)

    os.fsync, os.rename, os.replace = watched_fsync, moving(rename), moving(replace)
    os.unlink = os.remove = watched_unlink

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | Path):
            disk.opens_in_python(os.path.abspath(arguments[0]), arguments[2])  # noqa: PTH100

    if not disk.is_off:
        sys.addaudithook(heard)  # of this process, which is soon gone
