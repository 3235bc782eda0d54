"""Several processes at once on one old file: one migrates, the others wait for it and go on; never an error."""

import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.migration.faults.oracle import judge
from tests.migration.faults.templates import old_file, our_file
from tests.migration.faults.trials import Trials

pytestmark = pytest.mark.system

_SOON_S = 0.03  # all children are there by then, and begin in the same instant


def _at_once(trials: Trials, path: Path, processes: int) -> Counter[str]:
    at = time.monotonic() + _SOON_S
    children = [trials.nursery.start("migrate", path=path, wait=True, at=at) for _ in range(processes)]
    return Counter(child.wait().ended for child in children)


@pytest.mark.parametrize("kind", ["old", "ours"])
def test_of_two_processes_one_migrates_and_the_other_waits_fifty_times(trials: Trials, kind: str) -> None:
    template, before = (old_file if kind == "old" else our_file)(trials.folder(), records=60)
    for _time in range(25):
        path = trials.copy(template)
        assert _at_once(trials, path, 2) == Counter(done=1, nothing_to_do=1)
        judge(before, path, must_be="new")
        shutil.rmtree(path.parent)


@pytest.mark.parametrize("kind", ["old", "ours"])
def test_of_eight_processes_one_migrates(trials: Trials, kind: str) -> None:
    template, before = (old_file if kind == "old" else our_file)(trials.folder())
    for _time in range(3):
        path = trials.copy(template)
        assert _at_once(trials, path, 8) == Counter(done=1, nothing_to_do=7)
        trials.finishes(before, path)


def test_of_two_that_do_not_wait_one_migrates_and_the_other_says_who_does(trials: Trials) -> None:
    template, before = old_file(trials.folder())
    for _time in range(5):
        path = trials.copy(template)
        at = time.monotonic() + _SOON_S
        children = [trials.nursery.start("migrate", path=path, at=at) for _ in range(2)]
        ended = Counter(child.wait().ended for child in children)
        assert ended["done"] == 1
        assert ended["MigrationRefusedError"] + ended["nothing_to_do"] == 1, ended
        trials.finishes(before, path)
