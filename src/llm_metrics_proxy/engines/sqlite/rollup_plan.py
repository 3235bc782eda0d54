"""Which roll-ups answer a plan, and where in time: pure, no table is read."""

from collections.abc import Container, Mapping, Sequence, Set
from datetime import UTC, datetime
from itertools import product
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np

from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.analytics.dimensions import IN_TIME
from llm_metrics_proxy.analytics.filters import RequestFilter, aware, stored_time
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.rollups.cover import FOREVER, US, CoverLevel, Stretches, Within
from llm_metrics_proxy.rollups.grains import GRAINS, VERSION, Grain, RollupLevel
from llm_metrics_proxy.rollups.values import BY_NAME, KEY_OF_FILTER

MAX_PLACES: Final = 100_000  # hours of eleven years
MAX_KEYS: Final = 500  # looked up one by one in each bucket; SQLite takes some thousand parameters
_BIN: Final = "bin:"
_COUNTS: Final = frozenset({"succeeded", "failed", "errors"})
CATEGORY: Final = "error_category"  # a record that has one is an error
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Chosen(NamedTuple):
    """A grain that has everything that a plan needs. Fields are numbers of ``values.FIELDS``."""

    grain: Grain
    filter: Mapping[str, tuple[Condition, ...]]  # dimension -> what its key must meet
    times: tuple[str, ...]  # dimensions in time
    grouping: tuple[str, ...]  # all others, in the order of the plan
    order: tuple[int, ...]  # of (*times, *grouping) as the plan's group_by has them
    moments: tuple[int, ...]
    sketches: tuple[int, ...]
    bins_of: int | None = None  # a histogram: the field whose values are sorted into bins
    hidden: tuple[
        str, ...
    ] = ()  # the last of grouping and order: what separates errors if the plan does not group by it

    def needs_dense(self, level: RollupLevel) -> bool:
        """Some buckets may be there within some of that level alone: some days, or some quarters of an hour."""
        return any(kept.dense is level for kept in self.grain.kept)

    def admits(self, key: Mapping[str, Any]) -> bool:
        """Whether the filter leaves records with this key: values by dimension."""
        return all(one.admits(key[name]) for name, conditions in self.filter.items() for one in conditions)

    def keys(self) -> list[tuple[Any, ...]] | None:
        """The values of all keys that the filter leaves, in the order of the grain, without the version; ``None``: it
        does not name them, or they are too many to look up."""
        if set(self.filter) - {VERSION} != set(self.grain.dimensions) or not self.grain.dimensions:
            return None
        first = [self.filter[name][0] for name in self.grain.dimensions]
        if any(one.op != "=" for one in first) or prod(len(one.values) for one in first) > MAX_KEYS:
            return None
        values = ([int(one) if isinstance(one, bool) else one for one in each.values] for each in first)
        return list(dict.fromkeys(product(*values)))

    def ordered(self, times: tuple[Any, ...], dimensions: tuple[Any, ...]) -> tuple[Any, ...]:
        """The key of a group, as the plan has it."""
        both = (*times, *dimensions)
        return tuple(both[place] for place in self.order)

    def cover_levels(self, dense: Mapping[RollupLevel, Container[int]]) -> list[CoverLevel]:
        """The levels that have the needed sketches, the coarsest first. ``dense``: days and quarters, if any are."""
        kept = sorted(self.grain.kept, key=lambda one: -one.level.seconds)
        return [
            CoverLevel(one.level, None if one.dense is None else Within(one.dense, dense[one.dense]))
            for one in kept
            if set(self.sketches) <= set(one.sketches) and (one.dense is None or one.dense in dense)
        ]


def choose(plan: QueryPlan) -> Chosen | None:
    """The smallest grain that can answer; ``None``: only records can."""
    needs = plan.needs
    if plan.arrived is not None or needs.peak or not needs.counts <= _COUNTS or not needs.moments <= BY_NAME.keys():
        return None
    conditions = _conditions(plan.filter)
    if conditions is None:
        return None
    binned = next((name for name in plan.group_by if name.startswith(_BIN)), None)
    if binned is not None:
        return _choose_for_bins(plan, binned.removeprefix(_BIN), conditions)
    times = tuple(name for name in plan.group_by if name in IN_TIME)
    hidden = (CATEGORY,) if "errors" in needs.counts and CATEGORY not in plan.group_by else ()
    grouping = (*(name for name in plan.group_by if name not in IN_TIME), *hidden)
    asked = {*conditions, *grouping, *plan.adds_up_with} - {VERSION}
    moments = tuple(sorted(BY_NAME[name].number for name in needs.moments))
    sketches = tuple(sorted({BY_NAME[name].number for name, _ in needs.quantiles}))
    order = tuple((*times, *grouping).index(name) for name in (*plan.group_by, *hidden))
    grain = _smallest(asked, moments, sketches)
    if grain is None:
        return None
    return Chosen(grain, conditions, times, grouping, order, moments, sketches, hidden=hidden)


def _choose_for_bins(plan: QueryPlan, column: str, conditions: Mapping[str, tuple[Condition, ...]]) -> Chosen | None:
    """A histogram follows from a sketch: only whole, and only how many records each bin has."""
    needs = plan.needs
    if len(plan.group_by) > 1 or needs.counts or needs.moments or column not in BY_NAME:
        return None
    number = BY_NAME[column].number
    grain = _smallest({*conditions} - {VERSION}, (number,), (number,))
    return None if grain is None else Chosen(grain, conditions, (), (), (), (number,), (number,), number)


def _smallest(dimensions: Set[str], moments: Sequence[int], sketches: Sequence[int]) -> Grain | None:
    """The grain with the fewest dimensions that has all of these, and the sketches at some level."""
    for grain in sorted(GRAINS, key=lambda one: len(one.dimensions)):
        has_sketches = any(set(sketches) <= set(kept.sketches) for kept in grain.kept)
        if dimensions <= set(grain.dimensions) and set(moments) <= set(grain.moments) and has_sketches:
            return grain
    return None


def _conditions(selection: RequestFilter) -> dict[str, tuple[Condition, ...]] | None:
    """The conditions on each dimension's key; ``None`` if roll-ups lack one of the columns."""
    found: dict[str, tuple[Condition, ...]] = {}
    for one in selection.conditions:
        if one.name not in KEY_OF_FILTER:
            return None
        name = KEY_OF_FILTER[one.name]
        found[name] = (*found.get(name, ()), one)
    return found


def stretches_of(
    plan: QueryPlan, oldest: str | None, newest: str | None
) -> tuple[Stretches, Sequence[tuple[Any, ...]]] | None:
    """The plan's range as stretches, and of each place the values of its dimensions in time.

    Where the range begins before the ``oldest`` record, or ends behind the ``newest`` (times as stored), it is made
    endless, which adds no record and leaves no edge there. ``None``: it has too many places.
    """
    start, end = (None if at is None else aware(at) for at in (plan.filter.start, plan.filter.end))
    open_start = start is None or (oldest is not None and stored_time(start) <= oldest)
    open_end = end is None or (newest is not None and newest < stored_time(end))
    first = -FOREVER if start is None else _us(start)
    last = FOREVER if end is None else _us(end)
    pieces = _pieces(plan) if {*plan.group_by} & {*IN_TIME} else [(first, last, ())]
    if pieces is None:
        return None
    clipped = ((max(first, begin), min(last, until), values) for begin, until, values in pieces)
    pieces = [piece for piece in clipped if piece[0] < piece[1]]
    if pieces and open_start:
        pieces[0] = (-FOREVER, *pieces[0][1:])
    if pieces and open_end:
        pieces[-1] = (pieces[-1][0], FOREVER, pieces[-1][2])
    return _table(pieces)


_Piece = tuple[int, int, tuple[Any, ...]]


def _pieces(plan: QueryPlan) -> list[_Piece] | None:
    """Stretches with the values of the dimensions in time, in order of time."""
    times = tuple(name for name in plan.group_by if name in IN_TIME)
    if "time" in times:
        spans = sorted(
            (_us(begin), _us(end), index) for index, bucket in enumerate(plan.buckets) for begin, end in bucket.spans
        )
    elif plan.start is not None and plan.end is not None:
        spans = [(_us(plan.start), _us(plan.end), -1)]
    else:
        spans = []
    local = [name for name in times if name != "time"]
    if not local:
        return [(begin, end, (index,)) for begin, end, index in spans]
    width = 3600 * US if "hour_of_day" in local else 86_400 * US
    found: list[_Piece] = []
    segments = [(_us(one.start), _us(one.end), round(one.offset.total_seconds()) * US) for one in plan.segments]
    for begin, end, index in spans:
        for first, last, offset in segments:
            low, high = max(begin, first), min(end, last)
            if low >= high:
                continue
            if len(found) + (high - low) // width > MAX_PLACES:
                return None
            cuts = np.arange((low + offset) // width + 1, -(-(high + offset) // width), dtype=np.int64) * width - offset
            for left, right in zip([low, *cuts.tolist()], [*cuts.tolist(), high], strict=True):
                here = (left + offset) // US
                values = {"time": index, "hour_of_day": here // 3600 % 24, "weekday": (here // 86_400 + 3) % 7 + 1}
                found.append((left, right, tuple(values[name] for name in times)))
    return found


def _table(pieces: Sequence[_Piece]) -> tuple[Stretches, Sequence[tuple[Any, ...]]]:
    columns = np.array([piece[:2] for piece in pieces], np.int64).reshape(-1, 2)
    stretches = Stretches(columns[:, 0], columns[:, 1], np.arange(len(pieces), dtype=np.int64))
    return stretches, [piece[2] for piece in pieces]


def _us(moment: datetime) -> int:
    """Whole microseconds since 1970."""
    gone = moment - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * US + gone.microseconds
