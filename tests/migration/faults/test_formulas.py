"""Formulas that raise or are wrong, and files that meddle: the run is taken back to the bit, and says why."""

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
        f"UPDATE completion_requests SET response_time_ms = {SPECIAL_MS}, total_tokens = 77 WHERE id = {_SPECIAL_ID}",
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
        is_refused = formulas == "raises" or (formulas, kind) == ("a text", "ours")  # our columns take no text
        assert faults == [("formula" if is_refused else "oracle", _SPECIAL_ID)]
    judge(before, path, must_be="old")
    assert trials.nursery.run("migrate", path=path, formulas=formulas).ended == "held", "it is tried for ever"
    judge(before, path, must_be="old")
    trials.finishes(before, path)  # the right formula is another migration


_UPDATE = "AFTER UPDATE OF app_version ON completion_requests WHEN old.id = 77 AND new.app_version = '2.0.0'"
_BEFORE = "BEFORE UPDATE ON completion_requests WHEN old.id = 77"
_CHANGE = "UPDATE completion_requests SET"
_MEDDLERS = {  # when, what, and the check that notices
    "a record is skipped": (_BEFORE, "SELECT RAISE(IGNORE)", "left behind"),
    "a record is refused": (_BEFORE, "SELECT RAISE(ABORT, 'no')", "formula"),
    "a fact is changed": (_UPDATE, f"{_CHANGE} total_tokens = total_tokens + 1 WHERE id = 77", "raw"),
    "a fact changes its type": (_UPDATE, f"{_CHANGE} error_message = CAST('x' AS BLOB) WHERE id = 77", "raw"),
    "the result is changed": (_UPDATE, f"{_CHANGE} tokens_per_second = 1.5 WHERE id = 77", "oracle"),
    "a record is removed": (_UPDATE, "DELETE FROM completion_requests WHERE id = 77", "raw"),
}


@pytest.mark.parametrize("meddler", _MEDDLERS)
def test_a_file_that_meddles_is_found_out_and_the_record_named(trials: Trials, meddler: str) -> None:
    when, what, check = _MEDDLERS[meddler]
    path, before = old_file(trials.folder())
    execute(path, "UPDATE completion_requests SET error_message = 'x' WHERE id = 77")
    execute(path, f"CREATE TRIGGER meddler {when} BEGIN {what}; END")
    before = dict(rows_of(path))
    ending = trials.nursery.run("migrate", path=path)
    assert ending.ended == "rolled_back", ending
    assert (check, 77) in {(kind, record) for kind, record, _message in ending.answer["faults"]}, ending
    execute(path, "DROP TRIGGER meddler")
    execute(path, "DELETE FROM completion_requests WHERE id = 77")  # what became of it is the trigger's doing
    judge({key: row for key, row in before.items() if key != 77}, path, must_be="old")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_odd_value_in_every_layout_is_migrated_or_says_why_not(trials: Trials, layout: str) -> None:
    path = trials.folder() / "metrics.db"
    rows = [*ODD_ROWS, *(ordinary(layout, index) for index in range(40))]
    make(path, layout, rows)
    has_id = any(column.startswith("id ") for column in LAYOUTS[layout].columns)
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
