"""Read a database file as it is, without a trace: no byte changes, and no side file comes, goes or changes.

SQLite itself writes when it reads: it rolls a hot ``-journal`` back into the file, and makes or rebuilds a ``-shm`` to
read a ``-wal``. That is right for files of ours and wrong for those that turn out not to be. So:

* What another connection has open is read as SQLite does; its side files are in use anyway.
* A ``-wal`` or hot ``-journal`` that a killed program left is recovered into a copy-on-write layer that is discarded.
* A file in WAL mode without ``-wal`` is all there is, and read as immutable.

Nothing here opens a database with ``open()``: closing any descriptor of a file drops every POSIX lock that this process
holds on it, which would take the locks of the connections that are open. SQLite's own file objects know better.
"""

import contextlib
import itertools
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import ForeignDatabaseError, StoreError
from llm_metrics_proxy.storage.connection import Access, connect

BASE_VFS: Final = "unix"
HEADER_BYTES: Final = 100
_CHUNK: Final = 512  # the smallest page SQLite knows
READING: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB
TEMPORARY: Final = (  # a file without a name, where SQLite keeps such
    apsw.SQLITE_OPEN_READWRITE
    | apsw.SQLITE_OPEN_CREATE
    | apsw.SQLITE_OPEN_EXCLUSIVE
    | apsw.SQLITE_OPEN_DELETEONCLOSE
    | apsw.SQLITE_OPEN_TEMP_DB
)
_names: Final = itertools.count()
_asking: Final = threading.Lock()


def header(path: Path) -> bytes | None:
    """The first 100 bytes, fewer if the file is shorter; None if there is no file.

    Raises ``ForeignDatabaseError`` unless it is a regular file (none is opened: a pipe would wait for its writer), and
    ``StoreError`` for what cannot be read.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"The database {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        what = "Is a directory" if stat.S_ISDIR(status.st_mode) else "It is not a regular file"
        raise ForeignDatabaseError(f"The database {path} cannot be read: {what}. Name a file with --db-path.")
    if not os.access(path, os.R_OK):
        raise StoreError(f"The database {path} cannot be read: Permission denied. Let this user read and write it.")
    try:
        file = apsw.VFSFile(BASE_VFS, str(path.resolve()), [apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_MAIN_DB, 0])
    except apsw.Error as error:
        raise StoreError(f"The database {path} cannot be read: {error}.") from error
    try:
        amount = min(HEADER_BYTES, status.st_size)  # xFileSize says 0 for a single byte
        return file.xRead(amount, 0).ljust(amount, b"\0")  # apsw takes zeros at the end for a short read
    finally:
        file.xClose()


def side_file_bytes(path: Path, suffix: str) -> int | None:
    """Size of ``-wal``, ``-shm`` or ``-journal`` next to the file; None if there is none."""
    resolved = path.resolve()
    try:
        return resolved.with_name(resolved.name + suffix).stat().st_size
    except OSError:
        return None


@contextlib.contextmanager
def open_read_only(path: Path, busy_timeout_ms: int) -> Iterator[apsw.Connection]:
    """A connection that reads what any SQLite would find in the file. ``header`` has found a database there."""
    with contextlib.ExitStack() as stack:
        yield _connection(path.resolve(), busy_timeout_ms, stack)


def _connection(path: Path, busy_timeout_ms: int, stack: contextlib.ExitStack) -> apsw.Connection:
    wal_bytes = side_file_bytes(path, "-wal")
    if wal_bytes is None and (header(path) or b"")[18:20] == b"\x02\x02":
        return _opened(path, busy_timeout_ms, stack, is_immutable=True)
    if wal_bytes is not None and not _is_open_elsewhere(path):
        return _recovered(path, busy_timeout_ms, stack)
    connection = _opened(path, busy_timeout_ms, stack)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.ReadOnlyError:  # it would have to roll a hot journal back
        connection.close()
        return _recovered(path, busy_timeout_ms, stack)
    return connection


def _opened(
    path: Path, busy_timeout_ms: int, stack: contextlib.ExitStack, *, is_immutable: bool = False
) -> apsw.Connection:
    connection = connect(path, Access.READ, busy_ms=busy_timeout_ms, is_immutable=is_immutable)
    return stack.enter_context(contextlib.closing(connection))


def _recovered(path: Path, busy_timeout_ms: int, stack: contextlib.ExitStack) -> apsw.Connection:
    layer = _Layer(locks=side_file_bytes(path, "-wal") is None)
    stack.callback(layer.unregister)
    connection = connect(path, Access.WRITE, busy_ms=busy_timeout_ms, vfs=layer.vfs_name)
    stack.callback(connection.close)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("locking_mode", "EXCLUSIVE")  # then the index of the WAL is kept in memory, not in a -shm
    connection.pragma("temp_store", "MEMORY")
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    connection.pragma("query_only", True)
    return connection


def _is_open_elsewhere(path: Path) -> bool:
    """Whether a connection, here or in another process, has the database open in WAL mode.

    Each of them holds a shared lock for as long as it is open. So this takes the exclusive lock and gives it back,
    as SQLite does at every close to learn whether it is the last.
    """
    with _asking:  # another thread here would count as an open connection
        try:
            file = apsw.VFSFile(BASE_VFS, str(path), [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB, 0])
        except apsw.Error:
            return False
        try:
            file.xLock(apsw.SQLITE_LOCK_SHARED)
            file.xLock(apsw.SQLITE_LOCK_EXCLUSIVE)
        except apsw.BusyError:
            return True
        except apsw.Error:  # a file that this user may not write cannot be locked for writing
            return False
        else:
            return False
        finally:
            file.xUnlock(apsw.SQLITE_LOCK_NONE)
            file.xClose()


class _Layer(apsw.VFS):
    """Files below it are only read; what SQLite writes, cuts off or deletes is so for this layer alone."""

    def __init__(self, *, locks: bool) -> None:
        self.vfs_name = f"untouched-{next(_names)}"
        self._locks = locks
        self._deleted: set[str] = set()
        super().__init__(self.vfs_name, BASE_VFS)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":  # noqa: N802 -- SQLite's names
        filename = name.filename() if isinstance(name, apsw.URIFilename) else name
        if filename is not None and (filename in self._deleted or not Path(filename).exists()):
            self._deleted.discard(filename)
            filename = None
        file = _File(filename, locks=self._locks)
        flags[1] = flags[0]  # SQLite is to believe that it may write
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, ARG002
        self._deleted.add(filename)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802
        return pathname not in self._deleted and super().xAccess(pathname, flags)


class _File(apsw.VFSFile):
    """A file as it is on disk, under the chunks that were written since; those are in a temporary file.

    Only the shared lock is real, if ``locks``: it keeps others from writing a file in rollback mode while this reads
    it. In WAL mode it would keep nobody, and would look like an open connection to the next one that asks.
    """

    def __init__(self, filename: str | None, *, locks: bool) -> None:
        super().__init__(BASE_VFS, filename, [TEMPORARY if filename is None else READING, 0])
        self._locks = locks
        self._size = self._size_below = super().xFileSize()
        self._written = bytearray()  # one byte for each chunk
        self._chunks: apsw.VFSFile | None = None  # few files are written to

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        amount = max(0, min(amount, self._size - offset))
        below = super().xRead(max(0, min(amount, self._size_below - offset)), offset) if amount else b""
        first, last = offset // _CHUNK, -(-(offset + amount) // _CHUNK)
        if not any(self._written[first:last]):
            return below.ljust(amount, b"\0")
        content = bytearray(below.ljust(amount, b"\0"))
        for chunk in range(first, min(last, len(self._written))):
            if self._written[chunk]:
                start, end = max(offset, chunk * _CHUNK), min(offset + amount, (chunk + 1) * _CHUNK)
                content[start - offset : end - offset] = self._pread(start, end - start)
        return bytes(content)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        first, last = offset // _CHUNK, -(-(offset + len(data)) // _CHUNK)
        start, end = first * _CHUNK, last * _CHUNK
        if (start, end) != (offset, offset + len(data)):  # whole chunks alone are kept
            around = bytearray(self.xRead(end - start, start).ljust(end - start, b"\0"))
            around[offset - start : offset - start + len(data)] = data
            self._pwrite(bytes(around), start)
        else:
            self._pwrite(data, start)
        self._written.extend(bytes(max(0, last - len(self._written))))
        self._written[first:last] = b"\1" * (last - first)
        self._size = max(self._size, offset + len(data))

    def _pread(self, offset: int, amount: int) -> bytes:
        return self._chunks.xRead(amount, offset).ljust(amount, b"\0") if self._chunks is not None else bytes(amount)

    def _pwrite(self, data: bytes, offset: int) -> None:
        if self._chunks is None:
            self._chunks = apsw.VFSFile(BASE_VFS, None, [TEMPORARY, 0])
        self._chunks.xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._size, self._size_below = newsize, min(newsize, self._size_below)
        del self._written[-(-newsize // _CHUNK) :]

    def xFileSize(self) -> int:  # noqa: N802
        return self._size

    def xSync(self, flags: int) -> None:  # noqa: N802
        pass

    def xLock(self, level: int) -> None:  # noqa: N802
        if self._locks and level == apsw.SQLITE_LOCK_SHARED:
            super().xLock(level)

    def xUnlock(self, level: int) -> None:  # noqa: N802
        if self._locks and level == apsw.SQLITE_LOCK_NONE:
            super().xUnlock(level)

    def xFileControl(self, op: int, ptr: int) -> Any:  # noqa: N802, ARG002
        return False

    def xClose(self) -> None:  # noqa: N802
        if self._chunks is not None:
            self._chunks.xClose()
        super().xClose()
