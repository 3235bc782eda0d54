"""One fault after another on fresh copies of a database, two at a time, and what the next start makes of each."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.migration.faults.nursery import PATIENCE_S, Child, Ending, Nursery, is_stopped
from tests.migration.faults.oracle import Row, judge
from tests.migration.faults.points import Fault
from tests.waiting import wait_until

EVERY_POINT: Final = bool(os.environ.get("FAULT_EVERY_POINT"))
FINISHED: Final = ("done", "nothing_to_do")
# What may be said of a fault; anything else is a traceback that a person would have seen.
SPOKEN: Final = frozenset(
    {"DiskLowError", "StoreError", "StoreBusyError", "BackupError", "MigrationFailedError", "MigrationRefusedError"}
)
_AT_ONCE: Final = 3
_TURNS: Final = 4  # until a fault strikes


def sample(total: int, most: int) -> list[int]:
    """Numbers from 1 to ``total``: all, or ``most`` of them, evenly spread and with both ends."""
    if EVERY_POINT or total <= most:
        return list(range(1, total + 1))
    return sorted({1 + round(index * (total - 1) / (most - 1)) for index in range(most)})


class Trials:
    """A place on the disk with a folder for each trial, and a nursery."""

    def __init__(self, nursery: Nursery, place: Path) -> None:
        self.nursery, self.place = nursery, place
        self._numbers = count()

    def folder(self) -> Path:
        """An empty one."""
        folder = self.place / f"trial-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def copy(self, template: Path) -> Path:
        """The database of a template with all that lies in its folder, in a folder of its own."""
        folder = self.folder()
        shutil.copytree(template.parent, folder, dirs_exist_ok=True)
        shutil.rmtree(folder / "look", ignore_errors=True)
        return folder / template.name

    def points(self, template: Path, job: str, **arguments: Any) -> dict[str, int]:
        """How many points of each family the job has where nothing goes wrong."""
        path = self.copy(template)
        ending = self.nursery.run(job, Fault(action="count"), path=path, **arguments)
        assert ending.status == 0, f"see {self.nursery.log}: {self.nursery.log.read_text()[-2000:]}"
        assert "error" not in ending.answer, ending
        shutil.rmtree(path.parent)
        return dict(ending.answer["seen"])

    def sweep(
        self,
        template: Path,
        faults: Sequence[Fault],
        job: str,
        check: Callable[[Path, Ending], None],
        **arguments: Any,
    ) -> Counter[str]:
        """Every fault on a copy of its own, then ``check``; how the children ended, by kind."""
        endings: Counter[str] = Counter()
        failures: list[str] = []

        def one(fault: Fault) -> None:
            path, ending = self.strike(template, fault, job, **arguments)
            try:
                assert ending.killed or ending.status == 0, f"see {self.nursery.log}"
                check(path, ending)
            except AssertionError as error:
                kept = shutil.move(path.parent, self.nursery.log.parent)
                failures.append(f"{fault}\n  the child: {ending}\n  {error}\n  kept in {kept}")
            else:
                shutil.rmtree(path.parent)
            endings["killed" if ending.killed else ending.ended] += 1
            endings["struck"] += bool(ending.killed or ending.answer.get("struck"))

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(one, faults))
        assert not failures, f"{len(failures)} of {len(faults)}:\n" + "\n".join(failures[:5])
        return endings

    def strike(self, template: Path, fault: Fault, job: str, **arguments: Any) -> tuple[Path, Ending]:
        """The fault on a copy, and how the job ended."""
        path, child = self.stand(template, fault, job, **arguments)
        return path, child.wait()

    def stand(self, template: Path, fault: Fault, job: str, **arguments: Any) -> tuple[Path, Child]:
        """The fault on a copy; the job has ended or was stopped by it.

        Two threads share a job, and it may end before the number that another run of it had: then the fault strikes at
        the last one of its family that this run had.
        """
        turn = 0
        while True:
            path, turn = self.copy(template), turn + 1
            child = self.nursery.start(job, fault, path=path, **arguments)
            if fault.action == "stop":
                wait_until(partial(_has_halted, child), "it has ended or stands", PATIENCE_S)
                if not child.done.done():
                    return path, child
            ending = child.wait()
            seen = ending.answer.get("seen", {}).get(fault.family, 0)
            if ending.killed or ending.answer.get("struck") or not 0 < seen < fault.number or turn == _TURNS:
                return path, child
            shutil.rmtree(path.parent)
            fault = msgspec.structs.replace(fault, number=seen)

    def finishes(self, before: Mapping[Any, Row], path: Path, *, arrived: int = 0) -> Ending:
        """The next start needs no help: it finishes, every record is new, and verification finds nothing."""
        ending = self.nursery.run("finish", path=path)
        assert ending.ended in FINISHED, f"the next start: {ending}"
        assert ending.answer["left"] == [], f"the next start left: {ending}"
        judge(before, path, must_be="new", arrived=arrived)
        if ending.ended == "done":
            assert ending.answer["has_backup"], f"the run's backup is gone: {ending}"
        if ending.answer["backup"] and not arrived:
            judge(before, path.parent / "backups" / ending.answer["backup"])
        return ending


def _has_halted(child: Child) -> bool:
    return child.done.done() or is_stopped(child.pid)


def tell(what: str, endings: Mapping[str, int], tried: Iterable[object]) -> None:
    """For ``-s``: how many points there were."""
    print(f"\n{what}: {len(list(tried))} points tried, {dict(endings)}", end="")
