"""Formulas that raise or are wrong: the run is taken back, and says why; the old table is as it was."""

import pytest

from tests.legacy import LAYOUTS, ODD_ROWS, make, ordinary
from tests.migration.faults.formulas import FORMULAS, SPECIAL_MS
from tests.migration.faults.oracle import judge, rows_of
from tests.migration.faults.templates import Template, execute, odd_file, old_file, our_file
from tests.migration.faults.trials import Trials

pytestmark = pytest.mark.system

_SPECIAL_ID = 93  # of an old file's records, every other is stamped 1.0.0


def _with_special(template: Template) -> Template:
    path, _before = template
    execute(
        path,
        f"UPDATE completion_requests SET response_time_ms = {SPECIAL_MS}, total_tokens = 77 "
        f"WHERE rowid = {_SPECIAL_ID}",
    )
    return path, dict(rows_of(path))


@pytest.mark.parametrize("kind", ["old", "ours"])
@pytest.mark.parametrize("formulas", [name for name in FORMULAS if name not in ("real", "to 3")])
def test_a_wrong_formula_is_caught_the_record_named_and_every_bit_put_back(
    trials: Trials, formulas: str, kind: str
) -> None:
    path, before = _with_special((old_file if kind == "old" else our_file)(trials.folder()))
    ending = trials.nursery.run("migrate", path=path, formulas=formulas)
    assert ending.ended == "rolled_back", ending
    faults = [(check, record) for check, record, _message in ending.answer["faults"]]
    if formulas == "everywhere":
        assert {check for check, _record in faults} == {"oracle"}
        assert all(record in before for _check, record in faults)
    else:
        assert faults == [("formula" if formulas == "raises" else "oracle", _SPECIAL_ID)]
    judge(before, path, must_be="old")
    assert trials.nursery.run("migrate", path=path, formulas=formulas).ended == "held", "it is tried for ever"
    judge(before, path, must_be="old")
    trials.finishes(before, path)  # the right formula is another migration


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_odd_value_in_every_layout_is_migrated_or_says_why_not(trials: Trials, layout: str) -> None:
    path = trials.folder() / "metrics.db"
    rows = [*ODD_ROWS, *(ordinary(layout, index) for index in range(40))]
    make(path, layout, rows)
    has_id = layout != "without rowid"
    before = rows_of(path) if has_id else {}
    ending = trials.nursery.run("finish", path=path)
    assert ending.ended == "done", ending
    assert ending.answer["left"] == []
    assert execute(path, "SELECT count(*) FROM completion_requests") == [(len(rows),)]
    if has_id:
        judge(before, path, must_be="new")
    undone = trials.nursery.run("undo", path=path)
    assert (undone.ended, undone.answer["faults"], undone.answer["conflicts"]) == ("undone", [], [])
    if has_id:
        judge(before, path, must_be="old")


def test_odd_values_survive_a_migration_and_an_undo(trials: Trials) -> None:
    path, before = odd_file(trials.folder())
    assert trials.finishes(before, path).ended == "done"
    assert trials.nursery.run("undo", path=path).ended == "undone"
    judge(before, path, must_be="old")
