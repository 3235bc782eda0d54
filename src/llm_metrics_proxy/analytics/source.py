"""What answers a query: the protocol between planning and the tables that hold the numbers.

Planning turns a ``Query`` into a ``QueryPlan``: one period, what to group by, and what has to be known of each group. A
source gives, for one or several plans and from one snapshot, a ``SourceResult`` each: groups with ``Aggregates``, from
which all metrics are calculated (see ``measures``). One that reads the records themselves knows everything; one that
reads what was counted before says of what it cannot know (``can_answer``) that it cannot.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from llm_metrics_proxy.analytics.arrivals import ArrivalRange
from llm_metrics_proxy.analytics.calendar import Segment, TimeBucket
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.slos import Slo


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a source must find out about every group, besides how many records it has."""

    # Of: succeeded, failed, errors (has an error_category), good (succeeded, and meets every SLO of the plan),
    # priced_sessions (different sessions of the records that have a cost; 0 for groups that were merged).
    counts: frozenset[str] = frozenset()
    moments: frozenset[str] = frozenset()  # columns of ``measures.FIELDS``: n and sum
    extremes: frozenset[str] = frozenset()  # columns of moments: min and max too
    quantiles: frozenset[tuple[str, float]] = frozenset()  # column and fraction; the column is in moments too
    peak: bool = False  # the most requests open at once
    # Of: oldest, newest (as stored), first_s, last_s (Unix seconds); or newest_error alone.
    times: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        return Needs(**{name: getattr(self, name) | getattr(other, name) for name in Needs.__struct_fields__})


class QueryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a query, resolved: everything that a source must know, and no more.

    ``filter`` has the conditions with its own start and end, which may be open. ``start`` and ``end`` say which range
    the answer is about; they are aware and in UTC, or ``None`` where no record has a time, or the plan is about none.
    """

    filter: RequestFilter
    start: datetime | None = None
    end: datetime | None = None
    group_by: tuple[str, ...] = ()  # names of ``dimensions``, each once
    needs: Needs = Needs()
    buckets: tuple[TimeBucket, ...] = ()  # of the dimension `time`
    segments: tuple[Segment, ...] = ()  # of constant offset from UTC, for `hour_of_day` and `weekday`
    slos: tuple[Slo, ...] = ()
    arrived: ArrivalRange | None = None  # only records of this range
    # Dimensions of other plans of the answer: where buckets reach beyond the range, all of them count the same records.
    adds_up_with: tuple[str, ...] = ()
    most_errors: int | None = None  # how many groups are enough: those with most errors, of those that have any
    by_version: bool = True  # whether ``SourceResult.versions`` is needed


class ColumnStats(Protocol):
    """One column over a group: of ``n`` records that have a finite value. All else is ``None`` where ``n`` is 0."""

    @property
    def n(self) -> int:
        """Records that have the value."""

    @property
    def sum(self) -> float | None:
        """Their sum; whole numbers stay whole."""

    @property
    def min(self) -> float | None:
        """The smallest, with ``Needs.extremes``."""

    @property
    def max(self) -> float | None:
        """The largest, with ``Needs.extremes``."""

    def quantile(self, fraction: float) -> float | None:
        """Linear between the two nearest values, or within ``Source.relative_error`` of it; ``None``: not known, as
        for groups of exact percentiles that were merged."""


class Aggregates(Protocol):
    """What is known of one group; as many as needed can be merged into one."""

    def count(self, name: str) -> int:
        """``requests``, or one of ``Needs.counts``."""

    def moments(self, column: str) -> ColumnStats:
        """Of one column of ``Needs.moments``."""

    def peak(self) -> int | None:
        """The most requests open at once; ``None`` where that is not known, as for merged groups."""

    def merged(self, other: Self) -> Self:
        """This group and the other as one."""


class ResultGroup(NamedTuple):
    """``key`` has one value per name of ``QueryPlan.group_by``; ``None``: records that have no such value.

    Of ``time`` it is the index in ``QueryPlan.buckets`` (``None``: the record has no time), of ``hour_of_day`` 0 to 23,
    of ``weekday`` 1 to 7, of ``streaming`` 0 or 1, of ``bin:<column>`` the index in ``dimensions.BIN_EDGES`` of where
    the bin begins (-1: below all), of ``status_code`` a number, of all else text.
    """

    key: tuple[Any, ...]
    partial: Aggregates


class SourceResult(NamedTuple):
    """The answer to one plan. ``versions``: records selected by the ``app_version`` that they carry, as stored.

    ``times``: those of ``Needs.times`` by key; what is ``None`` or not there is not known.
    """

    groups: Sequence[ResultGroup]
    versions: Sequence[tuple[Any, int]]
    times: Mapping[tuple[Any, ...], Mapping[str, Any]] = {}


class Source(Protocol):
    """Where numbers come from. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """``records``, ``rollups``, or ``both``."""

    @property
    def relative_error(self) -> float:
        """Of percentiles; 0 where they are exact."""

    @property
    def us_per_record(self) -> float:
        """About how long a plan takes for each record of its range; 0: it does not read them all."""

    def can_answer(self, plan: QueryPlan) -> bool:
        """Whether it has everything that the plan needs, at this moment. Raises ``StoreError``."""

    def is_worth_it(self, plan: QueryPlan) -> bool:
        """Whether it is better than the sources after it, of a plan that it can answer. Raises ``StoreError``."""

    def describe(self, plan: QueryPlan) -> str:
        """What it would read for the plan, or why it cannot answer it, for people. Raises ``StoreError``."""

    def span(self) -> tuple[datetime, datetime] | None:
        """A range that has every record stored that has a time, to the second; ``None``: there is none.

        Raises ``StoreError``.
        """

    def read(self, plans: Sequence[QueryPlan]) -> Iterable[SourceResult]:
        """One reading per plan, in their order, all from one snapshot.

        Raises ``StoreError``, and ``QueryError`` where a plan has more groups than are held in memory.
        """


class OfEveryRecord:
    """What a ``Source`` that reads the records themselves says: exact, of any plan, and the last one that is asked."""

    name = "records"
    relative_error = 0.0

    def can_answer(self, plan: QueryPlan) -> bool:  # noqa: ARG002 -- it can answer any
        """Records hold everything."""
        return True

    def is_worth_it(self, plan: QueryPlan) -> bool:  # noqa: ARG002
        """There is no other source after it."""
        return True

    def describe(self, plan: QueryPlan) -> str:  # noqa: ARG002
        """It reads the same of every plan."""
        return "records: every one of the range"
