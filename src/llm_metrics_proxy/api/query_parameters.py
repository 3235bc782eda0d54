"""Parameters of the routes that ask queries, and how they become query values.

Lists are words separated by commas. What they may be is refused by the query values themselves, whose messages say what
was probably meant; here are only their lengths.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from llm_metrics_proxy.analytics.calendar import BUCKETS, WEEKDAYS
from llm_metrics_proxy.analytics.changes import MAX_CHANGES, ChangesQuery
from llm_metrics_proxy.analytics.costs import CostsQuery
from llm_metrics_proxy.analytics.distribution import DistributionQuery
from llm_metrics_proxy.analytics.heatmap import MAX_LINES, HeatmapQuery
from llm_metrics_proxy.analytics.query import MAX_ROWS, Query
from llm_metrics_proxy.analytics.slos import MAX_SLOS, parse_slo
from llm_metrics_proxy.api.parameters import FilterParameters, Flag
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export import RESULT_FORMATS

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
_WEEK_START: Final = Field(
    description="The day on which weeks begin, in buckets and wherever weekdays stand in order.",
    json_schema_extra={"enum": list(WEEKDAYS)},
)
_BEGINS: Final = Field(
    description="Where the period begins. ISO 8601; a time without a zone is UTC.",
    examples=["2026-01-31T12:00:00Z", "2026-01-31"],
    json_schema_extra={"anyOf": [{"format": "date-time"}, {"format": "date"}]},
)
_Metrics = Annotated[_Names, _METRICS]
_Bucket = Annotated[_Name | _Absent, _BUCKET]
_Order = Annotated[_Name | _Absent, _ORDER]
_Groups = Annotated[int, Field(ge=1, le=MAX_ROWS, description="Groups shown; all others are one row together.")]
_Compare = Annotated[Flag, Field(description="Add the values of the period of the same length before.")]


JSON: Final = "json"
_QUERY_FORMATS: Final = (JSON, *RESULT_FORMATS)
_SHAPE: Final = ("bucket", "order", "limit", "compare")  # fields of a query that a route may have


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",")) if text is not None else ()


class _MeasuringParameters(FilterParameters):
    """What all of them have: a zone, where weeks begin, and SLOs."""

    timezone: Annotated[_Name, _TIMEZONE] = "UTC"
    week_start: Annotated[_Name, _WEEK_START] = WEEKDAYS[0]
    slo: Annotated[_Slos | _Absent, _SLO] = None

    def _shared(self) -> dict[str, Any]:
        slos = tuple(parse_slo(text) for text in self.slo or ())
        return {
            "filter": self.to_filter(),
            "timezone": self.timezone,
            "slos": slos,
            "week_start": self.week_start,
        }


class _QueryParameters(_MeasuringParameters):
    """What becomes a ``Query``: each says which of its fields can be chosen."""

    first: ClassVar[tuple[str, ...]] = ()  # dimensions before those that are chosen

    def to_query(self) -> Query:
        """The query value. Raises ``QueryError``."""
        shape = {name: getattr(self, name) for name in _SHAPE if hasattr(self, name)}
        by = _split(getattr(self, "group_by", None) or getattr(self, "by", None))
        return Query(metrics=_split(self.metrics), group_by=(*self.first, *by), **shape, **self._shared())


class QueryParameters(_QueryParameters):
    """The whole of ``Query``."""

    metrics: _Metrics = "requests"
    group_by: Annotated[
        _Names | _Absent,
        Field(description=f"Dimensions, separated by commas: `time`, {_DIMENSION}.", examples=["time,model"]),
    ] = None
    bucket: _Bucket = None
    order: _Order = None
    limit: _Groups = 100
    compare: _Compare = False
    format: Annotated[
        _Name | _Absent,
        Field(
            description="What the answer comes as; without it the header Accept decides, and JSON where that is open. "
            "`arrow` is Arrow's streaming format.",
            json_schema_extra={"enum": list(_QUERY_FORMATS)},
        ),
    ] = None

    def checked_format(self) -> str | None:
        """Raises ``QueryError`` if there is no such format."""
        if self.format is not None and self.format not in _QUERY_FORMATS:
            known = ", ".join(_QUERY_FORMATS)
            raise QueryError("format", f"there is no format {self.format[:64]!r}; there are: {known}")
        return self.format


class TimeseriesParameters(_QueryParameters):
    """Metrics over time."""

    first = ("time",)
    metrics: _Metrics = EVERYDAY
    by: Annotated[_Name | _Absent, Field(description=f"One series per value of this dimension, {_DIMENSION}.")] = None
    bucket: _Bucket = None
    order: _Order = None
    limit: Annotated[int, Field(ge=1, le=MAX_LINES, description="Series shown; all others are one together.")] = 10
    compare: _Compare = False


class BreakdownParameters(_QueryParameters):
    """Metrics by one or several dimensions."""

    by: Annotated[_Names, Field(description=f"Dimensions, separated by commas, {_DIMENSION}.")] = "model"
    metrics: _Metrics = EVERYDAY
    order: _Order = None
    limit: _Groups = 100
    compare: _Compare = False


class CompareParameters(_QueryParameters):
    """Metrics of a period and of the one before."""

    compare: ClassVar[bool] = True
    start: Annotated[_Moment, _BEGINS]
    by: Annotated[_Names | _Absent, Field(description=f"Dimensions, separated by commas, {_DIMENSION}.")] = None
    metrics: _Metrics = EVERYDAY
    order: _Order = None
    limit: _Groups = 100


class ChangesParameters(FilterParameters):
    """What changed since the period before."""

    start: Annotated[_Moment, _BEGINS]
    timezone: Annotated[_Name, _TIMEZONE] = "UTC"
    limit: Annotated[int, Field(ge=1, le=MAX_CHANGES, description="Changes told, the weightiest first.")] = 6

    def to_query(self) -> ChangesQuery:
        """The query value. Raises ``QueryError``."""
        return ChangesQuery(filter=self.to_filter(), timezone=self.timezone, limit=self.limit)


class CostsParameters(FilterParameters):
    """Costs, by what."""

    by: Annotated[_Names, Field(description=f"Dimensions of the rows, separated by commas, {_DIMENSION}.")] = "model"
    timezone: Annotated[_Name, _TIMEZONE] = "UTC"
    limit: _Groups = 50

    def to_query(self) -> CostsQuery:
        """The query value. Raises ``QueryError``."""
        return CostsQuery(filter=self.to_filter(), by=_split(self.by), timezone=self.timezone, limit=self.limit)


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
    bucket: _Bucket = None
    limit: Annotated[
        int, Field(ge=1, le=MAX_LINES, description="Of words, such as models: how many lines, the most frequent first.")
    ] = 20

    def to_query(self) -> HeatmapQuery:
        """The query value. Raises ``QueryError``."""
        shape = {name: getattr(self, name) for name in ("metric", "x", "y", "bucket", "limit")}
        return HeatmapQuery(**shape, **self._shared())
