"""Parameters of the routes that ask queries, and how they become query values.

Lists are words separated by commas. What they may be is refused by the query values themselves, whose messages say what
was probably meant; here are only their lengths.
"""

from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from llm_metrics_proxy.analytics.calendar import BUCKETS
from llm_metrics_proxy.analytics.distribution import DistributionQuery
from llm_metrics_proxy.analytics.heatmap import MAX_LINES, HeatmapQuery
from llm_metrics_proxy.analytics.query import MAX_ROWS, Query
from llm_metrics_proxy.analytics.slos import MAX_SLOS, parse_slo
from llm_metrics_proxy.api.parameters import FilterParameters, Flag

_Absent = SkipJsonSchema[None]
_Name = Annotated[str, Field(min_length=1, max_length=160)]
_Names = Annotated[str, Field(min_length=1, max_length=2048)]
_Moment = Annotated[str, Field(min_length=1, max_length=512)]
_Slos = Annotated[list[Annotated[str, Field(min_length=1, max_length=160)]], Field(max_length=MAX_SLOS)]

EVERYDAY: Final = (
    "requests,success_rate,requests_per_second,response_time_ms.p50,response_time_ms.p95,"
    "time_to_first_token_ms.p50,time_to_first_token_ms.p95,total_tokens"
)
_METRICS: Final = Field(
    description="What to measure, separated by commas: such as `requests`, `total_tokens`, or a column with a "
    "statistic (`mean`, `min`, `max`, `sum`, `count`, `p0.1` to `p99.9`), as in `response_time_ms.p95`.",
    examples=["requests,success_rate,response_time_ms.p95"],
)
_TIMEZONE: Final = Field(
    description="IANA time zone whose clocks and calendar divide time.", examples=["Europe/Berlin", "UTC"]
)
_SLO: Final = Field(
    description="What a good request keeps to, for `goodput`; several must all be met.",
    examples=[["time_to_first_token_ms<500"]],
)
_ORDER: Final = Field(
    description="A metric or dimension of the query to sort by; descending with `-` in front.", examples=["-requests"]
)
_DIMENSION: Final = "such as `model`, `origin`, `hour_of_day`, `tag:<key>` or `bin:<column>`"
_BUCKET: Final = Field(
    description="Length of the buckets of time; one that suits the range without it.",
    json_schema_extra={"enum": list(BUCKETS)},
)


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text is not None else ()


class _MeasuringParameters(FilterParameters):
    """What all of them have: a zone and SLOs."""

    timezone: Annotated[_Name, _TIMEZONE] = "UTC"
    slo: Annotated[_Slos | _Absent, _SLO] = None

    def _query(self, metrics: str, group_by: tuple[str, ...], **more: Any) -> Query:
        return Query(
            metrics=_split(metrics),
            group_by=group_by,
            filter=self.to_filter(),
            timezone=self.timezone,
            slos=tuple(parse_slo(text) for text in self.slo or ()),
            **more,
        )


class QueryParameters(_MeasuringParameters):
    """The whole of ``Query``."""

    metrics: Annotated[_Names, _METRICS] = "requests"
    group_by: Annotated[
        _Names | _Absent,
        Field(description=f"Dimensions, separated by commas: `time`, {_DIMENSION}.", examples=["time,model"]),
    ] = None
    bucket: Annotated[_Name | _Absent, _BUCKET] = None
    order: Annotated[_Name | _Absent, _ORDER] = None
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="Groups shown; all others are one row together.")] = 100
    compare: Annotated[Flag, Field(description="Add the values of the period of the same length before.")] = False

    def to_query(self) -> Query:
        """The query value. Raises ``QueryError``."""
        shape = {"bucket": self.bucket, "order": self.order, "limit": self.limit, "compare": bool(self.compare)}
        return self._query(self.metrics, _split(self.group_by), **shape)


class TimeseriesParameters(_MeasuringParameters):
    """Metrics over time."""

    metrics: Annotated[_Names, _METRICS] = EVERYDAY
    by: Annotated[_Name | _Absent, Field(description=f"One series per value of this dimension, {_DIMENSION}.")] = None
    bucket: Annotated[_Name | _Absent, _BUCKET] = None
    order: Annotated[_Name | _Absent, _ORDER] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LINES, description="Series shown; all others are one together.")] = 10
    compare: Annotated[Flag, Field(description="Add the values of the period of the same length before.")] = False

    def to_query(self) -> Query:
        """The query value. Raises ``QueryError``."""
        shape = {"bucket": self.bucket, "order": self.order, "limit": self.limit, "compare": bool(self.compare)}
        return self._query(self.metrics, ("time", *_split(self.by)), **shape)


class BreakdownParameters(_MeasuringParameters):
    """Metrics by one or several dimensions."""

    by: Annotated[_Names, Field(description=f"Dimensions, separated by commas, {_DIMENSION}.")] = "model"
    metrics: Annotated[_Names, _METRICS] = EVERYDAY
    order: Annotated[_Name | _Absent, _ORDER] = None
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="Groups shown; all others are one row together.")] = 100
    compare: Annotated[Flag, Field(description="Add the values of the period of the same length before.")] = False

    def to_query(self) -> Query:
        """The query value. Raises ``QueryError``."""
        shape = {"order": self.order, "limit": self.limit, "compare": bool(self.compare)}
        return self._query(self.metrics, _split(self.by), **shape)


class CompareParameters(_MeasuringParameters):
    """Metrics of a period and of the one before."""

    start: Annotated[
        _Moment,
        Field(
            description="Where the period begins. ISO 8601; a time without a zone is UTC.",
            examples=["2026-01-31T12:00:00Z", "2026-01-31"],
            json_schema_extra={"anyOf": [{"format": "date-time"}, {"format": "date"}]},
        ),
    ]
    by: Annotated[_Names | _Absent, Field(description=f"Dimensions, separated by commas, {_DIMENSION}.")] = None
    metrics: Annotated[_Names, _METRICS] = EVERYDAY
    order: Annotated[_Name | _Absent, _ORDER] = None
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS, description="Groups shown; all others are one row together.")] = 100

    def to_query(self) -> Query:
        """The query value. Raises ``QueryError``."""
        return self._query(self.metrics, _split(self.by), order=self.order, limit=self.limit, compare=True)


class DistributionParameters(FilterParameters):
    """The values of one metric."""

    metric: Annotated[_Name, Field(description="A column with numbers, such as `response_time_ms`.")] = (
        "response_time_ms"
    )

    def to_query(self) -> DistributionQuery:
        """The query value. Raises ``QueryError``."""
        return DistributionQuery(metric=self.metric, filter=self.to_filter())


class HeatmapParameters(_MeasuringParameters):
    """One metric over two dimensions."""

    metric: Annotated[_Name, Field(description="One metric, as in /api/v1/query.", examples=["requests"])] = "requests"
    x: Annotated[_Name, Field(description=f"The dimension across: `time`, {_DIMENSION}.")] = "hour_of_day"
    y: Annotated[_Name, Field(description=f"The dimension down: `time`, {_DIMENSION}.")] = "weekday"
    bucket: Annotated[_Name | _Absent, _BUCKET] = None
    limit: Annotated[
        int, Field(ge=1, le=MAX_LINES, description="Of words, such as models: how many lines, the most frequent first.")
    ] = 20

    def to_query(self) -> HeatmapQuery:
        """The query value. Raises ``QueryError``."""
        return HeatmapQuery(
            metric=self.metric,
            x=self.x,
            y=self.y,
            filter=self.to_filter(),
            bucket=self.bucket,
            timezone=self.timezone,
            limit=self.limit,
            slos=tuple(parse_slo(text) for text in self.slo or ()),
        )
