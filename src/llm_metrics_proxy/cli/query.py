"""``query``: any metrics by any dimensions, as a table, with a line of bars for what goes over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import msgspec
import typer
from rich.console import Console

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.answering import explain as how
from llm_metrics_proxy.analytics.calendar import BUCKETS, WEEKDAYS
from llm_metrics_proxy.analytics.query import MAX_ROWS, Query
from llm_metrics_proxy.analytics.result import Key, Measured, Result, ResultRow
from llm_metrics_proxy.analytics.slos import parse_slo
from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import (
    MISSING,
    console,
    percent,
    plain,
    print_how_exact,
    print_json,
    rounded,
)
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.storage.connection import on_one_line
from llm_metrics_proxy.storage.read_pool import Explained

_PANEL: Final = "What to show"
_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDEST: Final = 160
_MOST_LINES: Final = 10  # lines of bars: more would push the table away
_DEFAULT: Final = ("requests,success_rate,response_time_ms.p50,response_time_ms.p95,total_tokens",)
_SHARES: Final = {"success_rate", "error_rate", "goodput"}


def _flag(text: str, *declarations: str, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(*declarations, help=text, metavar=metavar, rich_help_panel=_PANEL, **more)


@with_settings(*READING)
@with_selection
def query(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    metrics: Annotated[
        list[str], _flag("Metrics, such as requests or response_time_ms.p95; several by commas.", metavar="METRICS")
    ] = list(_DEFAULT),  # noqa: B006 -- Typer copies it
    by: Annotated[
        list[str] | None, _flag("Dimensions, such as model, time, hour_of_day or tag:<key>.", metavar="DIMENSIONS")
    ] = None,
    bucket: Annotated[str | None, _flag("Length of the buckets of time.", metavar="|".join(BUCKETS))] = None,
    timezone: Annotated[str, _flag("IANA zone whose calendar divides time, such as Europe/Berlin.")] = "UTC",
    week_start: Annotated[str, _flag("The day on which weeks begin, such as sunday.", metavar="DAY")] = WEEKDAYS[0],
    order: Annotated[str | None, _flag("Metric or dimension to sort by; with - in front, descending.")] = None,
    limit: Annotated[int, _flag("Show so many groups; all others are one row.", min=1, max=MAX_ROWS)] = 20,
    compare: Annotated[bool, _flag("Compare with the previous period of the same length.", "--compare")] = False,
    slo: Annotated[
        list[str] | None, _flag("For goodput, such as time_to_first_token_ms<500; repeatable.", metavar="SLO")
    ] = None,
    explain: Annotated[bool, _flag("Also show each statement with SQLite's plan.", "--explain")] = False,
    json: UnroundedJson = False,
) -> None:
    """Measure anything by anything. A percentage behind a number says how many of the records have it, if not all."""
    asked = Query(
        metrics=_words(metrics),
        group_by=_words(by or ()),
        filter=chosen,
        bucket=bucket,
        timezone=timezone,
        order=order,
        limit=limit,
        compare=compare,
        slos=tuple(parse_slo(text) for text in slo or ()),
        week_start=week_start,
    )
    statements: list[Explained] = []
    with open_database(loaded, statements.append if explain else None) as (records, _):
        sources, now = records.sources(), datetime.now(UTC)
        result = ask(sources, asked, now)
        explanation = Explanation(tuple(statements), tuple(how(sources, asked, now))) if explain else None
    if json:
        more = {} if explanation is None else {"explanation": msgspec.to_builtins(explanation)}
        print_json({**msgspec.to_builtins(result), **more})
    else:
        print_result(result)
        if explanation is not None:
            print_explanation(explanation)


class Explanation(msgspec.Struct, frozen=True):
    """How a query was answered."""

    statements: tuple[Explained, ...]
    sources: tuple[str, ...]  # in words


def print_explanation(explanation: Explanation) -> None:
    """Where the answer came from, and each statement with its plan."""
    out = console()
    out.print()
    for source in explanation.sources:
        out.print(f"Answered {plain(source)}", soft_wrap=True)
    for number, each in enumerate(explanation.statements, 1):
        out.print(f"\n{number}. {each.ms:.1f} ms, {each.rows:,} rows", soft_wrap=True)
        out.print(f"   {plain(on_one_line(each.sql))}", soft_wrap=True)
        for step in each.plan:
            out.print(f"     {plain(step)}", soft_wrap=True)


def _words(lists: Sequence[str]) -> tuple[str, ...]:
    """Flags may be repeated, and each may be several words separated by commas."""
    return tuple(word.strip() for text in lists for word in text.split(","))


def print_result(result: Result) -> None:
    """A heading, bars over time, the table, and what must be known to read it. Missing is a dash, never 0."""
    out = console()
    out.print(f"Requests {result.records:,}   {_range(result)}")
    if "time" in result.query.group_by:
        _print_bars(out, result)
    answer = table(*result.query.group_by, gap_above=True)
    for column in result.columns[len(result.query.group_by) :]:
        answer.add_column(f"{column.name} ({column.unit})" if _is_unit(column.unit) else column.name, justify="right")
        if result.query.compare:
            answer.add_column("before", justify="right")
            answer.add_column("change", justify="right")
    for row in result.rows:
        answer.add_row(*_keys(result, row), *_cells(result, row))
    print_table(out, answer)
    if any(row.partial is True for row in result.rows):
        out.print("~ part of this bucket lies outside the range, or has not come yet")
    print_how_exact(out, result.relative_error, result.pruned_before)
    out.print(f"Formulas of version {result.app_version}")


def _is_unit(unit: str) -> bool:
    return unit not in {"", "requests"}


def _range(result: Result) -> str:
    if result.start is None or result.end is None:
        return ""
    zone = ZoneInfo(result.timezone)
    start, end = (moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for moment in (result.start, result.end))
    return f"{start} to {end} ({plain(result.timezone)})"


def _print_bars(out: Console, result: Result) -> None:
    """The first metric of every series, from its smallest to its largest value."""
    name = result.query.metrics[0]
    series: dict[tuple[str, ...], list[float | None]] = {}
    for row in sorted(result.rows, key=lambda row: str(row.key["time"])):
        if row.key["time"] is not None:
            of_series = _keys(result, row, without="time")
            series.setdefault(tuple(of_series), []).append(row.values[name].value)
    lanes = table()
    lanes.show_header = False
    for title, values in list(series.items())[:_MOST_LINES]:
        known = [value for value in values if value is not None]
        least, most = (rounded(min(known)), rounded(max(known))) if known else (MISSING, MISSING)
        lanes.add_row(plain(name), *title, bars(values, max(min(out.width, _WIDEST) - 60, 20)), f"{least} to {most}")
    print_table(out, lanes)


def bars(values: Sequence[float | None], width: int) -> str:
    """One bar per value, or the largest of several if there is no room for all; a gap if none is known."""
    each = -(-len(values) // width) if values else 1
    groups = [[one for one in values[at : at + each] if one is not None] for at in range(0, len(values), each)]
    heights = [max(group) if group else None for group in groups]
    top = max((height for height in heights if height is not None), default=0)
    if top <= 0:
        return "".join(" " if height is None else _BARS[0] for height in heights)
    levels = len(_BARS) - 1
    return "".join(" " if height is None else _BARS[round(max(height, 0) / top * levels)] for height in heights)


def _keys(result: Result, row: ResultRow, without: str = "") -> list[str]:
    names = [name for name in result.query.group_by if name != without]
    if row.merged:
        together = f"({row.merged:,} other{'s' if row.merged > 1 else ''})"
        first = next(name for name in result.query.group_by if name != "time")
        return [together if name == first else _key(result, name, row.key[name]) for name in names]
    mark = "~" if row.partial is True else ""
    return [_key(result, name, row.key[name]) + (mark if name == "time" else "") for name in names]


def _key(result: Result, name: str, value: Key) -> str:
    if name == "time" and isinstance(value, str):
        local = datetime.fromisoformat(value).astimezone(ZoneInfo(result.timezone))
        return local.strftime("%Y-%m-%d" if result.bucket in {"day", "week", "month"} else "%Y-%m-%d %H:%M %z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else plain(value)


def _cells(result: Result, row: ResultRow) -> list[str]:
    cells = []
    for name, one in row.values.items():
        cells.append(_number(name, one.value) + _coverage(one))
        if result.query.compare:
            previous = one.previous if one.previous is not msgspec.UNSET else None
            change = one.change if one.change is not msgspec.UNSET else None
            moved = MISSING if change is None else f"{change:+.1%}"
            if row.presence is not msgspec.UNSET:
                moved = row.presence
            cells += [_number(name, previous), moved]
    return cells


def _number(name: str, value: float | None) -> str:
    if name in _SHARES or value is None:
        return percent(value)
    return f"{value:,}" if isinstance(value, int) else rounded(value)


def _coverage(one: Measured) -> str:
    return "" if one.coverage is None or one.coverage == 1 or one.value is None else f" ({one.coverage:.0%})"
