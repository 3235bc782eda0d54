"""What ``migrate run``, ``undo`` and ``verify`` print, and the tables of all its verbs.

Stamps and messages come from outside, so every one goes through ``plain``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from rich.console import Console

from llm_metrics_proxy.analytics import VERSION_HISTORY, KnownMigration
from llm_metrics_proxy.cli.output import console, duration, plain
from llm_metrics_proxy.cli.tables import lines
from llm_metrics_proxy.migration.model import Ended, Fault, MigrationResult, Run, RunState

SHOWN_FAULTS: Final = 20
SHOWN_CONFLICTS: Final = 10
STATES: Final = {
    RunState.MIGRATING: "not finished",
    RunState.VERIFYING: "not finished: verifying",
    RunState.TAKING_BACK: "failed: what was carried over is being removed",
    RunState.UNDOING: "not finished: being taken back",
    RunState.DONE: "done",
    RunState.UNDONE: "taken back",
    RunState.ROLLED_BACK: "failed, taken back",
}


def plain_of(value: Any) -> dict[str, Any]:
    """A struct or a named tuple as an object for JSON; so are the named tuples in a named tuple."""
    if not hasattr(value, "_asdict"):
        built: dict[str, Any] = msgspec.to_builtins(value)
        return built
    return {
        name: [plain_of(one) for one in part] if name == "faults" else msgspec.to_builtins(part)
        for name, part in value._asdict().items()
    }


def exit_code(result: MigrationResult) -> int:
    """0 done or nothing to do, 1 failed and taken back, or taken back with records left."""
    return int(bool(result.conflicts or result.faults) or result.ended is Ended.ROLLED_BACK)


# -- tables


def records(n: int) -> str:
    """``1 record``, ``1,234 records``."""
    return f"{n:,} record{'' if n == 1 else 's'}"


def in_columns(counts: Mapping[str, int]) -> str:
    """``model 3, status_code 12``: values by column."""
    return ", ".join(f"{plain(column)} {n:,}" for column, n in counts.items())


def stamp_text(stamp: str) -> str:
    """An empty one, or one with spaces around it, has to be seen."""
    return plain(stamp) if stamp and stamp == stamp.strip() else plain(repr(stamp))


# -- the result of run and undo


def print_result(result: MigrationResult, known: Sequence[KnownMigration], *, again: str, back: str) -> None:
    """How it ended, what to know, and how to go on or back."""
    out, run, message = console(), result.run, plain(result.message)
    match result.ended:
        case Ended.NOTHING_TO_DO:
            out.print(f"Nothing to do: {message}.")
        case Ended.HELD:
            out.print(f"Left as it is: {message}. Ask for it with  {plain(again)}", soft_wrap=True)
        case Ended.STOPPED:
            done = ""
            if run is not None and run.state is RunState.MIGRATING:
                done = f" after a whole batch: {run.records_changed:,} of {records(run.records_total)} carried over"
            out.print(f"[bold]Stopped[/]{done}; nothing is lost.")
            out.print(f"  Go on with  {plain(again)}", soft_wrap=True)
        case Ended.ROLLED_BACK:
            out.print(f"[bold red]Failed, and taken back[/]: {message}.")
            if run is not None:
                left = f"{records(run.records_total)}, unchanged in {plain(run.old_table)}; no answer has them"
                rows = [("Why", plain(run.error)), ("Older records", left), ("Backup", plain(run.backup))]
                lines(out, [*rows, ("Try again", plain(again)), ("Put them back", plain(back))])
        case Ended.UNDONE:
            out.print(f"[bold green]Taken back[/]: {message}.")
            if run is not None:
                ended = ("Run", f"{run.id}, to {run.to_version}: {STATES[run.state]}")
                later = "the older program can open the file; this one leaves it alone until you ask for it"
                lines(out, [ended, ("From now on", later), ("Migrate again", plain(back))])
        case Ended.DONE:
            assert run is not None
            _print_done(out, run, known, back)
    for fault in result.faults[:SHOWN_FAULTS]:
        out.print(f"  {_fault(fault)}")
    if result.conflicts:
        some = ", ".join(map(str, result.conflicts[:SHOWN_CONFLICTS]))
        more = ", …" if len(result.conflicts) > SHOWN_CONFLICTS else ""
        out.print(f"  [yellow]Kept beside only, because the older table refuses them: records {some}{more}[/]")


def _print_done(out: Console, run: Run, known: Sequence[KnownMigration], back: str) -> None:
    out.print(
        f"[bold green]Done.[/] Records follow the formulas of version {run.to_version} now; every one was verified."
    )
    rate = f", {run.records_changed * 1000 / run.busy_ms:,.0f}/s" if run.busy_ms > 0 else ""
    carried = f"{records(run.records_changed)}; {duration(run.busy_ms / 1000)}{rate}"
    rows = [("Carried over", carried), ("Write lock", f"{run.largest_lock_ms:.0f} ms at most")]
    if run.backup:
        rows.append(("Backup", plain(run.backup)))
    meanings = {code: meaning for migration in known for code, meaning in migration.gaps.items()}
    for index, (code, n) in enumerate(sorted(run.gaps.items(), key=lambda gap: -gap[1])):
        rows.append(("" if index else "No value", f"{n:>9,}  {plain(meanings.get(code, code))} ({plain(code)})"))
    if run.unfit:
        rows.append(("Do not fit", f"{in_columns(run.unfit)}; kept in unfit_values, and counted nowhere"))
    if run.old_table is not None:
        rows.append(("From before", f"stays beside as {plain(run.old_table)}: see migration_undo_days"))
    lines(out, [*rows, ("Take it back", plain(back))])
    for note in VERSION_HISTORY:
        if note.version in run.checksums:
            out.print()
            out.print(f"[bold]What {note.version} changed in how numbers are read[/]")
            lines(out, [("•", plain(change)) for change in note.breaking_changes or (note.changes,)])


# -- verify


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
