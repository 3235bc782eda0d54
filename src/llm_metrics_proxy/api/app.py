"""The application: which path asks which question. Routes are plain functions, so FastAPI runs them in its threads."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import FastAPI, Path, Query, Request
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, Response

from llm_metrics_proxy.analytics import (
    VERSION_HISTORY,
    get_request,
    list_requests,
    notices,
    read_errors,
    records_by_version,
    summarise,
)
from llm_metrics_proxy.analytics.history import history_of
from llm_metrics_proxy.api import docs_page, help_pages, migrations, prometheus
from llm_metrics_proxy.api.answers import HANDLERS, data_response, error_response, json_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.export_routes import add_export_routes
from llm_metrics_proxy.api.guard import Guard
from llm_metrics_proxy.api.health import Health, Readiness, assess
from llm_metrics_proxy.api.live_routes import add_live_routes
from llm_metrics_proxy.api.mcp_routes import add_mcp_routes
from llm_metrics_proxy.api.openapi import document
from llm_metrics_proxy.api.parameters import ErrorsParameters, FilterParameters, ListParameters
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.query_routes import add_query_routes
from llm_metrics_proxy.api.quota_routes import add_quota_routes
from llm_metrics_proxy.api.recorded_session_routes import add_recorded_session_routes
from llm_metrics_proxy.api.report_routes import add_report_routes
from llm_metrics_proxy.api.schemas import Versions, answer
from llm_metrics_proxy.api.scoped import ScopedApps, refuse_others
from llm_metrics_proxy.api.scrapes import Scrapes
from llm_metrics_proxy.api.server_routes import add_server_routes
from llm_metrics_proxy.api.session_routes import add_session_routes
from llm_metrics_proxy.api.settings import add_settings_routes
from llm_metrics_proxy.api.site import VIEW_PATHS, add_site_routes
from llm_metrics_proxy.api.watch_routes import add_watch_routes
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION

_NO_SUCH_RECORD: Final = (
    "no record has this request_id or arrival; where several hosts record, only the request_id names one"
)
_DESCRIPTION: Final = (
    "The records of an LLM metrics proxy, and what they amount to. Missing is null, never 0; every mean and percentile "
    "comes with `n`, the number of records it rests on. Times are ISO 8601 in UTC; `start` is inclusive, `end` is not."
)


def create_app(ports: ApiPorts) -> FastAPI:
    """The whole API over ``ports``; it starts nothing and opens nothing."""
    guard = Middleware(
        Guard,
        sessions=ports.sessions,
        allowed_hosts=ports.allowed_hosts,
        trusted_proxies=ports.trusted_proxies,
        open_paths=frozenset({*VIEW_PATHS, *(f"/{name}" for name in ports.site)}) | help_pages.paths(ports.help_pages),
        scoped=ScopedApps(ports, _scoped_app).of,
        newest=ports.newest_names,
    )
    return _app(ports, [guard], lambda: _app(ports, []))


def _scoped_app(ports: ApiPorts) -> FastAPI:
    """Behind the guard of the whole one, for who sees some records only."""
    app = _app(ports, [])
    refuse_others(app.routes)
    return app


def _app(ports: ApiPorts, middleware: list[Middleware], unguarded: Callable[[], FastAPI] | None = None) -> FastAPI:
    """``unguarded``: makes the same without the guard, for what asks from inside; none: it is so itself."""
    app = FastAPI(
        title="LLM Metrics Proxy",
        version=APP_VERSION,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,  # type: ignore[arg-type]
        middleware=middleware,
    )
    if not ports.answers:
        _add_service_routes(app, ports)
        return app
    routes = DataRoutes(app, ports)
    _add_record_routes(routes, ports)
    _add_metric_routes(routes, ports)
    _add_service_routes(app, ports)
    for add in (
        add_export_routes,
        add_live_routes,
        add_report_routes,
        add_query_routes,
        add_watch_routes,
        add_quota_routes,
        add_settings_routes,
        add_recorded_session_routes,
        add_server_routes,
    ):
        add(routes, ports)
    add_session_routes(app, ports.sessions, APP_VERSION, ports.reader, lambda: (ports.proxy_url, ports.simulated()))
    add_mcp_routes(app, unguarded or (lambda: app))
    help_pages.add_help_routes(app, ports.help_pages)
    add_site_routes(app, ports.site)
    app.openapi = lambda: document(app, with_token=ports.sessions is not None)  # type: ignore[method-assign]
    return app


def _add_record_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    @routes.get(
        "requests",
        "Records, newest first or in another order, page by page",
        answer("RequestPage", "A page; ask for the next with `next_cursor`."),
        ListParameters,
        tag="records",
    )
    def read_requests(parameters: Annotated[ListParameters, Query()]) -> Response:
        selection = parameters.to_filter()
        page = list_requests(ports.records, selection, parameters.limit, parameters.cursor, parameters.to_order())
        return json_response(
            {
                "app_version": APP_VERSION,
                "history": history_of(ports.records.carried()),
                "items": page.items,
                "next_cursor": page.next_cursor,
            }
        )

    @routes.get(
        "requests/{request_id}",
        "One record, by its request_id or its arrival",
        answer("RequestItem", "The record."),
        tag="records",
        more={404: answer("ErrorAnswer", "There is no such record.")},
    )
    def read_request(
        request_id: Annotated[
            str, Path(description="The record's `request_id`, or its `arrival` where there is one host.")
        ],
    ) -> Response:
        item = get_request(ports.records, request_id)
        if item is None:
            return error_response(404, "not_found", _NO_SUCH_RECORD, "request_id")
        return json_response(item)


def _add_metric_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    @routes.get(
        "summary",
        "What the selected records amount to",
        answer("Summary", "All numbers from one snapshot."),
        FilterParameters,
    )
    def read_summary(parameters: Annotated[FilterParameters, Query()]) -> Response:
        return data_response(summarise(ports.records, parameters.to_filter()), ports.records)

    @routes.get(
        "errors",
        "What went wrong, how often, since when, and what to do about it",
        answer("Errors", "All counts from one snapshot."),
        ErrorsParameters,
    )
    def read_what_went_wrong(parameters: Annotated[ErrorsParameters, Query()]) -> Response:
        return data_response(read_errors(ports.records, parameters.to_query()), ports.records)

    @routes.get(
        "versions",
        "How the meaning of numbers changed, and which records follow which version",
        answer("Versions", "History, counts, migrations and notices. Nothing is counted while no records can be read."),
        reads_records=False,
    )
    def read_versions() -> Response:
        known = ports.migrations
        runs = [] if known is None else list(known.runs())
        running = known is not None and known.lock_holder() is not None
        is_readable = known is None or not known.blocks_store()
        return json_response(
            Versions(
                app_version=APP_VERSION,
                history=VERSION_HISTORY,
                records_by_version=records_by_version(ports.records) if is_readable else {},
                migrations=runs,
                notices=notices(
                    runs,
                    problem=known.problem() if known else None,
                    running=running,
                    history=history_of(ports.records.carried()) if is_readable else None,
                ),
                components=dict(ports.versions),
            )
        )

    @routes.get(
        "migrations/current",
        "How far the migration is that runs now, here or by the command line",
        answer("MigrationNow", "The phase is `idle` when nothing runs."),
        reads_records=False,
    )
    def read_current_migration() -> Response:
        return json_response(migrations.now(APP_VERSION, ports.migrations, ports.records))


def _add_service_routes(app: FastAPI, ports: ApiPorts) -> None:
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

    exposition = prometheus.Exposition(ports.book)

    def exposed(accept: str) -> tuple[bytes, str]:
        telemetry = None if ports.telemetry is None else ports.telemetry()
        return exposition.render(
            health(), accept, watch=ports.watch, telemetry=telemetry, now=ports.clock(), servers=ports.servers.seen()
        )

    scrapes = Scrapes(exposed)

    # async: it reads no file, only asks the kernel for free space, and must answer even while every thread is busy with
    # a long question.
    @app.get(
        "/health",
        summary="How the proxy, its workers and ingestion fare",
        tags=["service"],
        responses={200: answer("Health", "The process lives; `status` and `reasons` say how well.")},
    )
    async def read_health() -> Response:
        return json_response(health())

    @app.get(
        "/ready",
        summary="Whether questions are answered and records taken in",
        tags=["service"],
        responses={200: answer("Readiness", "Ready."), 503: answer("Readiness", "Not ready; `reasons` say why.")},
    )
    def read_ready() -> Response:
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
        readiness = Readiness(ready=not reasons, app_version=APP_VERSION, reasons=reasons)
        return json_response(readiness, 503 if reasons else 200, {"Retry-After": "1"} if reasons else None)

    @app.get(
        "/metrics",
        summary="Counters, histograms and gauges for Prometheus",
        tags=["service"],
        response_class=Response,
        responses={200: {"description": "Text format or OpenMetrics.", "content": {"text/plain": {}}}},
    )
    def read_metrics(request: Request) -> Response:
        asked = request.headers
        scrape = scrapes.answer(",".join(asked.getlist("accept")), ",".join(asked.getlist("accept-encoding")))
        return Response(scrape.body, headers=scrape.headers)

    @app.get("/docs", include_in_schema=False)
    def read_docs() -> Response:
        return HTMLResponse(
            docs_page.render(app.openapi()), headers={"Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY}
        )
