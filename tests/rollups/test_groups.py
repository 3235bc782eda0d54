from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups.groups import (
    BANK_FIELDS,
    NO_BINS,
    NO_CELLS,
    Bins,
    Cells,
    joined,
    pack_bins,
    pack_cells,
    unpack_bins,
    unpack_cells,
)
from llm_metrics_proxy.rollups.values import WHOLE

GROUPS = 5
ENTRIES = st.lists(
    st.tuples(st.integers(0, GROUPS - 1), st.sampled_from([0, 5, 22, 29]), st.integers(0, 2**40)), max_size=40
)
SLOTS = st.lists(st.tuples(st.integers(0, GROUPS - 1), st.integers(0, 2**16 - 1), st.integers(1, 2**31)), max_size=40)


def cells_of(values: list[tuple[int, int, int]]) -> Cells:
    """One value each."""
    table = np.array(values, np.int64).reshape(-1, 3)
    group, field, value = table.T
    whole = np.isin(field, list(WHOLE))
    floats = value.astype(np.float64)
    return Cells(
        group, field, np.ones(len(group), np.int64), np.where(whole, 0.0, floats), np.where(whole, value, 0), floats,
        floats,
    )  # fmt: skip


def bins_of(values: list[tuple[int, int, int]]) -> Bins:
    group, slot, amount = np.array(values, np.int64).reshape(-1, 3).T
    return Bins(group, slot, amount)


def shown(entries: Cells | Bins) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in entries), strict=True))


@given(ENTRIES)
def test_cells_come_back_from_their_bytes(values: list[tuple[int, int, int]]) -> None:
    cells = cells_of(values).reduced()
    packed = pack_cells(cells, GROUPS)
    assert shown(unpack_cells(packed, np.arange(GROUPS), 0).reduced()) == shown(cells)


@given(SLOTS, st.sampled_from([0, 1, 9]))
def test_bins_come_back_from_their_bytes(values: list[tuple[int, int, int]], bank: int) -> None:
    bins = bins_of(list({(group, slot): (group, slot, n) for group, slot, n in values}.values())).reduced()
    bins = bins._replace(slot=bins.slot + bank * BANK_FIELDS * 2048)
    packed = pack_bins(bins, GROUPS)
    assert shown(unpack_bins(packed, np.arange(GROUPS), bank).reduced()) == shown(bins)


def test_only_wanted_fields_are_unpacked() -> None:
    packed = pack_cells(cells_of([(0, 0, 5), (0, 22, 7), (0, 22, 8), (1, 22, 1)]).reduced(), 2)
    assert unpack_cells(packed, np.arange(2), 0, [22]).reduced().n.tolist() == [2, 1]
    slots = pack_bins(bins_of([(0, 22 * 2048 + 1, 3), (0, 5, 300), (1, 22 * 2048, 256)]), 2)
    assert unpack_bins(slots, np.arange(2), 0, [22]).reduced().amount.tolist() == [3, 256]


@given(ENTRIES, ENTRIES, ENTRIES)
def test_it_does_not_matter_how_cells_are_added_up(
    one: list[tuple[int, int, int]], two: list[tuple[int, int, int]], three: list[tuple[int, int, int]]
) -> None:
    a, b, c = (cells_of(values) for values in (one, two, three))
    at_once = joined(NO_CELLS, [a, b, c]).reduced()
    left_first = joined(NO_CELLS, [joined(NO_CELLS, [a, b]).reduced(), c]).reduced()
    backwards = joined(NO_CELLS, [c, joined(NO_CELLS, [b, a]).reduced()]).reduced()
    assert shown(at_once) == shown(left_first) == shown(backwards)


@given(SLOTS, SLOTS)
def test_it_does_not_matter_how_bins_are_added_up(
    one: list[tuple[int, int, int]], two: list[tuple[int, int, int]]
) -> None:
    a, b = bins_of(one), bins_of(two)
    both = joined(NO_BINS, [a, b]).reduced()
    assert shown(both) == shown(joined(NO_BINS, [b.reduced(), a.reduced()]).reduced())
    assert sum(both.amount.tolist()) == sum(n for *_, n in (*one, *two))


def test_one_value_takes_nine_bytes_and_more_take_29() -> None:
    ((ones, many),) = pack_cells(cells_of([(0, 0, 5), (0, 22, 7), (0, 22, 8)]).reduced(), 1)
    assert (len(ones), len(many)) == (9, 29)


def test_a_count_above_a_byte_takes_four() -> None:
    ((small, large),) = pack_bins(bins_of([(0, 1, 255), (0, 2, 256)]), 1)
    assert (len(small), len(large)) == (3, 6)


def test_of_no_groups_there_is_nothing() -> None:
    assert shown(joined(NO_CELLS, []).reduced()) == []
    assert shown(joined(NO_BINS, []).reduced()) == []
    assert pack_cells(NO_CELLS, 2) == [(b"", b"")] * 2
