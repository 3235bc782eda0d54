"""SIGKILL before and after everything that a migration or an undo does; then the next start."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.migration.faults.nursery import Ending
from tests.migration.faults.oracle import judge
from tests.migration.faults.points import CHANGING, Fault
from tests.migration.faults.templates import Template, execute, old_file, our_file
from tests.migration.faults.trials import EVERY_POINT, Trials, sample, tell

pytestmark = pytest.mark.system

_MOST = {"statement": 16, "write": 16}
_BEHIND = (
    "INSERT INTO completion_requests (arrival, request_id, timestamp, success, outcome, app_version, total_tokens, "
    "response_time_ms, tokens_per_second) VALUES (1000, 'new-00000000', '2026-11-01T00:00:00.000000Z', 1, 'completed', "
    f"'{APP_VERSION}', 50, 250.0, 200.0)"
)


def points_in(seen: dict[str, int]) -> int:
    """Before and after everything that can be killed."""
    return 2 * sum(seen.get(family, 0) for family in CHANGING)


def kills(seen: dict[str, int], families: Sequence[str] = CHANGING, most: int = 7) -> list[Fault]:
    """Before and after an even sample of the points of each family."""
    return [
        Fault(action="kill", family=family, number=number, when=when)
        for family in families
        for number in sample(seen.get(family, 0), _MOST.get(family, most))
        for when in ("before", "after")
    ]


@pytest.fixture(scope="module", params=["2.0", "text id", "ours"])
def template(request: pytest.FixtureRequest, trials: Trials) -> Template:
    return our_file(trials.folder()) if request.param == "ours" else old_file(trials.folder(), request.param)


def test_a_migration_that_is_killed_anywhere_is_finished_by_the_next_start(trials: Trials, template: Template) -> None:
    path, before = template
    seen = trials.points(path, "migrate")
    assert seen["statement"] > 100, "several batches, verification and the record of the run"
    assert min(seen["write"], seen["sync"], seen["fsync"], seen["rename"], seen["open"]) >= 1

    def check(path: Path, ending: Ending) -> None:
        judge(before, path)
        trials.finishes(before, path)

    # the copy of a table without integer ids is longer, and otherwise the same
    faults = kills(seen)[:: 1 if EVERY_POINT or isinstance(next(iter(before)), int) else 2]
    endings = trials.sweep(path, faults, "migrate", check)
    tell(f"killed while migrating, of {points_in(seen)}", endings, faults)
    assert len(faults) >= 60
    assert endings["killed"] >= 0.9 * len(faults), endings


def test_a_migration_that_is_killed_again_and_again_is_finished(trials: Trials, template: Template) -> None:
    template_path, before = template
    path = trials.copy(template_path)
    killed = 0
    for number in range(3, 200, 7):
        ending = trials.nursery.run("migrate", Fault(action="kill", number=number, when="after"), path=path)
        judge(before, path)
        killed += ending.killed
        if not ending.killed:
            break
    trials.finishes(before, path)
    assert killed >= 5


@pytest.fixture(scope="module")
def migrated(trials: Trials) -> Template:
    path, before = old_file(trials.folder())
    assert trials.nursery.run("migrate", path=path).ended == "done"
    return path, before


@pytest.mark.parametrize("arrived", [0, 1])
def test_an_undo_that_is_killed_anywhere_is_finished_by_the_next_start(
    trials: Trials, migrated: Template, arrived: int
) -> None:
    template, before = migrated
    path = trials.copy(template)
    if arrived:
        execute(path, _BEHIND)
    seen = trials.points(path, "undo")

    def check(path: Path, ending: Ending) -> None:
        judge(before, path, arrived=arrived)
        start = trials.nursery.run("finish", path=path)
        assert start.ended in ("undone", "held", "nothing_to_do"), start
        assert (start.answer["faults"], start.answer["conflicts"]) == ([], [])
        has_begun = start.ended != "nothing_to_do"
        assert has_begun or start.answer["left"] == []
        judge(before, path, must_be="old" if has_begun else "new", arrived=arrived)
        assert trials.nursery.run("finish", path=path).ended == ("held" if has_begun else "nothing_to_do")

    faults = kills(seen, most=4)[:: 2 if arrived else 1]
    endings = trials.sweep(path, faults, "undo", check)
    tell(f"killed while undoing, of {points_in(seen)}", endings, faults)
    assert len(faults) >= (30 if arrived else 60)
    assert endings["killed"] >= 0.9 * len(faults), endings


@pytest.mark.parametrize("layout", ["old", "ours"])
def test_what_was_taken_back_is_migrated_again_whole(trials: Trials, layout: str) -> None:
    path, before = (old_file if layout == "old" else our_file)(trials.folder())
    for _time in range(2):
        assert trials.nursery.run("migrate", path=path, automatic=False).ended == "done"
        judge(before, path, must_be="new")
        undone = trials.nursery.run("undo", path=path)
        assert (undone.ended, undone.answer["faults"], undone.answer["conflicts"]) == ("undone", [], [])
        judge(before, path, must_be="old")
        assert trials.nursery.run("finish", path=path).ended == "held"
        judge(before, path, must_be="old")
