"""The runs of migrations as people see them: how they ended, and their figures. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.analytics.versions import precedes

MIGRATING: Final = "migrating"
VERIFYING: Final = "verifying"
TAKING_BACK: Final = "taking_back"
UNDOING: Final = "undoing"
DONE: Final = "done"
UNDONE: Final = "undone"
ROLLED_BACK: Final = "rolled_back"
UNFINISHED: Final = frozenset({MIGRATING, VERIFYING, TAKING_BACK, UNDOING})
_FIRST_COPYING: Final = "5.0.0"  # earlier versions changed records where they are


class KnownMigration(msgspec.Struct, frozen=True, kw_only=True):
    """A migration that this program has; ``checksum`` is over the code that decides what is written."""

    version: str
    summary: str
    checksum: str
    gaps: dict[str, str]  # what each reason code means


class GapCount(msgspec.Struct, frozen=True, kw_only=True):
    """``n`` records could not be recalculated for this reason; ``meaning`` is ``None`` for codes of other programs."""

    reason: str
    meaning: str | None
    n: int


class MigrationRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run over the records. ``state``: migrating, verifying, taking_back, undoing, done, undone, rolled_back."""

    id: int
    state: str
    from_versions: dict[str, int]  # records by version when it began
    to_version: str
    versions: list[str]  # whose migrations it is made of, in order
    app_version: str  # of the program that ran it
    in_place: bool  # by a version before 5.0.0, which changed records where they are
    started_at: str
    finished_at: str | None
    duration_ms: float | None  # from start to end, pauses included
    busy_ms: float  # spent working
    records_total: int
    records_changed: int  # carried over; of a run in place: changes, one for each version that a record went through
    records_per_s: float | None  # changed, while working
    largest_lock_ms: float  # the longest that writers had to wait for it
    backup: str | None  # file name of the copy from before
    kept_table: str | None  # has the records as they were before; null: it is gone, or back in its place
    kept_until: str | None  # ISO 8601 in UTC; null: no such table, or it stays until it is told to go
    gaps: list[GapCount]
    unfit: dict[str, int]  # values that did not fit their column, by column; unfit_values of a record has them
    checksum_mismatches: list[str]  # versions whose migration is not the one that this program has now
    error: str | None
    dismissed_at: str | None  # when a person had read its notice


def run_of(stored: Mapping[str, Any], known: Sequence[KnownMigration], *, undo_days: int) -> MigrationRun:
    """A run as the engine stores it, with what its codes mean; ``undo_days``: see the setting."""
    meanings = {code: meaning for migration in known for code, meaning in migration.gaps.items()}
    checksums = {migration.version: migration.checksum for migration in known}
    applied, busy_ms, finished_at = stored["checksums"], stored["busy_ms"], stored["finished_at"]
    same = {name: stored[name] for name in MigrationRun.__struct_fields__ if name in stored and name != "gaps"}
    return MigrationRun(
        **same,
        versions=list(applied),
        in_place=precedes(stored["app_version"], _FIRST_COPYING),
        duration_ms=_duration_ms(stored["started_at"], finished_at),
        records_per_s=stored["records_changed"] * 1000 / busy_ms if busy_ms > 0 else None,
        kept_table=stored["old_table"],
        kept_until=_kept_until(finished_at, undo_days) if stored["old_table"] and stored["state"] == DONE else None,
        gaps=[
            GapCount(reason=code, meaning=meanings.get(code), n=n)
            for code, n in sorted(stored["gaps"].items(), key=lambda gap: (-gap[1], gap[0]))
        ],
        checksum_mismatches=[
            version for version, checksum in applied.items() if checksums.get(version, checksum) != checksum
        ],
    )


def _kept_until(finished_at: str | None, undo_days: int) -> str | None:
    if finished_at is None or undo_days == 0:
        return None
    return stored_time(datetime.fromisoformat(finished_at) + timedelta(days=undo_days))


def _duration_ms(started_at: str, finished_at: str | None) -> float | None:
    """None also where the clock was set back meanwhile."""
    if finished_at is None:
        return None
    duration_ms = (datetime.fromisoformat(finished_at) - datetime.fromisoformat(started_at)).total_seconds() * 1000
    return duration_ms if duration_ms >= 0 else None
