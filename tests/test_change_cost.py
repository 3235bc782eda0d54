"""Every example of docs/howto/extend.md works, and touches no more files than its section allows."""

from pathlib import Path

import pytest
from tools.change_cost import PAGE, Change, changes, try_out
from tools.guide import Edit

CHANGES = changes(PAGE.read_text(encoding="utf-8"))


def test_the_page_covers_what_people_add() -> None:
    assert [(change.name, change.most_files) for change in CHANGES] == [
        ("A column", 2), ("A filter", 1), ("A metric", 1), ("A setting", 2), ("An error type", 1), ("A dialect", 2),
        ("A dashboard card", 2),
    ]  # fmt: skip


@pytest.mark.system
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_works_and_touches_few_files(change: Change, tmp_path: Path) -> None:
    assert try_out(change, tmp_path / "copy") == ""
    assert len(change.files) <= change.most_files


def test_a_change_whose_place_is_gone_is_a_fault(tmp_path: Path) -> None:
    lost = Change("A filter", 1, (Edit("tools/guide.py", "replace", "^no such line$", "", ""),))
    assert "tools/guide.py has 0 places like ^no such line$" in try_out(lost, tmp_path / "copy")


@pytest.mark.system
def test_a_proof_that_fails_is_a_fault(tmp_path: Path) -> None:
    assert "tools.proofs.a_filter:" in try_out(Change("A filter", 1, ()), tmp_path / "copy")
