"""Ask a query: plan it, let a source read, and make rows of its groups."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from llm_metrics_proxy.analytics.dimensions import dimension
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.period import Period
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.ranking import rows_of
from llm_metrics_proxy.analytics.result import Result, ResultColumn
from llm_metrics_proxy.analytics.source import QueryPlan, Source
from llm_metrics_proxy.analytics.versions import older_among
from llm_metrics_proxy.metrics_service import APP_VERSION


def ask(sources: Sequence[Source], query: Query, now: datetime) -> Result:
    """The answer of the first source that has it all; the last is asked in any case. ``now`` is aware.

    Raises ``QueryError`` and ``StoreError``.
    """
    planned = plan(query, PlanningContext(whole_span(sources), now))
    source = source_for(sources, planned.plans)
    readings = iter(source.read(planned.plans))
    current = next(readings)
    previous = next(readings) if planned.previous is not None else None
    ranking = next(readings) if planned.ranking is not None else None
    return Result(
        app_version=APP_VERSION,
        query=query,
        start=planned.current.start,
        end=planned.current.end,
        previous_start=planned.previous.start if planned.previous is not None else None,
        timezone=query.timezone,
        bucket=planned.query.bucket,
        source=source.name,
        relative_error=source.relative_error,
        records=sum(n for _, n in current.versions),
        older_records=older_among(current.versions),
        columns=columns(query),
        rows=rows_of(
            planned.query,
            Period(planned.current, current),
            Period(planned.previous, previous) if planned.previous is not None and previous is not None else None,
            ranking,
        ),
        pruned_before=pruned_before(sources, source, planned.plans),
    )


def explain(sources: Sequence[Source], query: Query, now: datetime) -> list[str]:
    """How ``ask`` would answer: what the chosen source reads for each plan. Raises as ``ask`` does."""
    plans = plan(query, PlanningContext(whole_span(sources), now)).plans
    source = source_for(sources, plans)
    others = [f"not from {one.name}: {one.describe(plans[0])}" for one in sources[: sources.index(source)]]
    return [*others, *(f"from {source.name}: {source.describe(each)}" for each in plans)]


def pruned_before(sources: Sequence[Source], source: Source, plans: Sequence[QueryPlan]) -> datetime | None:
    """Until when records of the range were deleted, and only other sources than this one still tell of them."""
    if source is not sources[-1]:
        return None
    starts = [plan.start for plan in plans if plan.start is not None]
    ends = [span[1] for one in sources[:-1] if (span := one.span()) is not None]
    return max((end for end in ends if any(start < end for start in starts)), default=None)


def whole_span(sources: Iterable[Source]) -> tuple[datetime, datetime] | None:
    """What all sources together cover."""
    spans = [span for source in sources if (span := source.span()) is not None]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def source_for(sources: Sequence[Source], plans: Sequence[QueryPlan]) -> Source:
    """The first that can answer all plans and is worth asking for one of them, else the last."""
    return next((one for one in sources if _suits(one, plans)), sources[-1])


def _suits(source: Source, plans: Sequence[QueryPlan]) -> bool:
    return all(source.can_answer(plan) for plan in plans) and any(source.is_worth_it(plan) for plan in plans)


def columns(query: Query) -> list[ResultColumn]:
    """What each dimension and metric is."""
    dimensions = [dimension(name) for name in query.group_by]
    measures = [measure(name) for name in query.metrics]
    return [
        *(ResultColumn(name=one.name, kind="dimension", unit="", meaning=one.meaning) for one in dimensions),
        *(ResultColumn(name=one.name, kind="metric", unit=one.unit, meaning=one.meaning) for one in measures),
    ]
