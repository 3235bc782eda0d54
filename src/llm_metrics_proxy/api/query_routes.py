"""Routes that ask queries: /api/v1/query, and the everyday ones made of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.distribution import distribute
from llm_metrics_proxy.analytics.heatmap import map_heat
from llm_metrics_proxy.analytics.sources import sources_of
from llm_metrics_proxy.api.answers import encoded, json_response
from llm_metrics_proxy.api.dependencies import DATA_ERRORS, readable
from llm_metrics_proxy.api.kept_answers import KeptAnswers, max_age_s
from llm_metrics_proxy.api.parameters import KnownOnly
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.query_parameters import (
    BreakdownParameters,
    CompareParameters,
    DistributionParameters,
    HeatmapParameters,
    QueryParameters,
    TimeseriesParameters,
)
from llm_metrics_proxy.api.schemas import answer

_Route = TypeVar("_Route", bound=Callable[..., Response])


def add_query_routes(app: FastAPI, ports: ApiPorts) -> None:
    """Six routes over the same sources."""
    sources, kept = sources_of(ports.reader), KeptAnswers()

    def now() -> datetime:
        return datetime.fromtimestamp(ports.clock(), UTC)

    def route(
        path: str, summary: str, parameters: type[BaseModel], shape: str, description: str
    ) -> Callable[[_Route], _Route]:
        return app.get(
            f"/api/v1/{path}",
            summary=summary,
            tags=["metrics"],
            dependencies=[readable(ports), Depends(KnownOnly(parameters, repeatable=("slo",)))],
            responses={200: answer(shape, description), **DATA_ERRORS},
        )

    in_rows = "Rows, each with its numbers; all from one snapshot."

    @route("query", "Any metrics by any dimensions", QueryParameters, "Result", in_rows)
    def read_query(request: Request, parameters: Annotated[QueryParameters, Query()]) -> Response:
        age_s = max_age_s(request.headers.get("cache-control", ""))
        found = kept.get(request.url.query, age_s, lambda: encoded(ask(sources, parameters.to_query(), now())))
        headers = {"Age": str(found.age_s)} if age_s else None
        return Response(found.body, headers=headers, media_type="application/json")

    @route("timeseries", "Metrics over time, bucket by bucket", TimeseriesParameters, "Result", in_rows)
    def read_timeseries(parameters: Annotated[TimeseriesParameters, Query()]) -> Response:
        return json_response(ask(sources, parameters.to_query(), now()))

    @route("breakdown", "Metrics by model, client, or whatever else", BreakdownParameters, "Result", in_rows)
    def read_breakdown(parameters: Annotated[BreakdownParameters, Query()]) -> Response:
        return json_response(ask(sources, parameters.to_query(), now()))

    @route("compare", "Metrics of a period beside those of the period before", CompareParameters, "Result", in_rows)
    def read_comparison(parameters: Annotated[CompareParameters, Query()]) -> Response:
        return json_response(ask(sources, parameters.to_query(), now()))

    @route(
        "distribution",
        "How the values of one metric are spread",
        DistributionParameters,
        "Histogram",
        "Percentiles and a histogram, from one snapshot.",
    )
    def read_distribution(parameters: Annotated[DistributionParameters, Query()]) -> Response:
        return json_response(distribute(sources, parameters.to_query(), now()))

    @route("heatmap", "One metric over two dimensions", HeatmapParameters, "Heatmap", "A matrix, from one snapshot.")
    def read_heatmap(parameters: Annotated[HeatmapParameters, Query()]) -> Response:
        return json_response(map_heat(sources, parameters.to_query(), now()))
