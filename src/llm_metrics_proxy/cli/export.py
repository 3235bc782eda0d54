"""``export``: the selected records as a file for other programs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.cli.flags import READING, with_settings
from llm_metrics_proxy.cli.output import duration, error_console, progress_line
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.written import STANDARD_OUTPUT, Force, Output, format_by_name, format_flag, written
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import ExportError
from llm_metrics_proxy.export import FORMATS, ExportChunk, ExportQuery, choose
from llm_metrics_proxy.export import export as pieces_of

_DEFAULT: Final = "jsonl"
_MIB: Final = 1024 * 1024
_SETTLED_S: Final = 1.0  # a rate over less time means nothing


@with_settings(*READING)
@with_selection
def export(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    output: Output = STANDARD_OUTPUT,
    format: Annotated[str | None, format_flag(FORMATS, _DEFAULT)] = None,  # noqa: A002 -- the flag's name
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Which columns, in this order. [default: all]")
    ] = None,
    bom: Annotated[
        bool, typer.Option("--bom", help="Begin CSV with a byte-order mark: Excel takes it for UTF-8 then.")
    ] = False,
    force: Force = False,
) -> None:
    """Write records to a file: JSON lines, CSV or Parquet. Any number of them; memory stays small."""
    query = ExportQuery(
        format=format or format_by_name(output, FORMATS, _DEFAULT), columns=choose(columns), filter=chosen, bom=bom
    )
    if output == STANDARD_OUTPUT and not FORMATS[query.format].is_text and sys.stdout.isatty():
        raise ExportError(f"{query.format} is not text for a terminal: name a file with --output, or pipe it on")
    messages = error_console()
    started = time.monotonic()
    with open_database(loaded) as (records, _), shown(messages) as report, written(output, force=force) as file:
        size, last = 0, ExportChunk(b"", 0, 0.0)
        for piece in pieces_of(records, query):
            file.write(piece.data)
            size, last = size + len(piece.data), piece
            report(piece)
    _tell(messages, last, size, time.monotonic() - started, output)


def _tell(messages: Console, last: ExportChunk, size: int, took_s: float, output: str) -> None:
    """On a terminal, what was done."""
    if messages.is_terminal and output != STANDARD_OUTPUT:
        rate = f", {last.records / took_s:,.0f}/s" if took_s >= _SETTLED_S else ""
        messages.print(
            f"{last.records:,} records, {size / _MIB:,.1f} MiB in {duration(took_s)}{rate}: {output}",
            markup=False,
            soft_wrap=True,
        )


@contextmanager
def shown(messages: Console) -> Iterator[Callable[[ExportChunk], None]]:
    """Draws how far it is on one line of standard error, if that is a terminal."""
    started = time.monotonic()
    columns = (TextColumn("exporting"), BarColumn(bar_width=24), TextColumn("{task.fields[figures]}"))
    with progress_line(messages, *columns, total=1.0) as update:
        yield lambda piece: update(completed=piece.share, figures=figures(piece, time.monotonic() - started))


def figures(piece: ExportChunk, took_s: float) -> str:
    """Percent, records, how fast, how long still; only what is known."""
    parts = [f"{piece.share:>4.0%}", f"{piece.records:,} records"]
    if took_s >= _SETTLED_S and piece.share > 0:
        parts.append(f"{piece.records / took_s:,.0f}/s")
        parts.append(f"{duration(max(1.0, round(took_s / piece.share - took_s)))} left")
    return "  ".join(parts)
