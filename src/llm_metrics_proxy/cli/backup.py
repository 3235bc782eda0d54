"""``backup``: back up the database, check whether backups are still complete, and restore one."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from llm_metrics_proxy.cli import backup_records
from llm_metrics_proxy.cli.elsewhere import tell_what_is_not_here
from llm_metrics_proxy.cli.flags import READING, Db, Json, database, with_settings
from llm_metrics_proxy.cli.migrate_progress import stoppable
from llm_metrics_proxy.cli.output import MISSING, answer, console, plain, print_json
from llm_metrics_proxy.cli.tables import lines, print_table, table
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import BackupError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.backup import Backup
from llm_metrics_proxy.storage.durable import OnProgress
from llm_metrics_proxy.storage.restore import Restored
from llm_metrics_proxy.storage.restore import restore as put_in_place

FAILED: Final = 1
_ITS_OWN: Final = "--store-backup lets that server back them up too; or use its own BACKUP and RESTORE."
_PLACES: Final = (*READING, "backup_dir", "store_backup")
_REASONS: Final = {
    "migration": "before a migration",
    "before_restore": "before a restore",
    "before_compact": "before compacting",
    "manual": "by hand",
}

Name = Annotated[str, typer.Argument(metavar="NAME", help="A backup, as `backup list` names it.")]

backup = typer.Typer(
    name="backup",
    help="Keep the database as it is, also while it is in use, and put a backup in its place.\n\n"
    "Exit codes: 0 done, 1 failed or a backup is damaged, 2 wrong use, 3 refused before anything was changed, "
    "130 stopped by Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@backup.command("create")
@with_settings(*_PLACES)
def create(loaded: Loaded, *, db: Db = None, json: Json = False) -> None:
    """Make a backup now, and prove that it is equal. Everything may run meanwhile; the database is only read.

    With `--store-backup` ClickHouse backs up the records too, and proves that by restoring them into a scratch table.
    """
    path = database(loaded, db)
    if loaded.settings.store_backup is None:
        tell_what_is_not_here(loaded.settings, _ITS_OWN)
    folder = loaded.settings.backup_dir.absolute()
    with stoppable() as (stop, report):  # stopped, it leaves nothing behind
        made = backups.create(
            path, folder, reason="manual", app_version=APP_VERSION, report=_pages(report), stop=stop.event
        )
        records = backup_records.create(loaded.settings, folder, made.name, report, stop.event)
    fields = {**_plain_of(folder, made), **backup_records.plain_of(records)}
    answer(path, json=json, fields=fields, shown=lambda: _print_created(folder, made, backup_records.words(records)))


def _print_created(folder: Path, made: Backup, of_server: list[tuple[str, str]]) -> None:
    out = console()
    out.print(f"Done. The backup {plain(made.name)} holds what the database held; every record was compared.")
    lines(out, [*_details(made), ("Folder", plain(folder)), *of_server])


@backup.command("list")
@with_settings(*_PLACES)
def list_(loaded: Loaded, *, json: Json = False) -> None:
    """Show the backups, newest first. `verify` checks that they are whole."""
    folder = loaded.settings.backup_dir.absolute()
    found = backups.listing(folder)
    if json:
        print_json(
            {"app_version": APP_VERSION, "folder": str(folder), "backups": [_plain_of(folder, each) for each in found]}
        )
        return
    out = console()
    if not found:
        out.print(f"No backups in {plain(folder)}; `llm-metrics-proxy backup create` makes one.")
        return
    rows = table("name", "made (UTC)", "made", "records", "bytes", "versions", numbers=("records", "bytes"))
    for each in found:
        records = MISSING if each.records is None else f"{each.records:,}"
        reason = _REASONS.get(each.reason, plain(each.reason))
        rows.add_row(plain(each.name), _moment(each), reason, records, f"{each.bytes:,}", _versions(each))
    print_table(out, rows)


@backup.command("verify")
@with_settings(*_PLACES)
def verify(
    loaded: Loaded,
    *,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Backups to check; without names all of them.")
    ] = None,
    json: Json = False,
) -> None:
    """Check that backups still are what they were when they were made. Reads only; exit 1 if one is not."""
    folder = loaded.settings.backup_dir.absolute()
    results = [
        (name, _trouble(loaded, folder, name)) for name in names or [each.name for each in backups.listing(folder)]
    ]
    if json:
        checked = [{"name": name, "ok": not trouble, "problem": trouble} for name, trouble in results]
        all_ok = all(each["ok"] for each in checked)
        print_json({"app_version": APP_VERSION, "folder": str(folder), "ok": all_ok, "backups": checked})
    else:
        out = console()
        for name, trouble in results:
            out.print(plain(trouble) if trouble else f"{plain(name)} is whole.")
        if not results:
            out.print(f"No backups in {plain(folder)}.")
    if any(trouble for _name, trouble in results):
        raise typer.Exit(FAILED)


def _trouble(loaded: Loaded, folder: Path, name: str) -> str | None:
    try:
        with stoppable() as (stop, report):
            backups.verify(folder, name, report=_percent(report))
            backup_records.verify(loaded.settings, folder, name, report, stop.event)
    except (BackupError, StoreError) as error:
        return str(error)
    return None


@backup.command("restore")
@with_settings(*_PLACES)
def restore(loaded: Loaded, *, name: Name, db: Db = None, json: Json = False) -> None:
    """Put a backup in the place of the database, after a backup of what is there. `serve` must not run."""
    path = (db or loaded.settings.db_path).absolute()
    folder = loaded.settings.backup_dir.absolute()
    if not backup_records.has(folder, name):
        tell_what_is_not_here(loaded.settings, "this backup does not have them, and they stay as they are.")
    with stoppable() as (stop, report):
        backup_records.verify(loaded.settings, folder, name, report, stop.event)
        done = put_in_place(
            folder, name, path, app_version=APP_VERSION, lock=migration_lock(path), report=_percent(report)
        )
        before = backup_records.restore(loaded.settings, folder, name, report, stop.event)
    migrates = engine.status(path, migrations=MIGRATIONS, app_version=APP_VERSION).has_work
    fields = {
        "restored": _plain_of(folder, done),
        "safety_backup": done.safety_backup,
        "moved_aside": done.moved_aside,
        "next_start_migrates": migrates,
        "records_table_before": before,
    }
    answer(path, json=json, fields=fields, shown=lambda: _print_restored(path, done, before, migrates=migrates))


def _print_restored(path: Path, done: Restored, before: str | None, *, migrates: bool) -> None:
    out = console()
    out.print(f"Done. {plain(path)} is what it was when {plain(done.name)} was made.")
    lines(out, _details(done))
    if done.safety_backup is not None:
        out.print(f"What it was before is the backup {plain(done.safety_backup)}; restore that to go back.")
    if done.moved_aside is not None:
        out.print(
            f"What was there was no database, or a damaged one: it is kept as {plain(done.moved_aside)} in the same "
            "folder."
        )
    if before is not None:
        out.print(
            f"The records in ClickHouse are those of the backup; what was there before is its table {plain(before)}, "
            "with all that other hosts have recorded since."
        )
    if migrates:
        back = f"restore {plain(done.safety_backup)} and " if done.safety_backup else ""
        out.print(
            "\nIt is of an older version: the next start of `serve` or `metrics` migrates it again, after a backup. "
            "With --no-auto-migrate it stays as it is: requests are served and their records wait in the journal, "
            "until `migrate run` or the program of that version takes over.\n"
            f"If you only want a migration taken back, {back}use `migrate undo`: it keeps the records that came since."
        )


def _pages(report: Report) -> OnProgress:
    return lambda done, total: report(Progress(phase=WorkPhase.BACKING_UP, done=done, total=total))


def _percent(report: Report) -> OnProgress:
    def reported(done: int, total: int) -> None:
        report(Progress(phase=WorkPhase.VERIFYING, detail=f"{done * 100 // (total or 1):>3} %"))

    return reported


def _plain_of(folder: Path, made: Backup) -> dict[str, Any]:
    facts = {field: getattr(made, field) for field in Backup.__struct_fields__}
    return {**facts, "path": str(backups.path_of(folder, made.name))}


def _details(made: Backup) -> list[tuple[str, str]]:
    return [
        ("Records", MISSING if made.records is None else f"{made.records:,}"),
        ("Versions", _versions(made)),
        *((("Set aside", f"{made.records_beside:,} records from before a migration"),) if made.records_beside else ()),
        ("Size", f"{made.bytes:,} bytes"),
        ("Made", f"{_moment(made)} UTC, {_REASONS.get(made.reason, plain(made.reason))}"),
    ]


def _versions(made: Backup) -> str:
    return ", ".join(f"{plain(stamp)}: {count:,}" for stamp, count in made.records_by_version.items()) or MISSING


def _moment(made: Backup) -> str:
    return plain(made.made_at[:19].replace("T", " "))
