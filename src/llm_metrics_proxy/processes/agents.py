"""Tools for agents on standard input and output: over the records here, or over a running metrics API."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from llm_metrics_proxy import extras
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.counters import CounterBook

if TYPE_CHECKING:
    from llm_metrics_proxy.client import AsyncMetricsClient


def tools_over_records(records: Records, dashboard: str) -> None:
    """Until standard input ends. ``dashboard``: its address, for links. Raises ``MissingExtraError``."""
    from llm_metrics_proxy.api import ApiPorts, create_app  # noqa: PLC0415 -- other verbs start without it

    app = create_app(ApiPorts(records=records, book=CounterBook(), service_status=lambda: None))
    _run(lambda client: client.of_app(app), dashboard)


def tools_over_api(url: str, token: str | None) -> None:
    """Until standard input ends. Raises ``MissingExtraError``, and ``ApiUnreachableError`` if ``url`` is none."""
    _run(lambda client: client(url, token), f"{url.rstrip('/')}/")


def _run(client_of: "Callable[[type[AsyncMetricsClient]], AsyncMetricsClient]", dashboard: str) -> None:
    extras.need("mcp", "MCP")
    from llm_metrics_proxy.client import AsyncMetricsClient  # noqa: PLC0415 -- for few
    from llm_metrics_proxy.mcp_server.server import make_server  # noqa: PLC0415 -- an extra
    from llm_metrics_proxy.mcp_server.standard_streams import over_stdio  # noqa: PLC0415

    async def serving() -> None:
        async with client_of(AsyncMetricsClient) as client:
            await over_stdio(make_server(client, dashboard))

    asyncio.run(serving())
