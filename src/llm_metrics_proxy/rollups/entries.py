"""Cells and bins of records: values of one field or several, and the group of each record."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.rollups.groups import FIELD_STRIDE, IS_WHOLE, NO_BINS, NO_CELLS, Bins, Cells, joined
from llm_metrics_proxy.rollups.sketch import SLOTS, Floats, Ints, slots_of


class Filled(NamedTuple):
    """Values of several fields, one row each; what is missing is filled so that no sum, minimum or maximum changes."""

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
    """The cells of records. ``order`` sorts them by ``group``, and every group has a record.

    Sums of whole numbers are exact up to 2 ** 53, far above those of any real batch.
    """
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    if not len(filled.numbers):
        return NO_CELLS
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


def slots_by_field(fields: Mapping[int, Floats]) -> dict[int, Ints]:
    """Field and slot of every value as one number; -1 where it is missing."""
    found = {}
    for number, values in fields.items():
        missing = np.isnan(values)
        slots = slots_of(np.where(missing, 0.0, values)).astype(np.int64) + number * SLOTS
        found[number] = np.where(missing, -1, slots)
    return found


def bins_of(slots: Mapping[int, Ints], numbers: Iterable[int], group: Ints) -> Bins:
    """The bins of records."""
    parts = []
    for number in numbers:
        present = slots[number] >= 0
        if present.any():
            parts.append(_counted(group[present], slots[number][present]))
    return joined(NO_BINS, parts).reduced()


def _counted(group: Ints, slot: Ints) -> Bins:
    width = FIELD_STRIDE * SLOTS
    code, count = np.unique(group * width + slot, return_counts=True)
    return Bins(code // width, code % width, count)
