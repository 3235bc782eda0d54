"""``changes``: what got slower, dearer or worse since the period before, and what is only a shift of traffic."""

from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from msgspec.structs import replace

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.changes import MAX_CHANGES, Changes, ChangesQuery, Movement, what_changed
from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import MISSING, console, percent, plain, print_json, rounded
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded

_USUAL: Final = timedelta(days=1)


@with_settings(*READING)
@with_selection
def changes(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    timezone: Annotated[
        str, typer.Option(help="IANA zone whose calendar says what the period before is, such as Europe/Berlin.")
    ] = "UTC",
    limit: Annotated[int, typer.Option(help="Tell so many changes at most.", min=1, max=MAX_CHANGES)] = 6,
    json: UnroundedJson = False,
) -> None:
    """Say what changed since the period before: of the last 24 hours, unless --since says otherwise."""
    now = datetime.now(UTC)
    if chosen.start is None:
        chosen = replace(chosen, start=(chosen.end or now) - _USUAL)
    asked = ChangesQuery(filter=chosen, timezone=timezone, limit=limit)
    with open_database(loaded) as (records, _):
        found = what_changed(records, asked, now, monotonic)
    (print_json if json else print_changes)(found)


def print_changes(found: Changes) -> None:
    """The sentences, then all numbers of all records, split into change and mix."""
    out = console()
    out.print(f"Requests {found.requests:,}, before {found.requests_before:,}   {_periods(found)}")
    out.print()
    for one in found.changes:
        out.print(f"[{'green' if one.good else 'red'}]{'▲' if one.change > 0 else '▼'}[/] {plain(one.text)}")
        if one.same:
            same = ", ".join(f"{name} {value}" for each in one.same for name, value in each.items())
            out.print(f"  the same requests: {plain(same)}")
    if not found.changes:
        out.print(found.text)
    if found.overall:
        numbers = table(
            "all requests", "unit", "before", "now", "change", "by change", "by mix", "mix of", gap_above=True
        )
        for column in numbers.columns[2:7]:
            column.justify = "right"
        for movement in found.overall:
            numbers.add_row(*_row(movement))
        print_table(out, numbers)
    if found.not_looked_at:
        out.print(f"Not looked at, for there are too many or it would take too long: {', '.join(found.not_looked_at)}")
    out.print(
        f"{found.tested:,} comparisons; the chance of a false alarm among them is {found.false_alarm_rate:.0%} at most"
    )


def _row(one: Movement) -> list[str]:
    is_share = one.metric == "error_rate"
    show = percent if is_share else rounded
    change = f"{one.change * 100:+.2f} points" if is_share else f"{one.change:+.1%}"
    parts = [MISSING if part is None else show(part) for part in (one.within, one.mix)]
    return [one.metric, one.unit, show(one.before), show(one.after), change, *parts, one.by or MISSING]


def _periods(found: Changes) -> str:
    if found.start is None or found.end is None or found.previous_start is None:
        return ""
    zone = ZoneInfo(found.query.timezone)
    before, start, end = (
        moment.astimezone(zone).strftime("%Y-%m-%d %H:%M") for moment in (found.previous_start, found.start, found.end)
    )
    return f"{start} to {end}, compared with {before} to {start} ({plain(found.query.timezone)})"
