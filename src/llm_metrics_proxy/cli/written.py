"""Files that verbs write: whole under their name or not there, and never over another file by accident."""

import fcntl
import os
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer

from llm_metrics_proxy.errors import ExportError

STANDARD_OUTPUT: Final = "-"
PARTIAL: Final = ".partial"
_ENDINGS: Final = {"htm": "html", "markdown": "md"}
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Where to; - is standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]


def format_flag(formats: Iterable[str], default: str) -> Any:
    """``--format``, or the suffix of the file's name."""
    return typer.Option(metavar="|".join(formats), help=f"[default: by the end of FILE's name, else {default}]")


def format_by_name(output: str, formats: Collection[str], default: str) -> str:
    """By how the file's name ends."""
    ending = Path(output).suffix.removeprefix(".").lower()
    ending = _ENDINGS.get(ending, ending)
    return ending if ending in formats else default


@contextmanager
def written(output: str, *, force: bool, mode: int | None = None) -> Iterator[BinaryIO]:
    """Where to write: standard output, or ``FILE.partial``, which becomes ``FILE`` when the block ends well.

    Else it is removed again. ``mode``: from before its first byte on. Raises ``ExportError`` if the file is there and
    not ``force``, or cannot be written.
    """
    if output == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    refuse_to_replace(target, force=force)
    partial = target.with_name(target.name + PARTIAL)
    try:
        with partial.open("ab") as file:  # a file that another export is writing must not be emptied
            _own(file, partial)
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                refuse_to_replace(target, force=force)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror}") from error


def refuse_to_replace(target: Path, *, force: bool = False) -> None:
    """Raises ``ExportError`` for a folder, for a file unless ``force``, and for what cannot be looked at."""
    try:
        is_folder, is_there = target.is_dir(), target.exists()
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror}") from error
    if is_folder:
        raise ExportError(f"{target} is a folder: name a file in it")
    if is_there and not force:
        raise ExportError(f"{target} is there already: choose another name, or replace it with --force")


def _own(file: BinaryIO, partial: Path) -> None:
    """Write over what a killed export left, never over what a running one writes: that one holds the kernel's lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ExportError(f"another export is writing {partial} at this moment") from None
    file.truncate(0)
