"""A disk that forgets what nobody synced.

Everything is written through at once, so that other connections and processes see it as they should. What has not been
synced is remembered beside it; when the power is cut, the files are put into a state that a disk could have been in:
nothing of it survived, a beginning, any subset of the sectors, or all. An fsync of a file makes its content last, and
the names of its folder with it, as the journals of today's file systems do.
"""

import os
import random
from pathlib import Path
from typing import Final

_SECTOR: Final = 512
_link, _rename, _unlink = os.link, os.rename, os.unlink  # ``points`` watches those of the module
_WAYS: Final = ("nothing", "beginning", "scattered", "all but the last")

_Write = tuple[int, bytes | None]  # offset and bytes; bytes None: cut to offset


class Disk:
    """What is unsynced in this process's files. ``cut_power`` leaves them as a disk might; the caller then dies.

    ``off``: remember nothing, for the faults that need no memory.
    """

    def __init__(self, stash: Path, seed: int, *, off: bool = False) -> None:
        self._root = f"{stash.parent}{os.sep}"  # what lies elsewhere, such as temporary files, is not of interest
        self._stash, self._random, self._way = stash, random.Random(seed), _WAYS[seed % len(_WAYS)]
        self.is_off = off
        self._synced: dict[str, bytes] = {}  # content as of the last sync
        self._writes: dict[str, list[_Write]] = {}  # since then
        self._names: dict[str, list[tuple[str, str, str | None]]] = {}  # by folder: what was done, path, its stash
        self._by_python: set[str] = set()
        self._count = 0
        if not off:
            stash.mkdir(parents=True, exist_ok=True)

    def opens(self, path: str) -> None:
        """A file that is not there is about to be made."""
        if self._minds(path) and not os.path.exists(path):  # noqa: PTH110 -- paths of SQLite are text
            self._did("made", path, None)

    def opens_in_python(self, path: str, flags: int) -> None:
        """Python is about to open a file, perhaps to write."""
        if self._minds(path) and flags & (os.O_WRONLY | os.O_RDWR):
            self.opens(path)
            self._by_python.add(path)

    def writes(self, path: str, data: bytes, offset: int) -> None:
        """Bytes are about to be written."""
        self._remember(path, (offset, data))

    def truncates(self, path: str, size: int) -> None:
        """The file is about to be cut."""
        self._remember(path, (size, None))

    def synced(self, path: str) -> None:
        """The file or folder has been synced."""
        self._synced.pop(path, None)
        self._writes.pop(path, None)
        self._by_python.discard(path)
        self._names.pop(path, None)
        self._names.pop(os.path.dirname(path), None)  # noqa: PTH120

    def unlinks(self, path: str) -> None:
        """The name is about to go."""
        if self._minds(path) and os.path.exists(path):  # noqa: PTH110
            self._did("unlinked", path, self._kept(path))
        self._synced.pop(path, None)
        self._writes.pop(path, None)

    def renames(self, source: str, target: str) -> None:
        """A file is about to take another's name."""
        if not self._minds(target):
            return
        kept = self._kept(target) if os.path.exists(target) else None  # noqa: PTH110
        self._did("renamed", f"{source}\0{target}", kept)
        self._synced.pop(target, None)
        self._writes.pop(target, None)
        if source in self._writes:
            self._synced[target], self._writes[target] = self._synced.pop(source), self._writes.pop(source)
        self._by_python.discard(target)
        if source in self._by_python:
            self._by_python.remove(source)
            self._by_python.add(target)

    def cut_power(self) -> None:
        """Leave every file as it might be after the power came back."""
        self.is_off = True
        for path, writes in self._writes.items():
            Path(path).write_bytes(_after(self._synced[path], self._survivors(writes)))
        for path in filter(os.path.isfile, self._by_python):
            size = {"nothing": 0, "beginning": self._random.randint(0, os.path.getsize(path))}.get(self._way)  # noqa: PTH202
            if size is not None:
                os.truncate(path, size)
        for names in self._names.values():
            lost = {"nothing": len(names), "beginning": self._random.randint(0, len(names))}.get(self._way, 0)
            for what, path, kept in reversed(names[len(names) - lost :]):
                _take_back(what, path, kept)

    def _minds(self, path: str) -> bool:
        return not self.is_off and path.startswith(self._root)

    def _remember(self, path: str, write: _Write) -> None:
        if not self._minds(path):
            return
        if path not in self._writes:
            self._synced[path] = Path(path).read_bytes()
            self._writes[path] = []
        self._writes[path].append(write)

    def _did(self, what: str, path: str, kept: str | None) -> None:
        folder = os.path.dirname(path.rpartition("\0")[2])  # noqa: PTH120
        self._names.setdefault(folder, []).append((what, path, kept))

    def _kept(self, path: str) -> str:
        self._count += 1
        kept = str(self._stash / f"{os.getpid()}-{self._count}")
        _link(path, kept)
        return kept

    def _survivors(self, writes: list[_Write]) -> list[_Write]:
        if self._way == "nothing":
            return []
        if self._way == "beginning":
            return writes[: self._random.randint(0, len(writes))]
        if self._way == "all but the last":
            return writes[:-1]
        return [piece for write in writes for piece in _sectors(write) if self._random.random() < 0.5]


def _sectors(write: _Write) -> list[_Write]:
    offset, data = write
    if data is None:
        return [write]
    return [(offset + start, data[start : start + _SECTOR]) for start in range(0, len(data), _SECTOR)]


def _after(content: bytes, writes: list[_Write]) -> bytes:
    result = bytearray(content)
    for offset, data in writes:
        if data is None:
            del result[offset:]
            continue
        if len(result) < offset:
            result.extend(bytes(offset - len(result)))
        result[offset : offset + len(data)] = data
    return bytes(result)


def _take_back(what: str, path: str, kept: str | None) -> None:
    source, _, target = path.rpartition("\0")
    if what == "renamed":
        if os.path.exists(target):  # noqa: PTH110
            _rename(target, source)
        if kept:
            _link(kept, target)
    elif what == "made":
        _unlink(path)
    elif kept and not os.path.exists(path):  # noqa: PTH110
        _link(kept, path)
