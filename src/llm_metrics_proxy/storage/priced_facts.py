"""What a price depends on, read from stored records."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.columns import MAX_COUNT

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


class StoredFacts(NamedTuple):
    """What a price depends on: columns by their names."""

    timestamp: str
    dialect: str | None
    backend: str | None
    backend_name: str | None
    model: str | None
    response_model: str | None
    service_tier: str | None
    usage_source: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cache_write_1h_tokens: int | None
    upstream_cost_usd: float | None
    backend_busy_ms: float | None = None


_FIRST_COUNT: Final = StoredFacts._fields.index("prompt_tokens")
_FIRST_NUMBER: Final = StoredFacts._fields.index("upstream_cost_usd")


def facts_of(values: Sequence[Any]) -> StoredFacts:
    """The facts out of the values of their columns, as an older program may have left them."""
    moment, *words = values[:_FIRST_COUNT]
    counts = [
        count if count is None or 0 <= count < MAX_COUNT else None for count in values[_FIRST_COUNT:_FIRST_NUMBER]
    ]
    if moment is None or not _MOMENT.fullmatch(moment):
        counts[0] = None  # which prices held then is unknown
    return StoredFacts._make((moment or "", *words, *counts, *values[_FIRST_NUMBER:]))
