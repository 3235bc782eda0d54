"""``summary``: what the records of a range amount to."""

from typing import Final

from rich.table import Table

from llm_metrics_proxy.analytics import RequestFilter, Summary, summarise
from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import (
    MISSING,
    console,
    counted,
    percent,
    plain,
    print_how_exact,
    print_json,
    rounded,
)
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded

_NUMBERS: Final = {"n", "mean", "p50", "p95", "p99", "sum"}


@with_settings(*READING)
@with_selection
def summary(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    json: UnroundedJson = False,
) -> None:
    """Show counts, latencies, throughput, tokens and errors. Every average says how many records it rests on."""
    with open_database(loaded) as (records, _):
        result = summarise(records, chosen)
    (print_json if json else print_summary)(result)


def print_summary(result: Summary) -> None:
    """Four small tables; missing is a dash, never 0."""
    out = console()
    rate = percent(result.success_rate)
    out.print(f"Requests {result.requests:,} ({result.streamed:,} streamed)   succeeded {result.succeeded:,} ({rate})")
    if result.requests == 0:
        return
    out.print(f"From {result.first_timestamp} to {result.last_timestamp}")

    metrics = _table("metric", "unit", "n", "mean", "p50", "p95", "p99")
    for name, one in result.distributions.items():
        metrics.add_row(name, one.unit, f"{one.n:,}", *map(rounded, (one.mean, one.p50, one.p95, one.p99)))
    print_table(out, metrics)

    tokens = _table("tokens", "sum", "n")
    for name, total in result.tokens.items():
        tokens.add_row(name, MISSING if total.sum is None else f"{total.sum:,}", f"{total.n:,}")
    print_table(out, tokens)
    if result.cost_usd.sum is not None:
        share = "" if result.cost_usd.n == result.requests else "; what the others cost is not known"
        out.print(f"Cost {result.cost_usd.sum:,.6f} USD of {result.cost_usd.n:,} requests{share}")

    if result.cache.hit_ratio is not None:
        saved = result.cache.savings_usd.sum
        money = "" if saved is None else f"; saved {saved:,.6f} USD"
        out.print(f"Prompt caches: {percent(result.cache.hit_ratio)} of {result.cache.n:,} requests' input{money}")

    if result.errors:
        errors = _table("outcome", "error type", "n")
        for error in result.errors:
            errors.add_row(plain(error.outcome), plain(error.error_type), f"{error.n:,}")
        if result.further_errors:
            errors.add_row("…", "further types", f"{result.further_errors:,}")
        print_table(out, errors)
    print_how_exact(out, result.relative_error, result.pruned_before)
    out.print(f"Formulas of version {result.app_version}; records by version: {counted(result.app_versions)}")


def _table(*titles: str) -> Table:
    return table(*titles, numbers=_NUMBERS, whole=titles[:1], gap_above=True)
