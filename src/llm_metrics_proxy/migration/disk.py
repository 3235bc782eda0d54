"""What a migration takes on the disk, and whether it is there: asked by the engine, by the plan and by ``doctor``."""

import shutil
from pathlib import Path
from typing import Final

import msgspec

BYTES_A_RECORD: Final = 160  # undo entry, longer timestamp, original and index entries; measured, rounded up
WAL_BYTES: Final = 64 * 1024**2


class Room(msgspec.Struct, frozen=True):
    """Bytes needed and free in one folder; the backup counts in both if they are on the same file system."""

    folder: str
    needed_bytes: int
    free_bytes: int
    enough: bool


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """What a run takes: the backup, what the database grows by (undo entries, originals, indexes), and its log."""

    backup_bytes: int
    grows_bytes: int
    wal_bytes: int
    database: Room
    backups: Room


def disk_needs(path: Path, backup_dir: Path, records: int, *, grows_bytes: int = 0, size_bytes: int = 0) -> Disk:
    """For so many records; ``grows_bytes`` and ``size_bytes`` where more is known than a rule of thumb and the file."""
    backup_bytes = max(size_bytes, path.stat().st_size)
    grows = max(grows_bytes, records * BYTES_A_RECORD)
    here, there = _nearest(path.parent), _nearest(backup_dir)
    both = backup_bytes + grows + WAL_BYTES
    shared = here.stat().st_dev == there.stat().st_dev
    return Disk(
        backup_bytes=backup_bytes,
        grows_bytes=grows,
        wal_bytes=WAL_BYTES,
        database=_room(here, both if shared else grows + WAL_BYTES),
        backups=_room(there, both if shared else backup_bytes),
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def _room(folder: Path, needed: int) -> Room:
    free = shutil.disk_usage(folder).free
    return Room(str(folder), needed, free, free >= needed)
