from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups import entries
from llm_metrics_proxy.rollups.entries import Filled, Slotted, bins_of, cells_of
from llm_metrics_proxy.rollups.sketch import SLOTS, slots_of
from llm_metrics_proxy.rollups.values import BY_NAME

DURATION, TOKENS = BY_NAME["response_time_ms"].number, BY_NAME["prompt_tokens"].number
# group, duration, tokens
RECORDS = st.lists(
    st.tuples(st.integers(0, 2), st.none() | st.sampled_from([0.0, 2.5, -3.0, 1e9]), st.none() | st.integers(0, 2**40)),
    min_size=1,
    max_size=30,
)
Record = tuple[int, float | None, int | None]


def columns(records: list[Record]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], dict[int, np.ndarray]]:
    """The group of each record, without gaps, and the values of both fields."""
    groups = sorted({group for group, *_ in records})
    group = np.array([groups.index(group) for group, *_ in records], np.int64)
    fields = {
        number: np.array([record[place] for record in records], np.float64)
        for place, number in ((1, DURATION), (2, TOKENS))
    }
    return group, fields


def values_by_group(records: list[Record]) -> dict[tuple[int, int], list[float]]:
    group, _ = columns(records)
    found: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for number, (_, duration, tokens) in zip(group.tolist(), records, strict=True):
        for field, value in ((DURATION, duration), (TOKENS, tokens)):
            if value is not None:
                found[number, field].append(value)
    return dict(found)


@given(RECORDS)
def test_a_cell_is_n_sum_min_and_max_of_the_values_that_are_there(records: list[Record]) -> None:
    group, fields = columns(records)
    cells = cells_of(Filled.of(fields, [DURATION, TOKENS]), group)
    assert [column.tolist() for column in cells] == [column.tolist() for column in cells.reduced()]
    found = {
        (g, field): (n, whole if field == TOKENS else total, low, high)
        for g, field, n, total, whole, low, high in zip(*(column.tolist() for column in cells), strict=True)
    }
    assert found == {
        place: (len(values), sum(values), min(values), max(values))
        for place, values in values_by_group(records).items()
    }


@given(RECORDS, st.sampled_from([0, 10**6]))
def test_a_bin_counts_the_values_of_a_slot(records: list[Record], worth_a_table: int) -> None:
    group, fields = columns(records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "_WORTH_A_TABLE", worth_a_table)
        bins = bins_of(Slotted.of(Filled.of(fields, [DURATION, TOKENS])), group)
    assert [column.tolist() for column in bins] == [column.tolist() for column in bins.reduced()]
    wanted: Counter[tuple[int, int]] = Counter()
    for (number, field), values in values_by_group(records).items():
        wanted.update((number, field * SLOTS + int(slot)) for slot in slots_of(np.array(values, np.float64)))
    assert {(g, slot): n for g, slot, n in zip(*(column.tolist() for column in bins), strict=True)} == wanted
