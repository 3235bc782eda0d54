"""A capability is added in as few places as is said."""

from pathlib import Path

import pytest
from tools.change_cost import CHANGES, Change, Edit, make


@pytest.mark.system
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_takes_no_more_files_than_it_may(change: Change, tmp_path: Path) -> None:
    assert len(make(change, tmp_path).touched) <= change.target


def test_an_edit_that_finds_no_place_is_an_error(tmp_path: Path) -> None:
    lost = Change("lost", "lost", 1, (Edit("tools/change_cost.py", "no such text" + "!", ""),), "")
    with pytest.raises(ValueError, match=r"tools/change_cost\.py has 0 times"):
        make(lost, tmp_path)
