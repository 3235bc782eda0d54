"""Any number of groups as arrays: their moments as cells, their sketches as bins, and both as bytes.

A cell is one field of one group, a bin the number of values of one field in one slot. Groups are numbered from 0. To
add up, concatenate, give the same number to what belongs together, and reduce: neither the order of records nor the
number of parts matters.

Bytes, per group, little-endian; all of a kind are one string, so that thousands of groups are read at once:

* ``ones``: field (1), value (8); where the field has one value
* ``many``: field (1), n (4), sum (8, a whole number or a double), min (8), max (8)
* ``small``: field and slot (2), count (1); ``large``: field and slot (2), count (4)

Two bytes leave five bits for the field next to its slot. So a row holds one bank of 32 fields, each by its number in
that bank: see ``banks``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.rollups.sketch import SLOTS, Floats, Ints
from llm_metrics_proxy.rollups.values import ALL, WHOLE

BANK_FIELDS: Final = 2**16 // SLOTS
_IN_BANK: Final = BANK_FIELDS - 1  # bits of a field's number within its bank
BANKS: Final = tuple(sorted({0, *(number // BANK_FIELDS for number in ALL)}))
FIELD_STRIDE: Final = 2**16  # above all numbers of fields: ``group * FIELD_STRIDE + field`` is one number for both
IS_WHOLE: Final = np.isin(np.arange((BANKS[-1] + 1) * BANK_FIELDS), list(WHOLE))  # of each field
_ONE: Final = np.dtype([("field", "u1"), ("value", "<f8")])
_MANY: Final = np.dtype([("field", "u1"), ("n", "<u4"), ("sum", "<i8"), ("min", "<f8"), ("max", "<f8")])
_SMALL: Final = np.dtype([("slot", "<u2"), ("count", "u1")])
_LARGE: Final = np.dtype([("slot", "<u2"), ("count", "<u4")])
_MOST_SMALL: Final = 255
_WORTH_A_TABLE: Final = 10_000
_LARGEST_TABLE: Final = 2**22  # 32 MiB


class Cells(NamedTuple):
    """One entry per group and field that has values. ``sum`` is 0 where the field is whole, ``whole`` where not."""

    group: Ints
    field: Ints
    n: Ints
    sum: Floats
    whole: Ints
    min: Floats
    max: Floats

    def regrouped(self, numbers: Ints) -> Self:
        """The same entries in the groups that ``numbers`` gives for the old ones."""
        return self._replace(group=numbers[self.group])

    def where(self, chosen: NDArray[Any]) -> Self:
        """The chosen entries."""
        return type(self)(*(column[chosen] for column in self))

    def reduced(self) -> Self:
        """One entry per group and field, in their order."""
        code = self.group * FIELD_STRIDE + self.field
        order = np.argsort(code, kind="stable")
        code = code[order]
        starts = starts_of(code)
        if not len(starts):
            return self
        group, field = np.divmod(code[starts], FIELD_STRIDE)
        return type(self)(
            group,
            field,
            np.add.reduceat(self.n[order], starts),
            np.add.reduceat(self.sum[order], starts),
            np.add.reduceat(self.whole[order], starts),
            np.minimum.reduceat(self.min[order], starts),
            np.maximum.reduceat(self.max[order], starts),
        )


class Bins(NamedTuple):
    """One entry per group, field and slot that has values; ``slot`` is field * SLOTS + slot."""

    group: Ints
    slot: Ints
    amount: Ints

    def regrouped(self, numbers: Ints) -> Self:
        """The same entries in the groups that ``numbers`` gives for the old ones."""
        return self._replace(group=numbers[self.group])

    def where(self, chosen: NDArray[Any]) -> Self:
        """The chosen entries."""
        return type(self)(*(column[chosen] for column in self))

    def reduced(self) -> Self:
        """One entry per group and slot, in their order."""
        dense = self._dense()
        if dense is not None:
            return dense
        width = FIELD_STRIDE * SLOTS
        code = self.group * width + self.slot
        order = np.argsort(code, kind="stable")
        code = code[order]
        starts = starts_of(code)
        if not len(starts):
            return self
        group, slot = np.divmod(code[starts], width)
        return type(self)(group, slot, np.add.reduceat(self.amount[order], starts))

    def _dense(self) -> Self | None:
        """Reduced by counting into a table of all slots of a single field, if that is small: many times faster."""
        if len(self.slot) < _WORTH_A_TABLE:
            return None
        first, last = int(self.slot.min()) // SLOTS, int(self.slot.max()) // SLOTS
        width = int(self.group.max() + 1) * SLOTS
        if first != last or width > _LARGEST_TABLE:
            return None
        table = np.bincount(self.group * SLOTS + self.slot % SLOTS, self.amount)  # exact below 2 ** 53
        code = np.flatnonzero(table)
        return type(self)(code // SLOTS, code % SLOTS + first * SLOTS, table[code].astype(np.int64))


_I, _F = np.zeros(0, np.int64), np.zeros(0)
NO_CELLS: Final = Cells(_I, _I, _I, _F, _I, _F, _F)
NO_BINS: Final = Bins(_I, _I, _I)
_Entries = TypeVar("_Entries", Cells, Bins)


def starts_of(ascending: Ints) -> Ints:
    """Where each run of equal numbers begins."""
    if not len(ascending):
        return np.zeros(0, np.int64)
    return np.concatenate(([0], np.flatnonzero(np.diff(ascending)) + 1))


def joined(none: _Entries, parts: Sequence[_Entries]) -> _Entries:
    """All entries of all parts, not reduced. ``none``: an empty part of their type."""
    return type(none)(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))


def pack_cells(cells: Cells, groups: int) -> list[tuple[bytes, bytes]]:
    """``(ones, many)`` of each group. ``cells`` are reduced, and of one bank."""
    single = cells.n == 1
    ones = np.zeros(int(single.sum()), _ONE)
    ones["field"], ones["value"] = cells.field[single] & _IN_BANK, cells.min[single]
    many = np.zeros(len(single) - len(ones), _MANY)
    others = cells.where(~single)
    many["field"], many["n"], many["min"], many["max"] = others.field & _IN_BANK, others.n, others.min, others.max
    many["sum"] = np.where(IS_WHOLE[others.field], others.whole, others.sum.view(np.int64))
    return list(zip(_cut(ones, cells.group[single], groups), _cut(many, others.group, groups), strict=True))


def pack_bins(bins: Bins, groups: int) -> list[tuple[bytes, bytes]]:
    """``(small, large)`` of each group. ``bins`` are reduced, and of one bank."""
    is_small = bins.amount <= _MOST_SMALL
    packed = []
    for dtype, chosen in ((_SMALL, is_small), (_LARGE, ~is_small)):
        part = bins.where(chosen)
        entries = np.zeros(len(part.slot), dtype)
        entries["slot"], entries["count"] = part.slot & (BANK_FIELDS * SLOTS - 1), part.amount
        packed.append(_cut(entries, part.group, groups))
    return list(zip(packed[0], packed[1], strict=True))


def _cut(entries: NDArray[Any], group: Ints, groups: int) -> list[bytes]:
    """The bytes of each group; entries are in the order of groups."""
    whole, size = entries.tobytes(), entries.dtype.itemsize
    ends = np.searchsorted(group, np.arange(groups), side="right") * size
    cuts = [0, *ends.tolist()]
    return [whole[begin:end] for begin, end in pairwise(cuts)]


def unpack_cells(
    packed: Sequence[tuple[bytes, bytes]], numbers: Ints, bank: int, fields: Sequence[int] | None = None
) -> Cells:
    """The cells of one bank of packed groups; the k-th is group ``numbers[k]``. Not reduced.

    ``fields``: those that are wanted, all of that bank; ``None``: every one.
    """
    ones, group_of_ones = _read(_ONE, [ones for ones, _ in packed], numbers)
    many, group_of_many = _read(_MANY, [many for _, many in packed], numbers)
    if fields is not None:
        is_wanted = _mask(fields)
        ones, group_of_ones = _where(is_wanted[ones["field"]], ones, group_of_ones)
        many, group_of_many = _where(is_wanted[many["field"]], many, group_of_many)
    field = np.concatenate((ones["field"], many["field"])).astype(np.int64) + bank * BANK_FIELDS
    is_whole = IS_WHOLE[field]
    value, sums = ones["value"], many["sum"]
    whole_one, whole_many = is_whole[: len(ones)], is_whole[len(ones) :]
    return Cells(
        np.concatenate((group_of_ones, group_of_many)),
        field,
        np.concatenate((np.ones(len(ones), np.int64), many["n"].astype(np.int64))),
        np.concatenate((np.where(whole_one, 0.0, value), np.where(whole_many, 0.0, _as_floats(sums)))),
        np.concatenate((np.where(whole_one, value, 0.0).astype(np.int64), np.where(whole_many, sums, 0))),
        np.concatenate((value, many["min"])),
        np.concatenate((value, many["max"])),
    )


def unpack_bins(
    packed: Sequence[tuple[bytes, bytes]], numbers: Ints, bank: int, fields: Sequence[int] | None = None
) -> Bins:
    """The bins of one bank of packed groups, as ``unpack_cells``."""
    small, group_of_small = _read(_SMALL, [small for small, _ in packed], numbers)
    large, group_of_large = _read(_LARGE, [large for _, large in packed], numbers)
    if fields is not None:
        is_wanted = _mask(fields)
        small, group_of_small = _where(is_wanted[small["slot"] // SLOTS], small, group_of_small)
        large, group_of_large = _where(is_wanted[large["slot"] // SLOTS], large, group_of_large)
    return Bins(
        np.concatenate((group_of_small, group_of_large)),
        np.concatenate((small["slot"], large["slot"])).astype(np.int64) + bank * BANK_FIELDS * SLOTS,
        np.concatenate((small["count"].astype(np.int64), large["count"].astype(np.int64))),
    )


def _mask(fields: Sequence[int]) -> NDArray[np.bool_]:
    """By number within their bank."""
    mask = np.zeros(2**8, np.bool_)
    mask[[number & _IN_BANK for number in fields]] = True
    return mask


def _where(chosen: NDArray[np.bool_], entries: NDArray[Any], groups: Ints) -> tuple[NDArray[Any], Ints]:
    return (entries, groups) if chosen.all() else (entries[chosen], groups[chosen])


def _as_floats(sums: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(sums).view(np.float64)


def _read(dtype: np.dtype[Any], strings: Sequence[bytes], numbers: Ints) -> tuple[NDArray[Any], Ints]:
    """The entries of all strings, and of each the number of its group."""
    entries = np.frombuffer(b"".join(strings), dtype)
    lengths = np.fromiter(map(len, strings), np.int64, len(strings)) // dtype.itemsize
    return entries, np.repeat(numbers, lengths)
