"""What a check of ``doctor`` hands back."""

from enum import StrEnum
from pathlib import Path

import msgspec


class Status(StrEnum):
    """How a check ended; only ``FAILED`` makes ``doctor`` exit with 1."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True):
    """What was found; ``advice`` is what to do about it, empty when nothing is to be done."""

    check: str
    status: Status
    found: str
    advice: str = ""


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the first one above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
