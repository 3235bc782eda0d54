"""From records to groups: what one batch adds to the roll-ups.

Records are grouped once per grain; coarser levels follow from the finest one.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.rollups.columns import Columns, Key
from llm_metrics_proxy.rollups.entries import Filled, Slotted, bins_of, cells_of
from llm_metrics_proxy.rollups.grains import (
    GRAINS,
    MINUTE,
    NO_TIME,
    QUARTER,
    Dense,
    Grain,
    GrainLevel,
    RollupLevel,
    key_names,
)
from llm_metrics_proxy.rollups.groups import NO_BINS, Bins, Cells
from llm_metrics_proxy.rollups.sketch import SLOTS, Ints
from llm_metrics_proxy.rollups.values import KEYS

ALL_KEYS: Final = tuple(KEYS)
_LARGEST_TABLE: Final = 2**18  # of the groups that there could be


class RollupPlace(NamedTuple):
    """One row of the roll-ups: ``bucket`` in seconds since 1970 (or ``NO_TIME``), ``key`` as ``key_names`` says."""

    grain: int
    level: int
    bucket: int
    key: tuple[Any, ...]


class Tally(NamedTuple):
    """Groups with their counts, cells and bins; the k-th of ``places`` is group k. Cells and bins are reduced."""

    places: list[RollupPlace]
    requests: Ints
    succeeded: Ints
    failed: Ints
    cells: Cells
    bins: Bins

    def where(self, stay: Any) -> "Tally":
        """The groups that the mask ``stay`` keeps, renumbered."""
        number = np.cumsum(stay) - 1
        return Tally(
            [place for place, stays in zip(self.places, stay.tolist(), strict=True) if stays],
            self.requests[stay],
            self.succeeded[stay],
            self.failed[stay],
            self.cells.where(stay[self.cells.group]).regrouped(number),
            self.bins.where(stay[self.bins.group]).regrouped(number),
        )


def roll_up(columns: Columns, dense: Dense, grains: Sequence[Grain] = GRAINS) -> list[Tally]:
    """All that these records add, one tally per grain and level."""
    if not columns.size:
        return []
    batch = _Shared(columns, dense)
    return [tally for grain in grains for tally in _of_grain(batch, grain)]


class _Shared:
    """Some records, and what several grains need of them, made once."""

    def __init__(self, columns: Columns, dense: Dense) -> None:
        self.columns, self.dense = columns, dense
        self._filled: dict[tuple[int, ...], Filled] = {}
        self._slotted: dict[tuple[int, ...], Slotted] = {}
        self._times: dict[RollupLevel, Key] = {}

    def filled(self, numbers: tuple[int, ...]) -> Filled:
        """The values of those fields."""
        if numbers not in self._filled:
            self._filled[numbers] = Filled.of(self.columns.fields, numbers)
        return self._filled[numbers]

    def slotted(self, numbers: tuple[int, ...]) -> Slotted:
        """Their slots."""
        if numbers not in self._slotted:
            self._slotted[numbers] = Slotted.of(self.filled(numbers))
        return self._slotted[numbers]

    def time(self, finest: RollupLevel) -> Key:
        """The bucket that each record is grouped by, for grains with that finest level."""
        if finest not in self._times:
            buckets = _finest_buckets(self.columns.minute, finest, self.dense)
            starts, codes = np.unique(buckets, return_inverse=True)
            self._times[finest] = Key(codes, starts.tolist())
        return self._times[finest]


def grouped(keys: Sequence[Key]) -> tuple[Ints, list[tuple[Any, ...]]]:
    """The group of each record by several dimensions, and the values of each group."""
    code, width = keys[0].codes, len(keys[0].values)
    for key in keys[1:]:
        code, width = code * len(key.values) + key.codes, width * len(key.values)
    if width <= _LARGEST_TABLE:
        is_there = np.zeros(width, np.bool_)
        is_there[code] = True
        group, left = (np.cumsum(is_there) - 1)[code], np.flatnonzero(is_there)
    else:
        left, group = np.unique(code, return_inverse=True)
    values: list[list[Any]] = []
    for key in reversed(keys):
        left, place = np.divmod(left, len(key.values))
        values.append([key.values[one] for one in place.tolist()])
    return group, list(zip(*reversed(values), strict=True))


def buckets_in(columns: Columns, level: RollupLevel) -> list[int]:
    """The buckets in which the records began, those whose time cannot be read left out."""
    return [begin for begin in np.unique(floored(columns.minute, level)).tolist() if begin != NO_TIME]


def _of_grain(batch: _Shared, grain: Grain) -> list[Tally]:
    columns, dense = batch.columns, batch.dense
    finest, *coarser = grain.kept
    keys = [columns.keys[name] for name in key_names(grain)]
    group, values = grouped([*keys, batch.time(finest.level)])
    groups = len(values)
    sketched = tuple(sorted({number for kept in grain.kept for number in kept.sketches}))
    base = Tally(
        [RollupPlace(grain.number, finest.level.number, each[-1], each[:-1]) for each in values],
        np.bincount(group, minlength=groups),
        np.bincount(group[columns.outcome == 1], minlength=groups),
        np.bincount(group[columns.outcome == 0], minlength=groups),
        cells_of(batch.filled(grain.moments), group),
        bins_of(batch.slotted(sketched), group),
    )
    tallies = [_kept(base, finest, sketched, dense)]
    for kept in coarser:
        base = coarsened(base, kept.level)
        tallies.append(_kept(base, kept, sketched, dense))
    return tallies


def _finest_buckets(minute: Ints, finest: RollupLevel, dense: Dense) -> Ints:
    """The bucket that each record is sorted by: minutes only where they are kept, as fewer groups are faster; elsewhere
    quarters, from which all coarser levels follow.
    """
    bucket = floored(minute, finest)
    if finest is not MINUTE:
        return bucket
    return np.where(_is_in(minute, QUARTER, dense), bucket, floored(minute, QUARTER))


def _is_in(seconds: Ints, level: RollupLevel, dense: Dense) -> NDArray[np.bool_]:
    """Which of them are in a quarter, or on a day, that is dense."""
    return np.isin(seconds - seconds % level.seconds, list(dense.of(level)))


def floored(seconds: Ints, level: RollupLevel) -> Ints:
    """The bucket of each; ``NO_TIME`` stays."""
    return np.where(seconds == NO_TIME, NO_TIME, seconds - seconds % level.seconds)


def coarsened(tally: Tally, level: RollupLevel) -> Tally:
    """The same at a coarser level."""
    begins = {
        bucket: bucket if bucket == NO_TIME else bucket - bucket % level.seconds
        for bucket in {place.bucket for place in tally.places}
    }
    places = [RollupPlace(grain, level.number, begins[bucket], key) for grain, _, bucket, key in tally.places]
    if len(set(begins.values())) == len(begins):  # most batches are of one minute
        return tally._replace(places=places)
    number_of: dict[RollupPlace, int] = {}
    numbers = [number_of.setdefault(place, len(number_of)) for place in places]
    return regrouped(tally, list(number_of), np.array(numbers, np.int64))


def regrouped(tally: Tally, places: list[RollupPlace], numbers: Ints) -> Tally:
    """Groups added up: the k-th old one goes to the group ``numbers[k]``."""
    requests, succeeded, failed = (np.zeros(len(places), np.int64) for _ in range(3))
    for target, source in ((requests, tally.requests), (succeeded, tally.succeeded), (failed, tally.failed)):
        np.add.at(target, numbers, source)
    return Tally(
        places,
        requests,
        succeeded,
        failed,
        tally.cells.regrouped(numbers).reduced(),
        tally.bins.regrouped(numbers).reduced(),
    )


def _kept(tally: Tally, kept: GrainLevel, sketched: Sequence[int], dense: Dense) -> Tally:
    """The part that is kept at that level: bins of some fields, groups of some quarters or days."""
    if len(kept.sketches) != len(sketched):
        bins = tally.bins.where(np.isin(tally.bins.slot // SLOTS, kept.sketches)) if kept.sketches else NO_BINS
        tally = tally._replace(bins=bins)
    if kept.dense is None:
        return tally
    stay = _is_in(np.array([place.bucket for place in tally.places], np.int64), kept.dense, dense)
    return tally if stay.all() else tally.where(stay)
