"""The source that reads the records themselves: exact, and as slow as the range is long."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.filters import READABLE, UNIX_S
from llm_metrics_proxy.analytics.records_sql import GROUP, PEAK, VERSION, measured, statement, stats
from llm_metrics_proxy.analytics.rows import columns_there, read
from llm_metrics_proxy.analytics.source import QueryPlan, ResultGroup, SourceResult
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.storage.base import Snapshot

MAX_GROUPS: Final = 50_000  # rows of a group are held in memory, about 1 KB each


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
        """Both together; percentiles and peaks of parts say nothing of the whole."""
        counts = {name: self.count(name) + other.count(name) for name in {**self.counts, **other.counts}}
        columns = {name: self.moments(name).merged(other.moments(name)) for name in {**self.columns, **other.columns}}
        return ExactAggregates(counts, columns)


class RecordsSource:
    """``source.Source`` over ``completion_requests``."""

    name = "records"
    relative_error = 0.0

    def __init__(self, reader: Snapshot) -> None:
        self._reader = reader

    def can_answer(self, plan: QueryPlan) -> bool:  # noqa: ARG002 -- it can answer any
        """Records hold everything."""
        return True

    def is_worth_it(self, plan: QueryPlan) -> bool:  # noqa: ARG002
        """There is no other source after it."""
        return True

    def describe(self, plan: QueryPlan) -> str:  # noqa: ARG002
        """It reads the same of every plan."""
        return "records: every one of the range"

    def span(self) -> tuple[datetime, datetime] | None:
        """From the second of the oldest record to the one behind that of the newest."""
        one = f"SELECT {UNIX_S} AS unix_s FROM completion_requests WHERE {READABLE} AND unix_s NOT NULL"  # noqa: S608
        oldest, newest = (f"SELECT * FROM ({one} ORDER BY timestamp {way} LIMIT 1)" for way in ("ASC", "DESC"))  # noqa: S608
        found = [seconds for (seconds,) in self._reader.query(f"{oldest} UNION ALL {newest}")]
        if not found:
            return None
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + timedelta(seconds=min(found)), epoch + timedelta(seconds=max(found) + 1)

    def read(self, plans: Sequence[QueryPlan]) -> list[SourceResult]:
        """One statement for all. Raises ``StoreError``, and ``QueryError`` if a plan has over ``MAX_GROUPS``."""
        asked = statement(plans, columns_there(self._reader), MAX_GROUPS)
        width = 2 + asked.keys + asked.values
        found: dict[tuple[int, str], list[Sequence[Any]]] = {}
        for place, kind, *row in read(self._reader, asked.clause.sql, asked.clause.parameters, columns=width):
            found.setdefault((place, kind), []).append(row)
        return [
            _result(
                plan,
                [(tuple(row[: len(plan.group_by)]), row[asked.keys :]) for row in found.get((place, GROUP), ())],
                {tuple(row[: len(plan.group_by)]): row[asked.keys] for row in found.get((place, PEAK), ())},
                [(row[0], row[asked.keys]) for row in found.get((asked.versions[place], VERSION), ())],
            )
            for place, plan in enumerate(plans)
        ]


def _result(
    plan: QueryPlan,
    rows: Sequence[tuple[tuple[Any, ...], Sequence[Any]]],
    peaks: Mapping[tuple[Any, ...], int | None],
    versions: Sequence[tuple[Any, int]],
) -> SourceResult:
    if len(rows) > MAX_GROUPS:
        raise QueryError(
            "group_by",
            f"there are more than {MAX_GROUPS} groups; ask for a shorter range, a filter, or fewer dimensions",
        )
    names, columns_of = measured(plan), stats(plan)
    groups: dict[tuple[Any, ...], ExactAggregates] = {}
    times = {}
    for key, row in rows:
        values = iter(row)
        named = dict(zip(names, values, strict=False))
        columns = {
            column: ExactStats(*_stats(functions, values), {fraction: finite(next(values)) for fraction in fractions})
            for column, functions, fractions in columns_of
        }
        counts = {name: n or 0 for name, n in named.items() if name not in plan.needs.times}
        group = ExactAggregates(counts, columns, peaks.get(key))
        # two texts that are not Unicode may read alike
        groups[key] = groups[key].merged(group) if key in groups else group
        if plan.needs.times:
            times[key] = {name: named[name] for name in plan.needs.times}
    return SourceResult([ResultGroup(key, group) for key, group in groups.items()], versions, times)


def _stats(functions: Sequence[str], values: Iterator[Any]) -> tuple[int, float | None, float | None, float | None]:
    n, total, *extremes = (next(values) for _ in functions)
    least, most = extremes or (None, None)
    return n, finite(total), least, most


def finite(value: float | None) -> float | None:
    """Sums near the largest number overflow, and are ``None``."""
    return value if value is not None and isfinite(value) else None
