"""One group as readers see it: counts, and n, sum, min, max and percentiles of each field. Mergeable."""

from collections.abc import Set
from typing import Final, NamedTuple, Self

import numpy as np

from llm_metrics_proxy.rollups.groups import FIELD_STRIDE, Bins, Cells
from llm_metrics_proxy.rollups.sketch import SLOTS, Ints, quantile
from llm_metrics_proxy.rollups.values import BY_NAME, WHOLE

_NOTHING: Final = np.zeros(0, np.int64)


class Sketch:
    """Slots, ascending, and how many values are in each; or two sketches, which are added up only when used."""

    __slots__ = ("_counts", "_parts", "_slots")

    def __init__(self, slots: Ints, counts: Ints, parts: "tuple[Sketch, Sketch] | None" = None) -> None:
        self._slots, self._counts, self._parts = slots, counts, parts

    def merged(self, other: "Sketch") -> "Sketch":
        """Both together; thousands of groups may become one, so nothing is copied here."""
        return Sketch(_NOTHING, _NOTHING, (self, other))

    def added_up(self) -> tuple[Ints, Ints]:
        """Slots, ascending, and counts."""
        if self._parts is None:
            return self._slots, self._counts
        dense = np.zeros(SLOTS, np.int64)
        waiting = [self]
        while waiting:
            one = waiting.pop()
            if one._parts is None:
                dense[one._slots] += one._counts
            else:
                waiting += one._parts
        slots = np.flatnonzero(dense)
        self._slots, self._counts, self._parts = slots, dense[slots], None
        return self._slots, self._counts


class SketchedStats(NamedTuple):
    """One field over a group, of the ``n`` records that have a value; all else is ``None`` where ``n`` is 0."""

    n: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    sketch: Sketch | None = None

    def quantile(self, fraction: float) -> float | None:
        """Interpolated between the two nearest values, within 1 %; ``None`` without values or a sketch."""
        if self.sketch is None or self.min is None or self.max is None:
            return None
        return quantile(*self.sketch.added_up(), fraction, self.min, self.max)

    def merged(self, other: "SketchedStats") -> "SketchedStats":
        """The values of both; without a sketch if one of them has values and no sketch."""
        if not self.n or not other.n:
            return other if not self.n else self
        return SketchedStats(
            self.n + other.n,
            (self.sum or 0) + (other.sum or 0),
            min(one.min for one in (self, other) if one.min is not None),
            max(one.max for one in (self, other) if one.max is not None),
            None if self.sketch is None or other.sketch is None else self.sketch.merged(other.sketch),
        )


NONE: Final = SketchedStats()


class SketchedAggregates(NamedTuple):
    """One group. ``fields``: by number; those that have no value in the group are left out."""

    requests: int
    succeeded: int
    failed: int
    fields: dict[int, SketchedStats]
    errors: int = 0

    def count(self, name: str) -> int:
        """``requests``, ``succeeded``, ``failed`` or ``errors``."""
        value: int = getattr(self, name)
        return value

    def moments(self, column: str) -> SketchedStats:
        """Of one column of ``values.FIELDS``."""
        return self.fields.get(BY_NAME[column].number, NONE)

    def peak(self) -> int | None:
        """Not known: how many requests were open at once cannot be added up."""
        return None

    def merged(self, other: Self) -> Self:
        """This group and the other as one."""
        fields = dict(self.fields)
        for number, moments in other.fields.items():
            fields[number] = fields[number].merged(moments) if number in fields else moments
        return type(self)(
            self.requests + other.requests,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            fields,
            self.errors + other.errors,
        )


def aggregates_of(counts: Ints, cells: Cells, bins: Bins, sketched: Set[int]) -> list[SketchedAggregates]:
    """Every group, by its number. ``counts``: requests, succeeded and failed of each; cells and bins are reduced.

    ``sketched``: fields whose sketches were read.
    """
    found = [SketchedAggregates(requests, succeeded, failed, {}) for requests, succeeded, failed in counts.tolist()]
    code, slots = bins.group * FIELD_STRIDE + bins.slot // SLOTS, bins.slot % SLOTS
    wanted = cells.group * FIELD_STRIDE + cells.field
    lows, highs = np.searchsorted(code, wanted, side="left"), np.searchsorted(code, wanted, side="right")
    for group, number, n, total, whole, low, high, begin, end in zip(
        *(column.tolist() for column in cells), lows.tolist(), highs.tolist(), strict=True
    ):
        # days pruned before this sketch existed have none, and a part of a sketch says nothing
        is_whole_sketch = number in sketched and bins.amount[begin:end].sum() == n
        sketch = Sketch(slots[begin:end], bins.amount[begin:end]) if is_whole_sketch else None
        found[group].fields[number] = SketchedStats(n, whole if number in WHOLE else total, low, high, sketch)
    return found
