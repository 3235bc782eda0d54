"""The disk is full: pages, bytes and file sizes are limited from outside, and a small real disk is filled."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy.migration.model import WorkPhase
from tests.migration.faults.nursery import Ending
from tests.migration.faults.oracle import judge
from tests.migration.faults.points import Fault
from tests.migration.faults.templates import Template, execute, old_file
from tests.migration.faults.trials import FINISHED, SPOKEN, Trials, sample, tell

pytestmark = pytest.mark.system

_DISK_BYTES = 96 * 1024**2  # the engine wants room for a log of 64 MiB before it begins


@pytest.fixture(scope="module")
def template(trials: Trials) -> Template:
    return old_file(trials.folder())


def _try(trials: Trials, template: Template, faults: list[Fault], what: str) -> None:
    path, before = template

    def check(path: Path, ending: Ending) -> None:
        assert ending.ended in FINISHED or ending.ended in SPOKEN, ending
        judge(before, path)
        trials.finishes(before, path)

    endings = trials.sweep(path, faults, "migrate", check)
    tell(what, endings, faults)
    assert sum(endings[name] for name in SPOKEN) >= 0.5 * len(faults), endings


def test_a_database_that_cannot_grow(trials: Trials, template: Template) -> None:
    path, _before = template
    ((pages,),) = execute(path, "PRAGMA page_count")
    done = trials.copy(path)
    assert trials.nursery.run("migrate", path=done).ended == "done"
    ((grown,),) = execute(done, "PRAGMA page_count")
    assert grown > pages + 8
    faults = [Fault(page_limit=pages + more) for more in sample(grown - pages - 1, 14)]
    _try(trials, template, faults, "max_page_count")


def test_a_disk_that_is_full_after_so_many_bytes(trials: Trials, template: Template) -> None:
    whole = trials.nursery.run("migrate", Fault(action="count"), path=trials.copy(template[0]))
    pages = whole.answer["written_bytes"] // 4096
    faults = [Fault(action="full", bytes_free=4096 * number) for number in sample(pages - 2, 24)]
    _try(trials, template, faults, "SQLITE_FULL after so many bytes")


def test_a_limit_on_the_size_of_files(trials: Trials, template: Template) -> None:
    size = template[0].stat().st_size
    faults = [Fault(file_limit=size * percent // 100) for percent in range(5, 200, 12)]
    _try(trials, template, faults, "RLIMIT_FSIZE")


@pytest.fixture(scope="module")
def small_disk(trials: Trials) -> Iterator[Path]:
    place = trials.folder()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=755", "none", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    "phase",
    [WorkPhase.CHECKING, WorkPhase.BACKING_UP, WorkPhase.SETTING_ASIDE, WorkPhase.MIGRATING, WorkPhase.VERIFYING],
)
def test_a_disk_that_fills_up_meanwhile(trials: Trials, small_disk: Path, phase: WorkPhase) -> None:
    folder = small_disk / phase
    folder.mkdir()
    path, before = old_file(folder, records=3000)
    filler = small_disk / "filler"
    try:
        ending = trials.nursery.run("migrate", path=path, batch_lock_ms=5, fill_at=phase, filler=filler)
        assert filler.stat().st_size > _DISK_BYTES // 2
    finally:
        with contextlib.suppress(FileNotFoundError):
            filler.unlink()
    assert ending.ended in FINISHED or ending.ended in SPOKEN, ending
    if phase in (WorkPhase.BACKING_UP, WorkPhase.SETTING_ASIDE, WorkPhase.MIGRATING):
        assert ending.ended in SPOKEN, "no room for the step, and yet it was done"
    judge(before, path)
    trials.finishes(before, path)
    print(f"\nfull while {phase}: {ending.ended}: {ending.answer.get('message')}", end="")
