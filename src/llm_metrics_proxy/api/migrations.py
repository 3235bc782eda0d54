"""Migrations as the API shows them: what runs now, and the answer while no data can be read yet."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics import KnownMigration, MigrationRun, read_runs
from llm_metrics_proxy.analytics.migrations import MIGRATING, UNFINISHED
from llm_metrics_proxy.analytics.versions import follows_older, precedes
from llm_metrics_proxy.api.ports import MigrationPorts, MigrationProgress
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.storage.base import Reader

IDLE: Final = "idle"
WAITING: Final = "waiting"
_PAGES: Final = frozenset({"backing_up"})
_LEAST_RETRY_S: Final = 1
_MOST_RETRY_S: Final = 60
_WORDS: Final = {  # phase -> in words for people
    IDLE: "about to begin",
    WAITING: "waiting",
    "checking": "checking the database",
    "backing_up": "backing up the database",
    "adopting": "adopting the database",
    "migrating": "recalculating records",
    "paused": "paused until the hours in which migrations may work",
    "verifying": "verifying every record",
    "undoing": "taking a migration back",
}


class MigrationNow(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration does at this moment; ``phase`` is ``idle`` when nothing runs."""

    app_version: str  # of this program
    phase: str
    text: str  # the same for people, with percent and time left
    run_id: int | None
    done: int
    total: int  # 0: not known
    unit: str  # of done and total: records, or pages while backing up
    percent: float | None
    per_s: float | None
    eta_s: float | None
    detail: str
    paused_until: str | None  # ISO 8601 in UTC
    lock_holder_pid: int | None  # whose process migrates, restores or undoes; null: nobody
    runs_here: bool  # in the process that answers, not in one of the command line
    blocks_data: bool  # nothing can be read or stored until the database is adopted
    problem: str | None  # why nothing is done about older records, and what to do


class MigrationBlocksDataError(Exception):
    """No data can be read until the database of an older program is adopted."""

    def __init__(self, progress: MigrationProgress) -> None:
        super().__init__(f"The database is one of an older program and is being made ready: {in_words(progress)}.")
        left_s = progress.eta_s if progress.eta_s is not None else 0.0
        self.retry_s = int(min(max(left_s, _LEAST_RETRY_S), _MOST_RETRY_S))


def percent(progress: MigrationProgress) -> float | None:
    """0 to 100, none while the total is not known."""
    return min(100.0, progress.done * 100 / progress.total) if progress.total > 0 else None


def figures(progress: MigrationProgress) -> dict[str, Any]:
    """The fields that describe progress wherever it is shown."""
    return {
        "unit": "pages" if progress.phase in _PAGES else "records",
        "percent": percent(progress),
        **{name: getattr(progress, name) for name in ("phase", "done", "total", "per_s", "eta_s")},
    }


def in_words(progress: MigrationProgress) -> str:
    """Phase, percent and time left, such as ``recalculating records, 45 %, about 2 min left``; while waiting, for
    what."""
    words = _WORDS.get(progress.phase, progress.phase)
    if progress.phase == WAITING:
        return f"{words}: {progress.detail}" if progress.detail else words
    parts = [words]
    share = percent(progress)
    if share is not None:
        parts.append(f"{int(share)} %")
    if progress.eta_s is not None:
        parts.append(f"about {_duration(progress.eta_s)} left")
    if progress.detail:
        parts.append(progress.detail)
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of another process's run, from the database."""

    phase: str = IDLE
    done: int = 0
    total: int = 0
    per_s: float | None = None
    eta_s: float | None = None
    detail: str = ""


def now(app_version: str, ports: MigrationPorts | None, reader: Reader) -> MigrationNow:
    """What goes on, here or in another process; never raises for a database that cannot be read."""
    progress: MigrationProgress = _Seen() if ports is None else ports.progress()
    holder = None if ports is None else ports.lock_holder()
    here = progress.phase not in (IDLE, WAITING)
    run_id = ports.run_id() if ports is not None and here else None
    blocks = ports is not None and ports.blocks_store()
    if not here and not blocks:
        run = _unfinished(reader, ports)
        if run is not None:
            run_id = run.id
            progress = _of_another(run, running=holder is not None)
    paused_until = ports.paused_until() if ports is not None and progress.phase == "paused" else None
    return MigrationNow(
        app_version=app_version,
        text=in_words(progress) if progress.phase != IDLE else progress.detail or "no migration is running",
        run_id=run_id,
        detail=progress.detail,
        paused_until=None if paused_until is None else _utc(paused_until),
        lock_holder_pid=holder,
        runs_here=here,
        blocks_data=blocks,
        problem=None if ports is None else ports.problem(),
        **figures(progress),
    )


def _unfinished(reader: Reader, ports: MigrationPorts | None) -> MigrationRun | None:
    try:
        runs = read_runs(reader, known_to(ports))
    except StoreError:
        return None  # the database is missing or busy; other answers say so
    return unfinished(runs)


def unfinished(runs: Sequence[MigrationRun]) -> MigrationRun | None:
    """The run that is under way or was interrupted; only the newest can be."""
    return runs[0] if runs and runs[0].state in UNFINISHED else None


def known_to(ports: MigrationPorts | None) -> list[KnownMigration]:
    """The program's migrations."""
    return [] if ports is None else list(ports.known())


def _of_another(run: MigrationRun, *, running: bool) -> _Seen:
    if not running:
        return _Seen(detail=f"migration {run.id} is not finished; it goes on at the next start or by `migrate run`")
    if run.state != MIGRATING:
        return _Seen(phase=run.state)
    older = sum(n for stamp, n in run.from_versions.items() if follows_older(stamp))
    each = _changes_of_each(run) if older else 1.0
    done = int(run.records_changed / each)
    per_s = run.records_per_s / each if run.records_per_s else None
    return _Seen(
        phase=run.state,
        done=done,
        total=max(older, done),
        per_s=per_s,
        eta_s=max(0, older - done) / per_s if per_s else None,
    )


def _changes_of_each(run: MigrationRun) -> float:
    """How often the run changes an older record, on average: once for each of its versions that is newer."""
    older = {stamp: n for stamp, n in run.from_versions.items() if follows_older(stamp)}
    changes = sum(n * sum(precedes(stamp, version) for version in run.versions) for stamp, n in older.items())
    return max(1.0, changes / max(1, sum(older.values())))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
