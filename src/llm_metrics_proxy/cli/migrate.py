"""``migrate``: bring the records of older versions to the formulas of this one, look before and after, and go back."""

import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from semver import Version

from llm_metrics_proxy.analytics import notices as notices_of
from llm_metrics_proxy.analytics import read_runs
from llm_metrics_proxy.cli import migrate_output as output
from llm_metrics_proxy.cli import migrate_reports as reports
from llm_metrics_proxy.cli.flags import READING, Db, Json, database, with_settings
from llm_metrics_proxy.cli.migrate_notices import dismiss_notices, why_nothing_happens
from llm_metrics_proxy.cli.migrate_plan import print_plan
from llm_metrics_proxy.cli.migrate_progress import StopSignal, shown, stoppable
from llm_metrics_proxy.cli.output import answer
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import LlmMetricsProxyError, SettingsError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine, planner
from llm_metrics_proxy.migration.legacy import FileKind, inspect
from llm_metrics_proxy.migration.model import Ended, MigrationResult, Report
from llm_metrics_proxy.migration.overview import refuse
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.processes.migration_ports import known_migrations
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite import SqliteReader

FAILED: Final = 1
REFUSED: Final = 3
_WRITING: Final = (*READING, "backup_dir", "backup_keep", "migration_window")

Wait = Annotated[bool, typer.Option("--wait", help="Wait if another process holds the lock, instead of refusing.")]

migrate = typer.Typer(
    name="migrate",
    help="Bring records of older versions to the formulas of this one: safely, and with a way back.\n\n"
    "Exit codes: 0 done or nothing to do, 1 failed (and taken back), 2 wrong use, 3 refused before anything was "
    "changed, 130 stopped by Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _command(verb: str, loaded: Loaded, db: Path | None) -> str:
    """The command line that goes on with the same database."""
    shown_db = db or (loaded.settings.db_path if loaded.origins["db_path"] != "default" else None)
    place = f" --db {shlex.quote(str(shown_db))}" if shown_db else ""
    return f"llm-metrics-proxy migrate {verb}{place}"


def _options(settings: Settings, **changes: Any) -> engine.Options:
    window = settings.migration_window
    return engine.Options(
        backup_dir=settings.backup_dir.absolute(),
        backup_keep=settings.backup_keep,
        window=None if window is None else DailyWindow.parse(window),
        **changes,
    )


@migrate.command("status")
@with_settings(*READING)
def status(loaded: Loaded, *, db: Db = None, json: Json = False) -> None:
    """Show what the database is, which records follow older formulas, and whether a migration runs. Reads only.

    Exit code 3: another program's, a damaged or a newer database, which no migration may touch.
    """
    path = database(loaded, db)
    found = engine.status(path, migrations=MIGRATIONS, app_version=APP_VERSION)
    fields = {"has_work": found.has_work, **output.plain_of(found)}
    answer(path, json=json, fields=fields, shown=lambda: reports.print_status(path, found))
    if reports.is_refused(found):
        raise typer.Exit(REFUSED)


@migrate.command("plan")
@with_settings(*READING, "backup_dir")
def plan(
    loaded: Loaded,
    *,
    sample: Annotated[int, typer.Option(min=1, metavar="RECORDS", help="Records to try it on, in memory.")] = 20_000,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show what a migration would change, before and after on a sample, and what it needs. Writes nothing.

    Exit code 3: `migrate run` would be refused.
    """
    _plan(loaded, database(loaded, db), sample, json=json, go=_command("run", loaded, db))


def _plan(loaded: Loaded, path: Path, sample: int, *, json: bool, go: str) -> None:
    with shown() as report:
        found = planner.plan(
            path,
            backup_dir=loaded.settings.backup_dir.absolute(),
            migrations=MIGRATIONS,
            sample_records=sample,
            report=report,
        )
    answer(path, json=json, fields=output.plain_of(found), shown=lambda: print_plan(found, go=go))
    if found.refusal is not None:
        raise typer.Exit(REFUSED)


@migrate.command("run")
@with_settings(*_WRITING, "migration_pause_ms", "migration_batch_lock_ms")
def run(
    loaded: Loaded,
    *,
    max_seconds: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Stop after this time; run it again to go on."),
    ] = None,
    pause_ms: Annotated[
        int | None, typer.Option(min=0, max=60_000, metavar="MS", help="Short for --migration-pause-ms.")
    ] = None,
    batch_lock_ms: Annotated[
        int | None, typer.Option(min=1, max=10_000, metavar="MS", help="Short for --migration-batch-lock-ms.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan, as `plan` does.")] = False,
    wait: Wait = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Back up, adopt, migrate in batches, verify every record; or continue an interrupted run.

    The proxy and the metrics process may run meanwhile. Ctrl-C stops after the current batch.
    """
    path = database(loaded, db)
    if dry_run:
        _plan(loaded, path, 20_000, json=json, go=_command("run", loaded, db))
        return
    settings = loaded.settings
    options = _options(
        settings,
        pause_ms=settings.migration_pause_ms if pause_ms is None else pause_ms,
        batch_lock_ms=settings.migration_batch_lock_ms if batch_lock_ms is None else batch_lock_ms,
        max_seconds=max_seconds,
        wait_for_lock=wait,
    )
    _work(
        lambda report, stop: engine.migrate(path, options, report=report, stop=stop.event, migrations=MIGRATIONS),
        path,
        again=_command("run", loaded, db),
        back=_command("undo", loaded, db),
        json=json,
    )


@migrate.command("undo")
@with_settings(*_WRITING)
def undo(
    loaded: Loaded,
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Take back only what leads above this version.")
    ] = None,
    wait: Wait = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Take the last migration back: every record gets its exact older values. Records that came since are kept."""
    path = database(loaded, db)
    options = _options(loaded.settings, wait_for_lock=wait)
    if to is not None and not Version.is_valid(to):
        raise SettingsError([f"--to: {to!r} is not a version such as 2.0.0"])
    _work(
        lambda report, stop: engine.undo(
            path, options, to_version=to, report=report, stop=stop.event, migrations=MIGRATIONS
        ),
        path,
        again=_command("undo", loaded, db),
        back=_command("run", loaded, db),
        json=json,
    )


def _work(
    work: Callable[[Report, StopSignal], MigrationResult], path: Path, *, again: str, back: str, json: bool
) -> None:
    """Do it, watched and stoppable; print how it ended, and leave with its exit code."""
    with StopSignal().listening() as stop:
        try:
            with shown() as report:
                result = work(report, stop)
        except KeyboardInterrupt:
            result = MigrationResult(Ended.STOPPED, None)
        except LlmMetricsProxyError as error:
            if stop.exit_code is None:
                raise
            result = MigrationResult(
                Ended.STOPPED, None, message=str(error)
            )  # a backup that was stopped half way, mostly
    if result.ended is Ended.STOPPED:
        done = engine.history(path)
        result = result._replace(run=done[-1] if done else None)  # with what the last batch wrote down
    answer(
        path,
        json=json,
        fields=output.plain_of(result),
        shown=lambda: output.print_result(result, known_migrations(MIGRATIONS), again=again, back=back),
    )
    code = output.exit_code(result)
    if result.ended is Ended.STOPPED and stop.exit_code is not None:
        code = stop.exit_code
    if code:
        raise typer.Exit(code)


@migrate.command("verify")
@with_settings(*READING)
def verify(loaded: Loaded, *, db: Db = None, json: Json = False) -> None:
    """Check every calculated value in the database against its version's formula. Reads only; exit 1 if one differs."""
    path = database(loaded, db)
    with stoppable() as (stop, report):
        faults = engine.verify(path, report=report, stop=stop.event, migrations=MIGRATIONS)
    fields = {"ok": not faults, "faults": [output.plain_of(fault) for fault in faults]}
    answer(path, json=json, fields=fields, shown=lambda: output.print_faults(faults))
    if faults:
        raise typer.Exit(FAILED)


@migrate.command("history")
@with_settings(*READING)
def history(loaded: Loaded, *, db: Db = None, json: Json = False) -> None:
    """Show every migration that ran on the database, newest first."""
    path = database(loaded, db)
    runs = _runs(path)
    answer(path, json=json, fields={"migrations": runs}, shown=lambda: reports.print_history(runs))


@migrate.command("notices")
@with_settings(*READING)
def notices(
    loaded: Loaded,
    *,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Mark those of ended migrations as read.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show how migrations changed the meaning of numbers, and what needs attention."""
    path = database(loaded, db)
    dismissed = dismiss_notices(path) if dismiss else 0
    found = engine.status(path, migrations=MIGRATIONS, app_version=APP_VERSION)
    found_notices = notices_of(_runs(path), problem=why_nothing_happens(found), running=found.lock_holder is not None)
    answer(
        path,
        json=json,
        fields={"dismissed": dismissed, "notices": found_notices},
        shown=lambda: reports.print_notices(found_notices, dismissed=dismissed if dismiss else None),
    )


def _runs(path: Path) -> list[Any]:
    """Runs of a database of ours; another program's table of the same name does not count."""
    inspection = inspect(path)
    refuse(inspection)
    if inspection.found is not FileKind.OURS:
        return []
    with closing(SqliteReader(path)) as reader:
        return read_runs(reader, known_migrations(MIGRATIONS))
