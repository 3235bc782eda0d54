"""What ``doctor`` finds out about objectives and alerts: how many there are, and whether what they tell is taken."""

from datetime import UTC, datetime
from typing import Final

from llm_metrics_proxy.cli.finding import Finding, Status
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import look

PATIENCE_S: Final = 600.0
_WAITING: Final = "SELECT name, count(*), min(created_at), max(last_error) FROM alert_deliveries GROUP BY 1 ORDER BY 1"
_FIRING: Final = "SELECT name FROM alert_states WHERE phase = 'firing' ORDER BY name"
_THERE: Final = "SELECT count(*) FROM sqlite_schema WHERE name = 'alert_deliveries'"


def alerts(settings: Settings) -> Finding:
    """Does anything fire, and does anybody take what is told? Asks no webhook."""
    silent = [table.name for table in settings.alerts if table.webhook is None]
    found = f"objectives: {len(settings.slos)}, alerts: {len(settings.alerts)} in the settings"
    if silent:
        found += f" ({', '.join(silent)}: without a webhook, only shown)"
    try:
        firing, waiting = _state(settings)
    except LlmMetricsProxyError:
        return Finding("alerts", Status.OK, found)  # the check `database` says what is wrong with it
    if firing:
        found += f"; firing: {', '.join(firing)}"
    if waiting:
        told = "; ".join(f"{name}: {count} ({error or 'not tried yet'})" for name, count, _, error in waiting)
        found += f"; not taken yet: {told}"
        oldest = min(created for _, _, created, _ in waiting)
        if datetime.now(UTC).timestamp() - oldest > PATIENCE_S:
            advice = "does the webhook's receiver run, and does it answer with 2xx? It is asked for a day"
            return Finding("alerts", Status.WARNING, found, advice)
    return Finding("alerts", Status.OK, found)


def _state(settings: Settings) -> tuple[list[str], list[tuple[str, int, float, str | None]]]:
    if not settings.db_path.exists() or not look(settings.db_path):
        return [], []
    reader = SqliteReader(settings.db_path)
    try:
        if not reader.query(_THERE)[0][0]:
            return [], []
        waiting = [(name, count, created, error) for name, count, created, error in reader.query(_WAITING)]
        return [name for (name,) in reader.query(_FIRING)], waiting
    finally:
        reader.close()
