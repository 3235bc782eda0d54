"""SIGKILL, power cuts and I/O errors before and after everything that a backup or a restore does to the disk."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.storage import backup as backups
from tests import legacy
from tests.migration.databases import content, execute
from tests.migration.faults.nursery import Ending, Nursery
from tests.migration.faults.points import CHANGING, IN_SQLITE, Fault
from tests.migration.faults.trials import Trials, sample, tell
from tests.storage.test_backup import RECORDS, back_up, make

pytestmark = pytest.mark.system

_MOST = 8
_SPOKEN = ("BackupError", "MigrationRefusedError", "StoreError", "ForeignDatabaseError")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="faults-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        with Nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
            yield Trials(nursery, place)
    finally:
        shutil.rmtree(place)


def faults(seen: Mapping[str, int], action: str, families: tuple[str, ...] = CHANGING) -> list[Fault]:
    return [
        Fault(action=action, family=family, number=number, when=when, seed=number)
        for family in families
        for number in sample(seen.get(family, 0), _MOST)
        for when in (("before",) if action == "error" else ("before", "after"))
    ]


def is_bearable(ending: Ending, done: str) -> bool:
    """It was killed, has done its work all the same, or has said in words why not."""
    return ending.killed or ending.ended in (done, *_SPOKEN)


@pytest.fixture(scope="module", params=["journal", "wal"])
def source(request: pytest.FixtureRequest, trials: Trials) -> Path:
    path = make(trials.folder() / "metrics.db", RECORDS)
    if request.param == "wal":
        legacy.leave_wal(path, "UPDATE completion_requests SET value = 'newest' WHERE id > 200")
    return path


@pytest.mark.parametrize("action", ["kill", "power", "error"])
def test_a_backup_is_whole_or_none_and_the_next_one_succeeds(trials: Trials, source: Path, action: str) -> None:
    seen = trials.points(source, "back_up")
    before = content(trials.copy(source))

    def check(path: Path, ending: Ending) -> None:
        assert is_bearable(ending, "backed up"), ending
        folder = path.parent / "backups"
        for each in backups.listing(folder):
            backups.verify(folder, each.name)
            assert content(folder / each.name) == before
        assert content(path) == before
        made = back_up(path)
        whole = {each.name for each in backups.listing(folder)}
        assert made.name in whole
        assert {each.name for each in folder.iterdir()} == {".lock", *whole, *(f"{each}.json" for each in whole)}

    tried = faults(seen, action, IN_SQLITE if action == "error" else CHANGING)
    endings = trials.sweep(source, tried, "back_up", check)
    tell(f"{action} while backing up, of {sum(seen.values())} points", endings, tried)
    assert min(seen["statement"], seen["write"], seen["fsync"], seen["rename"]) >= 2
    assert endings["struck"] >= 0.9 * len(tried), endings


@pytest.fixture(scope="module", params=["journal", "wal", "journal killed", "damaged", "gone"])
def replaced(request: pytest.FixtureRequest, trials: Trials) -> tuple[Path, dict[str, Any]]:
    """A database with a backup, which differs from it; and what both hold."""
    path = make(trials.folder() / "metrics.db", RECORDS)
    back_up(path)
    holds: dict[str, Any] = {"backup": content(path), "before": None}
    execute(path, "UPDATE completion_requests SET value = 'newer'")
    if request.param == "wal":
        legacy.leave_wal(path, "UPDATE completion_requests SET value = 'newest' WHERE id > 200")
    elif request.param == "journal killed":
        legacy.leave_hot_journal(path, "UPDATE completion_requests SET value = hex(randomblob(999))")
    elif request.param == "damaged":
        data = path.read_bytes()
        path.write_bytes(data[:4096] + b"\xff" * 4096 + data[8192:])
        holds["damaged"] = path.read_bytes()
    elif request.param == "gone":
        path.unlink()
    if request.param not in ("damaged", "gone"):
        holds["before"] = content(trials.copy(path))
    return path, holds


@pytest.mark.parametrize("action", ["kill", "power", "error"])
def test_a_restore_leaves_the_old_or_the_new_and_the_next_one_succeeds(
    trials: Trials, replaced: tuple[Path, dict[str, Any]], action: str
) -> None:
    template, holds = replaced
    (made,) = backups.listing(template.parent / "backups")
    seen = trials.points(template, "restore", name=made.name)

    def check(path: Path, ending: Ending) -> None:
        assert is_bearable(ending, "restored"), ending
        folder = path.parent / "backups"
        is_new = _is_what(path, holds)
        for each in backups.listing(folder):
            backups.verify(folder, each.name)
        if holds["before"] is not None and is_new:
            kept = [content(folder / each.name) for each in backups.listing(folder)]
            assert holds["before"] in kept, "what was replaced is lost"
        if "damaged" in holds and is_new:
            assert holds["damaged"] in [each.read_bytes() for each in path.parent.glob("*.damaged-*")]
        again = trials.nursery.run("restore", path=path, name=made.name)
        assert again.ended == "restored", again
        assert content(path) == holds["backup"]
        left = {each.name for each in path.parent.iterdir() if ".damaged-" not in each.name}
        assert left <= {"metrics.db", "metrics.db.migration-lock", "backups", "stash"}, left
        assert not list(folder.glob("*.partial*"))

    tried = faults(seen, action, IN_SQLITE if action == "error" else CHANGING)
    endings = trials.sweep(template, tried, "restore", check, name=made.name)
    tell(f"{action} while restoring, of {sum(seen.values())} points", endings, tried)
    assert seen["rename"] >= 1
    assert endings["struck"] >= 0.9 * len(tried), endings


def _is_what(path: Path, holds: dict[str, Any]) -> bool:
    """Whether the new database is there; else the old one has to be."""
    if "damaged" in holds and path.exists() and path.read_bytes() == holds["damaged"]:
        return False
    if not path.exists():
        assert holds["before"] is None
        assert "damaged" not in holds
        return False
    found = content(path)
    assert found in (holds["before"], holds["backup"])
    return bool(found == holds["backup"])
