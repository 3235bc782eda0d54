"""``compact``: give the room of deleted records back to the disk."""

from pathlib import Path
from typing import Annotated

import typer

from llm_metrics_proxy.cli.elsewhere import tell_what_is_not_here
from llm_metrics_proxy.cli.flags import READING, Db, Json, database, with_settings
from llm_metrics_proxy.cli.migrate_progress import stoppable
from llm_metrics_proxy.cli.output import answer, console, plain
from llm_metrics_proxy.cli.tables import lines
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.batches import ProgressReporter
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase
from llm_metrics_proxy.storage import compact as storage
from llm_metrics_proxy.storage.compact import Compacted, Watch
from llm_metrics_proxy.storage.disk_space import size
from llm_metrics_proxy.storage.durable import OnProgress


@with_settings(*READING, "backup_dir", "backup_keep")
def compact(
    loaded: Loaded,
    *,
    backup: Annotated[bool, typer.Option("--backup/--no-backup", help="Make a backup first.")] = True,
    db: Db = None,
    json: Json = False,
) -> None:
    """Give the room of deleted records back to the disk. `metrics` and `serve` must not run; records of a `proxy` wait.

    There is a backup first, and the new file takes the old one's place only once it was found to hold the same. Exit
    codes: 0 done or nothing to give back, 1 failed, 2 wrong use, 3 refused (open elsewhere, no room), 130 stopped by
    Ctrl-C. However it ends, the database is whole.
    """
    path = database(loaded, db)
    tell_what_is_not_here(loaded.settings, "that server gives the room of deleted ones back itself.")
    folder = loaded.settings.backup_dir.absolute()
    with stoppable() as (stop, report):  # stopped, it leaves the database as it was
        watch = Watch(
            _reported(report, WorkPhase.BACKING_UP),
            _reported(report, WorkPhase.COMPACTING),
            lambda what: report(Progress(phase=WorkPhase.VERIFYING, detail=what)),
            stop.event,
        )
        done = storage.compact(
            path,
            folder,
            watch,
            app_version=APP_VERSION,
            lock=migration_lock(path),
            keep=loaded.settings.backup_keep if backup else None,
        )
    given_back = done.bytes_before - done.bytes_after
    fields = {**{field: getattr(done, field) for field in done.__struct_fields__}, "given_back_bytes": given_back}
    answer(path, json=json, fields=fields, shown=lambda: _print(path, folder, done, given_back))


def _print(path: Path, folder: Path, done: Compacted, given_back: int) -> None:
    out = console()
    if not given_back:
        out.print(f"{plain(path)} has no room to give back.")
        return
    out.print(f"Done. {plain(path)} holds what it held, every row compared, and {size(given_back)} are free again.")
    rows = [("Size", f"{size(done.bytes_before)} → {size(done.bytes_after)}"), ("Records", f"{done.records:,}")]
    if done.backup is not None:
        rows.append(("Backup", f"{plain(done.backup)} in {plain(folder)}, {size(done.bytes_before)}"))
    lines(out, rows)


def _reported(report: Report, phase: WorkPhase) -> OnProgress:
    reporters: list[ProgressReporter] = []

    def reported(done: int, total: int) -> None:
        if not reporters:
            reporters.append(ProgressReporter(report, phase, total))
        reporters[0].advance(done)

    return reported
