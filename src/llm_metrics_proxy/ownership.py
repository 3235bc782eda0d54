"""What root makes next to other users' files belongs to them, so that their service can go on with it.

SQLite gives ``-wal``, ``-shm`` and ``-journal`` the owner and mode of their database. Everything else that is made next
to a database or in a journal is given away here; users other than root cannot give files away, and need not.

Root must not trust the folder's owner. So only a file made just now, or one that only root can have put there (a plain
file of root's with one name), is given away, and no link is followed.
"""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_NEVER_A_LINK: Final = os.O_CLOEXEC | os.O_NOFOLLOW


def follow(made: Path | int, model: Path) -> None:
    """Give what was just made the owner and group of ``model``. Nothing without root, or where ``model`` is gone."""
    if os.geteuid() != 0:
        return
    with suppress(FileNotFoundError):
        status = model.stat()
        if isinstance(made, int):
            os.fchown(made, status.st_uid, status.st_gid)
        else:
            os.chown(made, status.st_uid, status.st_gid, follow_symlinks=False)


def make_folder(folder: Path, model: Path | None = None) -> list[Path]:
    """Make it with all above it, and return those made; each follows ``model``, else the folder it is in.

    Raises ``OSError``.
    """
    made = []
    for each in reversed((folder.absolute(), *folder.absolute().parents)):
        if not each.exists():
            with suppress(FileExistsError):  # another process was first
                each.mkdir()
                follow(each, model or each.parent)
                made.append(each)
    if not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    return made


def open_lock(path: Path, model: Path, mode: int = 0o644, *, make: bool = True) -> int:
    """A descriptor of a file that is there to be locked. ``make`` it if it is missing: it then follows ``model``.

    One that this user may only read can be locked as well (``flock`` asks for no more on a local disk), so that a file
    of root's does no harm. Where ``model`` is a file, a new lock has its mode for reading and writing. Raises
    ``OSError``.
    """
    try:
        return _made_lock(path, model, mode) if make else _opened_lock(path, model)
    except FileExistsError:
        return _opened_lock(path, model)


def _opened_lock(path: Path, model: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | _NEVER_A_LINK)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _NEVER_A_LINK)
    give_back(descriptor, model)
    return descriptor


def _made_lock(path: Path, model: Path, mode: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NEVER_A_LINK, mode)
    follow(descriptor, model)
    with suppress(OSError):
        if model.is_file():
            os.fchmod(descriptor, stat.S_IMODE(model.stat().st_mode) & 0o666)
    return descriptor


def give_back(descriptor: int, model: Path) -> None:
    """Let a plain file that only root can have put there follow ``model``."""
    status = os.fstat(descriptor)
    if os.geteuid() == 0 and status.st_uid == 0 and status.st_nlink == 1 and stat.S_ISREG(status.st_mode):
        with suppress(OSError):
            follow(descriptor, model)
