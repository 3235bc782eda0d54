"""The route of what is left of servers' limits."""

from datetime import UTC, datetime

import msgspec
from starlette.responses import Response

from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import QuotaReport, Quotas, answer
from llm_metrics_proxy.metrics_service import APP_VERSION


def add_quota_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """Answers from memory."""

    @routes.get(
        "quotas",
        "What is left of servers' limits",
        answer("Quotas", "By server and key, as servers last said; nothing that is past its reset."),
    )
    def read_quotas() -> Response:
        found = [
            QuotaReport(
                **{
                    **msgspec.structs.asdict(left),
                    "measured_at": _moment(left.measured_at),
                    "resets_at": None if left.resets_at is None else _moment(left.resets_at),
                }
            )
            for left in ports.book.quotas.left(ports.clock())
        ]
        return json_response(Quotas(app_version=APP_VERSION, quotas=found))


def _moment(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
