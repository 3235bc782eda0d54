"""Which of the sources of an engine answers (``records.Records.sources``)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from llm_metrics_proxy.analytics.filters import aware
from llm_metrics_proxy.analytics.source import QueryPlan, Source


def source_for(sources: Sequence[Source], plans: Sequence[QueryPlan]) -> Source:
    """The first that can answer all plans and is worth asking for one of them, else the last. Raises ``StoreError``."""
    return next((one for one in sources if _suits(one, plans)), sources[-1])


def _suits(source: Source, plans: Sequence[QueryPlan]) -> bool:
    return all(source.can_answer(plan) for plan in plans) and any(source.is_worth_it(plan) for plan in plans)


def whole_span(sources: Iterable[Source]) -> tuple[datetime, datetime] | None:
    """What all sources together cover. Raises ``StoreError``."""
    spans = [span for source in sources if (span := source.span()) is not None]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def pruned_before(sources: Sequence[Source], source: Source, starts: Iterable[datetime | None]) -> datetime | None:
    """Until when records of ranges that begin at ``starts`` were deleted, so that only other sources know of them.

    Raises ``StoreError``.
    """
    if source is not sources[-1]:
        return None
    begins = [aware(start) for start in starts if start is not None]
    ends = [span[1] for one in sources[:-1] if (span := one.span()) is not None]
    return max((end for end in ends if any(start < end for start in begins)), default=None)
