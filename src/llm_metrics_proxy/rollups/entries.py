"""Cells and bins of records: values of one field or several, and the group of each record.

Each value has a number that says its group and its field, and what has the same number is added up in a table of all
numbers there can be. So nothing is sorted but slots, of which there are too many for a table.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Self

import numpy as np

from llm_metrics_proxy.rollups.groups import IS_WHOLE, NO_BINS, NO_CELLS, Bins, Cells, starts_of
from llm_metrics_proxy.rollups.sketch import SLOTS, Floats, Ints, slots_of

_WORTH_A_TABLE: Final = 2  # numbers there can be, for each that there is
_NOTHING: Final = np.zeros(0, np.int64)


class Filled(NamedTuple):
    """All values of several fields, which are numbered from 0 in the order of ``numbers``; of each its record and its
    field."""

    numbers: Ints
    record: Ints
    field: Ints
    value: Floats

    @classmethod
    def of(cls, fields: Mapping[int, Floats], numbers: Iterable[int]) -> Self:
        """Of those fields that have any value."""
        every = [(number, np.flatnonzero(~np.isnan(fields[number]))) for number in sorted(numbers)]
        there = [(number, records) for number, records in every if len(records)]
        return cls(
            np.array([number for number, _ in there], np.int64),
            np.concatenate([_NOTHING, *(records for _, records in there)]),
            np.repeat(np.arange(len(there)), np.array([len(records) for _, records in there], np.int64)),
            np.concatenate([np.zeros(0), *(fields[number][records] for number, records in there)]),
        )


class Slotted(NamedTuple):
    """The same, with what a value counts: its field times ``SLOTS``, and its slot."""

    numbers: Ints
    record: Ints
    slot: Ints

    @classmethod
    def of(cls, filled: Filled) -> Self:
        """The slots of all values."""
        return cls(filled.numbers, filled.record, filled.field * SLOTS + slots_of(filled.value))


def cells_of(filled: Filled, group: Ints) -> Cells:
    """The cells of records, reduced; ``group``: of each record.

    Sums of whole numbers are exact up to 2 ** 53, far above those of any real batch.
    """
    width = len(filled.numbers)
    if not width:
        return NO_CELLS
    size = (int(group.max()) + 1) * width
    code = group[filled.record] * width + filled.field
    n, sums = np.bincount(code, minlength=size), np.bincount(code, filled.value, size)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, code, filled.value)
    np.maximum.at(high, code, filled.value)
    there = np.flatnonzero(n)
    found, field = np.divmod(there, width)
    numbers, total = filled.numbers[field], sums[there]
    is_whole = IS_WHOLE[numbers]
    return Cells(
        found,
        numbers,
        n[there],
        np.where(is_whole, 0.0, total),
        np.where(is_whole, total, 0.0).astype(np.int64),
        low[there],
        high[there],
    )


def bins_of(slotted: Slotted, group: Ints) -> Bins:
    """The bins of records, reduced."""
    width = len(slotted.numbers) * SLOTS
    if not width:
        return NO_BINS
    code = group[slotted.record] * width + slotted.slot
    if (int(group.max()) + 1) * width <= _WORTH_A_TABLE * len(code):
        table = np.bincount(code)
        there = np.flatnonzero(table)
        amount = table[there]
    else:
        code = np.sort(code)
        starts = starts_of(code)
        there, amount = code[starts], np.diff(starts, append=len(code))
    found, slot = np.divmod(there, width)
    return Bins(found, slotted.numbers[slot // SLOTS] * SLOTS + slot % SLOTS, amount)
