"""How long work shows itself and is stopped: a line on the terminal with rate and time left, Ctrl-C and SIGTERM."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn

from llm_metrics_proxy.cli.output import duration, error_console, plain, progress_line
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase

_UNITS: Final = {WorkPhase.BACKING_UP: "pages", WorkPhase.COMPACTING: "bytes"}


class StopSignal:
    """Set by Ctrl-C and SIGTERM; the work ends after its current batch. A second Ctrl-C ends it at once, which loses
    nothing either: what was committed is whole, and the rest is done next time."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signum: int | None = None

    @property
    def exit_code(self) -> int | None:
        """As shells report a signal; none if there was none."""
        return None if self.signum is None else 128 + self.signum

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.event.is_set() and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        self.event.set()

    @contextmanager
    def listening(self) -> Iterator["StopSignal"]:
        """Handle the signals while the block runs."""
        before = {signum: signal.signal(signum, self._handle) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


@contextmanager
def shown(console: Console | None = None) -> Iterator[Report]:
    """A ``Report`` that draws one line on standard error, if that is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description:<10}"), BarColumn(bar_width=16))
    with progress_line(console or error_console(), *columns, TextColumn("{task.fields[figures]}")) as update:
        yield lambda progress: update(
            description="" if progress.phase is WorkPhase.IDLE else progress.phase.value.replace("_", " "),
            completed=progress.done,
            total=progress.total or None,
            figures=figures(progress),
        )


@contextmanager
def stoppable() -> Iterator[tuple[StopSignal, Report]]:
    """Work that shows how far it is. One that a signal stopped ends with that signal's exit code and no other word."""
    with StopSignal().listening() as stop:
        try:
            with shown() as report:
                yield stop, report
        except LlmMetricsProxyError:
            if stop.exit_code is None:
                raise
            raise typer.Exit(stop.exit_code) from None


def figures(progress: Progress) -> str:
    """Percent, how much of what, how fast, how long still; only what is known."""
    parts = []
    if progress.total:
        unit = _UNITS.get(progress.phase, "records")
        parts.append(f"{progress.done * 100 // progress.total:>3} %")
        parts.append(f"{progress.done:,}/{progress.total:,} {unit}")
    if progress.per_s:
        parts.append(f"{progress.per_s:,.0f}/s")
    if progress.eta_s is not None:
        parts.append(f"{duration(max(1.0, round(progress.eta_s)))} left")
    if progress.detail:
        parts.append(plain(progress.detail))
    return "  ".join(parts)
