"""What people need to know about migrations: which numbers changed, how many, what is missing, and what to do."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.migrations import DONE, ROLLED_BACK, UNDOING, UNDONE, UNFINISHED, MigrationRun
from llm_metrics_proxy.analytics.versions import VERSION_HISTORY

PROGRAM: Final = "llm-metrics-proxy"


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


def notices(
    runs: Sequence[MigrationRun],
    *,
    problem: str | None = None,
    running: bool = False,
    history: History | None = None,
) -> list[Notice]:
    """Of the newest run's, which come first, and of those before it that changed how numbers are read.

    ``problem``: why nothing is done about older records at the moment. ``running``: somebody works on the unfinished
    run right now. ``history``: what the answers lack.
    """
    newest = runs[0] if runs else None
    taken_back = newest is not None and newest.state in (UNDONE, ROLLED_BACK)  # then the run's own notice says it
    found = [] if problem is None or taken_back else [_problem(problem)]
    if newest is not None and newest.state in UNFINISHED and not newest.in_place:
        found.append(_unfinished(newest, history, running=running))
    found += [_ENDED[run.state](run) for run in runs if _is_told(run, is_newest=run is newest)]
    return sorted(found, key=lambda notice: not notice.attention)


def _is_told(run: MigrationRun, *, is_newest: bool) -> bool:
    """Whether an ended run has a notice. Those that changed records in place can neither be undone nor be dismissed
    here: what they did to numbers is told by the run that carried over."""
    if run.state not in _ENDED or run.dismissed_at is not None:
        return False
    return not run.in_place if run.state == DONE else is_newest


def _problem(problem: str) -> Notice:
    return Notice(
        kind="problem",
        run_id=None,
        attention=True,
        title="Records of older versions are not being carried over",
        text=[problem],
        to_do=f"`{PROGRAM} migrate status` says what is there, `{PROGRAM} migrate plan` what a migration would change.",
    )


def _done(run: MigrationRun) -> Notice:
    text = [
        f"{run.records_changed:,} records were carried over into a new table on {_day(run)}; every one was verified.",
        *_changes(run),
    ]
    if run.gaps:
        reasons = "; ".join(f"{gap.n:,}: {gap.meaning or gap.reason}" for gap in run.gaps)
        n = sum(gap.n for gap in run.gaps)
        text.append(f"{n:,} of them lack a value, because it cannot be calculated ({reasons}).")
    if run.unfit:
        columns = ", ".join(f"{column} {n:,}" for column, n in run.unfit.items())
        text.append(f"Values that do not fit their column are kept in unfit_values and count nowhere ({columns}).")
    return Notice(
        kind=DONE,
        run_id=run.id,
        attention=False,
        title=f"Records follow the formulas of version {run.to_version} now",
        text=text,
        to_do=f"Do not compare numbers that were noted down before with what is shown now. {_way_back(run)}",
    )


def _way_back(run: MigrationRun) -> str:
    backup = f"the backup {run.backup} has the records as they were" if run.backup else "there is no way back"
    if run.kept_table is None:
        return f"The table from before is gone; {backup}."
    until = f"until {run.kept_until[:10]}" if run.kept_until else f"until `{PROGRAM} migrate forget`"
    return f"The table from before stays {until}, as {run.kept_table}; `{PROGRAM} migrate undo` puts it back."


def _undone(run: MigrationRun) -> Notice:
    return Notice(
        kind=UNDONE,
        run_id=run.id,
        attention=True,
        title=f"The migration to version {run.to_version} was taken back",
        text=[
            "The table from before is back, and the program that wrote it can open it again.",
            "This program records nothing in it: new records wait in the journal.",
        ],
        to_do=f"Start the older program, or carry the records over again with `{PROGRAM} migrate run`; it is not done "
        "by itself.",
    )


def _rolled_back(run: MigrationRun) -> Notice:
    return Notice(
        kind=ROLLED_BACK,
        run_id=run.id,
        attention=True,
        title=f"The migration to version {run.to_version} failed and was taken back",
        text=[
            f"{run.records_total:,} older records are not in the answers; they are unchanged in the database.",
            "New records are stored and answered.",
            f"What went wrong: {run.error or 'no reason was noted'}",
        ],
        to_do="The same program does not try it again by itself. Install a version that corrects it, try once more "
        f"with `{PROGRAM} migrate run`, or put the table from before back with `{PROGRAM} migrate undo`.",
    )


def _unfinished(run: MigrationRun, history: History | None, *, running: bool) -> Notice:
    goes_back = run.state == UNDOING
    doing = "taking back the migration" if goes_back else "the migration"
    again = "migrate undo" if goes_back else "migrate run"
    if history is not None:
        text = history.text
    else:
        text = f"{run.records_changed:,} of {run.records_total:,} older records have been carried over."
    return Notice(
        kind="unfinished",
        run_id=run.id,
        attention=not running,
        title=f"{doing.capitalize()} to version {run.to_version} {'is under way' if running else 'is not finished'}",
        text=[text],
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
