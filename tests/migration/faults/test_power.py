"""The power fails: what was not synced is forgotten, wholly, from somewhere on, or here and there."""

from pathlib import Path

import pytest

from tests.migration.faults.nursery import Ending
from tests.migration.faults.oracle import judge
from tests.migration.faults.points import CHANGING, Fault
from tests.migration.faults.templates import Template, old_file, our_file
from tests.migration.faults.trials import EVERY_POINT, Trials, sample, tell

pytestmark = pytest.mark.system


def cuts(seen: dict[str, int], most: int) -> list[Fault]:
    """After an even sample of the points of each family; the ways of forgetting in turn, or all of them."""
    return [
        Fault(action="power", family=family, number=number, when="after", seed=4 * number + way)
        for family in CHANGING
        for index, number in enumerate(sample(seen.get(family, 0), most * 3 if family == "write" else most))
        for way in (range(4) if EVERY_POINT else (index % 4, (index + 2) % 4))
    ]


@pytest.fixture(scope="module", params=["old", "ours"])
def template(request: pytest.FixtureRequest, trials: Trials) -> Template:
    return (old_file if request.param == "old" else our_file)(trials.folder())


def test_a_migration_survives_a_power_cut(trials: Trials, template: Template) -> None:
    path, before = template
    seen = trials.points(path, "migrate")

    def check(path: Path, ending: Ending) -> None:
        judge(before, path)
        trials.finishes(before, path)

    faults = cuts(seen, 5)
    endings = trials.sweep(path, faults, "migrate", check)
    tell("power cuts while migrating", endings, faults)
    assert len(faults) >= 60
    assert endings["killed"] >= 0.9 * len(faults), endings


def test_an_undo_survives_a_power_cut(trials: Trials, template: Template) -> None:
    path, before = trials.copy(template[0]), template[1]
    assert trials.nursery.run("migrate", path=path).ended == "done"
    seen = trials.points(path, "undo")

    def check(path: Path, ending: Ending) -> None:
        judge(before, path)
        start = trials.nursery.run("finish", path=path)
        assert start.ended in ("undone", "held", "nothing_to_do"), start
        judge(before, path, must_be="new" if start.ended == "nothing_to_do" else "old")

    faults = cuts(seen, 3)
    endings = trials.sweep(path, faults, "undo", check)
    tell("power cuts while undoing", endings, faults)
    assert len(faults) >= 20
    assert endings["killed"] >= 0.9 * len(faults), endings
