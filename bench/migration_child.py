"""``python -m bench.migration_child WHAT DATABASE BACKUPS``: one timed piece of work in a process of its own.

``update`` is the bare UPDATE that a migration is measured against, ``migrate`` and ``undo`` are the engine. Prints one
line of JSON: seconds, seconds by phase, and the largest resident memory that this process ever had.
"""

import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from bench.migration_file import DAY_RECORDS
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended, Progress, WorkPhase
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.safe_migrations import MIGRATIONS

_UPDATE: Final = (
    "UPDATE completion_requests SET tokens_per_second = total_tokens*1000.0/response_time_ms, app_version='2.0.0' "
    "WHERE app_version='1.0.0'"
)
_CACHE_KIB: Final = 32 * 1024  # as much as the engine has


class Stopwatch:
    """Seconds and CPU seconds (of all threads) by phase, from the reports that the engine gives."""

    def __init__(self) -> None:
        self.day_seconds: float | None = None
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        self._phase = WorkPhase.CHECKING.value
        self._since_s, self._cpu_since_s = time.perf_counter(), time.process_time()
        self._start_s = self._since_s

    def report(self, progress: Progress) -> None:
        """A ``Report``."""
        phase = progress.phase.value
        is_carried = progress.phase is WorkPhase.MIGRATING and progress.done >= DAY_RECORDS
        if self.day_seconds is None and (is_carried or progress.phase is WorkPhase.VERIFYING):
            self.day_seconds = time.perf_counter() - self._start_s
        if phase != self._phase:
            self.stop()
            self._phase = phase

    def stop(self) -> None:
        """The phase under way ends now."""
        now_s, cpu_s = time.perf_counter(), time.process_time()
        self.seconds[self._phase] += now_s - self._since_s
        self.cpu_seconds[self._phase] += cpu_s - self._cpu_since_s
        self._since_s, self._cpu_since_s = now_s, cpu_s


def update(path: Path) -> dict[str, Any]:
    """The bare UPDATE, in WAL mode, up to and with the checkpoint that puts it into the file itself."""
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    start_s, cpu_start_s = time.perf_counter(), time.process_time()
    connection.execute(_UPDATE)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds, cpu_seconds = time.perf_counter() - start_s, time.process_time() - cpu_start_s
    connection.close()
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


def migrate(path: Path, backups: Path) -> dict[str, Any]:
    """``engine.migrate``, with all that it does."""
    watch, start_s, cpu_start_s = Stopwatch(), time.perf_counter(), time.process_time()
    result = engine.migrate(path, Options(backup_dir=backups), report=watch.report, migrations=MIGRATIONS)
    watch.stop()
    seconds, cpu_seconds = time.perf_counter() - start_s, time.process_time() - cpu_start_s
    assert result.ended is Ended.DONE, result
    assert result.run is not None
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "phases": dict(watch.seconds),
        "cpu_phases": dict(watch.cpu_seconds),
        "day_seconds": watch.day_seconds,
        "largest_lock_ms": result.run.largest_lock_ms,
        "records": result.run.records_total,
    }


def undo(path: Path, backups: Path) -> dict[str, Any]:
    """``engine.undo`` of the whole run."""
    start_s = time.perf_counter()
    result = engine.undo(path, Options(backup_dir=backups), migrations=MIGRATIONS)
    assert result.ended is Ended.UNDONE, result
    return {"seconds": time.perf_counter() - start_s}


def peak_mib() -> float:
    """Largest resident set of this process image. (``getrusage`` would count the parent's before ``exec``.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main(what: str, database: str, backups: str) -> None:
    """Do it and say how it went."""
    path, folder = Path(database), Path(backups)
    done = update(path) if what == "update" else migrate(path, folder) if what == "migrate" else undo(path, folder)
    sys.stdout.write(msgspec.json.encode({**done, "peak_mib": peak_mib()}).decode() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
