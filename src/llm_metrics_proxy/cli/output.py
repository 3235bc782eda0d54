"""What verbs print with: Rich on a terminal, plain text in a pipe, and a quiet end when nobody reads on."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
from rich.console import Console
from rich.progress import Progress, ProgressColumn

from llm_metrics_proxy.metrics_service import APP_VERSION

MISSING: Final = "-"  # never 0
_PIPE_COLUMNS: Final = 400
_PADDING: Final = re.compile(r" +(?=\n)")
_WIDE: Final = 1e12  # larger ones are not measurements, and must not push other columns off the screen


def console() -> Console:
    """Standard output. In a pipe there are no colours, and lines are as long as they need, or ``COLUMNS`` says."""
    if sys.stdout.isatty():
        return Console(highlight=False, emoji=False)
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdecimal() and int(given) > 0 else _PIPE_COLUMNS
    return Console(file=cast("IO[str]", _WithoutPadding()), highlight=False, emoji=False, width=width)


def error_console() -> Console:
    """Standard error, for everything but the answer."""
    return Console(stderr=True, highlight=False, emoji=False)


@contextmanager
def progress_line(
    screen: Console, *columns: ProgressColumn, total: float | None = None
) -> Iterator[Callable[..., None]]:
    """``update`` of Rich's only task: one line on ``screen``, if that is a terminal, and gone when the block ends."""
    if not screen.is_terminal:
        yield lambda **_: None
        return
    line = Progress(*columns, console=screen, transient=True)
    task = line.add_task("", total=total, figures="")
    with line:
        yield partial(line.update, task)


class _WithoutPadding:
    """Standard output for Rich, which fills each line of a table up with spaces."""

    encoding = property(lambda _: sys.stdout.encoding)

    def write(self, text: str) -> int:
        return sys.stdout.write(_PADDING.sub("", text))

    def flush(self) -> None:
        sys.stdout.flush()


def print_json(value: Any, *, indent: int = 2) -> None:
    """One JSON document on standard output; with ``indent`` 0 on one line."""
    text = msgspec.json.encode(value)
    sys.stdout.buffer.write((msgspec.json.format(text, indent=indent) if indent else text) + b"\n")
    sys.stdout.buffer.flush()


def answer(path: Path | str, *, json: bool, fields: dict[str, Any], shown: Callable[[], None]) -> None:
    """The answer of a verb about a database: one JSON object, or what ``shown`` prints."""
    if json:
        print_json({"app_version": APP_VERSION, "database": str(path), **fields})
    else:
        shown()


def plain(value: object) -> str:
    """A cell of a table. Models and error types come from outside: none of them is markup or moves the cursor."""
    if value is None:
        return MISSING
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)).replace(
        "[", r"\["
    )


def seconds_of(timestamp: str | None) -> str:
    """A stored time for a cell, cut to seconds."""
    return plain(timestamp and timestamp[:19].replace("T", " "))


def counted(versions: dict[str, int]) -> str:
    """Records by version, in one line."""
    return ", ".join(f"{plain(version) or repr(version)} {count:,}" for version, count in versions.items())


def print_how_exact(out: Console, relative_error: float, pruned_before: datetime | None) -> None:
    """What roll-ups and the retention mean for the numbers above."""
    if relative_error:
        out.print(f"Percentiles are within {relative_error:.0%} of the exact ones.")
    if pruned_before is not None:
        out.print(
            f"[yellow]Incomplete: most records from before {pruned_before:%Y-%m-%d} UTC were deleted by the "
            "retention, and roll-ups cannot answer this.[/]",
            soft_wrap=True,
        )


def duration(seconds: float) -> str:
    """Two units at most: ``850 ms``, ``12.3 s``, ``4 min 10 s``, ``3 h 5 min``."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    return f"{hours} h {rest_min} min" if hours else f"{minutes} min {rest_s} s"


def percent(share: float | None) -> str:
    """A share of 1 with two digits after the point."""
    return MISSING if share is None else f"{share:.2%}"


def rounded(value: float | None) -> str:
    """Three significant digits or whole numbers: more would pretend precision."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if 100 <= abs(value) < _WIDE else f"{value:.3g}"
