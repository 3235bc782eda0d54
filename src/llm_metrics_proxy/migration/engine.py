"""The calls that migrate a database, take a migration back and verify one: look, refuse, lock, and work.

``docs/topics/migrations.md`` explains to people what happens in which order. Every step is either a transaction or can
be done again, so that a program that was killed at any point finishes by being started again.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import apsw

from llm_metrics_proxy.errors import MigrationFailedError, MigrationRefusedError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.batches import Log, Pace
from llm_metrics_proxy.migration.legacy import FileKind
from llm_metrics_proxy.migration.lock import Fence, migration_lock
from llm_metrics_proxy.migration.model import Ended, Fault, Migration, MigrationResult, Report, quiet
from llm_metrics_proxy.migration.options import EngineCall, Options
from llm_metrics_proxy.migration.overview import Look, history, look_at, refuse, refuse_newer, status, survey
from llm_metrics_proxy.migration.retire import drop_some, is_over
from llm_metrics_proxy.migration.verify import StoppedError
from llm_metrics_proxy.migration.verify_table import verify_table
from llm_metrics_proxy.migration.work import NOTHING, LockedWork
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect
from llm_metrics_proxy.storage.sqlite_schema import store_error

__all__ = ["Options", "forget", "history", "migrate", "status", "undo", "verify"]


def migrate(
    path: Path,
    options: Options,
    *,
    report: Report = quiet,
    stop: threading.Event | None = None,
    migrations: Sequence[Migration],
    app_version: str = APP_VERSION,
    looked: Look | None = None,
) -> MigrationResult:
    """Bring every record to the formulas of this program, or continue an interrupted run.

    ``looked``: a ``look`` of just now, with the same arguments, so that it is not taken twice.

    Raises ``NewerDatabaseError``, ``ForeignDatabaseError`` and ``MigrationRefusedError`` before anything is changed;
    ``BackupError``, ``StoreError`` and ``MigrationFailedError`` if the machine prevents it: what was
    committed by then is whole, and the next call goes on.
    """
    stop = stop or threading.Event()
    with _disk_trouble(path):
        if looked is None or not looked.still_holds(path):
            looked = look_at(path, migrations, app_version=app_version, quick=options.automatic)
        seen = looked.seen
        refuse(seen.inspection)
        refuse_newer(path, seen.status.newer, app_version)
        if not seen.status.has_work and not (options.automatic and seen.through > seen.status.counted_above):
            return MigrationResult(Ended.NOTHING_TO_DO, seen.status.last, message=NOTHING)
        work = LockedWork(EngineCall(path, options, tuple(migrations), app_version, report, stop))
        with ExitStack() as stack:
            stack.callback(work.close)
            try:
                stack.enter_context(migration_lock(path, wait=options.wait_for_lock, stop=stop, report=report))
            except MigrationRefusedError:
                if seen.status.has_work:
                    raise
                # it would only have been written down that these records need not be counted again
                return MigrationResult(Ended.NOTHING_TO_DO, seen.status.last, message=NOTHING)
            return work.migrate(looked if looked.still_holds(path) else None)


def undo(
    path: Path,
    options: Options,
    *,
    to_version: str | None = None,
    report: Report = quiet,
    stop: threading.Event | None = None,
    migrations: Sequence[Migration],
    app_version: str = APP_VERSION,
) -> MigrationResult:
    """Take the last run back, all of it. Raises as ``migrate``; ``to_version``: refused for a run by copy."""
    stop = stop or threading.Event()
    with (
        _disk_trouble(path),
        migration_lock(path, wait=options.wait_for_lock, stop=stop, report=report),
        closing(LockedWork(EngineCall(path, options, tuple(migrations), app_version, report, stop))) as work,
    ):
        return work.undo(to_version)


def forget(
    path: Path,
    options: Options,
    *,
    finished_before: str,
    report: Report = quiet,
    stop: threading.Event | None = None,
) -> bool:
    """Delete what an undo of a run that was done before that moment (ISO 8601 in UTC) would need; if there is any.

    In small transactions: stopped or killed, the next call goes on. Raises as ``undo``.
    """
    stop = stop or threading.Event()
    with _disk_trouble(path):
        with closing(connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
            if not is_over(connection, finished_before=finished_before):
                return False
        with (
            migration_lock(path, wait=options.wait_for_lock, stop=stop, report=report),
            closing(connect(path, Access.WRITE, busy_ms=BUSY_TIMEOUT_MS)) as connection,
        ):
            fence, pace, log, is_done = Fence(connection), Pace(options.batch_lock_ms), Log(connection), False
            while not is_done and not stop.is_set():
                with fence.transaction(pace):
                    is_done = drop_some(connection, pace.records, finished_before=finished_before)
                log.between()
    return True


def verify(
    path: Path,
    *,
    report: Report = quiet,
    stop: threading.Event | None = None,
    migrations: Sequence[Migration],
    app_version: str = APP_VERSION,
) -> tuple[Fault, ...]:
    """Every calculated value against the oracle of the version its stamp names; read-only. Raises ``StoreError``."""
    with _disk_trouble(path):
        seen = survey(path, migrations, app_version=app_version)
        refuse(seen.inspection)
        if seen.inspection.found is not FileKind.OURS:
            return ()
        census = [(stamp, count) for stamp, count in seen.census.counts if stamp is not None]
        try:
            return verify_table(path, migrations, report=report, stop=stop or threading.Event(), census=census)
        except StoppedError as error:
            raise MigrationFailedError("Verification was stopped; nothing is decided.") from error


@contextmanager
def _disk_trouble(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise store_error(path, "migrating it", error) from error
