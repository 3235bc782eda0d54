"""Ask a query: plan it, let a source read, and make rows of its groups."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from llm_metrics_proxy.analytics.dimensions import dimension
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.period import Period
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.ranking import rows_of
from llm_metrics_proxy.analytics.result import Result, ResultColumn
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.analytics.sources import pruned_before, source_for, whole_span
from llm_metrics_proxy.metrics_service import APP_VERSION

_RECORDS_ARE_AS_FAST: Final = "the range has few records, or most of it is at its edges; records are as fast"


def ask(sources: Sequence[Source], query: Query, now: datetime) -> Result:
    """The answer of the first source that has everything; the last one always answers. ``now`` is aware.

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
        columns=columns(query),
        rows=rows_of(
            planned.query,
            Period(planned.current, current),
            Period(planned.previous, previous) if planned.previous is not None and previous is not None else None,
            ranking,
        ),
        pruned_before=pruned_before(sources, source, [one.start for one in planned.plans]),
    )


def explain(sources: Sequence[Source], query: Query, now: datetime) -> list[str]:
    """How ``ask`` would answer: why not from an earlier source, and what is read for each plan. Raises as it does."""
    plans = plan(query, PlanningContext(whole_span(sources), now)).plans
    source = source_for(sources, plans)
    first = plans[0]
    passed_over = [
        _RECORDS_ARE_AS_FAST if one.can_answer(first) else one.describe(first)
        for one in sources[: sources.index(source)]
    ]
    return [*(f"not from roll-ups: {why}" for why in passed_over), *(f"from {source.describe(each)}" for each in plans)]


def columns(query: Query) -> list[ResultColumn]:
    """What each dimension and metric is."""
    dimensions = [dimension(name) for name in query.group_by]
    measures = [measure(name) for name in query.metrics]
    return [
        *(ResultColumn(name=one.name, kind="dimension", unit="", meaning=one.meaning) for one in dimensions),
        *(ResultColumn(name=one.name, kind="metric", unit=one.unit, meaning=one.meaning) for one in measures),
    ]
