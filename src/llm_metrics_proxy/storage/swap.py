"""Replace a database by a new file while no other connection can use it.

Killed at any point, the old database or the new one is there. How:

1. The target is locked for good: other connections to it, idle ones too, refuse the lock, and new ones wait. Taking it
   folds the ``-wal`` into the file, so that the file alone is the database.
2. The caller makes the new file next to it, and syncs it.
3. Side files that are left are removed: a ``-wal`` or ``-journal`` of the old database would be applied to the new one.
4. The new file is renamed over the target. What had waited for the lock of the old file finds no database in it, and
   opens the new one at its next try; else it would make its own ``-wal`` for the new file.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.storage.connection import Access, connect, transaction
from llm_metrics_proxy.storage.durable import sync_folder
from llm_metrics_proxy.storage.read_only_file import HEADER_BYTES, header
from llm_metrics_proxy.storage.sqlite_schema import FILE_MAGIC

_SIDE_FILES: Final = ("-wal", "-shm", "-journal")
_TRIES: Final = 20
_POLL_S: Final = 0.1


class Held(NamedTuple):
    """A database that is locked against all others."""

    connection: apsw.Connection
    file: apsw.VFSFile  # SQLite's own, because to close any other drops the locks of the connection


@contextmanager
def locked(target: Path, doing: str) -> Iterator[Held | None]:
    """Lock the database; yields ``None`` if there is none. Raises ``MigrationRefusedError`` if others have it open."""
    if not (header(target) or b"").startswith(FILE_MAGIC):
        yield None
        return
    with ExitStack() as stack:
        file = apsw.VFSFile("unix", str(target), [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB, 0])
        stack.callback(file.xClose)
        connection = stack.enter_context(closing(connect(target, Access.WRITE)))
        try:
            _lock(target, connection, doing)
        except (apsw.CorruptError, apsw.NotADBError):
            yield None
        else:
            yield Held(connection, file)


def _lock(target: Path, connection: apsw.Connection, doing: str) -> None:
    for attempt in range(_TRIES):
        try:
            connection.execute("PRAGMA main.locking_mode = EXCLUSIVE").fetchall()
            connection.execute("PRAGMA main.journal_mode = DELETE").fetchall()  # the -wal becomes part of the file
            connection.execute("PRAGMA main.journal_mode = MEMORY").fetchall()  # close() would delete a file -journal
            with transaction(connection, is_exclusive=True):
                pass
        except (apsw.BusyError, apsw.LockedError) as error:
            if attempt + 1 == _TRIES:
                raise MigrationRefusedError(
                    f"Another process has {target} open. Stop `serve` or `metrics`, and whatever else reads it, "
                    f"before {doing}; nothing was changed."
                ) from error
            time.sleep(_POLL_S)
        else:
            return


def put_in_place(new: Path, target: Path, held: Held | None) -> None:
    """``new`` becomes ``target``. Raises ``OSError``; one or the other is whole then."""
    for each in files_of(target):
        if each != target:
            each.unlink(missing_ok=True)
    has_another_name = target.exists() and target.stat().st_nlink > 1
    new.rename(target)
    sync_folder(target.parent)
    if held is not None and not has_another_name:
        with suppress(apsw.Error):
            held.file.xWrite(bytes(HEADER_BYTES), 0)  # for what waited for its lock


def files_of(target: Path) -> list[Path]:
    """The database and its side files, those that exist."""
    names = (target, *(target.with_name(f"{target.name}{suffix}") for suffix in _SIDE_FILES))
    return [each for each in names if each.exists()]
