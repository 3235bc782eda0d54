"""Migrations as the API shows them: what runs now, and the answer while no data can be read yet."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics import MigrationRun
from llm_metrics_proxy.analytics.history import History, history_of
from llm_metrics_proxy.analytics.migrations import MIGRATING, UNFINISHED
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.api.ports import MigrationPorts, MigrationProgress
from llm_metrics_proxy.errors import StoreError

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
    "setting_aside": "setting the older table aside",
    "migrating": "carrying older records over",
    "paused": "paused until the hours in which migrations may work",
    "verifying": "verifying every record",
    "taking_back": "removing what was carried over",
    "undoing": "putting the older table back",
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
    blocks_data: bool  # nothing can be read or stored until the older table is set aside
    problem: str | None  # why nothing is done about older records, and what to do
    history: History | None  # older records that no answer counts yet; null: every record is there


class MigrationBlocksDataError(Exception):
    """No data can be read until the table of an older version is set aside."""

    def __init__(self, progress: MigrationProgress, problem: str | None = None) -> None:
        """``problem``: why nobody sets it aside at the moment."""
        if problem is None:
            words = f"The database is one of an older version and is being made ready: {in_words(progress)}."
        else:
            words = f"The database is one of an older version, and nothing is done about it: {problem}."
        super().__init__(words)
        left_s = float(_MOST_RETRY_S) if problem is not None else progress.eta_s or 0.0
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
    """Phase, percent, time left and rate, such as ``carrying older records over, 45 %, about 2 min left, 90,000/s``;
    while waiting, for what."""
    words = _WORDS.get(progress.phase, progress.phase)
    if progress.phase == WAITING:
        return f"{words}: {progress.detail}" if progress.detail else words
    parts = [words]
    share = percent(progress)
    if share is not None:
        parts.append(f"{int(share)} %")
    if progress.eta_s is not None:
        parts.append(f"about {_duration(progress.eta_s)} left")
    if progress.per_s is not None and progress.phase not in _PAGES:
        parts.append(f"{progress.per_s:,.0f}/s")
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


def now(app_version: str, ports: MigrationPorts | None, records: Records) -> MigrationNow:
    """What goes on, here or in another process; never raises for a database that cannot be read."""
    progress: MigrationProgress = _Seen() if ports is None else ports.progress()
    holder = None if ports is None else ports.lock_holder()
    here = progress.phase not in (IDLE, WAITING)
    run_id = ports.run_id() if ports is not None and here else None
    blocks = ports is not None and ports.blocks_store()
    if ports is not None and not here and not blocks:
        run = _unfinished(ports)
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
        history=None if blocks else _lacking(records),
        **figures(progress),
    )


def _lacking(records: Records) -> History | None:
    try:
        return history_of(records.carried())
    except StoreError:
        return None  # as below


def _unfinished(ports: MigrationPorts) -> MigrationRun | None:
    try:
        return unfinished(ports.runs())
    except StoreError:
        return None  # the database is missing or busy; other answers say so


def unfinished(runs: Sequence[MigrationRun]) -> MigrationRun | None:
    """The run that is under way or was interrupted; only the newest can be."""
    return runs[0] if runs and runs[0].state in UNFINISHED and not runs[0].in_place else None


def _of_another(run: MigrationRun, *, running: bool) -> _Seen:
    if not running:
        return _Seen(detail=f"migration {run.id} is not finished; it goes on at the next start or by `migrate run`")
    if run.state != MIGRATING:
        return _Seen(phase=run.state)
    left, per_s = max(0, run.records_total - run.records_changed), run.records_per_s
    return _Seen(
        phase=run.state,
        done=run.records_changed,
        total=run.records_total,
        per_s=per_s,
        eta_s=left / per_s if per_s else None,
    )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
