"""The application: which path asks which question. Routes are plain functions, so FastAPI runs them in its threads."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import FastAPI, Path, Query
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
from llm_metrics_proxy.api import docs_page, help_pages, migrations
from llm_metrics_proxy.api.answers import data_response, error_response, json_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.export_routes import add_export_routes
from llm_metrics_proxy.api.live_routes import add_live_routes
from llm_metrics_proxy.api.mcp_routes import add_mcp_routes
from llm_metrics_proxy.api.openapi import document
from llm_metrics_proxy.api.parameters import ErrorsParameters, FilterParameters, ListParameters
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.query_routes import add_query_routes
from llm_metrics_proxy.api.quota_routes import add_quota_routes
from llm_metrics_proxy.api.recorded_session_routes import add_recorded_session_routes
from llm_metrics_proxy.api.refusals import HANDLERS
from llm_metrics_proxy.api.report_routes import add_report_routes
from llm_metrics_proxy.api.schemas import Versions, answer
from llm_metrics_proxy.api.scoped import refuse_others
from llm_metrics_proxy.api.server_routes import add_server_routes
from llm_metrics_proxy.api.service import Answer, service_answers
from llm_metrics_proxy.api.session_routes import add_session_routes
from llm_metrics_proxy.api.settings import add_settings_routes
from llm_metrics_proxy.api.site import add_site_routes
from llm_metrics_proxy.api.watch_routes import add_watch_routes
from llm_metrics_proxy.metrics_service import APP_VERSION

_NO_SUCH_RECORD: Final = (
    "no record has this request_id or arrival; where several hosts record, only the request_id names one"
)
_DESCRIPTION: Final = (
    "The records of an LLM metrics proxy, and what they amount to. Missing is null, never 0; every mean and percentile "
    "comes with `n`, the number of records it rests on. Times are ISO 8601 in UTC; `start` is inclusive, `end` is not."
)


def scoped_application(ports: ApiPorts) -> FastAPI:
    """For who sees some records only, which ``ports`` are cut to."""
    app = application(ports, service_answers(ports))
    refuse_others(app.routes)
    return app


def application(ports: ApiPorts, answers: Mapping[str, Answer]) -> FastAPI:
    """Everything behind the guard. ``answers``: of the paths that ``service`` answers."""
    app = FastAPI(
        title="LLM Metrics Proxy",
        version=APP_VERSION,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,  # type: ignore[arg-type]
    )
    if not ports.answers:
        _add_service_routes(app, answers)
        return app
    routes = DataRoutes(app, ports)
    _add_record_routes(routes, ports)
    _add_metric_routes(routes, ports)
    _add_service_routes(app, answers)
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
    add_mcp_routes(app)
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
                components=dict(ports.versions()),
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


def _add_service_routes(app: FastAPI, answers: Mapping[str, Answer]) -> None:
    """The front answers these by itself, and those of a scope are answered here; the document has them either way."""
    app.get(
        "/health",
        summary="How the proxy, its workers and ingestion fare",
        tags=["service"],
        responses={200: answer("Health", "The process lives; `status` and `reasons` say how well.")},
    )(answers["/health"])
    app.get(
        "/ready",
        summary="Whether questions are answered and records taken in",
        tags=["service"],
        responses={200: answer("Readiness", "Ready."), 503: answer("Readiness", "Not ready; `reasons` say why.")},
    )(answers["/ready"])
    app.get(
        "/metrics",
        summary="Counters, histograms and gauges for Prometheus",
        tags=["service"],
        response_class=Response,
        responses={200: {"description": "Text format or OpenMetrics.", "content": {"text/plain": {}}}},
    )(answers["/metrics"])

    @app.get("/docs", include_in_schema=False)
    def read_docs() -> Response:
        return HTMLResponse(
            docs_page.render(app.openapi()), headers={"Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY}
        )
