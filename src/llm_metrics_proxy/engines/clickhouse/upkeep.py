"""Migrations of a server's records, as verbs and the metrics process ask for them. Each call has its own lease."""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Final

from llm_metrics_proxy.engines.clickhouse import migrating
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import CHANGES, claiming
from llm_metrics_proxy.engines.clickhouse.prepare import prepare
from llm_metrics_proxy.engines.clickhouse.shadow import ShadowCall
from llm_metrics_proxy.engines.clickhouse.shadow_verify import verify_records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.model import (
    UNFINISHED,
    Ended,
    Fault,
    Migration,
    MigrationResult,
    Progress,
    Report,
    Run,
    WorkPhase,
    quiet,
)
from llm_metrics_proxy.migration.overview import MigrationStatus
from llm_metrics_proxy.store_address import StoreAccess

LOOK_S: Final = 10.0

log = getLogger(__name__)


class ServerMigrations:
    """``engines.migrations.StoreMigrations``."""

    def __init__(self, access: StoreAccess, migrations: Sequence[Migration], app_version: str = APP_VERSION) -> None:
        self._access, self._migrations, self._app_version = access, tuple(migrations), app_version

    def status(self) -> MigrationStatus:
        """What the records are and need."""
        with closing(Connection(self._access)) as connection:
            prepare(connection)
            return migrating.status(connection, self._migrations, app_version=self._app_version)

    def history(self) -> list[Run]:
        """Every run, the oldest first."""
        with closing(Connection(self._access)) as connection:
            prepare(connection)
            return migrating.history(connection)

    def migrate(
        self,
        *,
        automatic: bool = False,
        max_seconds: float | None = None,
        report: Report = quiet,
        stop: threading.Event | None = None,
    ) -> MigrationResult:
        """Bring every record to the formulas of this program, or go on with a run."""
        call = self._call(report, stop, automatic=automatic, max_seconds=max_seconds)
        with claiming(self._access, CHANGES) as lease:
            return migrating.migrate(call, lease)

    def undo(self, *, report: Report = quiet, stop: threading.Event | None = None) -> MigrationResult:
        """Take the last run back."""
        call = self._call(report, stop)
        with claiming(self._access, CHANGES) as lease:
            return migrating.undo(call, lease)

    def forget(self, *, finished_before: str) -> bool:
        """Drop what an undo of runs that were over by then would need; if there was any."""
        call = self._call(quiet, None)
        with claiming(self._access, CHANGES) as lease:
            return migrating.forget(call, lease, finished_before=finished_before)

    def dismiss(self) -> int:
        """Mark the notices of all ended runs as read; how many were not before."""
        with claiming(self._access, CHANGES) as lease:
            return migrating.dismiss(self._call(quiet, None), lease)

    def verify(self, *, report: Report = quiet, stop: threading.Event | None = None) -> tuple[Fault, ...]:
        """Every calculated value against the oracle of its version."""
        with closing(Connection(self._access)) as connection:
            return verify_records(connection, self._migrations, report=report, stop=stop or threading.Event())

    def _call(
        self, report: Report, stop: threading.Event | None, *, automatic: bool = False, max_seconds: float | None = None
    ) -> ShadowCall:
        return ShadowCall(
            self._access,
            self._migrations,
            self._app_version,
            automatic=automatic,
            max_seconds=max_seconds,
            report=report,
            stop=stop or threading.Event(),
        )


class MigrationThread:
    """Of the metrics process: migrates while it ``leads``, and forgets what is over. Anybody may read its state."""

    def __init__(
        self, migrations: ServerMigrations, leads: Callable[[], bool], *, allowed: bool, undo_days: int
    ) -> None:
        """``allowed``: the setting ``auto_migrate``; ``undo_days``: that of this name, 0: nothing is forgotten."""
        self._migrations, self._leads = migrations, leads
        self._allowed, self._undo_days = allowed, undo_days
        self.progress, self.problem, self.pending = Progress(), "", True
        self.run_id: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="server-migration", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is begun is done at the next start, or by another process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
            except LlmMetricsProxyError as error:
                self._tell(f"Older records wait: {error}")
            except Exception as error:
                # The thread's boundary: records are stored and answered all the same.
                log.exception("a migration on the server met a bug")
                self._tell(f"The migration met a bug, {type(error).__name__}: {error}. Please report it.")
            self._stop.wait(LOOK_S)

    def _look(self) -> None:
        found = self._migrations.status()
        self.pending, self.run_id = found.has_work, found.last.id if found.last is not None else None
        if not found.has_work and not found.newer:
            self.progress, self.problem = Progress(), ""
            self._forget(found)
        elif found.newer:
            self._tell(f"Records of version {', '.join(found.newer)} are newer than this program.")
        elif not self._allowed:
            self._tell("Older records are left as they are (auto_migrate is false): `migrate run` carries them over.")
        elif self._leads():
            result = self._migrations.migrate(automatic=True, report=self._report, stop=self._stop)
            self.progress = Progress()
            self._tell("" if result.ended in (Ended.DONE, Ended.NOTHING_TO_DO, Ended.STOPPED) else result.message)
            if result.ended is Ended.DONE:
                log.info("%s", result.message)
        elif found.last is not None and found.last.state in UNFINISHED:
            done, total = found.last.records_changed, found.last.records_total
            self.progress = Progress(phase=WorkPhase.MIGRATING, done=done, total=total, detail="by another process")

    def _forget(self, found: MigrationStatus) -> None:
        if self._undo_days and self._leads() and found.last is not None and found.last.old_table is not None:
            before = datetime.now(UTC) - timedelta(days=self._undo_days)
            moment = before.isoformat(timespec="microseconds").replace("+00:00", "Z")
            if (found.last.finished_at or moment) < moment:
                self._migrations.forget(finished_before=moment)

    def _report(self, progress: Progress) -> None:
        self.progress, self.problem = progress, ""

    def _tell(self, words: str) -> None:
        if words and words != self.problem:
            log.warning("%s", words)
        self.problem = words
