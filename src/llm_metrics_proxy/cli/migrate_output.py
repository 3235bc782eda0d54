"""What ``migrate`` prints. Stamps and messages come from outside, so every one goes through ``plain``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from semver import Version

from llm_metrics_proxy.analytics import VERSION_HISTORY, KnownMigration, MigrationRun, Notice
from llm_metrics_proxy.cli.output import MISSING, console, duration, plain
from llm_metrics_proxy.cli.tables import lines, print_table, table
from llm_metrics_proxy.migration.engine import Status
from llm_metrics_proxy.migration.legacy import Found
from llm_metrics_proxy.migration.model import Ended, Fault, Result, Run, State
from llm_metrics_proxy.migration.versions import is_older

SHOWN_FAULTS: Final = 20
SHOWN_CONFLICTS: Final = 10
_REFUSED: Final = frozenset({Found.FOREIGN, Found.DAMAGED, Found.NEWER})
_EXIT_CODES: Final = {Ended.ROLLED_BACK: 1}
_STATES: Final = {
    State.MIGRATING: "not finished",
    State.VERIFYING: "not finished: verifying",
    State.UNDOING: "not finished: being taken back",
    State.DONE: "done",
    State.UNDONE: "taken back",
    State.ROLLED_BACK: "failed, taken back",
}


def is_version(text: str) -> bool:
    """Whether it can be compared."""
    return Version.is_valid(text)


def plain_of(value: Any) -> dict[str, Any]:
    """A struct or a named tuple as an object for JSON."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: msgspec.to_builtins(part) for name, part in _fields(value)}
    built: dict[str, Any] = msgspec.to_builtins(value)
    return built


def _fields(value: Any) -> list[tuple[str, Any]]:
    return [
        (
            name,
            [plain_of(one) for one in part]
            if part and isinstance(part, tuple) and hasattr(part[0], "_asdict")
            else part,
        )
        for name, part in value._asdict().items()
    ]


def exit_code(result: Result) -> int:
    """0 done or nothing to do, 1 failed and taken back, or taken back with records left."""
    return 1 if result.conflicts or result.faults else _EXIT_CODES.get(result.ended, 0)


# -- tables


def records(n: int) -> str:
    """``1 record``, ``1,234 records``."""
    return f"{n:,} record{'' if n == 1 else 's'}"


def stamp_text(stamp: str) -> str:
    """An empty one, or one with spaces around it, has to be seen."""
    return plain(stamp) if stamp and stamp == stamp.strip() else plain(repr(stamp))


# -- status


def print_status(path: Path, status: Status) -> None:
    """The file, the records by version, what is to be done."""
    out = console()
    rows = [("Database", plain(path)), ("Found", plain(status.message))]
    if status.lock_holder is not None:
        rows.append(("Lock", f"held by process {status.lock_holder or 'unknown'}"))
    rows.append(("To do", plain(to_do(status))))
    if status.last is not None:
        rows.append(("Last run", plain(_last(status.last))))
    if status.edited:
        versions = ", ".join(status.edited)
        rows.append(
            ("Attention", f"[yellow]the migration to {versions} that ran here is not the one of this program[/]")
        )
    lines(out, rows)
    if status.records_by_version:
        out.print()
        shown = table("records by version", "n", "", numbers=("n",))
        for stamp, count in status.records_by_version.items():
            shown.add_row(stamp_text(stamp), f"{count:,}", _standing(stamp, status))
        print_table(out, shown)


def _standing(stamp: str, status: Status) -> str:
    if stamp in status.newer:
        return "[red]newer than this program[/]"
    if stamp in status.unreadable:
        return "no version: treated as the oldest"
    targets = [version for version in status.pending if is_older(stamp, version)]
    return f"older: to be migrated to {targets[-1]}" if targets else "current"


def is_refused(status: Status) -> bool:
    """No migration may write to this file."""
    return bool(status.newer) or status.found in _REFUSED


def to_do(status: Status) -> str:
    """One sentence."""
    if status.found in _REFUSED:
        return "nothing can be done with it here; it is left untouched"
    if status.newer:
        return f"nothing can be written: {', '.join(status.newer)} is newer than this program"
    if status.unfinished is not None:
        what = "take back" if status.unfinished.state is State.UNDOING else "finish"
        return (
            f"{what} run {status.unfinished.id}: `migrate run` goes on, as does the next start of the metrics process"
        )
    if status.needs_adoption:
        return "adopt the database and migrate its records: `migrate plan` shows how, `migrate run` does it"
    if not status.has_work:
        return "nothing"
    what = ", ".join(f"{records(count)} to {version}" for version, count in status.pending.items())
    if status.held:
        return f"migrate {what}; a person took it back, so that only `migrate run` does it again"
    if status.failed_before:
        return f"migrate {what}; it failed before and was taken back, so that only `migrate run` tries again"
    return f"migrate {what}: `migrate plan` shows how, `migrate run` does it"


def _last(run: Run) -> str:
    when = run.finished_at or run.started_at
    text = f"{run.id}, to {run.to_version}: {_STATES[run.state]}, {_moment(when)}, {run.records_changed:,} changes"
    return f"{text}; {run.error}" if run.error else text


def _moment(timestamp: str) -> str:
    return timestamp[:19].replace("T", " ")


# -- the result of run and undo


def print_result(result: Result, known: Sequence[KnownMigration], *, again: str, back: str) -> None:
    """How it ended, what to know, and how to go on or back."""
    out = console()
    _PRINT[result.ended](out, result, known, again, back)
    for fault in result.faults[:SHOWN_FAULTS]:
        out.print(f"  {_fault(fault)}")
    if result.conflicts:
        some = ", ".join(map(str, result.conflicts[:SHOWN_CONFLICTS]))
        more = ", …" if len(result.conflicts) > SHOWN_CONFLICTS else ""
        out.print(f"  [yellow]Left as they are, because somebody else changed them since: records {some}{more}[/]")


def _print_nothing(out: Console, result: Result, _known: object, _again: str, _back: str) -> None:
    out.print(f"Nothing to do: {plain(result.message)}.")


def _print_done(out: Console, result: Result, known: Sequence[KnownMigration], _again: str, back: str) -> None:
    run = result.run
    assert run is not None
    out.print(
        f"[bold green]Done.[/] Records follow the formulas of version {run.to_version} now; every one was verified."
    )
    lines(out, [*_figures(run), *_gaps(run.gaps, known), ("Take it back", plain(back))])
    changes = [note for note in VERSION_HISTORY if note.version in run.checksums]
    for note in changes:
        out.print()
        out.print(f"[bold]What {note.version} changed in how numbers are read[/]")
        for change in note.breaking_changes or (note.changes,):
            lines(out, [("•", plain(change))])


def _figures(run: Run) -> list[tuple[str, str]]:
    rate = f", {run.records_changed * 1000 / run.busy_ms:,.0f} changes/s" if run.busy_ms > 0 else ""
    rows = [
        (
            "Changed",
            f"{run.records_changed:,} times, in {records(run.records_total)}; {duration(run.busy_ms / 1000)}{rate}",
        ),
        ("Write lock", f"{run.largest_lock_ms:.0f} ms at most"),
    ]
    return [*rows, ("Backup", plain(run.backup))] if run.backup else rows


def _gaps(gaps: Mapping[str, int], known: Sequence[KnownMigration]) -> list[tuple[str, str]]:
    meanings = {code: meaning for migration in known for code, meaning in migration.gaps.items()}
    rows = []
    for index, (code, n) in enumerate(sorted(gaps.items(), key=lambda gap: -gap[1])):
        rows.append(("No value" if index == 0 else "", f"{n:>9,}  {plain(meanings.get(code, code))} ({plain(code)})"))
    return rows


def _print_stopped(out: Console, result: Result, _known: object, again: str, _back: str) -> None:
    if result.run is not None and result.run.state is State.MIGRATING:
        done = f"{result.run.records_changed:,} changes so far, in {records(result.run.records_total)}"
        out.print(f"[bold]Stopped[/] after a whole batch: {done}; nothing is lost.")
    else:
        out.print("[bold]Stopped[/]; nothing is lost.")
    out.print(f"  Go on with  {plain(again)}", soft_wrap=True)


def _print_rolled_back(out: Console, result: Result, _known: object, again: str, _back: str) -> None:
    out.print(f"[bold red]Failed, and taken back[/]: {plain(result.message)}.")
    if result.run is not None:
        lines(
            out,
            [
                ("Why", plain(result.run.error)),
                ("Backup", plain(result.run.backup)),
                ("Try again", plain(again)),
            ],
        )


def _print_undone(out: Console, result: Result, _known: object, _again: str, back: str) -> None:
    out.print(f"[bold green]Taken back[/]: {plain(result.message)}.")
    if result.run is not None:
        lines(
            out,
            [
                ("Run", f"{result.run.id}, to {result.run.to_version}: {_STATES[result.run.state]}"),
                ("From now on", "nothing migrates by itself until you ask for it"),
                ("Migrate again", plain(back)),
            ],
        )


def _print_held(out: Console, result: Result, _known: object, again: str, _back: str) -> None:
    out.print(f"Left as it is: {plain(result.message)}. Ask for it with  {plain(again)}", soft_wrap=True)


_PRINT: Final = {
    Ended.NOTHING_TO_DO: _print_nothing,
    Ended.DONE: _print_done,
    Ended.STOPPED: _print_stopped,
    Ended.ROLLED_BACK: _print_rolled_back,
    Ended.UNDONE: _print_undone,
    Ended.HELD: _print_held,
}


# -- verify, history, notices


def _fault(fault: Fault) -> str:
    where = f"record {fault.record_id}: " if fault.record_id is not None else ""
    return f"[red]{plain(fault.check)}[/]: {where}{plain(fault.message)}"


def print_faults(faults: Sequence[Fault]) -> None:
    """What verification found."""
    out = console()
    if not faults:
        out.print("[bold green]Verified.[/] Every calculated value is what the formula of its version gives.")
        return
    out.print(f"[bold red]{len(faults):,} fault{'' if len(faults) == 1 else 's'} found.[/]")
    for fault in faults[:SHOWN_FAULTS]:
        out.print(f"  {_fault(fault)}")
    if len(faults) > SHOWN_FAULTS:
        out.print(f"  … and {len(faults) - SHOWN_FAULTS:,} more; --json has them all")


def print_history(runs: Sequence[MigrationRun]) -> None:
    """A table of runs, and below it what does not fit into one."""
    out = console()
    if not runs:
        out.print("No migration has run on this database.")
        return
    shown = table(
        "run", "to", "how it ended", "began (UTC)", "changes", "changes/s", numbers=("run", "changes", "changes/s")
    )
    for run in runs:
        rate = MISSING if run.records_per_s is None else f"{run.records_per_s:,.0f}"
        shown.add_row(
            str(run.id), plain(run.to_version), _STATES[State(run.state)], _moment(run.started_at),
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
