"""Routes that ask queries: /api/v1/query, and the everyday ones made of it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from math import log2
from time import monotonic
from typing import Annotated, Any, Final

from fastapi import Query, Request
from starlette.responses import Response

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.changes import what_changed
from llm_metrics_proxy.analytics.costs import read_costs
from llm_metrics_proxy.analytics.distribution import distribute
from llm_metrics_proxy.analytics.filters import RequestFilter, aware
from llm_metrics_proxy.analytics.heatmap import map_heat
from llm_metrics_proxy.analytics.history import with_history
from llm_metrics_proxy.api.answers import data_response, encoded
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.kept_answers import KeptAnswers, max_age_s
from llm_metrics_proxy.api.media import preferred
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.query_parameters import (
    JSON,
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
from llm_metrics_proxy.export import RESULT_FORMATS, ResultFormat

_AS_JSON: Final = ResultFormat(JSON, "application/json", encoded)
_QUERY_FORMATS: Final = {one.name: one for one in (_AS_JSON, *RESULT_FORMATS.values())}
_BY_MEDIA_TYPE: Final = {one.media_type: one for one in _QUERY_FORMATS.values()}
_AS_TABLE: Final = (
    "As `arrow` or `parquet`, by `format` or by the header Accept, a row of the answer is a row of a table: a column "
    "for each dimension, and for each metric its value and `<metric>.n`, the records it rests on. Units and meanings "
    "stand in the fields' metadata, and all else that the JSON answer says in the schema's, under `answer`."
)

_START: Final = re.compile(r"(?:^|&)start=[^&]*")
_STEPS_OF_LENGTH: Final = 4  # for each doubling


def _moving(asked: str, selection: RequestFilter, now: datetime) -> tuple[str, float]:
    """For ``KeptAnswers``, the key of a question and the moment that goes along with the clock: if it is about the time
    until now, about how long that is, and the start."""
    if selection.start is None or selection.end is not None:
        return asked, 0.0
    start = aware(selection.start)
    length = log2(max(1.0, (now - start).total_seconds()))
    return f"{_START.sub('', asked)}&{int(length * _STEPS_OF_LENGTH)}", start.timestamp()


def add_query_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """Eight routes over the same records."""
    sources, kept = ports.records.sources(), KeptAnswers()

    def now() -> datetime:
        return datetime.fromtimestamp(ports.clock(), UTC)

    in_rows = answer("Result", "Rows, each with its numbers; all from one snapshot.")

    in_any_format: dict[str, Any] = answer("Result", in_rows["description"])
    in_any_format["content"] |= {one.media_type: {"schema": {"type": "string"}} for one in RESULT_FORMATS.values()}

    def of_some_age(
        request: Request, key: str, answered: Callable[[], bytes], about_s: float = 0.0, form: ResultFormat = _AS_JSON
    ) -> Response:
        age_s = max_age_s(request.headers.get("cache-control", ""))
        found = kept.get(key, age_s, answered, about_s)
        age = {"Age": str(found.age_s)} if age_s else {}
        return Response(found.body, headers=age, media_type=form.media_type)

    @routes.get("query", "Any metrics by any dimensions", in_any_format, QueryParameters, description=_AS_TABLE)
    def read_query(request: Request, parameters: Annotated[QueryParameters, Query()]) -> Response:
        named = parameters.checked_format()
        accepted = ",".join(request.headers.getlist("accept"))
        form = _BY_MEDIA_TYPE[preferred(accepted, list(_BY_MEDIA_TYPE))] if named is None else _QUERY_FORMATS[named]

        def answered() -> bytes:
            return form.encode(with_history(ask(sources, parameters.to_query(), now()), ports.records))

        response = of_some_age(request, f"{form.name}?{request.url.query}", answered, form=form)
        response.headers["Vary"] = "Accept"
        return response

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
            found = what_changed(ports.records, query, now(), monotonic)
            return encoded(with_history(found, ports.records))

        query = parameters.to_query()
        key, about_s = _moving(request.url.query, query.filter, now())
        return of_some_age(request, f"changes?{key}", answered, about_s)

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
