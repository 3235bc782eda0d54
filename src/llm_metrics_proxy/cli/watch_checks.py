"""What ``doctor`` checks of objectives and alerts: whether they are met, and whether webhooks take the messages."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.cli.finding import Finding, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.processes.options import slo_rules
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps
from llm_metrics_proxy.watch.evaluation import SloReport, measure_slo

PATIENCE_S: Final = 600.0
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
