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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_metrics_proxy import extras
from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.scope import asker_of

PATH: Final = "/mcp"
_REFUSALS: Final = {
    406: ("not_acceptable", "this answers in JSON or as events: send Accept: application/json, text/event-stream"),
    413: ("too_large", "this body is too large for a call of a tool: ask with fewer or shorter arguments"),
}


def add_mcp_routes(app: FastAPI) -> None:
    """The route. The tools ask ``app`` itself, inside of the guard."""
    app.router.routes.append(Route(PATH, _Endpoint(app), methods=["POST"], include_in_schema=False))


class _Endpoint:
    """GET, by which clients would wait for messages that never come, is refused by the router."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lock = asyncio.Lock()
        self._tools: Callable[[str], ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if self._tools is None:
                self._tools = await asyncio.to_thread(_tools, self._app)
            tools = self._tools
        await tools(_dashboard(scope))(scope, receive, _in_words(scope, receive, send))


def _tools(app: ASGIApp) -> Callable[[str], ASGIApp]:
    """What makes the application of one request, with the dashboard's address. Takes a second or two. Raises
    ``MissingExtraError``."""
    extras.need("mcp", "MCP")
    from llm_metrics_proxy.client import AsyncMetricsClient  # noqa: PLC0415 -- for few
    from llm_metrics_proxy.mcp_server.server import make_server, over_http  # noqa: PLC0415 -- another

    client = AsyncMetricsClient.of_app(app)
    return lambda dashboard: over_http(make_server(client, dashboard))


def _in_words(scope: Scope, receive: Receive, send: Send) -> Send:
    """In place of ``send``: what the library refuses in no words or bare ones gets the shape of every other error."""
    is_refused = False

    async def sending(message: Message) -> None:
        nonlocal is_refused
        if message["type"] == "http.response.start":
            refusal = _REFUSALS.get(message["status"])
            if refusal is not None and "json" not in Headers(raw=message["headers"]).get("content-type", ""):
                is_refused = True
                await error_response(message["status"], *refusal)(scope, receive, send)
        if not is_refused:
            await send(message)

    return sending


def _dashboard(scope: Scope) -> str:
    """The dashboard's address as whoever asks knows it."""
    asker = asker_of(scope)
    host = next(iter((*asker.hosts, *Headers(scope=scope).getlist("host"))), "localhost")
    return f"{'https' if asker.secure else 'http'}://{host}{asker.prefix}/"
