import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.rollups.banks import by_bank, in_bank, stored_grain
from llm_metrics_proxy.rollups.grains import GRAINS
from llm_metrics_proxy.rollups.groups import BANK_FIELDS, BANKS, Bins, Cells
from llm_metrics_proxy.rollups.tally import RollupPlace, Tally
from llm_metrics_proxy.rollups.values import ALL

GROUPS = 4
PLACES = [RollupPlace(7, 2, 86_400 * group, ("4.4.0",)) for group in range(GROUPS)]
COUNTS = np.arange(1, GROUPS + 1)
FIELDS = st.sampled_from([0, 31, 32, 33, 63, 64, 300])
ENTRIES = st.dictionaries(st.tuples(st.integers(0, GROUPS - 1), FIELDS), st.integers(1, 9))


def tally_of(entries: dict[tuple[int, int], int]) -> Tally:
    """Of each group and field so many values, all in one slot."""
    group, field, n = np.array([(*key, n) for key, n in sorted(entries.items())], np.int64).reshape(-1, 3).T
    nothing = np.zeros(len(group))
    cells = Cells(group, field, n, nothing, nothing.astype(np.int64), nothing, nothing)
    return Tally(PLACES, COUNTS, COUNTS, COUNTS, cells, Bins(group, field * 2048 + 5, n))


@given(ENTRIES)
def test_every_value_is_in_one_bank_and_counts_are_in_the_first(entries: dict[tuple[int, int], int]) -> None:
    whole = tally_of(entries)
    found: dict[tuple[int, int], int] = {}
    for bank in range(10):
        part = in_bank(whole, bank)
        assert [place.grain for place in part.places] == [stored_grain(7, bank)] * len(part.places)
        assert part.requests.tolist() == (COUNTS.tolist() if bank == 0 else [0] * len(part.places))
        groups = [place.bucket // 86_400 for place in part.places]
        assert bank == 0 or set(part.cells.group.tolist()) == set(range(len(groups)))  # no row without a value
        for group, field, n in zip(part.cells.group.tolist(), part.cells.field.tolist(), part.cells.n, strict=True):
            assert field // BANK_FIELDS == bank
            assert found.setdefault((groups[group], field), int(n)) == n
        assert part.bins.slot.tolist() == (part.cells.field * 2048 + 5).tolist()
        assert part.bins.group.tolist() == part.cells.group.tolist()
    assert found == entries


def test_fields_are_asked_for_bank_by_bank() -> None:
    assert by_bank([300, 0, 33, 31, 32]) == {9: [300], 0: [0, 31], 1: [33, 32]}
    assert by_bank([]) == {}


def test_no_row_of_one_bank_is_taken_for_another_grain_s() -> None:
    banks = range(2**16 // BANK_FIELDS)
    assert len({stored_grain(grain.number, bank) for grain in GRAINS for bank in banks}) == len(GRAINS) * len(banks)
    assert all(stored_grain(grain.number, 0) == grain.number for grain in GRAINS)


def test_there_is_a_bank_for_every_field() -> None:
    assert {number // BANK_FIELDS for number in ALL} <= set(BANKS)
    assert BANK_FIELDS == 32  # in every database


@pytest.mark.grid
@pytest.mark.parametrize("tests", ["rollups/asked_with_more_fields.py", "storage/test_rollup_store.py"])
def test_a_program_with_more_fields_keeps_them_all(tests: str) -> None:
    root = Path(__file__).parents[2]
    plugin = ("-p", "tests.rollups.more_fields", "-p", "no:cacheprovider", "-p", "no:xdist")
    command = (sys.executable, "-m", "pytest", "-q", "-m", "not system", *plugin, f"tests/{tests}")
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
