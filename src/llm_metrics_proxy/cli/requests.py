"""``requests``: the newest records as a table, or the first in another order, and new ones as they come."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Final

import typer

from llm_metrics_proxy.analytics import MAX_LIMIT, RequestFilter, list_requests
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.headings import short
from llm_metrics_proxy.analytics.ordering import NEWEST, Order, parse_order
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.rows import item
from llm_metrics_proxy.cli.flags import READING, with_settings
from llm_metrics_proxy.cli.output import (
    MISSING,
    console,
    plain,
    print_json,
    seconds_of,
)
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import Cell, ListColumn, layout, list_table
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import ALL_COLUMNS

_FOLLOW_INTERVAL_S: Final = 0.5
_FOLLOW_BATCH: Final = 500
_NUMBER_WIDTH: Final = 9


@with_settings(*READING)
@with_selection
def requests(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LIMIT, help="How many, newest first.")] = 20,
    order: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="A column to sort by, with - in front descending: -response_time_ms."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing records as they come.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Whole records, one JSON object per line.")] = False,
) -> None:
    """Show the newest requests, or the first in another order: the slowest by --order -response_time_ms."""
    if order is not None and follow:
        raise QueryError("--follow", "--follow shows records as they come: it goes with no --order")
    by = NEWEST if order is None else parse_order(order)
    show = _print_lines if json else partial(_print_table, by=by)
    with open_database(loaded) as (records, _):
        newest = records.newest()
        shown = list_requests(records, chosen, limit, order=by).items
        if not shown and not json:
            console().print("No requests yet." if chosen == RequestFilter() else "No request is like that.")
        if follow:  # like `tail -f`: the newest stands last
            show(shown[::-1], True)
            for later in arriving(records, chosen, newest):
                show(later, False)
        else:
            show(shown, True)


def arriving(
    records: Records, chosen: RequestFilter, after: Arrivals, *, pause: Callable[[float], None] = time.sleep
) -> Iterator[list[dict[str, Any]]]:
    """Records stored after those seen, of each host in that order, without end. A record is stored when its request
    ends, so the order is not that of the timestamps, and a page by timestamp would miss long requests."""
    while True:
        through = records.newest()
        rows = records.arrived(chosen, ALL_COLUMNS, ArrivalRange(after, through), _FOLLOW_BATCH)
        found = [item(row) for row in rows]
        after = (
            after.passed(through, found[-1]["host"], found[-1]["arrival"]) if len(found) == _FOLLOW_BATCH else through
        )
        if found:
            yield found
        else:
            pause(_FOLLOW_INTERVAL_S)


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


def _measured(name: str, digits: int = 0, *, drop: int) -> ListColumn:
    return ListColumn(short(name), _NUMBER_WIDTH, _number(name, digits), drop=drop)


_DIGITS: Final = {"integer": 0, "number": 4}
_WHEN: Final = ListColumn("time (UTC)", 19, _when, least=19, drop=3)
_HEADED: Final = {  # by the column of the record
    "model": ListColumn("model", 24, _text("model"), least=12),
    "origin": ListColumn("origin", 20, _text("origin"), least=10, drop=9),
    "status_code": ListColumn("status", 6, _text("status_code"), drop=4),
    "outcome": ListColumn("end", 16, how_it_ended, least=8, drop=1),
    "time_to_first_token_ms": _measured("time_to_first_token_ms", drop=6),
    "response_time_ms": _measured("response_time_ms", drop=2),
    "prompt_tokens": _measured("prompt_tokens", drop=8),
    "completion_tokens": _measured("completion_tokens", drop=5),
    "output_tokens_per_second": _measured("output_tokens_per_second", 1, drop=7),
}
_COLUMNS: Final = (_WHEN, *_HEADED.values())


def _columns(by: Order) -> tuple[ListColumn, ...]:
    """With the one that they are sorted by, which shows the direction and never gives way."""
    heading, column = {**_HEADED, "timestamp": _WHEN}.get(by.column), by.row
    title = f"{'↓' if by.descending else '↑'} {by.column if heading is None else heading.title}"
    if heading is None and column.kind.holds in ("integer", "number"):
        made = ListColumn(title, max(_NUMBER_WIDTH, len(title)), _number(by.column, _DIGITS[column.kind.holds]))
    elif heading is None:
        made = ListColumn(title, max(16, len(title)), _text(by.column), least=max(8, len(title)))
    else:
        made = heading._replace(title=title, width=max(heading.width, len(title)), drop=0)
    if heading is _WHEN:
        return _COLUMNS if by == NEWEST else (made, *_COLUMNS[1:])
    return (_WHEN, made, *(one for one in _COLUMNS[1:] if one is not heading))


def _print_table(records: list[dict[str, Any]], first: bool, *, by: Order) -> None:
    out = console()
    table = list_table(layout(_columns(by), out.width), records, lambda one: "red" if one["success"] is False else None)
    table.show_header = first
    if records:
        out.print(table)
