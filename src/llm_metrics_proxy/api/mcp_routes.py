"""``/mcp``: the tools of ``mcp_server`` over streamable HTTP.

They ask the application that answers whoever asks here, inside of the guard: a token that sees some records only gets
tools that see no others. Everything is loaded with the first request, for the library is an extra that few need.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_metrics_proxy import extras
from llm_metrics_proxy.api.scope import asker_of

PATH: Final = "/mcp"


def add_mcp_routes(app: FastAPI, inner: Callable[[], ASGIApp]) -> None:
    """The route. ``inner`` makes the application that the tools ask; it is called once, with the first request."""
    app.router.routes.append(Route(PATH, _Endpoint(inner), methods=["POST"], include_in_schema=False))


class _Endpoint:
    """GET, by which clients would wait for messages that never come, is refused by the router."""

    def __init__(self, inner: Callable[[], ASGIApp]) -> None:
        self._inner = inner
        self._lock = asyncio.Lock()
        self._tools: Callable[[str], ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if self._tools is None:
                self._tools = await asyncio.to_thread(_tools, self._inner)
            tools = self._tools
        await tools(_dashboard(scope))(scope, receive, send)


def _tools(inner: Callable[[], ASGIApp]) -> Callable[[str], ASGIApp]:
    """What makes the application of one request, with the dashboard's address. Takes a second or two. Raises
    ``MissingExtraError``."""
    extras.need("mcp", "MCP")
    from llm_metrics_proxy.client import AsyncMetricsClient  # noqa: PLC0415 -- for few
    from llm_metrics_proxy.mcp_server.server import make_server, over_http  # noqa: PLC0415 -- another

    client = AsyncMetricsClient.of_app(inner())
    return lambda dashboard: over_http(make_server(client, dashboard))


def _dashboard(scope: Scope) -> str:
    """The dashboard's address as whoever asks knows it."""
    asker = asker_of(scope)
    host = next(iter((*asker.hosts, *Headers(scope=scope).getlist("host"))), "localhost")
    return f"{'https' if asker.secure else 'http'}://{host}{asker.prefix}/"
