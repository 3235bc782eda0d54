"""Files and names that must outlast a power cut, and digests that prove them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from llm_metrics_proxy import ownership

OnProgress = Callable[[int, int], None]  # done, in all: pages of a copy, bytes of a check
_HASHED_BYTES: Final = 4 * 1024**2


def make_folder(folder: Path, model: Path | None = None) -> None:
    """Make it with all above it, and sync their names. Each follows ``model``, else the folder that it is in."""
    for made in ownership.make_folder(folder, model):
        sync_folder(made.parent)


def sync_file(path: Path) -> None:
    """Force what is in a file to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path, report: OnProgress | None = None) -> str:
    """Of the whole file, hex; ``report`` gets bytes."""
    digest, total, done = hashlib.sha256(), path.stat().st_size, 0
    with path.open("rb") as file:
        while block := file.read(_HASHED_BYTES):
            digest.update(block)
            done += len(block)
            if report is not None:
                report(done, total)
    return digest.hexdigest()
