"""What children do. Each job returns JSON values; an error of the program becomes its name and message."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import LlmMetricsProxyError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import batches, engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.migration.model import Ended, MigrationResult, Progress
from llm_metrics_proxy.record import ROW_COLUMNS
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.base import IngestBatch, SqlValue
from llm_metrics_proxy.storage.restore import restore as put_in_place
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.migration.faults import plain
from tests.migration.faults.clock import shift_clock
from tests.migration.faults.disk import Disk
from tests.migration.faults.formulas import FORMULAS
from tests.migration.faults.ordinary_user import obey_permissions
from tests.migration.faults.points import Fault, Points, watch_python, watch_statements
from tests.migration.faults.vfs import FaultyVfs

_BATCH: Final = 20
# A small scale: so few records go through every size of batch, and the log is put back in the midst of the work.
batches._FIRST_BATCH = 100  # type: ignore[misc]
batches._LOG_PAGES = 256  # type: ignore[misc]


def perform(job: str, fault: Fault, arguments: dict[str, Any]) -> dict[str, Any]:
    """Do it with the fault in place. ``seen`` counts the points by family; ``struck``: so often did it strike."""
    disk = Disk(Path(arguments["path"]).parent / "stash", fault.seed, off=fault.action != "power")
    points = Points(fault, disk.cut_power)
    vfs = None
    if fault.action != "none" or fault.page_limit:
        watch_statements(points)
        watch_python(points, disk)
        vfs = FaultyVfs(points, disk)
    if fault.file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.file_limit, resource.RLIM_INFINITY))
    try:
        answer = JOBS[job](**arguments)
    except LlmMetricsProxyError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    except SystemError as error:
        # apsw's Backup stumbles over an exception of a file system in Python; SQLite's own file system raises none
        if "apsw.Backup" not in str(error):
            raise
        answer = {"error": "BackupError", "message": str(error)}
    del vfs
    return {**answer, "seen": points.seen, "struck": points.struck, "written_bytes": points.written_bytes}


def _options(path: str, **more: Any) -> engine.Options:
    return engine.Options(backup_dir=Path(path).parent / "backups", **more)


def _result(result: MigrationResult) -> dict[str, Any]:
    return {
        "ended": result.ended.value,
        "message": result.message,
        "faults": [(fault.check, fault.record_id, fault.message) for fault in result.faults],
        "conflicts": result.conflicts,
        "backup": result.run.backup if result.run else None,
        "largest_lock_ms": result.run.largest_lock_ms if result.run else 0,
    }


def _report(told: str | None, fill_at: str | None, filler: str) -> Callable[[Progress], None]:
    """Append every new phase to the file ``told``; fill the disk by the file ``filler`` when a phase begins."""
    last: list[str] = [""]

    def report(progress: Progress) -> None:
        if progress.phase == last[0]:
            return
        last[0] = progress.phase
        if told:
            with Path(told).open("a") as file:
                file.write(f"{progress.phase.value}\n")
        if progress.phase == fill_at:
            _fill(Path(filler))

    return report


def _fill(path: Path) -> None:
    """Leave no byte free on the disk of ``path``."""
    try:
        with path.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return


def migrate(
    path: str,
    *,
    automatic: bool = True,
    batch_lock_ms: int = 0,
    pause_ms: int = 0,
    backup_keep: int = 3,
    wait: bool = False,
    at: float = 0.0,
    formulas: str = "real",
    app_version: str = APP_VERSION,
    clock_s: float = 0.0,
    told: str | None = None,
    fill_at: str | None = None,
    filler: str = "",
    obeys_permissions: bool = False,
) -> dict[str, Any]:
    """One start of the engine; ``at``: not before this monotonic second, the same in all processes."""
    shift_clock(clock_s)
    if obeys_permissions:
        obey_permissions()
    options = _options(
        path,
        automatic=automatic,
        batch_lock_ms=batch_lock_ms,
        pause_ms=pause_ms,
        backup_keep=backup_keep,
        wait_for_lock=wait,
    )
    while time.monotonic() < at:
        pass
    result = engine.migrate(
        Path(path),
        options,
        report=_report(told, fill_at, filler),
        migrations=FORMULAS[formulas],
        app_version=app_version,
    )
    return _result(result)


def undo(path: str, *, batch_lock_ms: int = 0, formulas: str = "real", clock_s: float = 0.0) -> dict[str, Any]:
    """Take the last run back."""
    shift_clock(clock_s)
    options = _options(path, batch_lock_ms=batch_lock_ms)
    return _result(engine.undo(Path(path), options, migrations=FORMULAS[formulas]))


def finish(path: str, *, clock_s: float = 0.0) -> dict[str, Any]:
    """The next start, without faults: what it came to, and what verification then says of every record."""
    shift_clock(clock_s)
    result = engine.migrate(Path(path), _options(path, automatic=True), migrations=MIGRATIONS)
    answer = _result(result)
    answer["left"] = [
        (fault.check, fault.record_id, fault.message) for fault in engine.verify(Path(path), migrations=MIGRATIONS)
    ]
    folder = Path(path).parent / "backups"
    names = [backup.name for backup in backups.listing(folder)]
    for name in names:
        backups.verify(folder, name)
    if result.ended is Ended.DONE:
        answer["has_backup"] = result.run is not None and result.run.backup in names
    return answer


def status(path: str, *, formulas: str = "real") -> dict[str, Any]:
    """What the engine says of a file."""
    found = engine.status(Path(path), FORMULAS[formulas])
    return {"edited": found.edited, "pending": found.pending, "held": found.held, "lock_holder": found.lock_holder}


def write(path: str, *, until: str, first: int = 0, most: int = 8000) -> dict[str, Any]:
    """Append new records at full rate until the file ``until`` is there, or ``most``: how many, how often in vain."""
    stored, refused, store = first, 0, None
    while not Path(until).exists() and stored < first + most:
        try:
            store = store or SqliteStore(path)
            store.append(IngestBatch(rows=[new_record(stored + each) for each in range(_BATCH)]))
        except StoreBusyError:
            refused += 1
        except StoreError:
            refused += 1  # an old file whose table has not been set aside yet, or has been given back
            time.sleep(0.005)
        else:
            stored += _BATCH
    if store is not None:
        store.close()
    return {"stored": stored, "refused": refused}


def as_1_x_timed(row: dict[str, Any]) -> dict[str, Any]:
    """The response time stands as time of the tokens where an answer was not streamed."""
    whole_ms = {"time_to_first_token_ms": row["response_time_ms"], "time_to_last_token_ms": row["response_time_ms"]}
    return row if row["is_streaming"] or not row["success"] else {**row, **whole_ms}


def new_record(number: int) -> tuple[SqlValue, ...]:
    """A record as the ingester stores it: 50 tokens in 250 ms."""
    values: dict[str, SqlValue] = {
        "request_id": f"new-{number:08}",
        "timestamp": "2026-11-01T00:00:00.000000Z",
        "method": "POST",
        "endpoint": "/v1/chat/completions",
        "is_streaming": 0,
        "request_bytes": 1,
        "response_bytes": 1,
        "success": 1,
        "outcome": "completed",
        "total_tokens": 50,
        "usage_source": "reported",
        "usage_rejected": 0,
        "retries": 0,
        "response_time_ms": 250.0,
        "tokens_per_second": 200.0,
        "app_version": APP_VERSION,
    }
    return tuple(values.get(name) for name in ROW_COLUMNS)


def read(path: str, *, begun: str, until: str) -> dict[str, Any]:
    """Read one snapshot, and read it again when the file ``until`` is there: nothing in it may have changed."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        connection.execute("BEGIN")
        before = connection.execute("SELECT * FROM completion_requests").fetchall()
        Path(begun).touch()
        while not Path(until).exists():
            time.sleep(0.01)
        after = connection.execute("SELECT * FROM completion_requests").fetchall()
        connection.execute("ROLLBACK")
    finally:
        connection.close()
    return {"same": before == after, "records": len(before)}


def back_up(path: str) -> dict[str, Any]:
    """Make a backup."""
    made = backups.create(Path(path), Path(path).parent / "backups", reason="manual", app_version=APP_VERSION)
    return {"ended": "backed up", "name": made.name}


def restore(path: str, *, name: str) -> dict[str, Any]:
    """Put a backup in the place of the database."""
    target = Path(path)
    lock = migration_lock(target, wait=True)
    put_in_place(target.parent / "backups", name, target, app_version=APP_VERSION, lock=lock)
    return {"ended": "restored"}


JOBS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "migrate": migrate,
    "undo": undo,
    "finish": finish,
    "status": status,
    "write": write,
    "read": read,
    "back_up": back_up,
    "restore": restore,
    "plain": plain.work,
}
