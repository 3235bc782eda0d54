"""The runs in the table ``migrations``: how they ended, and their figures.

Read as any other question, so that runs of the command line and of the metrics process look the same.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from llm_metrics_proxy.storage.base import Reader

MIGRATING: Final = "migrating"
VERIFYING: Final = "verifying"
UNDOING: Final = "undoing"
DONE: Final = "done"
UNDONE: Final = "undone"
ROLLED_BACK: Final = "rolled_back"
UNFINISHED: Final = frozenset({MIGRATING, VERIFYING, UNDOING})


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
    """One run over the records. ``state``: migrating, verifying, undoing, done, undone, rolled_back."""

    id: int
    state: str
    from_versions: dict[str, int]  # records by version when it began
    to_version: str
    versions: list[str]  # whose migrations it is made of, in order
    app_version: str  # of the program that ran it
    started_at: str
    finished_at: str | None
    duration_ms: float | None  # from start to end, pauses included
    busy_ms: float  # spent working
    records_total: int
    records_changed: int
    records_per_s: float | None  # changed, while working
    largest_lock_ms: float  # the longest that writers had to wait for it
    backup: str | None  # file name of the copy from before
    gaps: list[GapCount]
    checksum_mismatches: list[str]  # versions whose migration is not the one that this program has now
    error: str | None
    dismissed_at: str | None  # when a person had read its notice


_COLUMNS: Final = (
    "id",
    "state",
    "from_versions",
    "to_version",
    "checksums",
    "app_version",
    "started_at",
    "finished_at",
    "busy_ms",
    "records_total",
    "records_changed",
    "largest_lock_ms",
    "backup",
    "gaps",
    "error",
    "dismissed_at",
)
_SQL: Final = f"SELECT {', '.join(_COLUMNS)} FROM migrations ORDER BY id DESC"  # noqa: S608 -- names are ours
_HAS_TABLE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'"
_counts: Final = msgspec.json.Decoder(dict[str, int]).decode
_texts: Final = msgspec.json.Decoder(dict[str, str]).decode


def read_runs(reader: Reader, known: Sequence[KnownMigration]) -> list[MigrationRun]:
    """Every run, newest first; none where the file has no such table yet. Raises ``StoreError``."""
    if not reader.query(_HAS_TABLE):
        return []
    meanings = {code: meaning for migration in known for code, meaning in migration.gaps.items()}
    checksums = {migration.version: migration.checksum for migration in known}
    return [_run(dict(zip(_COLUMNS, row, strict=True)), meanings, checksums) for row in reader.query(_SQL)]


def _run(row: dict[str, Any], meanings: dict[str, str], checksums: dict[str, str]) -> MigrationRun:
    applied = _texts(row.pop("checksums"))
    gaps = _counts(row.pop("gaps"))
    return MigrationRun(
        **{**row, "from_versions": _counts(row["from_versions"])},
        versions=list(applied),
        duration_ms=_duration_ms(row["started_at"], row["finished_at"]),
        records_per_s=row["records_changed"] * 1000 / row["busy_ms"] if row["busy_ms"] > 0 else None,
        gaps=[
            GapCount(reason=code, meaning=meanings.get(code), n=n)
            for code, n in sorted(gaps.items(), key=lambda gap: (-gap[1], gap[0]))
        ],
        checksum_mismatches=[
            version for version, checksum in applied.items() if checksums.get(version, checksum) != checksum
        ],
    )


def _duration_ms(started_at: str, finished_at: str | None) -> float | None:
    """None also where the clock was set back meanwhile."""
    if finished_at is None:
        return None
    duration_ms = (datetime.fromisoformat(finished_at) - datetime.fromisoformat(started_at)).total_seconds() * 1000
    return duration_ms if duration_ms >= 0 else None
