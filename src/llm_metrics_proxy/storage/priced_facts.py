"""What a price depends on, read from stored records of any file, and the statement that stores a cost."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.storage.affinity import ColumnAccess, as_stored

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


class StoredFacts(NamedTuple):
    """What a price depends on, if it fits its column: an adopted file may hold anything."""

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


_TEXTS: Final = StoredFacts._fields[: StoredFacts._fields.index("prompt_tokens")]
_COSTS: Final = ("cost_usd", "cost_source")


def selected(there: Collection[str]) -> list[str]:
    """SQL of each fact and of the cost, in a table that has the columns ``there``.

    Text is read as bytes: in an adopted file it may be no Unicode.
    """
    as_bytes = "iif(typeof({0}) = 'text', CAST({0} AS BLOB), NULL)"
    columns = (*StoredFacts._fields, *_COSTS)
    return [(as_bytes if name in _TEXTS else "{0}").format(name) if name in there else "NULL" for name in columns]


def facts_of(values: Sequence[Any], encoding: str) -> StoredFacts:
    """The facts out of what ``selected`` has read."""
    texts = [None if text is None else text.decode(encoding, "replace") for text in values[: len(_TEXTS)]]
    *counts, reported = values[len(_TEXTS) :]
    counts = [_whole(value) for value in counts]
    if texts[0] is None or not _MOMENT.fullmatch(texts[0]):
        counts[0] = None  # which prices held then is unknown
    cost = reported if isinstance(reported, int | float) else None
    return StoredFacts._make((texts[0] or "", *texts[1:], *counts, cost))


def cost_update(kept: Mapping[str, ColumnAccess]) -> str:
    """The statement that gives a record its cost, by whom, and its id as ``?1`` to ``?3``, in a file whose columns
    are kept so."""
    cost, source = as_stored(kept, "cost_usd", "?1"), as_stored(kept, "cost_source", "?2")
    return f"UPDATE main.completion_requests SET cost_usd = {cost}, cost_source = {source} WHERE id = ?3"  # noqa: S608


def _whole(value: Any) -> int | None:
    """1500.0 is a count too: some programs keep counts in columns of REAL."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < 2**40 else None
