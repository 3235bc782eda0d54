"""``/api/v1/report``: a report about a range of records."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.parameters import FilterParameters
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.reports import DEFAULT_DAYS, FORMATS, ReportQuery, build, rendered

_DESCRIPTION: Final = (
    "Summary in sentences, figures compared with the period before, charts, the busiest models and clients, errors "
    f"and what to do about them, the slowest requests. Without `start` it is about the last {DEFAULT_DAYS} days."
)


class ReportParameters(FilterParameters):
    """A filter, and how to show the report."""

    format: Annotated[str, Field(description="How to show it.", json_schema_extra={"enum": list(FORMATS)})] = "html"
    timezone: Annotated[
        str, Field(min_length=1, max_length=160, description="IANA zone whose clocks and calendar it follows.")
    ] = "UTC"

    def to_query(self) -> ReportQuery:
        """The query value. Raises ``QueryError``."""
        if self.format not in FORMATS:
            raise QueryError("format", f"there is no format {self.format[:64]!r}; there are: {', '.join(FORMATS)}")
        return ReportQuery(filter=self.to_filter(), timezone=self.timezone)


def add_report_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """The route."""
    shown: dict[str, Any] = answer("Report", "The report.")
    shown["content"] |= {"text/html": {"schema": {"type": "string"}}, "text/markdown": {"schema": {"type": "string"}}}

    @routes.get("report", "A report, for people who were not there", shown, ReportParameters, description=_DESCRIPTION)
    def read_report(parameters: Annotated[ReportParameters, Query()]) -> Response:
        report = build(ports.records, parameters.to_query(), datetime.fromtimestamp(ports.clock(), UTC))
        form = FORMATS[parameters.format]
        headers = {} if form.policy is None else {"Content-Security-Policy": form.policy()}
        return Response(rendered(report, form.name), headers=headers, media_type=form.media_type)
