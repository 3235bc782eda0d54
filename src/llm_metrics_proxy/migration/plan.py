"""The values of a plan, as ``migrate plan`` prints them and gives them as JSON."""

import re

import msgspec

from llm_metrics_proxy.migration.disk import Disk
from llm_metrics_proxy.migration.model import ColumnChange, Fault, Run
from llm_metrics_proxy.migration.preview import MetricChange, Retyped
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY


class StampCount(msgspec.Struct, frozen=True):
    """Records that bear one stamp.

    ``standing``: ``older``, ``current``, ``newer`` (than this program), ``unreadable`` (no version, treated as the
    oldest), or ``distrusted``: in a file of another program a stamp proves nothing, so that each record that does not
    follow its own is recalculated too.
    """

    stamp: str
    standing: str
    records: int


class PlannedGap(msgspec.Struct, frozen=True):
    """Records of the sample that one migration cannot recompute: they get NULL and this reason."""

    reason: str
    meaning: str
    records: int


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One migration. ``records``: those whose stamp is older than it. ``types``: what becomes of the errors' types in
    the sample, the most frequent first."""

    version: str
    summary: str
    records: int
    changes: tuple[str, ...]
    gaps: tuple[PlannedGap, ...]
    types: tuple[Retyped, ...] = ()


class MigrationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``migrate plan``. ``message`` is its first sentence, ``refusal`` why ``migrate run`` would not.

    With ``refusal``, or with nothing to do, there are no steps, no disk, no estimate and no metrics.
    """

    path: str
    app_version: str
    found: str
    message: str
    nothing_to_do: bool
    refusal: str | None = None
    records: int = 0  # that are carried over
    stamps: tuple[StampCount, ...] = ()
    unfinished: Run | None = None
    lock_holder: int | None  # id of the process that migrates now
    steps: tuple[PlannedStep, ...] = ()
    unfit: dict[str, int] = {}  # values of the sample that do not fit their column, by column
    disk: Disk | None = None
    estimate_s: float | None = None
    sample_records: int = 0
    metrics: tuple[MetricChange, ...] = ()
    faults: tuple[Fault, ...] = ()  # records of the sample for which a run would be taken back


def in_words(change: ColumnChange) -> str:
    """What a change does, for people."""
    column = REGISTRY.get(change.column)
    meaning = column.meaning if column else ""
    what = f"{change.column} is {'corrected' if change.original else 'recomputed'}"
    if column and column.origin == "kept":
        return f"{change.column} is filled ({meaning})"
    if change.only_if_added:
        sources = ", ".join(name for name in ALL_COLUMNS if re.search(rf"\b{name}\b", change.sql))
        what = f"{change.column} is taken from {sources}, where the older table has no such column"
    if change.original:
        return f"{what} where it differs ({meaning}); the value as it was stays in {change.original}"
    return f"{what} ({meaning})"
