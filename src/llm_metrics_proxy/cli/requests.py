"""``requests``: the newest records as a table, and new ones as they come."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.table import Table

from llm_metrics_proxy.analytics import MAX_LIMIT, RequestFilter, get_request, list_requests
from llm_metrics_proxy.analytics.filters import where
from llm_metrics_proxy.analytics.headings import short
from llm_metrics_proxy.analytics.rows import columns_there, whole_table
from llm_metrics_proxy.cli.flags import READING, with_settings
from llm_metrics_proxy.cli.output import (
    MISSING,
    console,
    end_quietly_when_the_pipe_closes,
    plain,
    print_json,
    seconds_of,
)
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.storage.base import Reader

_FOLLOW_INTERVAL_S: Final = 0.5
_FOLLOW_BATCH: Final = 500
_NUMBER_WIDTH: Final = 9
_GAP: Final = 2  # columns between two columns

Cell = Callable[[dict[str, Any]], str]


@with_settings(*READING)
@with_selection
def requests(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many, newest first.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing records as they come.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Whole records, one JSON object per line.")] = False,
) -> None:
    """Show the newest requests."""
    end_quietly_when_the_pipe_closes()
    show = _print_lines if json else _print_table
    with open_database(loaded) as reader:
        newest_id = _newest_id(reader)
        records = list_requests(reader, chosen, limit).items
        if not records and not json:
            console().print("No requests yet." if chosen == RequestFilter() else "No request is like that.")
        if follow:  # like `tail -f`: the newest stands last
            show(records[::-1], True)
            for later in arriving(reader, chosen, newest_id):
                show(later, False)
        else:
            show(records, True)


def arriving(
    reader: Reader, chosen: RequestFilter, after_id: int, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[list[dict[str, Any]]]:
    """Records stored after ``after_id``, in that order, for ever. A record is stored when its request ends, so the
    order is not that of the timestamps, and a page by timestamp would miss long requests."""
    table = whole_table(columns_there(reader))
    while True:
        clause = where(chosen).also("id > ?", after_id)
        sql = f"SELECT id FROM {table}{clause.sql} ORDER BY id LIMIT {_FOLLOW_BATCH}"  # noqa: S608
        ids = [row[0] for row in reader.query(sql, clause.parameters)]
        if ids:
            after_id = ids[-1]
            yield [record for key in ids if (record := get_request(reader, key)) is not None]
        else:
            pause(_FOLLOW_INTERVAL_S)


def _newest_id(reader: Reader) -> int:
    return int(reader.query("SELECT coalesce(max(id), 0) FROM completion_requests")[0][0])


def _print_lines(records: list[dict[str, Any]], _first: bool) -> None:
    for record in records:
        print_json(record, indent=0)


def _number(name: str, digits: int = 0) -> Cell:
    return lambda record: MISSING if record[name] is None else _in_width(record[name], digits)


def _in_width(value: float, digits: int) -> str:
    """A record of an older program may hold any number; one that is cut would be another."""
    text = f"{value:,.{digits}f}"
    return text if len(text) <= _NUMBER_WIDTH else f"{value:.2e}"


def _text(name: str) -> Cell:
    return lambda record: plain(record[name])


def how_it_ended(record: dict[str, Any]) -> str:
    """What went wrong, also where the answer was complete but flagged; else the finish reason, else the outcome."""
    ended = "ok" if record["success"] else record["outcome"]
    return plain(record["error_type"] or (None if record["success"] is False else record["finish_reason"]) or ended)


def _when(record: dict[str, Any]) -> str:
    return seconds_of(record["timestamp"])


class Column(NamedTuple):
    """One column of the table. Texts may be cut down to ``least`` characters, numbers have a fixed width: a number
    that is cut is another number. ``drop`` says which column gives way first (highest) in a narrow terminal."""

    title: str
    width: int
    cell: Cell
    least: int = 0
    drop: int = 0

    @property
    def is_text(self) -> bool:
        return self.least > 0


def _measured(name: str, digits: int = 0, drop: int = 0) -> Column:
    return Column(short(name), _NUMBER_WIDTH, _number(name, digits), drop=drop)


_COLUMNS: Final = (
    Column("time (UTC)", 19, _when, least=19),
    Column("model", 24, _text("model"), least=12),
    Column("origin", 20, _text("origin"), least=10, drop=4),
    Column("status", 6, _text("status_code")),
    Column("end", 16, how_it_ended, least=8),
    _measured("time_to_first_token_ms", drop=1),
    _measured("response_time_ms"),
    _measured("prompt_tokens", drop=3),
    _measured("completion_tokens"),
    _measured("output_tokens_per_second", 1, drop=2),
)


def layout(available: int) -> list[tuple[Column, int]]:
    """The columns that ``available`` characters have room for, and how wide each is. The same for every record, so
    that the lines that ``--follow`` adds stand under the same headings."""
    columns = list(_COLUMNS)
    spare = available - _least_width(columns)
    while spare < 0 and any(column.drop for column in columns):
        columns.remove(max(columns, key=lambda column: column.drop))
        spare = available - _least_width(columns)
    widths = []
    for column in columns:
        more = max(0, min(spare, column.width - column.least)) if column.is_text else 0
        spare -= more
        widths.append((column, column.least + more if column.is_text else column.width))
    return widths


def _least_width(columns: list[Column]) -> int:
    return sum((column.least or column.width) + _GAP for column in columns)


def _print_table(records: list[dict[str, Any]], first: bool) -> None:
    out = console()
    columns = layout(out.width)
    table = Table(box=None, show_header=first, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for column, width in columns:
        table.add_column(column.title, justify="left" if column.is_text else "right", width=width, no_wrap=True)
    for record in records:
        table.add_row(
            *(column.cell(record) for column, _ in columns), style="red" if record["success"] is False else None
        )
    if records:
        out.print(table)
