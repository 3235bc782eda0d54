"""``limits``: what is left of servers' limits, whether it lasts, and how budgets stand."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Console

from llm_metrics_proxy.cli.flags import READING, Json, with_settings
from llm_metrics_proxy.cli.output import MISSING, console, percent, plain, print_json
from llm_metrics_proxy.cli.selection import open_database
from llm_metrics_proxy.cli.tables import print_table, table
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes.options import budget_rules
from llm_metrics_proxy.quotas import QuotaBook
from llm_metrics_proxy.quotas.outlook import duration
from llm_metrics_proxy.storage.base import Reader, StoredWindow
from llm_metrics_proxy.storage.control import HAS_WINDOWS, WINDOWS
from llm_metrics_proxy.watch.budgets import BudgetReport, measure_budget
from llm_metrics_proxy.watch.limits import LimitReport, report_limits

WHO_TELLS: Final = (
    "No server has said what is left of a limit. Anthropic and Claude subscriptions, OpenAI, Azure, Groq and Codex "
    "subscriptions say it in the headers of their answers."
)
_LEFT_SHOWN: Final = 5  # standings of a budget for each value


@with_settings(*READING)
def limits(
    loaded: Loaded,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every standing of budgets that are for each value.")] = False,
    json: Json = False,
) -> None:
    """Show how close limits of servers and budgets are: what is left, when it begins anew, whether it lasts.

    Limits are as answers told them; budgets are measured now, from the records.
    """
    now = datetime.now(UTC)
    with open_database(loaded) as (records, control):
        book = QuotaBook()
        book.load(stored_windows(control))
        found = report_limits(records.sources(), book.windows(), now.timestamp())
        budgets = [measure_budget(records.sources(), rule, now)[0] for rule in budget_rules(loaded.settings.budgets)]
    if json:
        print_json({"app_version": APP_VERSION, "limits": found, "budgets": budgets})
        return
    out = console()
    _print_limits(out, found, now)
    _print_budgets(out, budgets, every=every)


def stored_windows(control: Reader) -> list[StoredWindow]:
    """Those of the file; none of one that an older version made."""
    if not control.query(HAS_WINDOWS):
        return []
    return [StoredWindow(*row) for row in control.query(WINDOWS)]


def _print_limits(out: Console, found: list[LimitReport], now: datetime) -> None:
    if not found:
        out.print(WHO_TELLS)
        return
    shown = table("server", "key", "limit", "left", "begins anew", "outlook", numbers={"left"}, whole=("left",))
    for one in found:
        resets = MISSING
        if one.resets_at is not None and not one.is_over:
            resets = f"in {duration((datetime.fromisoformat(one.resets_at) - now).total_seconds())}"
        left = MISSING if one.left is None else f"{one.left:,}"
        name = one.limit if one.window_s is None else f"{one.limit} ({duration(one.window_s)})"
        shown.add_row(
            plain(one.backend),
            one.api_key_id or MISSING,
            name,
            percent(one.left_ratio) if one.left_ratio is not None else left,
            resets,
            one.text if one.window_s is not None else MISSING,
        )
    print_table(out, shown)


def _print_budgets(out: Console, budgets: list[BudgetReport], *, every: bool) -> None:
    if not budgets:
        return
    numbers = {"used", "of", "share", "projected"}
    shown = table("budget", "for", "used", "of", "share", "projected", "state", numbers=numbers, gap_above=True)
    for budget in budgets:
        rows = budget.standings if every else budget.standings[:_LEFT_SHOWN]
        for one in rows:
            whose = "all" if budget.each is None else one.value or f"no {budget.each}"
            shown.add_row(
                f"{budget.name} ({budget.per})",
                plain(whose),
                _amount(one.spent, budget.unit),
                _amount(budget.limit, budget.unit),
                percent(one.spent_ratio),
                percent(one.projected_ratio),
                one.state,
            )
        if len(rows) < len(budget.standings):
            shown.add_row("", f"and {len(budget.standings) - len(rows)} more (--all)", "", "", "", "", "")
    print_table(out, shown)


def _amount(value: float, unit: str) -> str:
    return f"{value:,.2f} USD" if unit == "USD" else f"{value:,.0f}"
