"""What ``migrate status``, ``history`` and ``notices`` print."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from llm_metrics_proxy.analytics import MigrationRun, Notice
from llm_metrics_proxy.cli.migrate_output import STATES, in_columns, records, stamp_text
from llm_metrics_proxy.cli.output import MISSING, console, duration, plain
from llm_metrics_proxy.cli.tables import lines, print_table, table
from llm_metrics_proxy.migration.legacy import FileKind
from llm_metrics_proxy.migration.model import Run, RunState
from llm_metrics_proxy.migration.overview import MigrationStatus
from llm_metrics_proxy.migration.versions import is_older

_REFUSED: Final = frozenset({FileKind.FOREIGN, FileKind.DAMAGED, FileKind.NEWER})


def print_status(path: Path | str, status: MigrationStatus) -> None:
    """The file, the records by version, and what to do."""
    out = console()
    rows = [("Database", plain(path)), ("Found", plain(status.message))]
    if status.lock_holder is not None:
        rows.append(("Lock", f"held by process {status.lock_holder or 'unknown'}"))
    if status.unfinished is not None or status.lacks_history:
        rows.append(("History", plain(_history(status))))
    rows.append(("To do", plain(to_do(status))))
    if status.last is not None:
        rows.append(("Last run", plain(_last(status.last))))
    if status.edited:
        text = f"the migration to {', '.join(status.edited)} that ran here is not the one of this program"
        rows.append(("Attention", f"[yellow]{text}[/]"))
    lines(out, rows)
    if status.records_by_version:
        out.print()
        shown = table("records by version", "n", "", numbers=("n",))
        for stamp, count in status.records_by_version.items():
            shown.add_row(stamp_text(stamp), f"{count:,}", _standing(stamp, status))
        print_table(out, shown)


def _standing(stamp: str, status: MigrationStatus) -> str:
    if stamp in status.newer:
        return "[red]newer than this program[/]"
    if stamp in status.unreadable:
        return "no version: treated as the oldest"
    targets = [version for version in status.pending if is_older(stamp, version)]
    return f"older: to be migrated to {targets[-1]}" if targets else "current"


def is_refused(status: MigrationStatus) -> bool:
    """No migration may write to this file."""
    return bool(status.newer) or status.found in _REFUSED


def to_do(status: MigrationStatus) -> str:
    """One sentence."""
    if status.found in _REFUSED:
        return "nothing can be done with it here; it is left untouched"
    if status.newer:
        return f"nothing can be written: {', '.join(status.newer)} is newer than this program"
    run = status.unfinished
    if run is not None:
        what, verb = ("take back", "undo") if run.state is RunState.UNDOING else ("finish", "run")
        return f"{what} run {run.id}: `migrate {verb}` goes on, as does the next start of the metrics process"
    if not status.has_work:
        return "nothing"
    what = "carry its records over" if status.is_older_layout else "carry the older records over"
    if status.held:
        return f"{what}; a person took it back, so that only `migrate run` does it again"
    if status.failed_before:
        return f"{what}; it failed before and was taken back, so that only `migrate run` tries again"
    return f"{what}: `migrate plan` shows how, `migrate run` does it"


def _history(status: MigrationStatus) -> str:
    """What the answers lack."""
    last = status.last
    assert last is not None
    carried = 0 if status.lacks_history else last.records_changed
    since = "" if status.complete_from is None else f"; complete from {_moment(status.complete_from)} (UTC) on"
    return f"{carried:,} of {records(last.records_total)} are in the answers{since}"


def _last(run: Run) -> str:
    when = run.finished_at or run.started_at
    text = f"{run.id}, to {run.to_version}: {STATES[run.state]}, {_moment(when)}, {records(run.records_changed)}"
    return f"{text}; {run.error}" if run.error else text


def _moment(timestamp: str) -> str:
    return timestamp[:19].replace("T", " ")


def print_history(runs: Sequence[MigrationRun]) -> None:
    """A table of runs, and below it what does not fit into one."""
    out = console()
    if not runs:
        out.print("No migration has run on this database.")
        return
    shown = table(
        "run", "to", "how it ended", "began (UTC)", "records", "records/s", numbers=("run", "records", "records/s")
    )
    for run in runs:
        rate = MISSING if run.records_per_s is None else f"{run.records_per_s:,.0f}"
        shown.add_row(
            str(run.id), plain(run.to_version), STATES[RunState(run.state)], _moment(run.started_at),
            f"{run.records_changed:,}", rate,
        )  # fmt: skip
    print_table(out, shown)
    for run in runs:
        out.print()
        out.print(f"[bold]Run {run.id}[/] by version {plain(run.app_version)}")
        lines(out, _details(run))


def _details(run: MigrationRun) -> list[tuple[str, str]]:
    before = ", ".join(f"{stamp_text(stamp)} {n:,}" for stamp, n in run.from_versions.items()) or MISSING
    took = MISSING if run.duration_ms is None else duration(run.duration_ms / 1000)
    rows = [
        ("  Records before", before),
        (
            "  Took",
            f"{took}, {duration(run.busy_ms / 1000)} of it at work; write lock {run.largest_lock_ms:.0f} ms at most",
        ),
        ("  Backup", plain(run.backup)),
    ]
    rows += [("  No value", f"{gap.n:,}: {plain(gap.meaning or gap.reason)}") for gap in run.gaps]
    if run.unfit:
        rows.append(("  Do not fit", in_columns(run.unfit)))
    if run.in_place:
        rows.append(("  How", "records were changed in place: one change for each record and version"))
    if run.kept_table is not None:
        until = f", until {run.kept_until[:10]}" if run.kept_until else ""
        rows.append(("  From before", f"{plain(run.kept_table)}{until}"))
    if run.checksum_mismatches:
        rows.append(
            ("  Attention", f"[yellow]{', '.join(run.checksum_mismatches)}: not the migration of this program[/]")
        )
    if run.error:
        rows.append(("  Error", plain(run.error)))
    return rows


def print_notices(notices: Sequence[Notice], *, dismissed: int | None) -> None:
    """Each with its title, sentences, and what to do."""
    out = console()
    if dismissed is not None:
        out.print(f"{dismissed} notice{'' if dismissed == 1 else 's'} marked as read.")
    elif not notices:
        out.print("No notices.")
    for index, notice in enumerate(notices):
        if index or dismissed is not None:
            out.print()
        style = "bold yellow" if notice.attention else "bold"
        out.print(f"[{style}]{plain(notice.title)}[/]" + (f" (run {notice.run_id})" if notice.run_id else ""))
        for sentence in notice.text:
            lines(out, [("•", plain(sentence))])
        lines(out, [("→", plain(notice.to_do))])
