"""SQLite's file system with a fault in it: the default one of its process, below every connection there."""

from typing import Any

import apsw

from tests.migration.faults.disk import Disk
from tests.migration.faults.points import Points


class FaultyFile(apsw.VFSFile):
    """One open file; what it does is told to ``points`` and to ``disk``."""

    def __init__(self, name: Any, flags: Any, points: Points, disk: Disk) -> None:
        super().__init__("unix", name, flags)
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._path = str(filename) if filename else None
        self._points, self._disk = points, disk

    def xLock(self, level: int) -> None:
        try:
            super().xLock(level)
        except apsw.IOError as error:
            # A read-only connection that closes asks for a writer's lock, is refused by the kernel, and SQLite takes
            # that for granted; apsw would raise it all the same.
            raise apsw.BusyError("locked") from error

    def xRead(self, amount: int, offset: int) -> bytes:
        with self._points.around("read"):
            return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        with self._points.around("write", len(data)):
            if self._path:
                self._disk.writes(self._path, bytes(data), offset)
            super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        with self._points.around("truncate"):
            if self._path:
                self._disk.truncates(self._path, newsize)
            super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        with self._points.around("sync"):
            super().xSync(flags)
            if self._path:
                self._disk.synced(self._path)


class FaultyVfs(apsw.VFS):
    """Keep a reference for as long as connections live."""

    def __init__(self, points: Points, disk: Disk) -> None:
        super().__init__("faulty", "unix", makedefault=True)
        self._points, self._disk = points, disk

    def xOpen(self, name: Any, flags: Any) -> FaultyFile:
        with self._points.around("open"):
            filename = name.filename() if isinstance(name, apsw.URIFilename) else name
            if filename:
                self._disk.opens(str(filename))
            return FaultyFile(name, flags, self._points, self._disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        with self._points.around("delete"):
            self._disk.unlinks(filename)
            super().xDelete(filename, syncdir)
            if syncdir:
                self._disk.synced(filename)
