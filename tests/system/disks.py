"""Small disks that can be filled, and folders that turn read-only while they are in use: real mounts, for root only."""

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A tmpfs of that size on ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size_bytes},mode=0755", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """A greedy neighbour: for as long as the block lasts it takes every byte there is, also what others give back."""
    ballast = disk / "ballast"
    stop = threading.Event()
    full = threading.Event()

    def take() -> None:
        with ballast.open("wb", buffering=0) as file:
            while not stop.is_set():
                for piece in (bytes(65536), bytes(4096), b"\0"):
                    with contextlib.suppress(OSError):  # no space left: what is wanted
                        while file.write(piece):
                            pass
                full.set()
                time.sleep(0.005)

    neighbour = threading.Thread(target=take)
    neighbour.start()
    try:
        assert full.wait(10)
        yield
    finally:
        stop.set()
        neighbour.join()
        ballast.unlink()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be created, deleted or opened for writing in ``folder``; what is open already is unaffected.

    A read-only view of the folder is mounted over it: the kernel refuses to turn a mount read-only under files that
    are open for writing. The view is made beside it, so that nobody can open such a file on it first.
    """
    view = folder.with_name(f"{folder.name}-read-only")
    view.mkdir()
    with contextlib.ExitStack() as mounts:
        for command in (
            ("--bind", str(folder), str(view)),
            ("-o", "remount,bind,ro", str(view)),
            ("--bind", str(view), str(folder)),
        ):
            _mount(*command)
            if command[0] == "--bind":
                mounts.callback(_unmount, command[2])
        yield


def _unmount(folder: Path | str) -> None:
    # lazy: whoever still has a file open there ends soon after
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(
            f"this needs the right to mount: {done.stderr.strip()} "
            "(tests/proxy/test_journal_faults.py tells a part of the same story by RLIMIT_FSIZE)"
        )
