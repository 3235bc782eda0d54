"""What runs and how it is set: the settings as a person may see them, without secrets."""

from fastapi import Depends, FastAPI
from starlette.responses import Response

from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import DATA_ERRORS
from llm_metrics_proxy.api.parameters import KnownOnly
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import SettingsAnswer, SettingShown, answer
from llm_metrics_proxy.metrics_service import APP_VERSION


def add_settings_routes(app: FastAPI, ports: ApiPorts) -> None:
    """Read-only: a setting is changed where it was given."""

    @app.get(
        "/api/v1/settings",
        summary="How this program is set, without secrets",
        tags=["service"],
        dependencies=[Depends(KnownOnly())],
        responses={200: answer("Settings", "Every setting, and what runs."), 422: DATA_ERRORS[422]},
    )
    async def read_settings() -> Response:
        shown = [SettingShown(**row) for row in ports.settings()]
        return json_response(SettingsAnswer(app_version=APP_VERSION, settings=shown, components=dict(ports.versions)))
