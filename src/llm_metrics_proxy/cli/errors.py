"""``errors``: what went wrong in a range, how often, and what to do about it."""

from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from llm_metrics_proxy.analytics import MAX_EXAMPLES, Errors, ErrorsQuery, RequestFilter, read_errors
from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import (
    console,
    percent,
    plain,
    print_how_exact,
    print_json,
    seconds_of,
)
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded

_RIGHT: Final = {"count", "error rate", "of all", "requests", "status", "arrival"}
_PROSE: Final = {"what to do", "how long to wait", "message"}
_WIDE_COLUMNS: Final = 120
_FEWEST: Final = 5  # lines of models and servers: the whole lists are in the JSON


@with_settings(*READING)
@with_selection
def errors(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    examples: Annotated[int, typer.Option(min=0, max=MAX_EXAMPLES, help="Show the newest errors, so many.")] = 0,
    json: UnroundedJson = False,
) -> None:
    """Show what went wrong: by type with count, share, newest and what to do; by model, server and phase; how long to
    wait where a server limits. Answers that are complete but flagged (policy) count too."""
    with open_database(loaded) as (records, _):
        result = read_errors(records, ErrorsQuery(filter=chosen, examples=examples))
    (print_json if json else print_errors)(result)


def print_errors(result: Errors) -> None:
    """Small tables; missing is a dash, never 0."""
    out = console()
    out.print(f"Errors {result.errors:,} of {result.requests:,} requests ({percent(result.share)})")
    if result.requests:
        out.print(f"From {result.first_timestamp} to {result.last_timestamp}")
    if result.errors:
        _print_types(out, result)
        _print_places(out, result)
        _print_retry(out, result)
        _print_examples(out, result)
    if result.unclassified:
        out.print(
            f"[yellow]{result.unclassified:,} more failed and are not classified yet: records of older versions. "
            "`llm-metrics-proxy migrate status` says more.[/]",
            soft_wrap=True,
        )
    print_how_exact(out, 0.0, result.pruned_before)


def _print_types(out: Console, result: Errors) -> None:
    """In a narrow terminal the advice has its own table, with enough room."""
    beside = out.width >= _WIDE_COLUMNS
    titles = ("category", "type", "count", "of all", "newest (UTC)", "what to do")
    types, advice = _table(*titles[: 6 if beside else 5]), _table("type", "what to do")
    for one in result.types:
        what_to_do = plain(one.advice)
        cells = [plain(one.category), plain(one.type), f"{one.n:,}", percent(one.share), seconds_of(one.newest)]
        types.add_row(*cells, *([what_to_do] if beside else []))
        advice.add_row(plain(one.type), what_to_do)
    _add_rest(types, result.further_errors.get("types", 0), before=1)
    print_table(out, types)
    if not beside:
        print_table(out, advice)


def _print_places(out: Console, result: Errors) -> None:
    """By phase, model and server: where to look."""
    phases = _table("phase", "count", "of all")
    for phase in result.phases:
        phases.add_row(plain(phase.phase), f"{phase.n:,}", percent(phase.share))
    print_table(out, phases)
    models = [(model.model, model) for model in result.models]
    servers = [(server.backend_name or server.backend, server) for server in result.backends]
    for title, found in (("model", models), ("server", servers)):
        shown = _table(title, "count", "requests", "error rate")
        for name, one in found[:_FEWEST]:
            shown.add_row(plain(name), f"{one.n:,}", f"{one.requests:,}", percent(one.share))
        _add_rest(shown, result.errors - sum(one.n for _, one in found[:_FEWEST]))
        print_table(out, shown)


def _print_retry(out: Console, result: Errors) -> None:
    if result.retry:
        waits = _table("limited by", "model", "not before (UTC)", "how long to wait")
        for one in result.retry:
            server = plain(one.backend_name or one.backend)
            not_before = plain(one.not_before and one.not_before.replace("T", " "))
            waits.add_row(server, plain(one.model), not_before, plain(one.advice))
        print_table(out, waits)


def _print_examples(out: Console, result: Errors) -> None:
    if result.examples:
        newest = _table("arrival", "time (UTC)", "model", "status", "type", "message")
        for one in result.examples:
            kind = plain(one.error_type)
            when = seconds_of(one.timestamp)
            newest.add_row(str(one.arrival), when, plain(one.model), plain(one.status_code), kind, plain(one.message))
        print_table(out, newest)


def _add_rest(shown: Table, n: int, *, before: int = 0) -> None:
    if n:
        shown.add_row(*["…"] * (before + 1), f"{n:,}")


def _table(*titles: str) -> Table:
    return table(*titles, numbers=_RIGHT, whole=set(titles) - _PROSE, gap_above=True)
