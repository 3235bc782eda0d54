"""What changed since the period before: the few segments that moved most, and shifts of traffic between segments.

Every segment of every dimension is a question, so that some would seem to move by chance: what is told is what remains
when all questions are counted (``significance.threshold``) and is large enough to matter (``Moving.floor``). Of
segments that are the same records in other words, or that moved because another one did, only the one that explains
them is told (``change_search``).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.change_search import RATE, Overall, Search, Segment, ToldMovement, search
from llm_metrics_proxy.analytics.change_tables import SumsTables, in_blocks
from llm_metrics_proxy.analytics.change_words import sentence
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.result import Key
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.analytics.sources import whole_span
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.metrics_service import APP_VERSION

DIMENSIONS: Final = ("model", "backend_name", "app", "api_key_id", "user", "endpoint", "origin", "streaming")
BUDGET_S: Final = 10.0  # no further question is asked after it; the answer says what was not looked at
MAX_CHANGES: Final = 20


class ChangesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, which begin at ``filter.start``; ``timezone``: whose calendar says what the period before is.
    Raises ``QueryError``."""

    filter: RequestFilter = RequestFilter()
    timezone: str = "UTC"
    limit: int = 6

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_CHANGES:
            raise QueryError("limit", f"limit must be from 1 to {MAX_CHANGES}; it is {self.limit}")
        self.as_query()

    def as_query(self) -> Query:
        """The comparison behind it."""
        return Query(filter=self.filter, timezone=self.timezone, compare=True)


class ShiftedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A segment whose share of the records moved, and what that adds to the number."""

    value: Key
    share_before: float
    share: float
    added: float


class MovedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. ``kind``: ``change``, records of the segment do better or worse than before; ``shift``, they
    do as before, but there are more of some and fewer of others, by the values of ``by``."""

    kind: str
    metric: str
    unit: str
    good: bool  # whether it is good news
    segment: dict[str, Key]  # by dimension; empty: all records
    same: list[dict[str, Key]]  # segments that are the same records in other words
    explains: int  # further segments that moved because this one did
    before: float
    after: float
    n_before: int
    n: int
    change: float  # (after - before) / before; of error_rate after - before
    low: float  # it lies between low and high with 95 %
    high: float
    p: float  # the chance to move so far without a cause
    by: str | None  # of a shift: the dimension
    parts: list[ShiftedPart]  # of a shift: the segments that add most
    text: str  # in a sentence


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One number of all records together: ``after - before`` = ``within`` + ``mix``, by the segments of ``by``."""

    metric: str
    unit: str
    before: float
    after: float
    n_before: int
    n: int
    change: float
    p: float | None  # null: too few records, or too little time, to say
    significant: bool
    by: str | None
    within: float | None
    mix: float | None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What changed. ``changes`` is empty where nothing moved more than by chance, as ``text`` says then."""

    app_version: str
    query: ChangesQuery
    start: datetime | None
    end: datetime | None
    previous_start: datetime | None
    requests: int
    requests_before: int
    false_alarm_rate: float  # the chance that anything is told where nothing changed, at most
    tested: int  # questions that were counted for it
    block_s: int | None  # seconds of a block of time
    not_looked_at: list[str]  # dimensions that had too many values, or for which there was no time
    overall: list[Movement]
    changes: list[MovedSegment]
    text: str
    history: History | None = None  # older records that are not counted here yet; null: none is missing


NOTHING: Final = "Nothing changed more than it varies by itself."
TOO_FEW: Final = "There are too few requests in one of the periods to say what changed."
NO_PERIODS: Final = "There are no requests to compare."


def what_changed(records: Records, query: ChangesQuery, now: datetime, elapsed_s: Callable[[], float]) -> Changes:
    """``elapsed_s``: a clock that never goes back. Raises ``QueryError`` and ``StoreError``."""
    began = elapsed_s()
    with records.moment() as at_once:
        sources = at_once.sources()
        planned = plan(query.as_query(), PlanningContext(whole_span(sources), now))
        before, after = planned.previous, planned.current
        if before is None:
            return _answer(query, after, None)
        tables = SumsTables(sources, in_blocks(before, after), lambda: BUDGET_S - (elapsed_s() - began))
        found = search(tables, DIMENSIONS, query.limit)
        return _answer(query, after, before.start, found, tables.periods.width_s)


def _answer(
    query: ChangesQuery,
    period: QueryPlan,
    previous_start: datetime | None,
    found: Search | None = None,
    block_s: int | None = None,
) -> Changes:
    told = [] if found is None else [_change(one) for one in found.told]
    if told:
        text = f"{len(told)} thing{'' if len(told) == 1 else 's'} changed."
    elif found is None or not any(found.requests):
        text = NO_PERIODS
    else:
        text = NOTHING if found.tested else TOO_FEW
    return Changes(
        app_version=APP_VERSION,
        query=query,
        start=period.start,
        end=period.end,
        previous_start=previous_start,
        requests=0 if found is None else found.requests[1],
        requests_before=0 if found is None else found.requests[0],
        false_alarm_rate=RATE,
        tested=0 if found is None else found.tested,
        block_s=block_s,
        not_looked_at=[] if found is None else list(found.missed),
        overall=[] if found is None else [_movement(one) for one in found.overall],
        changes=told,
        text=text,
    )


def _segment(segment: Segment) -> dict[str, Key]:
    return {name: bool(value) if name == "streaming" else value for name, value in segment}


def _change(one: ToldMovement) -> MovedSegment:
    moved = one.effect
    return MovedSegment(
        kind="change" if one.by is None else "shift",
        metric=one.number.name,
        unit=one.number.unit,
        good=(moved.change > 0) == (one.number.good == "up"),
        segment=_segment(one.segment),
        same=[_segment(each) for each in one.same],
        explains=one.explains,
        before=moved.before,
        after=moved.after,
        n_before=moved.n_before,
        n=moved.n,
        change=moved.change,
        low=moved.low,
        high=moved.high,
        p=moved.p,
        by=one.by,
        parts=[
            ShiftedPart(
                value=bool(each.value) if one.by == "streaming" and each.value is not None else each.value,
                share_before=each.before,
                share=each.after,
                added=each.added,
            )
            for each in one.parts
        ],
        text=sentence(one),
    )


def _movement(one: Overall) -> Movement:
    change = one.after - one.before
    if not one.number.share:
        change = change / one.before if one.before else 0.0
    return Movement(
        metric=one.number.name,
        unit=one.number.unit,
        before=one.before,
        after=one.after,
        n_before=one.n_before,
        n=one.n,
        change=change,
        p=None if one.effect is None else one.effect.p,
        significant=one.significant,
        by=one.by,
        within=None if one.split is None else one.split.within,
        mix=None if one.split is None else one.split.mix,
    )
