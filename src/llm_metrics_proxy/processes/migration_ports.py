"""The migration of this process: how it goes about its work, and how the API sees it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from llm_metrics_proxy.analytics import KnownMigration
from llm_metrics_proxy.migration.model import Migration, Progress
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.service import MigrationService
from llm_metrics_proxy.migration.window import DailyWindow
from llm_metrics_proxy.processes.metrics_options import MetricsOptions


class ServicePorts:
    """``api.ports.MigrationPorts`` over a ``MigrationService``."""

    def __init__(self, service: MigrationService, migrations: Sequence[Migration]) -> None:
        self._service = service
        self._known = known_migrations(migrations)

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

    def pending(self) -> bool:
        """Older records may be there."""
        return self._service.view().pending

    def known(self) -> Sequence[KnownMigration]:
        """The migrations of this program, in order."""
        return self._known


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
        pause_ms=options.migration_pause_ms,
        window=None if options.migration_window is None else DailyWindow.parse(options.migration_window),
        wait_for_lock=True,
        automatic=True,
    )
