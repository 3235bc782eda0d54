"""Routes that ask queries: /api/v1/query, and the everyday ones made of it."""

from datetime import UTC, datetime
from time import monotonic
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.changes import what_changed
from llm_metrics_proxy.analytics.costs import read_costs
from llm_metrics_proxy.analytics.distribution import distribute
from llm_metrics_proxy.analytics.heatmap import map_heat
from llm_metrics_proxy.analytics.history import with_history
from llm_metrics_proxy.api.answers import data_response, encoded
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.kept_answers import KeptAnswers, max_age_s
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.query_parameters import (
    BreakdownParameters,
    ChangesParameters,
    CompareParameters,
    CostsParameters,
    DistributionParameters,
    HeatmapParameters,
    QueryParameters,
    TimeseriesParameters,
)
from llm_metrics_proxy.api.schemas import answer


def add_query_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """Eight routes over the same records."""
    sources, kept = ports.records.sources(), KeptAnswers()

    def now() -> datetime:
        return datetime.fromtimestamp(ports.clock(), UTC)

    in_rows = answer("Result", "Rows, each with its numbers; all from one snapshot.")

    @routes.get("query", "Any metrics by any dimensions", in_rows, QueryParameters)
    def read_query(request: Request, parameters: Annotated[QueryParameters, Query()]) -> Response:
        def answered() -> bytes:
            return encoded(with_history(ask(sources, parameters.to_query(), now()), ports.records))

        age_s = max_age_s(request.headers.get("cache-control", ""))
        found = kept.get(request.url.query, age_s, answered)
        headers = {"Age": str(found.age_s)} if age_s else None
        return Response(found.body, headers=headers, media_type="application/json")

    @routes.get("timeseries", "Metrics over time, bucket by bucket", in_rows, TimeseriesParameters)
    def read_timeseries(parameters: Annotated[TimeseriesParameters, Query()]) -> Response:
        return data_response(ask(sources, parameters.to_query(), now()), ports.records)

    @routes.get("breakdown", "Metrics by model, client, or whatever else", in_rows, BreakdownParameters)
    def read_breakdown(parameters: Annotated[BreakdownParameters, Query()]) -> Response:
        return data_response(ask(sources, parameters.to_query(), now()), ports.records)

    @routes.get("compare", "Metrics of a period compared with the period before", in_rows, CompareParameters)
    def read_comparison(parameters: Annotated[CompareParameters, Query()]) -> Response:
        return data_response(ask(sources, parameters.to_query(), now()), ports.records)

    @routes.get(
        "changes",
        "What changed since the period before",
        answer("Changes", "The few segments that moved most, beyond chance, and shifts of traffic between segments."),
        ChangesParameters,
    )
    def read_changes(request: Request, parameters: Annotated[ChangesParameters, Query()]) -> Response:
        def answered() -> bytes:
            found = what_changed(ports.records, parameters.to_query(), now(), monotonic)
            return encoded(with_history(found, ports.records))

        age_s = max_age_s(request.headers.get("cache-control", ""))
        found = kept.get(f"changes?{request.url.query}", age_s, answered)
        headers = {"Age": str(found.age_s)} if age_s else None
        return Response(found.body, headers=headers, media_type="application/json")

    @routes.get(
        "costs",
        "What it costs: this month, its projection, the last twelve, and by model or whatever else",
        answer("Costs", "Amounts in US dollars. Months are those of the time zone."),
        CostsParameters,
        description="Rows and their total are of the range of `start` and `end`, or of this month so far; months and "
        "projection are of the same filter at their own times. The projection is what the month has cost so far, and "
        "for the rest of it the mean of the last seven days.",
    )
    def read_the_costs(parameters: Annotated[CostsParameters, Query()]) -> Response:
        return data_response(read_costs(sources, parameters.to_query(), now()), ports.records)

    @routes.get(
        "distribution",
        "How the values of one metric are spread",
        answer("Histogram", "Percentiles and a histogram, from one snapshot."),
        DistributionParameters,
    )
    def read_distribution(parameters: Annotated[DistributionParameters, Query()]) -> Response:
        return data_response(distribute(sources, parameters.to_query(), now()), ports.records)

    @routes.get(
        "heatmap",
        "One metric over two dimensions",
        answer("Heatmap", "A matrix, from one snapshot."),
        HeatmapParameters,
    )
    def read_heatmap(parameters: Annotated[HeatmapParameters, Query()]) -> Response:
        return data_response(map_heat(sources, parameters.to_query(), now()), ports.records)
