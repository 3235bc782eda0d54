"""The Nth read, write, sync, … of a migration or an undo fails, once or from there on; then the disk is well again."""

from pathlib import Path

import pytest

from tests.migration.faults.nursery import Ending
from tests.migration.faults.oracle import judge
from tests.migration.faults.points import IN_SQLITE, Fault
from tests.migration.faults.templates import Template, old_file
from tests.migration.faults.trials import FINISHED, SPOKEN, Trials, sample, tell

pytestmark = pytest.mark.system

_MOST = {"read": 14, "write": 18, "sync": 10}


def errors(seen: dict[str, int]) -> list[Fault]:
    return [
        Fault(action="error", family=family, number=number, lasting=lasting)
        for family in IN_SQLITE
        for index, number in enumerate(sample(seen.get(family, 0), _MOST.get(family, 6)))
        for lasting in ((False, True) if index % 2 else (True, False))[: 2 if family != "read" else 1]
    ]


@pytest.fixture(scope="module")
def template(trials: Trials) -> Template:
    return old_file(trials.folder())


def test_a_migration_whose_disk_fails_says_so_and_the_next_start_finishes(trials: Trials, template: Template) -> None:
    path, before = template
    seen = trials.points(path, "migrate")

    def check(path: Path, ending: Ending) -> None:
        assert ending.ended in FINISHED or ending.ended in SPOKEN, ending
        judge(before, path)
        trials.finishes(before, path)

    faults = errors(seen)
    endings = trials.sweep(path, faults, "migrate", check)
    tell(f"I/O errors while migrating, of {sum(seen[f] for f in IN_SQLITE if f in seen)} points", endings, faults)
    assert len(faults) >= 70
    assert endings["struck"] >= 0.9 * len(faults), endings
    assert sum(endings[name] for name in SPOKEN) >= 0.5 * len(faults), endings


def test_an_undo_whose_disk_fails_says_so_and_is_finished_by_the_next_start(trials: Trials, template: Template) -> None:
    path, before = trials.copy(template[0]), template[1]
    assert trials.nursery.run("migrate", path=path).ended == "done"
    seen = trials.points(path, "undo")

    def check(path: Path, ending: Ending) -> None:
        assert ending.ended == "undone" or ending.ended in SPOKEN, ending
        judge(before, path)
        start = trials.nursery.run("finish", path=path)
        assert start.ended in ("undone", "held", "nothing_to_do"), start
        judge(before, path, must_be="new" if start.ended == "nothing_to_do" else "old")

    faults = errors(seen)[::2]
    endings = trials.sweep(path, faults, "undo", check)
    tell("I/O errors while undoing", endings, faults)
    assert len(faults) >= 25
    assert endings["struck"] >= 0.9 * len(faults), endings
