"""SIGKILL before and after everything that a migration or an undo does; then the next start."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.runs import RESTORED_THROUGH, get_fact
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

_SESSIONS = "SELECT session_id FROM completion_requests WHERE arrival >= 1000 ORDER BY arrival"
_OF_THE_END = {"statement": 90, "write": 60}  # the phase in which records become whole again, and a little before
_PUT_BACK = 12
# What the older layout has no column for, an undo leaves beside: ``session_id`` among it.
_WHOLE = (
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
    "INSERT INTO completion_requests (arrival, request_id, timestamp, success, outcome, app_version, total_tokens, "
    "response_time_ms, tokens_per_second, session_id) SELECT 1000 + i, printf('new-%08d', i), "
    f"'2026-11-01T00:00:00.000000Z', 1, 'completed', '{APP_VERSION}', 50, 250.0, 200.0, 'session ' || i FROM n"
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


def test_records_that_were_put_back_become_whole_again_wherever_it_is_killed(
    trials: Trials, migrated: Template
) -> None:
    template, before = migrated
    path = trials.copy(template)
    execute(path, _WHOLE.replace("{last}", str(_PUT_BACK - 1)))
    assert trials.nursery.run("undo", path=path).ended == "undone"
    judge(before, path, must_be="old", arrived=_PUT_BACK)
    seen = trials.points(path, "migrate", automatic=False)
    in_phase: list[int | None] = []

    def check(path: Path, ending: Ending) -> None:
        del ending
        with closing(apsw.Connection(str(path))) as connection:
            restored = get_fact(connection, RESTORED_THROUGH)
        if restored is not None:
            through = int(restored) - 999  # so many of them
            whole = [f"session {n}" if n < through else None for n in range(_PUT_BACK)]
            assert execute(path, _SESSIONS) == [(each,) for each in whole], "a batch is whole, or not begun"
            in_phase.append(int(restored))
        trials.finishes(before, path, arrived=_PUT_BACK)
        assert execute(path, _SESSIONS) == [(f"session {number}",) for number in range(_PUT_BACK)]

    last = {family: range(max(1, seen[family] - most), seen[family] + 1) for family, most in _OF_THE_END.items()}
    faults = [
        Fault(action="kill", family=family, number=number, when=when)
        for family, numbers in last.items()
        for number in numbers[:: 1 if EVERY_POINT else 9]
        for when in ("before", "after")
    ]
    endings = trials.sweep(path, faults, "migrate", check, automatic=False)
    tell(f"killed while records become whole again, of {points_in(seen)}", endings, faults)
    assert endings["killed"] >= 0.9 * len(faults), endings
    assert len(in_phase) >= 10
    assert len(set(in_phase)) >= 3, "kills between batches of that phase"


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
