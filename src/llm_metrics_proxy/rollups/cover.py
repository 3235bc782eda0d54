"""A range of time as whole buckets of roll-ups, as coarse as can be, and the pieces left over at its ends.

Times are whole microseconds since 1970. A stretch is one piece of time that goes to one place of the answer; stretches
do not overlap.
"""

from collections.abc import Container, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.rollups.grains import DAY, RollupLevel
from llm_metrics_proxy.rollups.sketch import Ints

US: Final = 1_000_000
FOREVER: Final = 2**40 // DAY.seconds * DAY.seconds * US  # so far from 1970 an open range reaches: 34,000 years


class Stretches(NamedTuple):
    """``start`` to before ``end``; ``place`` is the caller's number of each."""

    start: Ints
    end: Ints
    place: Ints

    def where(self, chosen: NDArray[Any]) -> "Stretches":
        """The chosen ones."""
        return Stretches(self.start[chosen], self.end[chosen], self.place[chosen])

    @property
    def microseconds(self) -> int:
        """All of them together."""
        return int((self.end - self.start).sum())


class Cover(NamedTuple):
    """``blocks``: by level, stretches of whole buckets; ``edges``: what has to be read from records."""

    blocks: list[tuple[RollupLevel, Stretches]]
    edges: Stretches


class Within(NamedTuple):
    """Some buckets of a level, each named by its first second."""

    level: RollupLevel
    buckets: Container[int]

    def has(self, microseconds: int) -> bool:
        """Whether that moment is in one of them."""
        return microseconds // US // self.level.seconds * self.level.seconds in self.buckets


class CoverLevel(NamedTuple):
    """A level that may be used: within those quarters or days alone, or always."""

    level: RollupLevel
    within: Within | None = None


def cover(stretches: Stretches, steps: Sequence[CoverLevel], kept_before: int) -> Cover:
    """``steps``: the coarsest level first. Before ``kept_before`` (seconds) no records are left for the edges: there, a
    bucket counts as a whole where it begins.
    """
    blocks, left = [], stretches
    kept = kept_before * US
    for step in steps:
        if step.within is not None:
            left = _cut(left, step.within.level)
        width = step.level.seconds * US
        low, high = -(-left.start // width) * width, left.end // width * width
        there = low < high
        if step.within is not None:
            there &= np.array(
                [
                    fits and _is_usable(step, start, steps, kept)
                    for fits, start in zip(there, left.start.tolist(), strict=True)
                ],
                bool,
            )
        if there.any():
            blocks.append((step.level, Stretches(low[there], high[there], left.place[there])))
        left = _rest(left, low, high, there)
    if steps and kept > -FOREVER and len(left.start):
        rounded, left = _rounded(left, steps, kept)
        blocks += rounded
    return Cover(blocks, left)


def _is_usable(step: CoverLevel, start: int, steps: Sequence[CoverLevel], kept: int) -> bool:
    """Whether the level has buckets at a moment, and they may be counted.

    Where no records are left, coarser buckets count the time around them, and must not include them too.
    """
    within = step.within
    if within is None:
        return True
    if not within.has(start):
        return False
    return start >= kept or any(
        other.level.seconds <= within.level.seconds < other.within.level.seconds and other.within.has(start)
        if other.within
        else other.level.seconds <= within.level.seconds
        for other in steps
    )


def _rest(left: Stretches, low: Ints, high: Ints, there: NDArray[np.bool_]) -> Stretches:
    """What is before and behind the whole buckets, and all of a stretch without any; in order."""
    parts = [
        left.where(~there),
        Stretches(left.start[there], low[there], left.place[there]),
        Stretches(high[there], left.end[there], left.place[there]),
    ]
    joined = Stretches(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    joined = joined.where(joined.start < joined.end)
    return joined.where(np.argsort(joined.start, kind="stable"))


def _cut(left: Stretches, level: RollupLevel) -> Stretches:
    """No stretch goes over the end of a bucket."""
    width = level.seconds * US
    pieces = []
    for start, end, place in zip(*(column.tolist() for column in left), strict=True):
        at = start
        while at < end:
            following = min(end, (at // width + 1) * width)
            pieces.append((at, following, place))
            at = following
    table = np.array(pieces, np.int64).reshape(-1, 3)
    return Stretches(table[:, 0], table[:, 1], table[:, 2])


def _rounded(
    left: Stretches, steps: Sequence[CoverLevel], kept: int
) -> tuple[list[tuple[RollupLevel, Stretches]], Stretches]:
    """Pieces before ``kept`` as the buckets that begin in them; and the others."""
    old = Stretches(left.start, np.minimum(left.end, kept), left.place)
    old = old.where(old.start < old.end)
    new = Stretches(np.maximum(left.start, kept), left.end, left.place)
    blocks = []
    for start, end, place in zip(*(column.tolist() for column in old), strict=True):
        level = next(step.level for step in reversed(steps) if _is_usable(step, start, steps, kept))
        width = level.seconds * US
        low, high = -(-start // width) * width, -(-end // width) * width
        if low < high:
            blocks.append((level, Stretches(*(np.array([each], np.int64) for each in (low, high, place)))))
    return blocks, new.where(new.start < new.end)


def clipped(stretches: Stretches, first: int | None, last: int | None) -> Stretches:
    """What lies between two moments, the second included; ``None``: no bound."""
    start = stretches.start if first is None else np.maximum(stretches.start, first)
    end = stretches.end if last is None else np.minimum(stretches.end, last + 1)
    found = Stretches(start, end, stretches.place)
    return found.where(found.start < found.end)
