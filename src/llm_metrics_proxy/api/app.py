"""The API as others see it: the guard, what supervisors and Prometheus ask, and the application for everything else.

That application is loaded with the first request that needs it: FastAPI, pydantic, the routes and the dashboard's files
are half of this process's memory and of its start, and a proxy whose records nobody looks at needs none of them.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_metrics_proxy.api import help_pages
from llm_metrics_proxy.api.guard import Guard
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.scoped import ScopedApps
from llm_metrics_proxy.api.service import Answer, service_answers
from llm_metrics_proxy.api.site import VIEW_PATHS


def create_app(ports: ApiPorts) -> ASGIApp:
    """The whole API over ``ports``; it starts nothing and opens nothing."""
    answers = service_answers(ports)
    return Guard(
        _Front(answers, lambda: _application(ports, answers)),
        ports.sessions,
        allowed_hosts=ports.allowed_hosts,
        open_paths=frozenset({*VIEW_PATHS, *(f"/{name}" for name in ports.site), help_pages.ROOT}),
        open_folder=help_pages.PREFIX,
        trusted_proxies=ports.trusted_proxies,
        scoped=ScopedApps(ports, _scoped_application).of,
        newest=ports.newest_names,
    )


def _application(ports: ApiPorts, answers: Mapping[str, Answer]) -> ASGIApp:
    from llm_metrics_proxy.api.application import application  # noqa: PLC0415 -- with the first request that needs it

    return application(ports, answers)


def _scoped_application(ports: ApiPorts) -> ASGIApp:
    from llm_metrics_proxy.api.application import scoped_application  # noqa: PLC0415 -- as above

    return scoped_application(ports)


class _Front:
    """Inside the guard. ``make`` is called once, in a thread, for it takes some tenths of a second."""

    def __init__(self, answers: Mapping[str, Answer], make: Callable[[], ASGIApp]) -> None:
        self._answers, self._make = answers, make
        self._app: ASGIApp | None = None
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        answer = self._answers.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if answer is not None:
            response = await answer(Request(scope, receive))
            await response(scope, receive, send)
            return
        app = self._app
        if app is None:
            app = await asyncio.to_thread(self._made)
        await app(scope, receive, send)

    def _made(self) -> ASGIApp:
        with self._lock:
            app = self._app = self._app or self._make()
            return app
