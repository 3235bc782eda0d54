"""``costs``: what it costs, this month and the ones before, and the same work on several models."""

from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.costs import Costs, CostsQuery, Month, read_costs
from llm_metrics_proxy.analytics.query import MAX_ROWS
from llm_metrics_proxy.analytics.result import Measured, ResultRow
from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import MISSING, console, percent, plain, print_json
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded

_COLUMNS: Final = {
    "requests": "requests", "cost_usd": "USD", "cost_per_request_usd": "per request",
    "cost_per_1000_requests_usd": "per 1,000", "cost_per_mtok_usd": "per Mtok", "cost_per_session_usd": "per session",
    "cache_hit_ratio": "cache hit", "cache_savings_usd": "saved",
}  # fmt: skip


@with_settings(*READING)
@with_selection
def costs(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    by: Annotated[str, typer.Option(help="Dimensions of the rows, such as model, backend_name or user.")] = "model",
    timezone: Annotated[str, typer.Option(help="IANA zone whose months these are, such as Europe/Berlin.")] = "UTC",
    limit: Annotated[int, typer.Option(help="Rows shown; all others are one.", min=1, max=MAX_ROWS)] = 20,
    json: UnroundedJson = False,
) -> None:
    """Show what requests cost: this month so far, its projection, the last twelve, and by model or whatever else.

    Rows are of `--since` to `--until`, or of this month. `≈`: in part or whole an estimate, from what your own machine
    costs (`usd_per_hour` in `[[prices]]`).
    """
    words = tuple(word.strip() for word in by.split(","))
    query = CostsQuery(filter=chosen, by=words, timezone=timezone, limit=limit)
    with open_database(loaded) as (records, _):
        found = read_costs(records.sources(), query, datetime.now(UTC))
    (print_json if json else print_costs)(found)


def print_costs(found: Costs) -> None:
    """A sentence, and two tables."""
    out, zone = console(), ZoneInfo(found.timezone)
    out.print(f"This month {_usd(found.month.values)}, {_projected(found)}")
    if found.month.values["cost_usd"].value is None and found.total["cost_usd"].value is None:
        out.print("No request has a known cost. Prices are set with [[prices]]: docs/topics/cost.md", markup=False)
    months = table("month", "requests", "USD", "per Mtok", "saved", numbers={"requests", "USD", "per Mtok", "saved"},
                   whole=("month",), gap_above=True)  # fmt: skip
    for month in found.months:
        if month.values["requests"].value:
            months.add_row(*_month(month, zone))
    print_table(out, months)
    titles = [*found.by, *_COLUMNS.values()]
    rows = table(*titles, numbers=set(_COLUMNS.values()), whole=titles[:1], gap_above=True)
    for row in found.rows:
        rows.add_row(*_names(row), *(_cell(name, row.values) for name in _COLUMNS))
    print_table(out, rows)
    for row in found.misses:
        tokens = row.values["cache_missed_tokens"].value
        missed = "" if tokens is None else f", {tokens:,.0f} tokens"
        reason = plain(str(row.key["cache_miss_reason"]))
        out.print(f"Cache not used: {reason}, {row.values['requests'].n:,} requests{missed}")


def _projected(found: Costs) -> str:
    projection = found.projection
    if projection.cost_usd is None:
        return "no projection yet: that takes records of a day"
    days = f"{projection.basis_days:.1f}".removesuffix(".0")
    return f"about {projection.cost_usd:,.2f} USD at its end (at the rate of the last {days} days)"


def _month(month: Month, zone: ZoneInfo) -> list[str]:
    shown = ("requests", "cost_usd", "cost_per_mtok_usd", "cache_savings_usd")
    return [f"{month.start.astimezone(zone):%Y-%m}", *(_cell(name, month.values) for name in shown)]


def _names(row: ResultRow) -> list[str]:
    if row.merged:
        return [f"{row.merged} others", *[""] * (len(row.key) - 1)]
    return [MISSING if value is None else plain(str(value)) for value in row.key.values()]


def _cell(name: str, values: dict[str, Measured]) -> str:
    value = values[name].value
    if value is None:
        return MISSING
    if name == "requests":
        return f"{value:,.0f}"
    if name == "cache_hit_ratio":
        return percent(value)
    mark = "≈ " if name.startswith("cost") and values["estimated_cost_usd"].value else ""
    return f"{mark}{value:,.2f}" if abs(value) >= 100 else f"{mark}{value:,.4f}"


def _usd(values: dict[str, Measured]) -> str:
    return f"{_cell('cost_usd', values)} USD of {values['cost_usd'].n:,} of {values['requests'].n:,} requests"
