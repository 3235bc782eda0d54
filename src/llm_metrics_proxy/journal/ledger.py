"""What a worker could not record, written where a full disk cannot refuse it: into room taken beforehand.

The room is in the worker's own lock file. It outlives ``kill -9``, is read by the process that finds the lock free, and
goes with the file once its numbers are in the database.
"""

import os
import struct
import zlib
from contextlib import suppress
from typing import Final

import msgspec

ROOM_BYTES: Final = 4096
_FORMAT: Final = struct.Struct("<8sQQQQQ")
_MAGIC: Final = b"LMPLOSS\x01"
_CRC: Final = struct.Struct("<I")


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """Requests without a record. ``waiting`` are lost once their worker is gone. Times are 0 where there is nothing.

    Requests whose opened frame is in the journal are not among them: if their worker dies, they become rows.
    ``first_unix_ms``: when the trouble began in which the first of them was lost; ``errno``: what the disk said, 0 for
    the bound on the journal's size.
    """

    dropped: int = 0
    waiting: int = 0
    first_unix_ms: int = 0
    last_unix_ms: int = 0
    errno: int = 0

    def of_the_dead(self) -> "Losses":
        """Nobody will write what waited."""
        return msgspec.structs.replace(self, dropped=self.dropped + self.waiting, waiting=0)

    @property
    def reason(self) -> str:
        """Why, for people."""
        return os.strerror(self.errno) if self.errno else "the journal had reached journal_max_bytes"


NONE: Final = Losses()


def take_room(fd: int) -> bool:
    """Whether the file has room for what may have to be written while the disk is full."""
    try:
        os.posix_fallocate(fd, 0, ROOM_BYTES)
    except OSError:
        return False
    return True


def write(fd: int, losses: Losses) -> bool:
    """Replace the content; whether that was possible."""
    packed = _FORMAT.pack(
        _MAGIC, losses.dropped, losses.waiting, losses.first_unix_ms, losses.last_unix_ms, losses.errno
    )
    with suppress(OSError):
        os.pwrite(fd, packed + _CRC.pack(zlib.crc32(packed)), 0)
        return True
    return False


def read(fd: int) -> Losses:
    """The content; nothing if it cannot be read or was never written."""
    with suppress(OSError):
        data = os.pread(fd, _FORMAT.size + _CRC.size, 0)
        if len(data) == _FORMAT.size + _CRC.size and data.startswith(_MAGIC):
            packed, (crc,) = data[: _FORMAT.size], _CRC.unpack(data[_FORMAT.size :])
            if zlib.crc32(packed) == crc:
                _magic, dropped, waiting, first, last, number = _FORMAT.unpack(packed)
                return Losses(dropped=dropped, waiting=waiting, first_unix_ms=first, last_unix_ms=last, errno=number)
    return NONE
