"""What supervisors, load balancers and Prometheus ask: ``/health``, ``/ready`` and ``/metrics``.

From memory, but for one look at the store; and without the application for everything else, which may never be needed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from llm_metrics_proxy.api import migrations
from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.health import Health, Readiness, assess
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.scrapes import Scrapes
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION

Answer = Callable[[Request], Awaitable[Response]]


def service_answers(ports: ApiPorts) -> dict[str, Answer]:
    """By path, for GET."""

    def health() -> Health:
        board = ports.scoreboard
        workers, backends = (board.workers(), board.backends()) if board else ([], [])
        now_ms = ports.clock() * 1000
        return assess(
            APP_VERSION,
            ports.service_status(),
            workers,
            now_ms,
            ports.migrations,
            backends=backends,
            disks=ports.disks(),
            low_disks=ports.low_disks(),
            upkeep_problem=ports.upkeep_problem(),
            shipping=None if ports.shipping is None else ports.shipping(),
            turned_away=ports.turned_away(),
            ingests=ports.ingests,
        )

    @cache
    def scrapes() -> Scrapes:
        from llm_metrics_proxy.api import prometheus  # noqa: PLC0415 -- where nobody scrapes, its library is not loaded

        exposition = prometheus.Exposition(ports.book)

        def exposed(accept: str) -> tuple[bytes, str]:
            telemetry = None if ports.telemetry is None else ports.telemetry()
            return exposition.render(
                health(),
                accept,
                watch=ports.watch,
                telemetry=telemetry,
                now=ports.clock(),
                servers=ports.servers.seen(),
            )

        return Scrapes(exposed)

    def readiness() -> Readiness:
        reasons = []
        if ports.ingests and ports.service_status() is None:
            reasons.append("ingestion does not run")
        if ports.migrations is not None and ports.migrations.blocks_store():
            blocked = migrations.MigrationBlocksDataError(ports.migrations.progress(), ports.migrations.problem())
            reasons.append(str(blocked))
        elif ports.answers:
            try:
                ports.records.check()
            except StoreError as error:
                reasons.append(str(error))
        return Readiness(ready=not reasons, app_version=APP_VERSION, reasons=reasons)

    # In no thread: it reads no file, only asks the kernel for free space.
    async def read_health(_: Request) -> Response:
        return json_response(health())

    async def read_ready(_: Request) -> Response:
        found = await asyncio.to_thread(readiness)
        return json_response(found, 200 if found.ready else 503, {} if found.ready else {"Retry-After": "1"})

    async def read_metrics(request: Request) -> Response:
        asked = request.headers
        accepted = ",".join(asked.getlist("accept")), ",".join(asked.getlist("accept-encoding"))
        scrape = await asyncio.to_thread(lambda: scrapes().answer(*accepted))
        return Response(scrape.body, headers=scrape.headers)

    return {"/health": read_health, "/ready": read_ready, "/metrics": read_metrics}
