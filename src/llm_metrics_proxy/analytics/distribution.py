"""How the values of one metric are spread: moments, percentiles, and a histogram whose bins do not depend on the data.

Percentiles and bins are two plans of one statement, and so from one snapshot.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.dimensions import BIN_EDGES
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.source import Source, SourceResult
from llm_metrics_proxy.analytics.sources import pruned_before, source_for, whole_span
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION

SHOWN: Final = ("0.1", "1", "5", "10", "25", "50", "75", "90", "95", "99", "99.9")  # percentiles


class DistributionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose values: a column of ``measures.FIELDS``. Raises ``QueryError``."""

    metric: str = "response_time_ms"
    filter: RequestFilter = RequestFilter()

    def __post_init__(self) -> None:
        if self.metric not in FIELDS:
            raise QueryError("metric", unknown("metric with a distribution", self.metric, FIELDS))


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Values from ``start`` to before ``end``; ``None``: without end to that side."""

    start: float | None
    end: float | None
    n: int
    share: float  # n / values


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """With ``n`` = 0 every statistic is ``None`` and there are no bins."""

    app_version: str
    query: DistributionQuery
    unit: str
    meaning: str
    start: datetime | None
    end: datetime | None
    source: str  # records, rollups or both
    relative_error: float  # of percentiles; 0: exact
    records: int  # selected
    history: History | None = None  # older records that are not counted here yet; null: none is missing
    n: int  # records that have the value
    coverage: float | None  # n / records
    mean: float | None
    min: float | None
    max: float | None
    percentiles: dict[str, float | None]  # p0.1 to p99.9
    bins: list[Bin]  # from the first to the last that has values, without gaps
    pruned_before: datetime | None = None  # of the range up to here, most records were deleted and are not in it


def distribute(sources: Sequence[Source], query: DistributionQuery, now: datetime) -> Histogram:
    """Raises ``StoreError``."""
    context = PlanningContext(whole_span(sources), now)
    metrics = tuple(f"{query.metric}.{statistic}" for statistic in ("min", "max", *(f"p{one}" for one in SHOWN)))
    whole = plan(Query(metrics=metrics, filter=query.filter), context).current
    bins = plan(Query(filter=query.filter, group_by=(f"bin:{query.metric}",)), context).current
    source = source_for(sources, (whole, bins))
    of_all, of_bins = source.read((whole, bins))
    moments = of_all.groups[0].partial.moments(query.metric)
    records = sum(n for _, n in of_all.versions)
    return Histogram(
        app_version=APP_VERSION,
        query=query,
        unit=FIELDS[query.metric].unit,
        meaning=FIELDS[query.metric].meaning,
        start=whole.start,
        end=whole.end,
        source=source.name,
        relative_error=source.relative_error,
        records=records,
        n=moments.n,
        coverage=moments.n / records if records else None,
        mean=moments.sum / moments.n if moments.sum is not None else None,
        min=moments.min,
        max=moments.max,
        percentiles={f"p{percent}": moments.quantile(round(float(percent) / 100, 6)) for percent in SHOWN},
        bins=_bins(of_bins),
        pruned_before=pruned_before(sources, source, [whole.start]),
    )


def _bins(reading: SourceResult) -> list[Bin]:
    counts = {index: group.partial.count("requests") for group in reading.groups for index in group.key}
    counts.pop(None, None)  # records without the value
    if not counts:
        return []
    values = sum(counts.values())
    found = []
    for index in range(min(counts), max(counts) + 1):
        start = BIN_EDGES[index] if index >= 0 else None
        end = BIN_EDGES[index + 1] if index + 1 < len(BIN_EDGES) else None
        n = counts.get(index, 0)
        found.append(Bin(start=start, end=end, n=n, share=n / values))
    return found
