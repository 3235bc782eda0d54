"""The route of what servers and GPUs say of themselves, beside what the proxy sees of them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.responses import Response

from llm_metrics_proxy.analytics import parse_time
from llm_metrics_proxy.analytics.calendar import BUCKETS
from llm_metrics_proxy.api.answers import json_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer
from llm_metrics_proxy.servers.report import ServersQuery, servers_report

_Text = Annotated[str, Field(min_length=1, max_length=512)] | SkipJsonSchema[None]


def _moment(meaning: str) -> Any:
    return Field(
        description=f"{meaning} ISO 8601; a time without a zone is UTC.",
        examples=["2026-01-31T12:00:00Z", "2026-01-31"],
        json_schema_extra={"anyOf": [{"format": "date-time"}, {"format": "date"}]},
    )


class ServersParameters(BaseModel):
    """A range, and how it is divided."""

    start: Annotated[_Text, _moment("From this moment on; without it, the 24 hours before the end.")] = None
    end: Annotated[_Text, _moment("Before this moment; without it, up to now.")] = None
    timezone: Annotated[
        Annotated[str, Field(min_length=1, max_length=160)],
        Field(description="IANA time zone whose clocks and calendar divide time.", examples=["Europe/Berlin", "UTC"]),
    ] = "UTC"
    bucket: Annotated[
        _Text,
        Field(
            description="Length of the buckets of time; one that suits the range without it.",
            json_schema_extra={"enum": list(BUCKETS)},
        ),
    ] = None

    def to_query(self) -> ServersQuery:
        """The query value. Raises ``QueryError``."""
        start, end = (
            None if text is None else parse_time(text, name)
            for name, text in (("start", self.start), ("end", self.end))
        )
        return ServersQuery(start, end, self.timezone, self.bucket)


def add_server_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """One answer for all of them."""

    @routes.get(
        "servers",
        "Whether servers are saturated: their queues, KV caches, models and GPUs, beside what the proxy sees of them",
        answer("Servers", "In the order of the settings; those that are in none any more come last."),
        ServersParameters,
    )
    def read_servers(parameters: Annotated[ServersParameters, Query()]) -> Response:
        now = datetime.fromtimestamp(ports.clock(), UTC)
        return json_response(servers_report(ports.records, ports.servers, parameters.to_query(), now))
