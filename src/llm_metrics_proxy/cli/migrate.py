"""``migrate``: bring the records of older versions to the formulas of this one, look before and after, and go back."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from llm_metrics_proxy.analytics import MigrationRun
from llm_metrics_proxy.analytics import notices as notices_of
from llm_metrics_proxy.cli import migrate_output as output
from llm_metrics_proxy.cli import migrate_reports as reports
from llm_metrics_proxy.cli.flags import READING, Db, Json, database, with_settings
from llm_metrics_proxy.cli.migrate_notices import dismiss_notices, why_nothing_happens
from llm_metrics_proxy.cli.migrate_plan import print_plan
from llm_metrics_proxy.cli.migrate_progress import StopSignal, shown, stoppable
from llm_metrics_proxy.cli.output import answer, console
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import open_migrations
from llm_metrics_proxy.engines.migrations import StoreMigrations
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine, planner
from llm_metrics_proxy.migration.model import Ended, MigrationResult, Report, Run
from llm_metrics_proxy.migration.runs import now
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.processes.migration_ports import known_migrations, runs_of, shown_runs
from llm_metrics_proxy.safe_migrations import MIGRATIONS

FAILED: Final = 1
REFUSED: Final = 3
_WRITING: Final = (*READING, "backup_dir", "backup_keep", "migration_window", "migration_undo_days")

Wait = Annotated[bool, typer.Option("--wait", help="Wait if another process holds the lock, instead of refusing.")]

migrate = typer.Typer(
    name="migrate",
    help="Carry the records of older versions over to this one: safely, and with a way back.\n\n"
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


def _server(loaded: Loaded, db: Path | None) -> tuple[str, StoreMigrations] | None:
    """Where the records are and their migrations, if that is a server; a file that was named is meant itself."""
    access = None if db is not None else store_access(loaded.settings)
    return None if access is None else (str(access.address), open_migrations(access, MIGRATIONS))


def _options(settings: Settings, **changes: Any) -> engine.Options:
    window = settings.migration_window
    return engine.Options(
        backup_dir=settings.backup_dir.absolute(),
        backup_keep=settings.backup_keep,
        undo_days=settings.migration_undo_days,
        window=None if window is None else DailyWindow.parse(window),
        **changes,
    )


@migrate.command("status")
@with_settings(*READING)
def status(loaded: Loaded, *, db: Db = None, json: Json = False) -> None:
    """Show what the database is, which records follow older formulas, and whether a migration runs. Reads only.

    Exit code 3: another program's, a damaged or a newer database, which no migration may touch.
    """
    server = _server(loaded, db)
    path: Path | str = server[0] if server else database(loaded, db)
    if server:
        found = server[1].status()
    else:
        found = engine.status(database(loaded, db), migrations=MIGRATIONS, app_version=APP_VERSION)
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
    _plan(loaded, db, sample, json=json)


def _plan(loaded: Loaded, db: Path | None, sample: int, *, json: bool) -> None:
    server, go = _server(loaded, db), _command("run", loaded, db)
    if server:
        found = planner.without_sample(server[0], server[1].status(), MIGRATIONS)
        answer(server[0], json=json, fields=output.plain_of(found), shown=lambda: print_plan(found, go=go))
        if found.refusal is not None:
            raise typer.Exit(REFUSED)
        return
    path = database(loaded, db)
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
    """Back up, set the older table aside, carry its records over, verify every one; or continue an interrupted run.

    The proxy and the metrics process may run meanwhile. Ctrl-C stops after the current batch.
    """
    if dry_run:
        _plan(loaded, db, 20_000, json=json)
        return
    server = _server(loaded, db)
    if server:
        _work(
            lambda report, stop: server[1].migrate(max_seconds=max_seconds, report=report, stop=stop.event),
            server[0],
            server[1].history,
            again=_command("run", loaded, db),
            back=_command("undo", loaded, db),
            json=json,
        )
        return
    path, settings = database(loaded, db), loaded.settings
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
        lambda: engine.history(path),
        again=_command("run", loaded, db),
        back=_command("undo", loaded, db),
        json=json,
    )


@migrate.command("undo")
@with_settings(*_WRITING)
def undo(
    loaded: Loaded,
    *,
    wait: Wait = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Put the table from before the last migration back, exactly as it was; records that came since are added to it.

    The program that wrote it can open it again. What this one made of it is kept beside.
    """
    server = _server(loaded, db)
    if server:
        _work(
            lambda report, stop: server[1].undo(report=report, stop=stop.event),
            server[0],
            server[1].history,
            again=_command("undo", loaded, db),
            back=_command("run", loaded, db),
            json=json,
        )
        return
    path = database(loaded, db)
    options = _options(loaded.settings, wait_for_lock=wait)
    _work(
        lambda report, stop: engine.undo(path, options, report=report, stop=stop.event, migrations=MIGRATIONS),
        path,
        lambda: engine.history(path),
        again=_command("undo", loaded, db),
        back=_command("run", loaded, db),
        json=json,
    )


@migrate.command("forget")
@with_settings(*_WRITING, "migration_batch_lock_ms")
def forget(loaded: Loaded, *, wait: Wait = False, db: Db = None, json: Json = False) -> None:
    """Delete the table from before the last migration, which `undo` would put back. From then on only a backup has it.

    Its space takes new records; `compact` gives it back to the disk.
    """
    server = _server(loaded, db)
    path: Path | str = server[0] if server else database(loaded, db)
    if server:
        deleted = server[1].forget(finished_before=now())
    else:
        options = _options(loaded.settings, batch_lock_ms=loaded.settings.migration_batch_lock_ms, wait_for_lock=wait)
        with stoppable() as (stop, report):
            deleted = engine.forget(
                database(loaded, db), options, finished_before=now(), report=report, stop=stop.event
            )
    words = "The table from before the last migration is gone." if deleted else "There is nothing to delete."
    answer(path, json=json, fields={"deleted": deleted}, shown=lambda: console().print(words))


def _work(
    work: Callable[[Report, StopSignal], MigrationResult],
    path: Path | str,
    runs: Callable[[], Sequence[Run]],
    *,
    again: str,
    back: str,
    json: bool,
) -> None:
    """Do it, watched and stoppable; print how it ended, and leave with its exit code. ``runs``: all that are noted."""
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
        done = runs()
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
    server = _server(loaded, db)
    path: Path | str = server[0] if server else database(loaded, db)
    with stoppable() as (stop, report):
        if server:
            faults = server[1].verify(report=report, stop=stop.event)
        else:
            faults = engine.verify(database(loaded, db), report=report, stop=stop.event, migrations=MIGRATIONS)
    fields = {"ok": not faults, "faults": [output.plain_of(fault) for fault in faults]}
    answer(path, json=json, fields=fields, shown=lambda: output.print_faults(faults))
    if faults:
        raise typer.Exit(FAILED)


@migrate.command("history")
@with_settings(*READING, "migration_undo_days")
def history(loaded: Loaded, *, db: Db = None, json: Json = False) -> None:
    """Show every migration that ran on the database, newest first."""
    server, runs = _server(loaded, db), _runs(loaded, db)
    path: Path | str = server[0] if server else database(loaded, db)
    answer(path, json=json, fields={"migrations": runs}, shown=lambda: reports.print_history(runs))


@migrate.command("notices")
@with_settings(*READING, "migration_undo_days")
def notices(
    loaded: Loaded,
    *,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Mark those of ended migrations as read.")] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show how migrations changed the meaning of numbers, and what needs attention."""
    server = _server(loaded, db)
    path: Path | str = server[0] if server else database(loaded, db)
    if server:
        dismissed = server[1].dismiss() if dismiss else 0
        found = server[1].status()
    else:
        dismissed = dismiss_notices(database(loaded, db)) if dismiss else 0
        found = engine.status(database(loaded, db), migrations=MIGRATIONS, app_version=APP_VERSION)
    found_notices = notices_of(
        _runs(loaded, db), problem=why_nothing_happens(found), running=found.lock_holder is not None
    )
    answer(
        path,
        json=json,
        fields={"dismissed": dismissed, "notices": found_notices},
        shown=lambda: reports.print_notices(found_notices, dismissed=dismissed if dismiss else None),
    )


def _runs(loaded: Loaded, db: Path | None) -> list[MigrationRun]:
    server, undo_days = _server(loaded, db), loaded.settings.migration_undo_days
    if server:
        return shown_runs(server[1].history(), MIGRATIONS, undo_days=undo_days)
    return runs_of(database(loaded, db), MIGRATIONS, undo_days=undo_days)
