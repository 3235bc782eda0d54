"""The clock is set back, and the program is another one than the one that began."""

from pathlib import Path

import pytest

from tests.migration.faults.oracle import judge, rows_of
from tests.migration.faults.points import Fault
from tests.migration.faults.templates import old_file, our_file
from tests.migration.faults.trials import Trials

pytestmark = pytest.mark.system

_DAY_S = 86_400.0


def test_the_clock_is_set_back_between_start_and_finish(trials: Trials) -> None:
    template, before = old_file(trials.folder())
    seen = trials.points(template, "migrate")
    path, ending = trials.strike(template, Fault(action="kill", number=seen["write"] * 2 // 3), "migrate")
    assert ending.killed
    assert trials.nursery.run("finish", path=path, clock_s=-_DAY_S).ended == "done"
    judge(before, path, must_be="new")
    undone = trials.nursery.run("undo", path=path, clock_s=-2 * _DAY_S)
    assert (undone.ended, undone.answer["conflicts"]) == ("undone", [])
    judge(before, path, must_be="old")


def test_backups_made_before_the_clock_went_back_are_neither_overwritten_nor_preferred(trials: Trials) -> None:
    path, before = our_file(trials.folder())
    first = trials.nursery.run("migrate", path=path)
    backups = path.parent / "backups"
    kept = (backups / first.answer["backup"]).read_bytes()
    names = [first.answer["backup"]]
    for clock_s in (-_DAY_S, -_DAY_S, -2 * _DAY_S):
        assert trials.nursery.run("undo", path=path, clock_s=clock_s).ended == "undone"
        again = trials.nursery.run("migrate", path=path, automatic=False, clock_s=clock_s, backup_keep=9)
        assert again.ended == "done", again
        names.append(again.answer["backup"])
    assert len(set(names)) == 4
    assert (backups / names[0]).read_bytes() == kept
    for name in names:
        judge(before, backups / name, must_be="old")
    undone = trials.nursery.run("undo", path=path, clock_s=-2 * _DAY_S)
    assert (undone.ended, undone.answer["faults"]) == ("undone", [])
    last = trials.nursery.run("migrate", path=path, automatic=False, clock_s=-3 * _DAY_S, backup_keep=1)
    assert (backups / last.answer["backup"]).exists(), "the run's own backup has the oldest date, and must be kept"
    judge(before, backups / last.answer["backup"], must_be="old")


def test_a_migration_that_was_edited_after_it_ran_is_reported(trials: Trials) -> None:
    path, before = old_file(trials.folder())
    assert trials.nursery.run("migrate", path=path).ended == "done"
    assert trials.nursery.run("status", path=path).answer["edited"] == []
    assert trials.nursery.run("status", path=path, formulas="everywhere").answer["edited"] == ["2.0.0"]
    undone = trials.nursery.run("undo", path=path, formulas="everywhere")
    assert undone.ended == "undone", "what was there needs no formula"
    judge(before, path, must_be="old")


def _half_way(trials: Trials, template: Path, records: int) -> Path:
    """A copy with a run of other code that was killed; if ``records`` is given, when it had stamped some of so many."""
    seen = trials.points(template, "migrate", formulas="everywhere")
    # which commit is half way depends on how far one of its two threads was ahead of the other
    for number in range(seen["commit"] // 2, 0, -3):
        fault = Fault(action="kill", family="commit", number=number, when="after")
        path, ending = trials.strike(template, fault, "migrate", formulas="everywhere")
        assert ending.killed
        if not records or 0 < [row["app_version"] for row in rows_of(path).values()].count("2.0.0") < records:
            return path
    raise AssertionError("no commit is half way")


@pytest.mark.parametrize("kind", ["old", "ours"])
def test_a_run_that_other_code_began_is_taken_back_and_done_by_this_code(trials: Trials, kind: str) -> None:
    template, before = (old_file if kind == "old" else our_file)(trials.folder())
    path = _half_way(trials, template, len(before) if kind == "ours" else 0)
    ending = trials.nursery.run("finish", path=path)
    assert (ending.ended, ending.answer["left"]) == ("done", []), ending
    judge(before, path, must_be="new")
    judge(before, path.parent / "backups" / ending.answer["backup"], must_be="old")  # made when all was taken back
    assert trials.nursery.run("undo", path=path).ended == "undone"
    judge(before, path, must_be="old")
