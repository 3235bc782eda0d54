"""The source that reads the records themselves: exact, and as slow as the range is long.

One statement for all plans. For each, an inner SELECT reads every selected record once: its keys and the values that
the metrics need, cleaned of what is no number. Around it one SELECT groups them, and one counts the versions. Time
buckets are found by comparing the stored text with boundaries, so no record's time is parsed.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import isfinite
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.dimensions import IN_TIME, dimension, search
from llm_metrics_proxy.analytics.filters import READABLE, UNIX_S, Clause, stored_time, where
from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.rows import columns_there, read, whole_table
from llm_metrics_proxy.analytics.source import QueryPlan, ResultGroup, SourceResult
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.storage.base import Reader

MAX_GROUPS: Final = 50_000  # rows of a group are held in memory, about 1 KB each
# Whole microseconds where the time has the form in which it is stored; SQLite itself knows milliseconds only.
_UNIX_US: Final = (
    "iif(length(timestamp) = 27, unixepoch(timestamp) * 1000000 + CAST(substr(timestamp, 21, 6) AS INTEGER), "
    "CAST(round(unixepoch(timestamp, 'subsec') * 1000000) AS INTEGER))"
)
_LONGEST_MS: Final = 10**12  # thirty years: a sum of two times stays a whole number
_OPEN_US: Final = (
    f"iif({READABLE} AND +response_time_ms BETWEEN 0 AND {_LONGEST_MS}, "
    "max(CAST(round(response_time_ms * 1000) AS INTEGER), 1), NULL)"
)
_COUNTS: Final = {
    "requests": "count(*)",
    "succeeded": "count(*) FILTER (WHERE success = 1)",
    "failed": "count(*) FILTER (WHERE success = 0)",
    "good": "count(*) FILTER (WHERE good)",
}
_MOMENTS: Final = ("count", "sum", "min", "max")
_GROUP, _PEAK, _VERSION = "group", "peak", "version"


class ExactStats(NamedTuple):
    """``source.ColumnStats`` with the percentiles that were asked for, by fraction; none after merging."""

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
        both = (self.sum, other.sum)
        total = None if None in both else sum(both)  # type: ignore[arg-type]
        least, most = min(self.min, other.min), max(self.max, other.max)  # type: ignore[type-var]
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

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def can_answer(self, plan: QueryPlan) -> bool:  # noqa: ARG002 -- it can answer any
        """Records tell everything."""
        return True

    def is_worth_it(self, plan: QueryPlan) -> bool:  # noqa: ARG002
        """There is no other source after it."""
        return True

    def describe(self, plan: QueryPlan) -> str:  # noqa: ARG002
        """It reads the same of every plan."""
        return "every record of the range"

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
        names = columns_there(self._reader)
        compiled = [_Compiled(index, plan, names) for index, plan in enumerate(plans)]
        keys = max(1, *(len(plan.group_by) for plan in plans))
        values = max(1, *(len(one.values) for one in compiled))
        chosen = [one.chosen() for one in compiled]
        counted = [[other.filter for other in plans].index(plan.filter) for plan in plans]  # each filter once
        selects = [
            select
            for index, one in enumerate(compiled)
            for select in one.selects(keys, values, versions=counted[index] == index)
        ]
        sql = f"WITH {', '.join(clause.sql for clause in chosen)} {' UNION ALL '.join(each.sql for each in selects)}"
        parameters = tuple(chain.from_iterable(clause.parameters for clause in (*chosen, *selects)))
        rows = read(self._reader, sql, parameters, columns=2 + keys + values)
        readings = [one.reading([row for row in rows if row[0] == index], keys) for index, one in enumerate(compiled)]
        return [
            SourceResult(reading.groups, readings[first].versions)
            for reading, first in zip(readings, counted, strict=True)
        ]


class _Compiled:
    """One plan as SQL, and its rows as a reading."""

    def __init__(self, index: int, plan: QueryPlan, names: Mapping[str, str]) -> None:
        self._index, self._plan = index, plan
        self._records = whole_table(names)
        self._keys = [f"k{number}" for number in range(len(plan.group_by))]
        self._counts = ("requests", *sorted(plan.needs.counts))
        self._columns = sorted(plan.needs.moments)
        self._fractions = {
            column: sorted(fraction for name, fraction in plan.needs.quantiles if name == column)
            for column in self._columns
        }

    @property
    def values(self) -> list[str]:
        """The aggregates, in the order in which ``_partial`` takes them."""
        found = [_COUNTS[name] for name in self._counts]
        for column in self._columns:
            found += [f"{function}(v_{column})" for function in _MOMENTS]
            found += [f"percentile_cont(v_{column}, {fraction!r})" for fraction in self._fractions[column]]
        return found

    def chosen(self) -> Clause:
        """The selected records: keys, and values that are NULL where they are no numbers.

        ``LIMIT -1`` limits nothing: it keeps SQLite from flattening the query, so that each value is checked once.
        """
        plan = self._plan
        parts = [self._key(name) for name in plan.group_by]
        shown = [f"{part.sql} AS {key}" for part, key in zip(parts, self._keys, strict=True)]
        shown += [f"{FIELDS[column].sql} AS v_{column}" for column in self._columns]
        if plan.needs.counts & {"succeeded", "failed"}:
            shown.append("success")
        if "good" in plan.needs.counts:
            parts += [Clause(slo.condition, (slo.limit,)) for slo in plan.slos]
            shown.append(f"success = 1 AND {' AND '.join(slo.condition for slo in plan.slos)} AS good")
        if plan.needs.peak:
            shown.append(f"{_OPEN_US} AS open_us, {_UNIX_US} AS began_us")
        clause = where(plan.filter)
        # S608: every name comes from our own tables; values only ever travel as parameters.
        sql = (
            f"chosen{self._index} AS (SELECT {', '.join(shown) or '1'} FROM "  # noqa: S608
            f"{self._records}{clause.sql} LIMIT -1)"
        )
        return Clause(sql, tuple(chain.from_iterable(part.parameters for part in parts)) + clause.parameters)

    def _key(self, name: str) -> Clause:
        plan = self._plan
        if name == "time":
            pieces = sorted((*span, index) for index, bucket in enumerate(plan.buckets) for span in bucket.spans)
            edges = [stored_time(begin) for begin, _, _ in pieces] + [stored_time(pieces[-1][1])] if pieces else []
            return search("timestamp", edges, [None, *(index for *_, index in pieces), *([None] if pieces else [])])
        if name in IN_TIME:
            return self._local(name)
        asked = dimension(name)
        return Clause(asked.sql, asked.parameters)

    def _local(self, name: str) -> Clause:
        """Hour or weekday: Unix seconds and the offset that holds then, counted from a Thursday."""
        cut = self._plan.segments
        edges = [stored_time(segment.start) for segment in cut] + [stored_time(cut[-1].end)] if cut else []
        offsets = [round(segment.offset.total_seconds()) for segment in cut]
        offset = search("timestamp", edges, [None, *offsets, *([None] if cut else [])])
        local_s = f"({UNIX_S} + {offset.sql})"
        sql = f"{local_s} / 3600 % 24" if name == "hour_of_day" else f"({local_s} / 86400 + 3) % 7 + 1"
        return Clause(sql, offset.parameters)

    def selects(self, keys: int, values: int, *, versions: bool) -> Iterator[Clause]:
        """Groups, peaks, and versions if asked for: each so many keys and values wide."""
        table = f"chosen{self._index}"
        by = f"GROUP BY {', '.join(self._keys)}" if self._keys else ""
        shown = ", ".join([*self._keys, *["NULL"] * (keys - len(self._keys))])
        padded = ", ".join([*self.values, *["NULL"] * (values - len(self.values))])
        rest = ", NULL" * (values - 1)
        start = f"SELECT * FROM (SELECT {self._index}"  # noqa: S608
        yield Clause(f"{start}, '{_GROUP}', {shown}, {padded} FROM {table} {by} LIMIT {MAX_GROUPS + 1})", ())
        if self._plan.needs.peak:
            yield Clause(f"{start}, '{_PEAK}', {shown}, max(open){rest} FROM {self._running()} {by})", ())
        if not versions:
            return
        clause = where(self._plan.filter)
        version = f"app_version{', NULL' * (keys - 1)}, count(*){rest}"
        yield Clause(
            f"{start}, '{_VERSION}', {version} FROM {self._records}{clause.sql} GROUP BY app_version)",
            clause.parameters,
        )

    def _running(self) -> str:
        """Beginnings of requests with how many were open then, itself among them.

        Everything that began and ended is put in order; of one moment, ends come first, and beginnings count together.
        """
        named = list(zip(self._plan.group_by, self._keys, strict=True))
        apart = [key for name, key in named if name not in IN_TIME]
        begins = "".join(f"{key}, " for _, key in named)
        ends = "".join(f"{'NULL' if name in IN_TIME else key}, " for name, key in named)
        table = f"chosen{self._index}"
        events = (
            f"SELECT {begins}began_us AS at_us, 1 AS step FROM {table} WHERE open_us NOT NULL AND began_us NOT NULL "  # noqa: S608
            f"UNION ALL SELECT {ends}began_us + open_us, -1 FROM {table} WHERE open_us NOT NULL AND began_us NOT NULL"
        )
        partition = f"PARTITION BY {', '.join(apart)} " if apart else ""
        running = f"SELECT {begins}step, sum(step) OVER ({partition}ORDER BY at_us, step) AS open FROM ({events})"  # noqa: S608
        return f"(SELECT * FROM ({running}) WHERE step = 1)"  # noqa: S608

    def reading(self, rows: Sequence[Sequence[Any]], keys: int) -> SourceResult:
        """The rows of this plan, which are ``keys`` keys wide."""
        width = len(self._keys)
        found: dict[str, list[Sequence[Any]]] = {_GROUP: [], _PEAK: [], _VERSION: []}
        for row in rows:
            found[row[1]].append(row)
        if len(found[_GROUP]) > MAX_GROUPS:
            raise QueryError(
                "group_by",
                f"there are more than {MAX_GROUPS} groups; ask for a shorter range, a filter, or fewer dimensions",
            )
        peaks = {tuple(row[2 : 2 + width]): row[2 + keys] for row in found[_PEAK]}
        groups: dict[tuple[Any, ...], ExactAggregates] = {}
        for row in found[_GROUP]:
            key = tuple(row[2 : 2 + width])
            partial = self._partial(iter(row[2 + keys :]), peaks.get(key))
            # two texts that are no Unicode may read alike
            groups[key] = groups[key].merged(partial) if key in groups else partial
        versions = [(row[2], row[2 + keys]) for row in found[_VERSION]]
        return SourceResult([ResultGroup(key, partial) for key, partial in groups.items()], versions)

    def _partial(self, values: Iterator[Any], peak: int | None) -> ExactAggregates:
        counts = {name: next(values) for name in self._counts}
        columns = {}
        for column in self._columns:
            n, total, least, most = (next(values) for _ in _MOMENTS)
            quantiles = {fraction: _finite(next(values)) for fraction in self._fractions[column]}
            columns[column] = ExactStats(n, _finite(total), least, most, quantiles)
        return ExactAggregates(counts, columns, peak)


def _finite(value: float | None) -> float | None:
    """Sums of what is close to the largest number are none."""
    return value if value is not None and isfinite(value) else None
