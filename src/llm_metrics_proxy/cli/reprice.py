"""``reprice``: other prices for records that are stored already."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.cli.flags import READING, Json, with_settings
from llm_metrics_proxy.cli.migrate_progress import StopSignal
from llm_metrics_proxy.cli.output import console, error_console, print_json, progress_line
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import open_operations
from llm_metrics_proxy.engines.operations import Repricing
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.pricing import Pricer
from llm_metrics_proxy.processes.demo_prices import DEMO_PRICES
from llm_metrics_proxy.processes.options import price_rows
from llm_metrics_proxy.storage.repricing import Repriced


@with_settings(*READING, "public_prices")
@with_selection
def reprice(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    missing: Annotated[bool, typer.Option("--missing", help="Only records whose cost is unknown.")] = False,
    undo: Annotated[
        int | None,
        typer.Option("--undo", metavar="ID", help="Take the run of this number back, in place of pricing anything."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change. Writes nothing.")] = False,
    json: Json = False,
) -> None:
    """Price stored records by the prices of today's settings, each as of its own time; `--since` is needed.

    What changes is kept to the bit: in SQLite in the tables `repricings` and `repricing_changes`, in ClickHouse in
    `record_repricings`. A known cost is never replaced by an unknown one. Exit code 3: a migration or another
    `reprice` runs.
    """
    if undo is not None:
        _undo(loaded, undo, json=json)
        return
    if chosen.start is None:
        raise QueryError("--since", "--since is needed: from when on? For everything, say --since 1970-01-01")
    changing = open_operations(loaded.settings.db_path, store_access(loaded.settings))
    with open_database(loaded):
        pass  # it is there, and ours
    own = price_rows(loaded.settings.prices)
    pricer = Pricer(own, use_public_lists=loaded.settings.public_prices, ours=DEMO_PRICES)
    what = Repricing(
        lambda facts: pricer.price(facts, facts.backend_busy_ms), chosen, pricer.words(), only_unknown=missing
    )
    with StopSignal().listening() as stop, _shown() as report:
        result = changing.reprice(what, dry_run=dry_run, stop=stop.event, report=report)
    if json:
        print_json({"app_version": APP_VERSION, "dry_run": dry_run, "price_lists": pricer.words(), "result": result})
    else:
        _print(result, pricer.words(), dry_run=dry_run)
    if stop.exit_code is not None and not result.finished:
        raise typer.Exit(stop.exit_code)


def _undo(loaded: Loaded, repricing_id: int, *, json: bool) -> None:
    changing = open_operations(loaded.settings.db_path, store_access(loaded.settings))
    with open_database(loaded):
        pass
    with StopSignal().listening() as stop:
        result = changing.take_back(repricing_id, stop=stop.event)
    if json:
        print_json({"app_version": APP_VERSION, "result": result})
    else:
        out = console()
        out.print(f"{result.restored:,} records have their cost from before repricing {repricing_id} again.")
        if result.conflicts:
            out.print(f"{result.conflicts:,} have been priced once more since, and stay as they are.")
        if not result.finished:
            out.print("Stopped; run it again to go on.")
    if stop.exit_code is not None and not result.finished:
        raise typer.Exit(stop.exit_code)


def _print(result: Repriced, price_lists: str, *, dry_run: bool) -> None:
    out = console()
    would = "would be repriced" if dry_run else "were repriced"
    out.print(f"By {price_lists}: {result.looked_at:,} records looked at, {result.changed:,} {would}.")
    out.print(f"Cost before {result.cost_before_usd:,.6f} USD, after {result.cost_after_usd:,.6f} USD.")
    out.print(f"Unknown before and after: {result.unknown:,}; known, and kept as they were: {result.kept:,}.")
    if result.repricing_id is not None:
        number = result.repricing_id
        out.print(f"What changed is kept, as repricing {number}. `--undo {number}` takes it back.")
    if not result.finished:
        out.print("Stopped; what was changed stays. Run it again to go on.")


@contextmanager
def _shown() -> Iterator[Callable[[Repriced], None]]:
    columns = (TextColumn("pricing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_line(error_console(), *columns) as update:
        yield lambda done: update(completed=done.looked_at, total=done.records or None)
