"""What ``migrate plan`` prints: what the file is, what each step would change, what it needs, and numbers before and
after."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table

from llm_metrics_proxy.cli.migrate_output import in_columns, records, stamp_text
from llm_metrics_proxy.cli.output import MISSING, console, duration, plain, rounded
from llm_metrics_proxy.cli.tables import lines, print_table, table
from llm_metrics_proxy.migration.disk import Disk, Room, room_in_words
from llm_metrics_proxy.migration.plan import MigrationPlan, PlannedStep
from llm_metrics_proxy.migration.preview import Comparison, Figures, MetricChange, Retyped

_MODELS: Final = 10
_TYPES: Final = 40
_STANDINGS: Final = {
    "older": "older: to be recalculated",
    "current": "current",
    "distrusted": "current, it says: checked record by record",
    "newer": "[red]newer than this program[/]",
    "unreadable": "no version: treated as the oldest",
}


def print_plan(plan: MigrationPlan, *, go: str) -> None:
    """All of it; ``go`` is the command that does it."""
    out = console()
    rows = [("Database", plain(plan.path)), ("Found", plain(plan.message))]
    if plan.lock_holder is not None:
        rows.append(("Lock", f"held by process {plan.lock_holder or 'unknown'}: it migrates, restores or undoes now"))
    if plan.unfinished is not None:
        rows.append(
            ("Unfinished", f"run {plan.unfinished.id} to {plain(plan.unfinished.to_version)}; it is gone on with")
        )
    if plan.refusal is not None:
        rows.append(("Refused", f"[red]{plain(plan.refusal)}[/]"))
    elif plan.nothing_to_do:
        rows.append(("To do", "nothing"))
    lines(out, rows)
    _print_stamps(out, plan)
    for step in plan.steps:
        _print_step(out, step, plan)
    if plan.unfit:
        out.print()
        rows = [("Do not fit", in_columns(plan.unfit)), ("", f"Kept in unfit_values, counted nowhere{_of(plan)}.")]
        lines(out, rows)
    for metric in plan.metrics:
        _print_metric(out, metric, plan)
    if plan.disk is not None:
        _print_needs(out, plan, plan.disk)
    if plan.faults:
        out.print()
        out.print("[bold red]A run would be taken back[/], because the oracle differs on the sample:")
        for fault in plan.faults:
            out.print(f"  {plain(fault.check)}: record {fault.record_id}: {plain(fault.message)}")
    if plan.refusal is None and not plan.nothing_to_do:
        out.print()
        out.print(f"Nothing was written. To do it:  {plain(go)}", soft_wrap=True)


def _print_stamps(out: Console, plan: MigrationPlan) -> None:
    if not plan.stamps:
        return
    out.print()
    shown = table("records by version", "n", "", numbers=("n",))
    for stamp in plan.stamps:
        shown.add_row(
            stamp_text(stamp.stamp), f"{stamp.records:,}", _STANDINGS.get(stamp.standing, plain(stamp.standing))
        )
    print_table(out, shown)


def _of(plan: MigrationPlan) -> str:
    """Over what gaps, types and misfits are counted, where that is not all."""
    return "" if plan.sample_records >= plan.records else f", counted over a sample of {plan.sample_records:,}"


def _print_step(out: Console, step: PlannedStep, plan: MigrationPlan) -> None:
    out.print()
    out.print(f"[bold]To {plain(step.version)}[/]: {records(step.records)}")
    lines(out, [("", plain(step.summary)), *(("•", plain(change)) for change in step.changes)])
    if step.gaps:
        left = "are of the type unknown" if step.types else "have no value"
        out.print(f"Cannot be recalculated, and {left} afterwards{_of(plan)}:")
        shown = table("n", "why", "code", numbers=("n",))
        for gap in step.gaps:
            shown.add_row(f"{gap.records:,}", plain(gap.meaning), plain(gap.reason))
        print_table(out, shown)
    if step.types:
        _print_types(out, step.types, plan)


def _print_types(out: Console, types: Sequence[Retyped], plan: MigrationPlan) -> None:
    """What becomes of each type of error; a record may have had none though it failed."""
    out.print(f"Errors by the type that they have now, and the category and type that they get{_of(plan)}:")
    shown = table("n", "type now", "category", "type", numbers=("n",))
    for row in types[:_TYPES]:
        names = [MISSING if name is None else plain(name) for name in (row.before, row.category, row.type)]
        shown.add_row(f"{row.records:,}", *names)
    print_table(out, shown)
    if len(types) > _TYPES:
        out.print(f"… and {len(types) - _TYPES:,} more combinations; --json has them all")


def _print_metric(out: Console, metric: MetricChange, plan: MigrationPlan) -> None:
    out.print()
    unit = f" ({plain(metric.unit)})" if metric.unit else ""
    sample = records(plan.sample_records)
    out.print(f"[bold]{plain(metric.metric)}[/]{unit} before → after, on a sample of {sample}")
    shown = table("model", "n", "mean", "p50", "p95", numbers=("n", "mean", "p50", "p95"))
    _add(shown, "all", metric.overall)
    for comparison in metric.by_model[:_MODELS]:
        _add(shown, plain(comparison.model), comparison)
    print_table(out, shown)
    if len(metric.by_model) > _MODELS:
        out.print(f"… and {len(metric.by_model) - _MODELS:,} more models; --json has them all")
    left_out = metric.overall.before.left_out
    if left_out:
        out.print(f"Before: {records(left_out)} of the sample left out, whose value is not a finite number.")


def _add(shown: Table, name: str, comparison: Comparison) -> None:
    before, after = comparison.before, comparison.after
    cells = [
        f"{_pair(rounded(getattr(before, part)), rounded(getattr(after, part)))}" for part in ("mean", "p50", "p95")
    ]
    shown.add_row(name, _pair(_count(before), _count(after)), *cells)


def _count(figures: Figures) -> str:
    return f"{figures.n:,}" if figures.n else MISSING


def _pair(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _print_needs(out: Console, plan: MigrationPlan, disk: Disk) -> None:
    out.print()
    rows = []
    if plan.estimate_s is not None:
        rows.append(("Time", f"about {duration(plan.estimate_s)}, estimated from the sample"))
    rows += [("Disk", disk.parts()), ("", _room(disk.database))]
    if disk.backups.folder != disk.database.folder:
        rows.append(("", _room(disk.backups)))
    lines(out, rows)


def _room(room: Room) -> str:
    text = plain(room_in_words(room))
    return text if room.enough else f"[red]{text}: not enough[/]"
