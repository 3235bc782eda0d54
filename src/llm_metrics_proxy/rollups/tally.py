"""From records to groups: what a batch adds to the roll-ups.

Records are sorted once per grain; coarser levels follow from the finest one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.rollups.columns import Columns, Key
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
from llm_metrics_proxy.rollups.groups import FIELD_STRIDE, IS_WHOLE, Bins, Cells, joined_bins
from llm_metrics_proxy.rollups.sketch import SLOTS, Floats, Ints, slots_of
from llm_metrics_proxy.rollups.values import FIELDS, KEYS

ALL_KEYS: Final = tuple(KEYS)
ALL_FIELDS: Final = tuple(field.number for field in FIELDS)


class Place(NamedTuple):
    """One row of the roll-ups: ``bucket`` in seconds since 1970 (or ``NO_TIME``), ``key`` as ``key_names`` says."""

    grain: int
    level: int
    bucket: int
    key: tuple[Any, ...]


class Tally(NamedTuple):
    """Groups with their counts, cells and bins; the k-th of ``places`` is group k. Cells and bins are reduced."""

    places: list[Place]
    requests: Ints
    succeeded: Ints
    failed: Ints
    cells: Cells
    bins: Bins

    def where(self, stay: Any) -> "Tally":
        """The groups for which the mask ``stay`` says so, numbered anew."""
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
    """Some records, and what several grains need of them, each made once."""

    def __init__(self, columns: Columns, dense: Dense) -> None:
        self.columns, self.dense = columns, dense
        self.slots = slots_by_field(columns.fields)
        self._filled: dict[tuple[int, ...], Filled] = {}
        self._times: dict[RollupLevel, Key] = {}

    def filled(self, moments: tuple[int, ...]) -> "Filled":
        """The values of those fields."""
        if moments not in self._filled:
            self._filled[moments] = Filled.of(self.columns.fields, moments)
        return self._filled[moments]

    def time(self, finest: RollupLevel) -> Key:
        """The bucket of each record by which it is sorted, for grains whose finest level that is."""
        if finest not in self._times:
            buckets = _finest_buckets(self.columns.minute, finest, self.dense)
            starts, codes = np.unique(buckets, return_inverse=True)
            self._times[finest] = Key(codes, starts.tolist())
        return self._times[finest]


def slots_by_field(fields: Mapping[int, Floats]) -> dict[int, Ints]:
    """Field and slot of every value in one number; -1 where there is none."""
    found = {}
    for number, values in fields.items():
        missing = np.isnan(values)
        slots = slots_of(np.where(missing, 0.0, values)).astype(np.int64) + number * SLOTS
        found[number] = np.where(missing, -1, slots)
    return found


def combined(keys: Iterable[Key]) -> Ints | int:
    """One number per record for its values of several dimensions."""
    code: Ints | int = 0
    for key in keys:
        code = code * len(key.values) + key.codes
    return code


def buckets_in(columns: Columns, level: RollupLevel) -> list[int]:
    """The buckets in which the records began, those whose time cannot be read left out."""
    return [begin for begin in np.unique(floored(columns.minute, level)).tolist() if begin != NO_TIME]


def _of_grain(batch: _Shared, grain: Grain) -> list[Tally]:
    columns, dense = batch.columns, batch.dense
    finest, *coarser = grain.kept
    keys = [columns.keys[name] for name in key_names(grain)]
    time = batch.time(finest.level)
    code = combined([*keys, time])
    _, first, group = np.unique(code, return_index=True, return_inverse=True)
    groups = len(first)
    places = [
        Place(grain.number, finest.level.number, bucket, key)
        for bucket, *key_ in zip(
            [time.values[code] for code in time.codes[first].tolist()],
            *([key.values[c] for c in key.codes[first].tolist()] for key in keys),
            strict=True,
        )
        for key in (tuple(key_),)
    ]
    sketched = sorted({number for kept in grain.kept for number in kept.sketches})
    order = np.argsort(group.astype(np.uint16) if groups < 2**16 else group, kind="stable")  # then by radix
    base = Tally(
        places,
        np.bincount(group, minlength=groups),
        np.bincount(group[columns.outcome == 1], minlength=groups),
        np.bincount(group[columns.outcome == 0], minlength=groups),
        cells_of(batch.filled(grain.moments), group, order),
        bins_of(batch.slots, sketched, group),
    )
    tallies = [_kept(base, finest, sketched, dense)]
    for kept in coarser:
        base = coarsened(base, kept.level)
        tallies.append(_kept(base, kept, sketched, dense))
    return tallies


def _finest_buckets(minute: Ints, finest: RollupLevel, dense: Dense) -> Ints:
    """Of each record the bucket by which it is sorted: minutes only where they are kept, so as not to make more groups
    than are needed; but none so long that one could not tell of which quarter it is.
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


class Filled(NamedTuple):
    """Values of several fields, one row each, with what leaves a sum, a minimum or a maximum as it is where missing."""

    numbers: Ints
    present: NDArray[np.float64]
    zero: Floats
    high: Floats
    low: Floats

    @classmethod
    def of(cls, fields: Mapping[int, Floats], numbers: Iterable[int]) -> Self:
        """Of those fields that have any value."""
        there = [number for number in numbers if not np.isnan(fields[number]).all()]
        values = np.array([fields[number] for number in there] or np.zeros((0, 0)), np.float64)
        missing = np.isnan(values)
        return cls(
            np.array(there, np.int64),
            (~missing).astype(np.float64),
            np.where(missing, 0.0, values),
            np.where(missing, np.inf, values),
            np.where(missing, -np.inf, values),
        )


def cells_of(filled: Filled, group: Ints, order: Ints) -> Cells:
    """The cells of records; ``order`` sorts them by ``group``, of which each number from 0 on has a record.

    Sums of whole numbers are exact up to 2 ** 53, far above what one batch can hold of any real ones.
    """
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    if not len(filled.numbers):
        return Cells.none()
    n = np.add.reduceat(filled.present[:, order], starts, axis=1).astype(np.int64)
    sums = np.add.reduceat(filled.zero[:, order], starts, axis=1)
    low = np.minimum.reduceat(filled.high[:, order], starts, axis=1)
    high = np.maximum.reduceat(filled.low[:, order], starts, axis=1)
    field, found = np.nonzero(n)
    numbers = filled.numbers[field]
    is_whole = IS_WHOLE[numbers]
    total = sums[field, found]
    cells = Cells(
        found,
        numbers,
        n[field, found],
        np.where(is_whole, 0.0, total),
        np.where(is_whole, total, 0.0).astype(np.int64),
        low[field, found],
        high[field, found],
    )
    return cells.reduced()


def bins_of(slots: Mapping[int, Ints], numbers: Iterable[int], group: Ints) -> Bins:
    """The bins of records."""
    parts = []
    for number in numbers:
        present = slots[number] >= 0
        if present.any():
            parts.append(_counted(group[present], slots[number][present]))
    return joined_bins(parts).reduced()


def _counted(group: Ints, slot: Ints) -> Bins:
    width = FIELD_STRIDE * SLOTS
    code, count = np.unique(group * width + slot, return_counts=True)
    return Bins(code // width, code % width, count)


def coarsened(tally: Tally, level: RollupLevel) -> Tally:
    """The same at a coarser level."""
    number_of: dict[Place, int] = {}
    numbers = []
    for place in tally.places:
        bucket = place.bucket if place.bucket == NO_TIME else place.bucket - place.bucket % level.seconds
        coarse = place._replace(level=level.number, bucket=bucket)
        numbers.append(number_of.setdefault(coarse, len(number_of)))
    return regrouped(tally, list(number_of), np.array(numbers, np.int64))


def regrouped(tally: Tally, places: list[Place], numbers: Ints) -> Tally:
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
    """What of it is kept at that level: the bins of some fields, the groups of some quarters or days."""
    if len(kept.sketches) != len(sketched):
        bins = tally.bins.where(np.isin(tally.bins.slot // SLOTS, kept.sketches)) if kept.sketches else Bins.none()
        tally = tally._replace(bins=bins)
    if kept.dense is None:
        return tally
    stay = _is_in(np.array([place.bucket for place in tally.places], np.int64), kept.dense, dense)
    return tally if stay.all() else tally.where(stay)
