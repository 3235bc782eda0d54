"""What ``changes`` reads: sums of each number by block of time, in both periods, by one dimension or two.

Each table is one question to the best source that can answer it; how many there may be, and for how long they may be
asked, is bounded, for the last source reads every record.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from llm_metrics_proxy.analytics.calendar import DAY_S, HOUR_S, TimeBucket, fixed_buckets
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.moved import BlockSums, Part
from llm_metrics_proxy.analytics.source import Aggregates, Needs, QueryPlan, Source, SourceResult
from llm_metrics_proxy.analytics.sources import source_for
from llm_metrics_proxy.errors import QueryError

MOST_BLOCKS: Final = 32  # enough to know how much they vary, and as few rows as can be
_WIDTHS_S: Final = (
    10, 30, 60, 120, 300, 900, 1800, HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 2 * DAY_S,
    3 * DAY_S, 7 * DAY_S, 14 * DAY_S, 28 * DAY_S, 84 * DAY_S, 364 * DAY_S,
)  # fmt: skip
MOST_GROUPS: Final = 40_000  # of a pair of dimensions, in one period
MOST_PAIRS: Final = 10  # questions beyond one for each dimension


class Moving(NamedTuple):
    """A number that may move: the name of a metric; a mean of ``column``, or a share. ``good``: which way is good news.
    ``floor``: how much is worth telling; of means relative, of shares the difference."""

    name: str
    good: str
    floor: float
    column: str | None = None

    @property
    def share(self) -> bool:
        """Whether it is a share of requests, and not a mean."""
        return self.column is None

    @property
    def unit(self) -> str:
        """Of the metric; empty: a share, 0 to 1."""
        return measure(self.name).unit

    def part(self, group: Aggregates) -> Part:
        """Records that have it, and its sum."""
        if self.column is None:
            return group.count("succeeded") + group.count("failed"), group.count("failed")
        moments = group.moments(self.column)
        return moments.n, moments.sum or 0


MOVING: Final = (
    Moving("time_to_first_token_ms.mean", "down", 0.05, "time_to_first_token_ms"),
    Moving("response_time_ms.mean", "down", 0.05, "response_time_ms"),
    Moving("output_tokens_per_second.mean", "up", 0.05, "output_tokens_per_second"),
    Moving("error_rate", "down", 0.005),
    Moving("cost_per_request_usd", "down", 0.05, "cost_usd"),
)
_NEEDS: Final = reduce(or_, (measure(one.name).needs for one in MOVING), Needs())

Keys = Mapping[Hashable, BlockSums]


class SumsTable(NamedTuple):
    """By segment: of each number the sums, and requests of the two periods."""

    numbers: Mapping[str, Keys]
    requests: Mapping[Hashable, tuple[int, int]]


class Periods(NamedTuple):
    """Both as plans without groups, and their blocks, in step: those of the period before may be longer or fewer."""

    before: QueryPlan
    after: QueryPlan
    width_s: int


def in_blocks(before: QueryPlan, after: QueryPlan) -> Periods:
    """Cut into blocks. Both plans have a start and an end."""
    assert before.start is not None
    assert before.end is not None
    assert after.start is not None
    assert after.end is not None
    length = (after.end - after.start).total_seconds()
    width = next((one for one in _WIDTHS_S if length / one <= MOST_BLOCKS - 1), _WIDTHS_S[-1])
    blocks = fixed_buckets(width, after.start, after.end)
    # in whole blocks, so that hours stay hours: cut elsewhere, roll-ups of hours would not do
    earlier = (after.start - before.start) // timedelta(seconds=width) * timedelta(seconds=width)
    begins = [before.start, *(block.spans[0][0] - earlier for block in blocks[1:])]
    return Periods(
        replace(before, buckets=_cut(begins, before.end), needs=_NEEDS, by_version=False),
        replace(after, buckets=blocks, needs=_NEEDS, by_version=False),
        width,
    )


def _cut(begins: Sequence[datetime], end: datetime) -> tuple[TimeBucket, ...]:
    """As many blocks as begin before the end; the last takes what is left."""
    there = [begin for begin in begins if begin < end]
    return tuple(TimeBucket(begin, ((begin, until),)) for begin, until in zip(there, [*there[1:], end], strict=True))


class SumsTables:
    """Reads tables as they are asked for, each once. ``left_s``: how many seconds there are for further ones."""

    def __init__(self, sources: Sequence[Source], periods: Periods, left_s: Callable[[], float]) -> None:
        self._sources, self.periods, self._left_s = sources, periods, left_s
        self._records: int | None = None
        self._known: dict[tuple[str, ...], SumsTable | None] = {}
        self._pairs = 0

    def of_each(self, names: Sequence[str]) -> dict[str, SumsTable]:
        """By each dimension that can be had, in this order; what is quick is asked first. Raises ``StoreError``."""
        for name in sorted(names, key=lambda name: self._source(self._plans((name,))).us_per_record):
            self.by(name)
        return {name: table for name in names if (table := self.by(name)) is not None}

    def by(self, name: str) -> SumsTable | None:
        """By one dimension; ``None``: it was not to be had in time, or has too many values. Raises ``StoreError``."""
        return self._table((name,))

    def by_two(self, first: str, second: str) -> SumsTable | None:
        """By two, with keys (first, second); ``None`` as above."""
        if (first, second) in self._known or (second, first) not in self._known:
            return self._table((first, second))
        found = self._known[second, first]
        return None if found is None else _turned(found)

    def _table(self, names: tuple[str, ...]) -> SumsTable | None:
        if names not in self._known:
            self._known[names] = self._read(names) if self._may_ask(names) else None
        return self._known[names]

    def _may_ask(self, names: tuple[str, ...]) -> bool:
        slow = self._source(self._plans(names)).us_per_record
        if self._left_s() <= (slow * self._both_periods() / 1e6 if slow else 0):
            return False
        if len(names) == 1:
            return True
        sizes = [0 if (one := self._table((name,))) is None else len(one.requests) for name in names]
        if not all(sizes) or sizes[0] * sizes[1] * len(self.periods.after.buckets) > MOST_GROUPS:
            return False
        self._pairs += 1
        return self._pairs <= MOST_PAIRS

    def _plans(self, names: tuple[str, ...]) -> list[QueryPlan]:
        return [replace(plan, group_by=("time", *names)) for plan in self.periods[:2]]

    def _source(self, plans: Sequence[QueryPlan]) -> Source:
        return source_for(self._sources, plans)

    def _both_periods(self) -> int:
        """How many records there are to read."""
        if self._records is None:
            plans = [replace(plan, group_by=(), buckets=(), needs=Needs()) for plan in self.periods[:2]]
            readings = self._source(plans).read(plans)
            self._records = sum(group.partial.count("requests") for reading in readings for group in reading.groups)
        return self._records

    def _read(self, names: tuple[str, ...]) -> SumsTable | None:
        plans = self._plans(names)
        try:
            before, after = self._source(plans).read(plans)
        except QueryError:  # more groups than are held in memory
            return None
        return _table_of(before, after, len(self.periods.after.buckets), one_name=len(names) == 1)


def _turned(table: SumsTable) -> SumsTable:
    def turned(keys: Mapping[Any, Any]) -> dict[Any, Any]:
        return {key[::-1]: value for key, value in keys.items()}

    return SumsTable({name: turned(keys) for name, keys in table.numbers.items()}, turned(table.requests))


def _table_of(before: SourceResult, after: SourceResult, blocks: int, *, one_name: bool) -> SumsTable:
    numbers: dict[str, dict[Hashable, tuple[list[Part], list[Part]]]] = {one.name: {} for one in MOVING}
    requests: dict[Hashable, list[int]] = {}
    for period, reading in enumerate((before, after)):
        for (block, *rest), group in reading.groups:
            if block is None:
                continue
            key = rest[0] if one_name else tuple(rest)
            requests.setdefault(key, [0, 0])[period] += group.count("requests")
            for one in MOVING:
                part = one.part(group)
                if not part[0]:
                    continue
                of_key = numbers[one.name].get(key)
                if of_key is None:
                    of_key = numbers[one.name][key] = ([(0, 0.0)] * blocks, [(0, 0.0)] * blocks)
                of_key[period][block] = part
    return SumsTable(
        {
            name: {key: BlockSums(tuple(one), tuple(two)) for key, (one, two) in found.items()}
            for name, found in numbers.items()
        },
        {key: (one, two) for key, (one, two) in requests.items()},
    )
