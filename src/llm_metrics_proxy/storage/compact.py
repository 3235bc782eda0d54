"""Give the space of deleted records back to the disk: rewrite the database without its free pages.

No other process may have it open; records wait in the journal. A backup is made first, and the new file replaces the
old one only after both were compared row by row. Killed at any point, one of the two is there.
"""

import stat
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

import apsw
import msgspec

from llm_metrics_proxy.errors import MigrationRefusedError, StoreError
from llm_metrics_proxy.ownership import follow
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.backup_copy import check_integrity, same_rows
from llm_metrics_proxy.storage.carried import is_migrating
from llm_metrics_proxy.storage.connection import interruptible, used_bytes
from llm_metrics_proxy.storage.disk_space import nearest, size, space_in
from llm_metrics_proxy.storage.durable import OnProgress, sync_file
from llm_metrics_proxy.storage.sqlite_schema import TABLE, applied_steps
from llm_metrics_proxy.storage.swap import Held, locked, put_in_place

_NEW: Final = ".compacting"
_TOLD_STEPS: Final = 20_000  # virtual machine steps between two looks at ``stop`` and at the size
_TELL_EVERY_S: Final = 0.25
_WHOLE: Final = "The database is as it was."


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the file before and after. ``backup`` is its name in the folder; none: not wanted or not needed."""

    bytes_before: int
    bytes_after: int
    backup: str | None
    records: int
    seconds: float


class Watch(NamedTuple):
    """Progress callbacks (pages of the backup, bytes of the new file, names of tables), and the event that stops it."""

    backing_up: OnProgress
    writing: OnProgress
    comparing: Callable[[str], None]
    stop: threading.Event


def compact(
    path: Path,
    folder: Path,
    watch: Watch,
    *,
    app_version: str,
    lock: AbstractContextManager[object],
    keep: int | None = 3,
) -> Compacted:
    """Give back what is free in the file. ``keep``: how many backups stay in ``folder``; none: make none.

    ``lock`` keeps migrations away.
    Raises ``MigrationRefusedError`` if it is open elsewhere, or there is no room; ``BackupError`` and ``StoreError``.
    """
    path = path.resolve()
    if not applied_steps(path):
        raise StoreError(f"{path} holds no database of this program; there is nothing to give back.")
    try:
        with lock, locked(path, "compacting it") as held:
            if held is None:
                raise StoreError(f"{path} is damaged; `llm-metrics-proxy backup list` shows what can be restored.")
            return _compact(path, folder, held, watch, app_version=app_version, keep=keep)
    except apsw.InterruptError as error:
        raise StoreError(f"Compacting {path} was stopped. {_WHOLE}") from error
    except apsw.Error as error:
        raise StoreError(f"{path} cannot be compacted: {error}. {_WHOLE}") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be compacted: {error.strerror}. It is whole, as it was or compacted."
        ) from error


def _compact(path: Path, folder: Path, held: Held, watch: Watch, *, app_version: str, keep: int | None) -> Compacted:
    begun = time.monotonic()
    connection = held.connection
    new = path.with_name(f"{path.name}{_NEW}")
    remove_leftovers(path)
    before, records = path.stat().st_size, connection.execute(f"SELECT count(*) FROM main.{TABLE}").get  # noqa: S608
    if is_migrating(connection):
        raise MigrationRefusedError(
            f"A migration of {path} is unfinished; `llm-metrics-proxy migrate run` ends it. Nothing was changed."
        )
    live_bytes, spared = used_bytes(connection), _backups_to_spare(connection)
    made: str | None = None
    if live_bytes < before:
        _refuse_without_room(path, folder if keep is not None else None, before, live_bytes)
        if keep is not None:
            made = backups.create(
                path, folder, reason="before_compact", app_version=app_version, report=watch.backing_up,
                stop=watch.stop, connection=connection,
            ).name  # fmt: skip
        try:
            _write(connection, path, new, live_bytes, watch)
            _compare(connection, new, watch)
            put_in_place(new, path, held)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        if keep is not None and made is not None:
            backups.prune(folder, keep, spare=[made, *spared])
    return Compacted(
        bytes_before=before,
        bytes_after=path.stat().st_size,
        backup=made,
        records=records,
        seconds=time.monotonic() - begun,
    )


def remove_leftovers(path: Path) -> None:
    """Files of a run that was killed. The caller holds the migrations' lock, so that none is at work."""
    new = path.resolve().with_name(f"{path.resolve().name}{_NEW}")
    for left in (new, new.with_name(f"{new.name}-journal")):
        left.unlink(missing_ok=True)


def _backups_to_spare(connection: apsw.Connection) -> list[str]:
    """The last migration's: its undo is checked against it."""
    found = connection.execute("SELECT backup FROM migration_runs WHERE backup IS NOT NULL ORDER BY id DESC LIMIT 1")
    return [str(name) for (name,) in found]


def _refuse_without_room(path: Path, folder: Path | None, before: int, live_bytes: int) -> None:
    """A backup leaves the reserve of its disk alone; the new file may use it, for it makes room at once."""
    here = space_in(path.parent)
    needed = live_bytes
    if folder is not None and nearest(folder).stat().st_dev == path.parent.stat().st_dev:
        needed = before + max(live_bytes, here.reserve_bytes)
    if here.free_bytes < needed:
        why = (
            ""
            if folder is None
            else ", the backup among them; --backup-dir on another disk, or --no-backup, takes less"
        )
        raise MigrationRefusedError(
            f"Compacting {path} needs {size(needed)} in {path.parent} for a while{why}; "
            f"{size(here.free_bytes)} are free. Nothing was changed."
        )


def _write(connection: apsw.Connection, path: Path, new: Path, live_bytes: int, watch: Watch) -> None:
    status = path.stat()
    new.touch(mode=0o600)  # private until it has the mode of what it replaces
    last = 0.0

    def look_up() -> bool:
        nonlocal last
        if time.monotonic() - last > _TELL_EVERY_S:
            last = time.monotonic()
            watch.writing(min(new.stat().st_size, live_bytes), live_bytes)
        return watch.stop.is_set()

    with interruptible(connection, look_up, _TOLD_STEPS):
        connection.execute("VACUUM main INTO ?", (str(new),))
    watch.writing(live_bytes, live_bytes)
    new.chmod(stat.S_IMODE(status.st_mode))
    follow(new, path)
    sync_file(new)


def _compare(connection: apsw.Connection, new: Path, watch: Watch) -> None:
    """Raise ``BackupError`` unless the new file is sound and holds what ``main`` does, each row of each table."""
    connection.execute("ATTACH ? AS kept", (f"{new.as_uri()}?immutable=1",))
    with interruptible(connection, watch.stop.is_set, _TOLD_STEPS):
        watch.comparing("its structure")
        with backups.reading(new) as alone:
            check_integrity(alone, "The new file")
        same_rows(connection, watch.comparing)
    connection.execute("DETACH kept")  # after a difference the connection is closed, and that with it
