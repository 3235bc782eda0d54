"""What runs and how it is set: the settings as a person may see them, without secrets."""

from starlette.responses import Response

from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import WRONG, DataRoutes
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import SettingsAnswer, SettingShown, answer
from llm_metrics_proxy.metrics_service import APP_VERSION


def add_settings_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """Read-only: a setting is changed where it was given."""

    @routes.get(
        "settings",
        "How this program is set, without secrets",
        answer("Settings", "Every setting, and what runs."),
        tag="service",
        errors=WRONG,
        reads_records=False,
    )
    async def read_settings() -> Response:
        shown = [SettingShown(**row) for row in ports.settings()]
        return json_response(SettingsAnswer(app_version=APP_VERSION, settings=shown, components=dict(ports.versions())))
