"""Groups as an engine that reads the records themselves gives them: exact. Pure."""

from collections.abc import Mapping
from math import isfinite
from typing import Final, NamedTuple

from llm_metrics_proxy.errors import QueryError

MAX_GROUPS: Final = 50_000  # rows of a group are held in memory, about 1 KB each


DISTINCT: Final = frozenset({"priced_sessions"})  # of ``Needs.counts``: cannot be added up


class ExactStats(NamedTuple):
    """``source.ColumnStats`` with the requested percentiles, by fraction; none after merging."""

    n: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    quantiles: Mapping[float, float | None] = {}

    def quantile(self, fraction: float) -> float | None:
        """Linear between the two nearest values (SQL's ``percentile_cont``)."""
        return self.quantiles.get(fraction)

    def merged(self, other: "ExactStats") -> "ExactStats":
        """Of both together; of nothing and something, that."""
        if not self.n or not other.n:
            return self if self.n else other
        total = None if self.sum is None or other.sum is None else self.sum + other.sum
        least = None if self.min is None or other.min is None else min(self.min, other.min)
        most = None if self.max is None or other.max is None else max(self.max, other.max)
        return ExactStats(self.n + other.n, total, least, most)


class ExactAggregates(NamedTuple):
    """``source.Aggregates`` of records."""

    counts: Mapping[str, int]
    columns: Mapping[str, ExactStats]
    most_open: int | None = None

    def count(self, name: str) -> int:
        """How many."""
        return self.counts.get(name, 0)

    def moments(self, column: str) -> ExactStats:
        """Of one column."""
        return self.columns.get(column, ExactStats())

    def peak(self) -> int | None:
        """The most requests open at once."""
        return self.most_open

    def merged(self, other: "ExactAggregates") -> "ExactAggregates":
        """Both together; percentiles, peaks and sessions of parts say nothing of the whole."""
        counts = {
            name: self.count(name) + other.count(name)
            for name in {**self.counts, **other.counts}
            if name not in DISTINCT
        }
        columns = {name: self.moments(name).merged(other.moments(name)) for name in {**self.columns, **other.columns}}
        return ExactAggregates(counts, columns)


def finite(value: float | None) -> float | None:
    """Sums near the largest number overflow, and are ``None``."""
    return value if value is not None and isfinite(value) else None


def refuse_many(groups: int) -> None:
    """Raise ``QueryError`` for more groups than are held in memory; an engine reads one more than ``MAX_GROUPS``."""
    if groups > MAX_GROUPS:
        raise QueryError(
            "group_by",
            f"there are more than {MAX_GROUPS} groups; ask for a shorter range, a filter, or fewer dimensions",
        )
