"""What ``doctor`` checks of what is watched: whether objectives are met, budgets last, and webhooks take messages."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.analytics.scope import ScopedRecords
from llm_metrics_proxy.cli.finding import Finding, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.processes.options import budget_rules, slo_rules
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps
from llm_metrics_proxy.watch.budgets import BudgetReport, measure_budget
from llm_metrics_proxy.watch.evaluation import SloReport, measure_slo

PATIENCE_S: Final = 600.0
_MOST_NAMED: Final = 5
_WAITING: Final = "SELECT name, count(*), min(created_at), max(last_error) FROM alert_deliveries GROUP BY 1 ORDER BY 1"
_FIRING: Final = "SELECT name FROM alert_states WHERE phase = 'firing' ORDER BY name"


def objectives(settings: Settings) -> Finding:
    """Are they met? Measured here and now, as the metrics process need not run."""
    if not settings.slos:
        return ok("objectives", "none in the settings")
    try:
        reports = _measured(settings)
    except LlmMetricsProxyError as error:
        return warning("objectives", f"not measured: {error}", "the check `database` says more")
    missed = [f"{one.name} ({one.good_ratio:.2%} of {one.objective:.2%})" for one in reports if one.met is False]
    unknown = [one.name for one in reports if one.met is None]
    found = f"{len(settings.slos)} in the settings"
    if unknown:
        found += f"; without a request in their window: {', '.join(unknown)}"
    if missed:
        advice = "the dashboard's settings say how much of their error budgets is left, and its errors what to do"
        return warning("objectives", f"{found}; missed: {', '.join(missed)}", advice)
    return ok("objectives", found)


def _measured(settings: Settings) -> list[SloReport]:
    if not settings.db_path.exists() or not applied_steps(settings.db_path):
        return []
    with (
        closing(SqliteReader(settings.db_path)) as control,
        closing(open_records(control, store_access(settings))) as records,
    ):
        sources, hours, now = records.sources(), GoodHours(records), datetime.now(UTC)
        return [measure_slo(sources, hours, rule, now) for rule in slo_rules(settings.slos)]


def budgets(settings: Settings) -> Finding:
    """Is one passed, or about to be? Measured here and now."""
    if not settings.budgets:
        return ok("budgets", "none in the settings")
    try:
        reports = _standing(settings)
    except LlmMetricsProxyError as error:
        return warning("budgets", f"not measured: {error}", "the check `database` says more")
    found = f"{len(settings.budgets)} in the settings"
    near = [
        f"{report.name}{'' if report.each is None else f' of {one.value}'} ({one.spent_ratio:.0%} used, {one.state})"
        for report in reports
        for one in report.standings
        if one.state in {"over", "projected"}
    ]
    if near:
        return warning("budgets", f"{found}; {', '.join(near[:_MOST_NAMED])}", "`llm-metrics-proxy limits` shows all")
    return ok("budgets", found)


def _standing(settings: Settings) -> list[BudgetReport]:
    if not settings.db_path.exists() or not applied_steps(settings.db_path):
        return []
    with (
        closing(SqliteReader(settings.db_path)) as control,
        closing(open_records(control, store_access(settings))) as records,
    ):
        now = datetime.now(UTC)
        return [measure_budget(records.sources(), rule, now)[0] for rule in budget_rules(settings.budgets)]


def tokens(settings: Settings) -> Finding:
    """Whom do tokens let see what, and does anybody's request meet it?"""
    if not settings.tokens:
        return ok("tokens", "none in the settings")
    found = f"{len(settings.tokens)} that see a part of the records"
    try:
        blind = _without_records(settings)
    except LlmMetricsProxyError:
        return ok("tokens", found)  # the check `database` says what is wrong with it
    if blind:
        advice = "no record has such a user, key, application or tag; `llm-metrics-proxy query --by user` lists users"
        return warning("tokens", f"{found}; without a record: {', '.join(blind[:_MOST_NAMED])}", advice)
    return ok("tokens", found)


def _without_records(settings: Settings) -> list[str]:
    if not settings.db_path.exists() or not applied_steps(settings.db_path):
        return []
    with (
        closing(SqliteReader(settings.db_path)) as control,
        closing(open_records(control, store_access(settings))) as records,
    ):
        if not records.page(RequestFilter(), ("arrival",), None, 1):
            return []
        return [
            table.name
            for table in settings.tokens
            if not ScopedRecords(records, table.conditions()).page(RequestFilter(), ("arrival",), None, 1)
        ]


def alerts(settings: Settings) -> Finding:
    """Does anything fire, and do webhooks take the messages? Sends none itself."""
    silent = [table.name for table in settings.alerts if table.webhook is None]
    found = f"{len(settings.alerts)} in the settings"
    if silent:
        found += f" ({', '.join(silent)}: without a webhook, only shown)"
    try:
        firing, waiting = _state(settings)
    except LlmMetricsProxyError:
        return ok("alerts", found)  # the check `database` says what is wrong with it
    if firing:
        found += f"; firing: {', '.join(firing)}"
    if waiting:
        untaken = "; ".join(f"{name}: {count} ({error or 'not tried yet'})" for name, count, _, error in waiting)
        found += f"; not taken yet: {untaken}"
        oldest = min(created for _, _, created, _ in waiting)
        if datetime.now(UTC).timestamp() - oldest > PATIENCE_S:
            advice = "does the webhook's receiver run, and does it answer with 2xx? It is retried for a day"
            return warning("alerts", found, advice)
    if firing:
        advice = "the dashboard's settings say since when, and what was measured"
        return warning("alerts", found, advice)
    return ok("alerts", found)


def _state(settings: Settings) -> tuple[list[str], list[tuple[str, int, float, str | None]]]:
    if not settings.db_path.exists() or not applied_steps(settings.db_path):
        return [], []
    with closing(SqliteReader(settings.db_path)) as reader:
        waiting = [(name, count, created, error) for name, count, created, error in reader.query(_WAITING)]
        return [name for (name,) in reader.query(_FIRING)], waiting
