"""The route of what is left of servers' limits."""

from starlette.responses import Response

from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import Quotas, answer
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.watch.limits import report_limits


def add_quota_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """Answers from memory, and from the records of windows that are not over."""

    @routes.get(
        "quotas",
        "What is left of servers' limits, and whether it lasts",
        answer("Quotas", "By server and key, as servers last said, with the rate of late and the last windows."),
    )
    def read_quotas() -> Response:
        windows = ports.book.quotas.windows() if ports.windows is None else ports.windows()
        found = report_limits(ports.records.sources(), windows, ports.clock())
        current = [one for one in found if not one.is_over]
        over = [one for one in found if one.is_over]
        return json_response(Quotas(app_version=APP_VERSION, quotas=current, over=over))
