"""Who sees only some records, and the records as such a reader sees them.

``ScopedRecords`` has the face of ``Records`` and is all that such a reader's questions are given: whatever they ask,
and however, the scope's conditions are added here. Numbers by which records are told apart (arrivals) are those of all
records.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.ordering import Order
from llm_metrics_proxy.analytics.records import (
    EVERY,
    Carried,
    Only,
    OrderedPlace,
    Part,
    Place,
    Records,
    Row,
    SessionList,
    SessionPlace,
    SessionSums,
)
from llm_metrics_proxy.analytics.source import Needs, QueryPlan, Source, SourceResult

_TIMES: Final = Needs(times=frozenset({"first_s", "last_s"}))
_WHERE: Final = ("host", "arrival")


class ReadToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token that sees records which meet all ``conditions``, of which there is one at least. ``sha256``: its, hex."""

    name: str
    sha256: str
    conditions: tuple[Condition, ...]


class ScopedRecords:
    """``Records`` that meet the conditions, and no others. As safe to use from several threads as what it is over."""

    def __init__(self, records: Records, conditions: tuple[Condition, ...]) -> None:
        """``records`` stay their owner's."""
        if not conditions:
            raise ValueError("a scope without a condition would be none")
        self._records, self._conditions = records, conditions

    def sources(self) -> Sequence[Source]:
        """The same, each asked within the scope."""
        *others, last = self._records.sources()
        return (
            *(_ScopedSource(source, self._conditions, spans_records=False) for source in others),
            _ScopedSource(last, self._conditions, spans_records=True),
        )

    @contextmanager
    def moment(self) -> Iterator["ScopedRecords"]:
        """As of one moment."""
        with self._records.moment() as now:
            yield ScopedRecords(now, self._conditions)

    def page(
        self, selection: RequestFilter, names: Sequence[str], after: Place | None, limit: int, only: Only | None = None
    ) -> list[Row]:
        """Of the scope."""
        return self._records.page(_within(selection, self._conditions), names, after, limit, only)

    def get(self, names: Sequence[str], *, request_id: str | None = None, arrival: int | None = None) -> Row | None:
        """``None`` for one that is not of the scope, as for one that is not there. The engine itself says whether it
        is: it is found by its number, and asked for once more with the conditions."""
        found = self._records.get(_WHERE, request_id=request_id, arrival=arrival)
        if found is None:
            return None
        host, number = found
        hosts = self._records.newest().by_host
        key = next(iter(hosts)) if len(hosts) == 1 else host or ""
        one = ArrivalRange(Arrivals({key: number - 1}), Arrivals({key: number}))
        rows = self._records.arrived(_within(RequestFilter(), self._conditions), names, one, 1)
        return rows[0] if rows else None

    def newest(self) -> Arrivals:
        """Of all records."""
        return self._records.newest()

    def arrived(
        self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange, limit: int, *, newest: bool = False
    ) -> list[Row]:
        """Of the scope."""
        return self._records.arrived(_within(selection, self._conditions), names, within, limit, newest=newest)

    def each(self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange) -> Iterator[Part]:
        """Of the scope."""
        return self._records.each(_within(selection, self._conditions), names, within)

    def ordered(
        self, selection: RequestFilter, names: Sequence[str], order: Order, after: OrderedPlace | None, limit: int
    ) -> list[Row]:
        """Of the scope."""
        return self._records.ordered(_within(selection, self._conditions), names, order, after, limit)

    def sessions(self, asked: SessionList) -> list[tuple[SessionPlace, SessionSums]]:
        """Of a session that others share, what is of the scope."""
        selection, within = (_within(one, self._conditions) for one in (asked.selection, asked.within))
        return self._records.sessions(asked._replace(selection=selection, within=within))

    def started_by(self, session_id: str, limit: int, within: RequestFilter = EVERY) -> list[str]:
        """Of the scope."""
        return self._records.started_by(session_id, limit, _within(within, self._conditions))

    def of_session(self, session_id: str, names: Sequence[str], limit: int, within: RequestFilter = EVERY) -> list[Row]:
        """Of the scope."""
        return self._records.of_session(session_id, names, limit, _within(within, self._conditions))

    def epoch(self) -> int:
        """Of all records."""
        return self._records.epoch()

    def kept_from(self) -> datetime | None:
        """Of all records."""
        return self._records.kept_from()

    def carried(self) -> Carried | None:
        """Of all records: a reader has to know that older ones are missing still."""
        return self._records.carried()

    def check(self) -> None:
        """Whether records can be read."""
        self._records.check()

    def close(self) -> None:
        """They are their owner's."""


class _ScopedSource:
    """A source that is asked within the scope."""

    def __init__(self, source: Source, conditions: tuple[Condition, ...], *, spans_records: bool) -> None:
        self._source, self._conditions, self._spans_records = source, conditions, spans_records

    @property
    def name(self) -> str:
        """That of the source."""
        return self._source.name

    @property
    def relative_error(self) -> float:
        """That of the source."""
        return self._source.relative_error

    @property
    def us_per_record(self) -> float:
        """That of the source."""
        return self._source.us_per_record

    def can_answer(self, plan: QueryPlan) -> bool:
        """Whether the source can, with the conditions."""
        return self._source.can_answer(self._plan(plan))

    def is_worth_it(self, plan: QueryPlan) -> bool:
        """Whether the source is, with the conditions."""
        return self._source.is_worth_it(self._plan(plan))

    def describe(self, plan: QueryPlan) -> str:
        """What the source would read."""
        return self._source.describe(self._plan(plan))

    def span(self) -> tuple[datetime, datetime] | None:
        """Of the scope's records: when others began and ended is theirs to know. The sources before the last one say
        which days were pruned."""
        if not self._spans_records:
            return self._source.span()
        (result,) = self._source.read([self._plan(QueryPlan(filter=RequestFilter(), needs=_TIMES, by_version=False))])
        times = [known for known in result.times.values() if known.get("first_s") is not None]
        if not times:
            return None
        first, last = min(known["first_s"] for known in times), max(known["last_s"] for known in times)
        start, end = (datetime.fromtimestamp(int(second), UTC) for second in (first, last))
        return start, end + timedelta(seconds=1)

    def read(self, plans: Sequence[QueryPlan]) -> Iterable[SourceResult]:
        """The source's answers, with the conditions."""
        return self._source.read([self._plan(plan) for plan in plans])

    def _plan(self, plan: QueryPlan) -> QueryPlan:
        return msgspec.structs.replace(plan, filter=_within(plan.filter, self._conditions))


def _within(selection: RequestFilter, conditions: tuple[Condition, ...]) -> RequestFilter:
    """The selection, with each condition that it does not have already."""
    added = tuple(one for one in conditions if one not in selection.where)
    return msgspec.structs.replace(selection, where=(*selection.where, *added)) if added else selection
