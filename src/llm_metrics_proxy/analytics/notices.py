"""What people need to know about migrations: which numbers changed, how many, and what to do."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.migrations import DONE, ROLLED_BACK, UNDOING, UNDONE, MigrationRun
from llm_metrics_proxy.analytics.versions import VERSION_HISTORY

PROGRAM: Final = "llm-metrics-proxy"
_MIXED: Final = "A mean over older and newer records together means nothing; older_records says how many are older."


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to know. ``attention``: a person has to act, or it continues only later.

    Those of finished, undone and rolled-back runs stay until they are dismissed; others until their cause is gone.
    """

    kind: str  # done, undone, rolled_back, unfinished, problem
    run_id: int | None
    attention: bool
    title: str
    text: list[str]  # sentences: what happened, and what changed in how numbers are read
    to_do: str


def notices(runs: Sequence[MigrationRun], *, problem: str | None = None, running: bool = False) -> list[Notice]:
    """The newest run's first; those that need attention come before all.

    ``problem``: why nothing is done about older records at the moment. ``running``: somebody works on the unfinished
    run right now.
    """
    taken_back = bool(runs) and runs[0].state in (UNDONE, ROLLED_BACK)  # then the run's own notice says it
    found = [] if problem is None or taken_back else [_problem(problem)]
    for run in runs:
        superseded = run is not runs[0] and run.state != DONE
        if run.state not in _ENDED:
            found.append(_unfinished(run, running=running))
        elif run.dismissed_at is None and not superseded:
            found.append(_ENDED[run.state](run))
    return sorted(found, key=lambda notice: not notice.attention)


def _problem(problem: str) -> Notice:
    return Notice(
        kind="problem",
        run_id=None,
        attention=True,
        title="Records of older versions are not being migrated",
        text=[problem],
        to_do=f"`{PROGRAM} migrate status` says what is there, `{PROGRAM} migrate plan` what a migration would change.",
    )


def _done(run: MigrationRun) -> Notice:
    text = [
        f"{run.records_changed:,} changes were made in {run.records_total:,} records on {_day(run)}.",
        *_changes(run),
    ]
    if run.gaps:
        reasons = "; ".join(f"{gap.n:,}: {gap.meaning or gap.reason}" for gap in run.gaps)
        text.append(f"{_sum(run):,} of them have no value now, because it cannot be calculated ({reasons}).")
    kept = f"The records as they were are kept in the backup {run.backup}. " if run.backup else ""
    return Notice(
        kind=DONE,
        run_id=run.id,
        attention=False,
        title=f"Records follow the formulas of version {run.to_version} now",
        text=text,
        to_do="Do not compare numbers that were noted down before with what is shown now. "
        f"{kept}`{PROGRAM} migrate undo` takes the change back.",
    )


def _undone(run: MigrationRun) -> Notice:
    return Notice(
        kind=UNDONE,
        run_id=run.id,
        attention=True,
        title=f"The migration to version {run.to_version} was taken back",
        text=[
            f"Its records have their older values and formulas again. {_MIXED}",
            *_changes(run),
        ],
        to_do=f"It is not run again by itself; `{PROGRAM} migrate run` does it.",
    )


def _rolled_back(run: MigrationRun) -> Notice:
    return Notice(
        kind=ROLLED_BACK,
        run_id=run.id,
        attention=True,
        title=f"The migration to version {run.to_version} failed and was taken back",
        text=[
            f"Every record is as it was before; nothing was lost. {_MIXED}",
            f"What went wrong: {run.error or 'no reason was noted'}",
        ],
        to_do=f"The same program does not try it again by itself. Install a version that corrects it, or try once more "
        f"with `{PROGRAM} migrate run`.",
    )


def _unfinished(run: MigrationRun, *, running: bool) -> Notice:
    doing = "taking back the migration" if run.state == UNDOING else "the migration"
    again = "migrate undo" if run.state == UNDOING else "migrate run"
    where = f"{run.records_changed:,} changes were made so far. " if run.state != UNDOING else ""
    return Notice(
        kind="unfinished",
        run_id=run.id,
        attention=not running,
        title=f"{doing.capitalize()} to version {run.to_version} {'is under way' if running else 'is not finished'}",
        text=[
            f"{where}Each record is wholly old or wholly new, as its app_version says. {_MIXED}",
        ],
        to_do="Nothing; it goes on by itself."
        if running
        else f"It goes on at the next start of the metrics process, or now with `{PROGRAM} {again}`.",
    )


_ENDED: Final[dict[str, Callable[[MigrationRun], Notice]]] = {
    DONE: _done,
    UNDONE: _undone,
    ROLLED_BACK: _rolled_back,
}


def _changes(run: MigrationRun) -> list[str]:
    """What each version that ran changed in how numbers are read."""
    notes = {note.version: note for note in VERSION_HISTORY}
    return [
        f"{version}: {change}"
        for version in run.versions
        if version in notes
        for change in notes[version].breaking_changes or (notes[version].changes,)
    ]


def _day(run: MigrationRun) -> str:
    return (run.finished_at or run.started_at)[:10]


def _sum(run: MigrationRun) -> int:
    return sum(gap.n for gap in run.gaps)
