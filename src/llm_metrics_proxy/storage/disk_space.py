"""Free space on a disk, and the reserve of it that is kept for storing records.

Everything else (roll-ups, backups, migrations, indexes) stops while less than the reserve is free. So a disk that fills
up is reported while records can still be stored.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.errors import BackupError, DiskLowError, MigrationRefusedError
from llm_metrics_proxy.storage.read_only_file import side_file_bytes

# The log of a database that is being written to, twice (``sqlite._CHECKPOINT_PAGES``: 32 MiB); a small disk has less
# to give.
RESERVE_BYTES: Final = 64 * 1024**2
_LEAST_PARTS: Final = 10
# Deleting old records makes the room that new ones need, so it goes on a little longer than what takes room.
PRUNING_SHARE: Final = 0.5
_WELL_AGAIN: Final = 1.25  # of the reserve, else a disk at its edge would be logged twice a second
_MEASURE_S: Final = 0.25

log = logging.getLogger(__name__)


def size(count: int) -> str:
    """A number of bytes for people, in powers of a thousand."""
    number = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


class DiskSpace(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that this user may still write where ``folder`` is, and how many of them are kept for storing records."""

    folder: str
    free_bytes: int
    reserve_bytes: int
    device: int = 0  # two folders with the same one share this room

    def has(self, share: float = 1.0) -> bool:
        """Whether more than that part of the reserve is free."""
        return self.free_bytes >= share * self.reserve_bytes

    def in_words(self) -> str:
        """The message where ``has`` is false."""
        return (
            f"only {size(self.free_bytes)} are free in {self.folder}, and {size(self.reserve_bytes)} are kept for "
            "storing records: roll-ups, backups, pruning and migrations wait until there is room"
        )


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def space_in(folder: Path) -> DiskSpace:
    """Of the disk on which ``folder`` is or would be made. Raises ``OSError``."""
    place = nearest(folder)
    usage = shutil.disk_usage(place)
    reserve = min(RESERVE_BYTES, usage.total // _LEAST_PARTS)
    return DiskSpace(folder=str(folder), free_bytes=usage.free, reserve_bytes=reserve, device=place.stat().st_dev)


def refuse_when_low(folder: Path) -> None:
    """Raise ``DiskLowError`` while less than the reserve is free; in the middle of work that can be continued."""
    room = space_in(folder)
    if not room.has():
        raise DiskLowError(f"Stopped, since {room.in_words()}.")


def copy_bytes(source: Path) -> int:
    """Most bytes that a copy of the database takes; its log becomes part of it."""
    return sum(side_file_bytes(source, suffix) or 0 for suffix in ("", "-wal"))  # either may go just now


def refuse_without_room(folder: Path, needed: int, what: str) -> None:
    """Raise ``BackupError``, with the exit code of a refusal, if ``needed`` bytes are not free where ``folder`` is."""
    room = space_in(folder)
    if room.free_bytes < needed:
        error = BackupError(
            f"{what} needs {needed:,} bytes in {folder}, and {room.free_bytes:,} are free; "
            f"{room.reserve_bytes:,} are kept for storing records. "
            "Make room or name another folder with --backup-dir; nothing was changed."
        )
        error.exit_code = MigrationRefusedError.exit_code
        raise error


class DiskWatch:
    """The disks of one process, by what is on them; logs a change at once. From several threads."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        measure: Callable[[Path], DiskSpace] = space_in,
        every_s: float = _MEASURE_S,
    ) -> None:
        self._folders, self._measure, self._every_s = dict(folders), measure, every_s
        self._lock = threading.Lock()
        self._rooms: dict[str, DiskSpace] = {}
        self._low: set[str] = set()
        self._measured_at = float("-inf")

    def rooms(self) -> dict[str, DiskSpace]:
        """As measured just now; without one that cannot be measured."""
        with self._lock:
            if time.monotonic() - self._measured_at >= self._every_s:
                self._look()
            return dict(self._rooms)

    def low(self) -> dict[str, DiskSpace]:
        """Those with less than their reserve, or hardly more again."""
        rooms = self.rooms()
        return {name: rooms[name] for name in sorted(self._low) if name in rooms}

    def has(self, share: float = 1.0) -> bool:
        """Whether that part of the reserve is free on the database's disk."""
        rooms = self.rooms()
        room = rooms.get(DATABASE)
        return room is None or (room.has(share) and (share < 1 or DATABASE not in self._low))

    def _look(self) -> None:
        rooms = {}
        for name, folder in self._folders.items():
            try:
                rooms[name] = self._measure(folder)
            except OSError:
                continue  # whatever uses the folder reports what is wrong with it
        self._rooms, self._measured_at = rooms, time.monotonic()
        by_device: dict[int, list[str]] = {}
        for name, room in rooms.items():
            by_device.setdefault(room.device, []).append(name)
        for names in by_device.values():
            room, on_it = rooms[names[0]], " and the ".join(names)
            if not room.has() and not self._low.issuperset(names):
                self._low.update(names)
                log.error("the disk of the %s fills up: %s", on_it, room.in_words())
            elif room.has(_WELL_AGAIN) and not self._low.isdisjoint(names):
                self._low.difference_update(names)
                log.info("the disk of the %s has room again: %s are free", on_it, size(room.free_bytes))


DATABASE: Final = "database"
JOURNAL: Final = "journal"
