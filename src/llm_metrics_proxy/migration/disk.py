"""The disk space that a migration needs, and whether it is free: one calculation for plan, ``doctor``, run and start.

The factors were measured on files that older programs wrote, carried over and then rolled up (bytes a record, unless
another unit is named):

    growth of the file     348 of 137    a record of 1.0.0 in the new table, with its indexes (200,000 records)
    log while migrating    1.3 times the file and its growth, never above 19 MB without a reader that holds it
    roll-ups               73 (a record a second) to 235 (one a minute, 3 models); 300 of a database in use; 635 with
                           40 models and 60 clients, one record a minute

Roll-ups that need more than this wait for room, like everything that would use the reserve.
"""

from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.migration.model import Run, RunState
from llm_metrics_proxy.storage.disk_space import copy_bytes, nearest, size, space_in

GROWTH_BYTES: Final = 250  # a record, beside what it takes in the old table
ROLLUP_BYTES: Final = 320  # a record
_LOG_PER_BYTE: Final = 2
_MOST_LOG_BYTES: Final = 64 * 1024**2  # with somebody who reads meanwhile


class Room(msgspec.Struct, frozen=True):
    """Bytes needed and free in one folder; the backup counts in both if they are on the same file system."""

    folder: str
    needed_bytes: int
    free_bytes: int
    enough: bool


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """What a run takes: the backup, what the database grows by (the new table with its indexes), its log, the
    roll-ups that are made afterwards; ``reserve_bytes`` of each disk stay free for storing records."""

    backup_bytes: int
    grows_bytes: int
    wal_bytes: int
    rollups_bytes: int
    reserve_bytes: int
    database: Room
    backups: Room

    @property
    def enough(self) -> bool:
        """Whether a run may begin."""
        return self.database.enough and self.backups.enough

    def parts(self) -> str:
        """What is needed, part by part."""
        parts = (
            (self.backup_bytes, "backup"),
            (self.grows_bytes, "new table with indexes"),
            (self.wal_bytes, "log"),
            (self.rollups_bytes, "roll-ups"),
            (self.reserve_bytes, "kept free for storing"),
        )
        return ", ".join(f"{size(count)} {what}" for count, what in parts if count)

    def lacking(self) -> str:
        """Which folder lacks room, and how much; empty if none does."""
        rooms = dict.fromkeys(each for each in (self.database, self.backups) if not each.enough)
        return "; ".join(room_in_words(room) for room in rooms) + (f" ({self.parts()})" if rooms else "")


def room_in_words(room: Room) -> str:
    """The same words everywhere."""
    return f"{size(room.needed_bytes)} are needed in {room.folder}, where {size(room.free_bytes)} are free"


def disk_needs(path: Path, backup_dir: Path, records: int, *, run: Run | None = None) -> Disk:
    """For a file with that many records. ``run``: one that is continued, whose backup exists.

    Raises ``OSError``."""
    size_bytes = copy_bytes(path)
    left = records if run is None else _left(records, run)
    grows = left * (GROWTH_BYTES + size_bytes // max(1, records))
    log_bytes = min(_MOST_LOG_BYTES, _LOG_PER_BYTE * (size_bytes + grows))
    rollups = records * ROLLUP_BYTES
    kept = run is not None and run.backup is not None and (backup_dir / run.backup).exists()
    backup_bytes = 0 if kept else size_bytes
    here, there = space_in(path.parent), space_in(backup_dir)
    mine = grows + log_bytes + rollups
    shared = nearest(path.parent).stat().st_dev == nearest(backup_dir).stat().st_dev
    needed = [mine + backup_bytes] * 2 if shared else [mine, backup_bytes]
    database, backups = (
        _room(folder, need + room.reserve_bytes, room.free_bytes)
        for folder, need, room in ((path.parent, needed[0], here), (backup_dir, needed[1], there))
    )
    return Disk(
        backup_bytes=backup_bytes,
        grows_bytes=grows,
        wal_bytes=log_bytes,
        rollups_bytes=rollups,
        reserve_bytes=here.reserve_bytes,
        database=database,
        backups=backups,
    )


def _left(records: int, run: Run) -> int:
    """Records that have not been carried over yet."""
    if run.state is not RunState.MIGRATING:
        return 0
    return max(0, records - run.records_changed)


def _room(folder: Path, needed: int, free: int) -> Room:
    return Room(str(nearest(folder)), needed, free, free >= needed)
