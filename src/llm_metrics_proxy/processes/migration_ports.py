"""The migration of this process: how it goes about its work, and how the API sees it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from llm_metrics_proxy.analytics import KnownMigration, MigrationRun
from llm_metrics_proxy.analytics.migrations import run_of
from llm_metrics_proxy.engines.migrations import StoreMigration, StoreMigrations
from llm_metrics_proxy.migration.model import Migration, Progress, Run, WorkPhase
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.overview import history
from llm_metrics_proxy.migration.service import MigrationService
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.safe_migrations import MIGRATIONS


class ServicePorts:
    """``api.ports.MigrationPorts`` over a ``MigrationService``."""

    def __init__(
        self, service: MigrationService, path: Path, migrations: Sequence[Migration], *, undo_days: int
    ) -> None:
        """``undo_days``: see the setting."""
        self._service, self._path, self._migrations, self._undo_days = service, path, migrations, undo_days

    def progress(self) -> Progress:
        """What this process's own migration does now."""
        return self._service.view().progress

    def run_id(self) -> int | None:
        """Number of the run that ``progress`` is about."""
        return self._service.view().run_id

    def paused_until(self) -> datetime | None:
        """When a paused migration goes on."""
        return self._service.view().paused_until

    def lock_holder(self) -> int | None:
        """Id of the process that migrates this database now."""
        return self._service.lock_holder()

    def blocks_store(self) -> bool:
        """Nothing can be read from or stored in the file yet."""
        return self._service.view().blocks_store

    def problem(self) -> str | None:
        """Why older records are left as they are."""
        return self._service.view().problem

    def runs(self) -> Sequence[MigrationRun]:
        """Every run on this database, newest first. Raises ``StoreError``."""
        return runs_of(self._path, self._migrations, undo_days=self._undo_days)


class ServerPorts(ServicePorts):
    """Where the records are on a server: what happens to them there, unless the control store itself is migrated."""

    def __init__(
        self,
        there: StoreMigration,
        server: StoreMigrations,
        service: MigrationService,
        path: Path,
        *,
        undo_days: int,
    ) -> None:
        super().__init__(service, path, MIGRATIONS, undo_days=undo_days)
        self._there, self._server = there, server

    def progress(self) -> Progress:
        """What this process or another one does now."""
        here = super().progress()
        return here if here.phase is not WorkPhase.IDLE else self._there.progress

    def run_id(self) -> int | None:
        """Of the last run on the server."""
        return self._there.run_id

    def problem(self) -> str | None:
        """Why older records are left as they are."""
        return super().problem() or self._there.problem or None

    def pending(self) -> bool:
        """Older records may be there."""
        return self._there.pending

    def runs(self) -> Sequence[MigrationRun]:
        """Every run on the server, newest first. Raises ``StoreError``."""
        return shown_runs(self._server.history(), self._migrations, undo_days=self._undo_days)


def shown_runs(runs: Sequence[Run], migrations: Sequence[Migration], *, undo_days: int) -> list[MigrationRun]:
    """As the API has them, newest first."""
    known = known_migrations(migrations)
    return [run_of(msgspec.structs.asdict(run), known, undo_days=undo_days) for run in reversed(runs)]


def runs_of(path: Path, migrations: Sequence[Migration], *, undo_days: int) -> list[MigrationRun]:
    """Every run on a database, newest first. Raises ``StoreError``, and if the file is not ours to read."""
    return shown_runs(history(path), migrations, undo_days=undo_days)


def known_migrations(migrations: Sequence[Migration]) -> tuple[KnownMigration, ...]:
    """The program's migrations as ``analytics`` takes them."""
    return tuple(
        KnownMigration(
            version=migration.version,
            summary=migration.summary,
            checksum=migration.checksum,
            gaps={gap.code: gap.meaning for gap in migration.gaps},
        )
        for migration in migrations
    )


def migration_options(options: MetricsOptions) -> Options:
    """How the migrations of this process go about their work."""
    return Options(
        backup_dir=Path(options.backup_dir),
        backup_keep=options.backup_keep,
        batch_lock_ms=options.migration_batch_lock_ms,
        undo_days=options.migration_undo_days,
        pause_ms=options.migration_pause_ms,
        window=None if options.migration_window is None else DailyWindow.parse(options.migration_window),
        wait_for_lock=True,
        automatic=True,
    )
