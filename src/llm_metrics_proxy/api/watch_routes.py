"""Routes about objectives and alerts: what is watched, and how it stands."""

from fastapi import Depends, FastAPI
from starlette.responses import Response

from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import DATA_ERRORS, readable
from llm_metrics_proxy.api.parameters import KnownOnly
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import Alerts, Slos, answer
from llm_metrics_proxy.metrics_service import APP_VERSION


def add_watch_routes(app: FastAPI, ports: ApiPorts) -> None:
    """Both answer from memory: from what was measured last."""

    @app.get(
        "/api/v1/slos",
        summary="Objectives, and how much of each error budget is left",
        tags=["metrics"],
        dependencies=[readable(ports), Depends(KnownOnly())],
        responses={200: answer("Slos", "In the order of the file; as last measured."), **DATA_ERRORS},
    )
    def read_slos() -> Response:
        return json_response(Slos(app_version=APP_VERSION, slos=[] if ports.watch is None else ports.watch.slos()))

    @app.get(
        "/api/v1/alerts",
        summary="Alerts, and which of them fire",
        tags=["metrics"],
        dependencies=[readable(ports), Depends(KnownOnly())],
        responses={200: answer("Alerts", "In the order of the file; as last measured."), **DATA_ERRORS},
    )
    def read_alerts() -> Response:
        found = [] if ports.watch is None else ports.watch.alerts()
        return json_response(Alerts(app_version=APP_VERSION, alerts=found))
