"""Backups: made while the database is in use, proven equal to it, and only then called backups.

Copying the file is not enough: in WAL mode the newest records are elsewhere, and a copy without them can be empty and
still pass every check. ``backup_copy`` makes and proves the copy.

A backup is two files: ``NAME.json``, its description, and ``NAME``, the database. It counts once both are there under
their names; the description goes first. What a killed program left behind is removed when the next backup is made.
"""

import fcntl
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
import msgspec

from llm_metrics_proxy import ownership
from llm_metrics_proxy.errors import BackupError
from llm_metrics_proxy.storage.backup_copy import Counts, check_integrity, copy, counts
from llm_metrics_proxy.storage.connection import Access, connect
from llm_metrics_proxy.storage.disk_space import copy_bytes, refuse_without_room, space_in
from llm_metrics_proxy.storage.durable import OnProgress, make_folder, sha256_of, sync_folder
from llm_metrics_proxy.storage.read_only_file import header
from llm_metrics_proxy.storage.sqlite_schema import refuse_orphaned_wal

MANUAL: Final = "manual"  # the reason of a backup made by hand
_PARTIAL: Final = ".partial"
# What a killed program leaves: names that only this module gives, for the folder may hold the files of others too.
_OURS: Final = r".+-\d{8}T\d{6}Z(-\d+)?\.db"
_LEFTOVER: Final = re.compile(rf"{_OURS}(\.json)?{re.escape(_PARTIAL)}(-journal|-wal|-shm)?")
_DESCRIPTION: Final = re.compile(rf"{_OURS}\.json")
_POLL_S: Final = 0.1


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """The description of one backup."""

    name: str  # of the database's file, in the folder of backups
    made_at: str  # ISO 8601, UTC
    reason: str  # migration, manual, before_restore or before_compact
    app_version: str  # of the program that made it
    source: str  # path of the database
    records: int | None  # in completion_requests; none: there is no such table
    records_by_version: dict[str, int]
    bytes: int
    sha256: str
    records_beside: int = 0  # in tables that migrations have set aside
    number: int = 0  # one more than of any that was there when it was made: clocks are set back


def path_of(folder: Path, name: str) -> Path:
    """Where a backup's database is. Raises ``BackupError`` for a name that leads elsewhere."""
    if Path(name).name != name or name in {"", ".", ".."}:
        raise BackupError(f"{name!r} is not the name of a backup; `llm-metrics-proxy backup list` shows them.")
    return folder / name


def listing(folder: Path) -> list[Backup]:
    """Every backup in the folder, newest first."""
    found = []
    for description in folder.glob("*.json"):
        with suppress(OSError, msgspec.DecodeError, BackupError):
            backup = msgspec.json.decode(description.read_bytes(), type=Backup)
            if description.name == f"{backup.name}.json" and path_of(folder, backup.name).is_file():
                found.append(backup)
    return sorted(found, key=lambda backup: (backup.number, backup.made_at, backup.name), reverse=True)


def described(folder: Path, name: str) -> Backup:
    """The description of one backup. Raises ``BackupError`` if that name does not exist."""
    path = path_of(folder, name)
    backup = next((backup for backup in listing(folder) if backup.name == name), None)
    if backup is not None:
        return backup
    if path.is_file():
        raise BackupError(f"{path} has no description {name}.json that can be read: it is not a complete backup.")
    raise BackupError(f"{folder} has no backup {name}; `llm-metrics-proxy backup list` shows those that are there.")


def create(
    source: Path,
    folder: Path,
    *,
    reason: str,
    app_version: str,
    report: OnProgress | None = None,
    stop: threading.Event | None = None,
    connection: apsw.Connection | None = None,
) -> Backup:
    """Copy the database as it is at one moment, and prove the copy. Raises ``BackupError``; the source is only read.

    ``report`` gets pages. ``connection`` has the source open and locked, so that no other could read it.
    """
    stop = stop or threading.Event()
    _check_room(source, folder)
    if header(source) == b"":
        refuse_orphaned_wal(source)
    try:
        make_folder(folder, source)
        with _folder_lock(folder, source, stop):
            _remove_leftovers(folder)
            name = _new_name(source, folder)
            partial = folder / f"{name}{_PARTIAL}"
            try:
                counted = copy(source, partial, report or (lambda *_: None), stop, connection)
                backup = Backup(
                    name=name,
                    made_at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                    reason=reason,
                    app_version=app_version,
                    source=str(source.resolve()),
                    records=counted.records,
                    records_by_version=counted.by_version,
                    records_beside=counted.beside,
                    bytes=partial.stat().st_size,
                    sha256=sha256_of(partial),
                    number=1 + max((each.number for each in listing(folder)), default=0),
                )
                _put_in_place(folder, source, partial, backup)
            except BaseException:
                _remove_leftovers(folder)
                raise
    except apsw.Error as error:
        raise BackupError(f"{source} cannot be backed up: {error}. Nothing was changed.") from error
    except OSError as error:
        raise BackupError(f"The backup of {source} cannot be written to {folder}: {error.strerror}.") from error
    return backup


def verify(folder: Path, name: str, *, report: OnProgress | None = None) -> Backup:
    """Check a backup against its description. Raises ``BackupError`` that says what differs.

    ``report`` gets bytes.
    """
    backup, path = described(folder, name), path_of(folder, name)
    try:
        size = path.stat().st_size
        if size != backup.bytes:
            raise BackupError(f"The backup {name} has {size:,} bytes and had {backup.bytes:,} when it was made.")
        if sha256_of(path, report) != backup.sha256:
            raise BackupError(f"The backup {name} was changed since it was made: its SHA-256 is another one.")
        with reading(path) as connection:
            check_integrity(connection, f"The backup {name}")
            found = counts(connection)
    except apsw.Error as error:
        raise BackupError(f"The backup {name} cannot be read: {error}.") from error
    except OSError as error:
        raise BackupError(f"The backup {name} cannot be read: {error.strerror}.") from error
    then = Counts(backup.records, backup.records_by_version, backup.records_beside)
    if found != then:
        raise BackupError(f"The backup {name} holds {_contents(found)}, and held {_contents(then)} when it was made.")
    return backup


def _contents(found: Counts) -> str:
    if found.records is None:
        return "no table of records"
    stamps = ", ".join(f"{stamp}: {count:,}" for stamp, count in found.by_version.items())
    beside = f" and {found.beside:,} set aside" if found.beside else ""
    return f"{found.records:,} records ({stamps}){beside}"


def reading(path: Path) -> closing[apsw.Connection]:
    """A connection to a backup, which nobody writes: it makes no side files and takes no lock."""
    return closing(connect(path, Access.READ, is_immutable=True))


def prune(folder: Path, keep: int, *, spare: Collection[str] = ()) -> list[str]:
    """Remove all but the newest ``keep`` of each database and those in ``spare``; the names of what was removed.

    Manual backups do not count and stay: the person who made them removes them.
    """
    removed: list[str] = []
    kept: Counter[str] = Counter()
    for backup in listing(folder):
        if backup.reason == MANUAL:
            continue
        kept[backup.source] += 1
        if kept[backup.source] > keep and backup.name not in spare:
            path_of(folder, backup.name).unlink(missing_ok=True)  # first: a description alone is not a backup
            _description(folder, backup.name).unlink(missing_ok=True)
            removed.append(backup.name)
    return removed


def _check_room(source: Path, folder: Path) -> None:
    try:
        room = space_in(folder)
        refuse_without_room(folder, copy_bytes(source) + room.reserve_bytes, f"The backup of {source}")
    except OSError as error:
        raise BackupError(f"{source} cannot be backed up to {folder}: {error.strerror}.") from error
    if not source.exists():
        raise BackupError(f"There is no database {source} to back up.")


@contextmanager
def _folder_lock(folder: Path, source: Path, stop: threading.Event) -> Iterator[None]:
    """One backup at a time in a folder: its holder may remove unfinished ones."""
    descriptor = ownership.open_lock(folder / ".lock", source)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(_POLL_S):
                    raise BackupError(f"Stopped while another backup to {folder} was made.") from None
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    for each in folder.iterdir():
        has_backup = (folder / each.stem).exists()
        if _LEFTOVER.fullmatch(each.name) or (_DESCRIPTION.fullmatch(each.name) and not has_backup):
            each.unlink(missing_ok=True)


def _new_name(source: Path, folder: Path) -> str:
    """From the clock, which may be set back: a name in use gets a number."""
    base = f"{source.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = [f"{base}.db", *(f"{base}-{number}.db" for number in range(2, 1000))]
    return next(name for name in names if not (folder / name).exists())


def _put_in_place(folder: Path, source: Path, partial: Path, backup: Backup) -> None:
    description = _description(folder, backup.name)
    written = description.with_name(f"{description.name}{_PARTIAL}")
    with written.open("wb") as file:
        ownership.follow(file.fileno(), source)
        os.fchmod(file.fileno(), stat.S_IMODE(partial.stat().st_mode))
        file.write(msgspec.json.format(msgspec.json.encode(backup)))
        file.flush()
        os.fsync(file.fileno())
    written.rename(description)
    sync_folder(folder)  # else a power cut could leave a database without a description, which would never be removed
    partial.rename(path_of(folder, backup.name))
    sync_folder(folder)


def _description(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
