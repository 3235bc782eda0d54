"""Routes of objectives, alerts and budgets, and their state."""

from starlette.responses import Response

from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import Alerts, Budgets, Slos, answer
from llm_metrics_proxy.metrics_service import APP_VERSION


def add_watch_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """All answer from memory: from what was measured last."""

    @routes.get(
        "slos",
        "Objectives, and how much of each error budget is left",
        answer("Slos", "In the order of the file; as last measured."),
    )
    def read_slos() -> Response:
        return json_response(Slos(app_version=APP_VERSION, slos=[] if ports.watch is None else ports.watch.slos()))

    @routes.get(
        "alerts", "Alerts, and which of them fire", answer("Alerts", "In the order of the file; as last measured.")
    )
    def read_alerts() -> Response:
        found = [] if ports.watch is None else ports.watch.alerts()
        return json_response(Alerts(app_version=APP_VERSION, alerts=found))

    @routes.get(
        "budgets",
        "Budgets, and who will pass them",
        answer("Budgets", "In the order of the file; as last measured."),
    )
    def read_budgets() -> Response:
        found = [] if ports.watch is None else ports.watch.budgets()
        return json_response(Budgets(app_version=APP_VERSION, budgets=found))
