"""Migrations for the tests of the API: ports with chosen values, and runs as the engine writes them down."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import msgspec

from llm_metrics_proxy.analytics import KnownMigration, MigrationRun
from llm_metrics_proxy.analytics.migrations import run_of
from llm_metrics_proxy.api.ports import MigrationPorts
from llm_metrics_proxy.migration.model import Progress, Run, RunState, WorkPhase
from llm_metrics_proxy.migration.overview import history
from llm_metrics_proxy.migration.runs import insert_run

KNOWN = KnownMigration(version="2.0.0", summary="other numbers", checksum="abc", gaps={"no_total": "there is no total"})
WORKING = Progress(phase=WorkPhase.MIGRATING, done=450, total=1000, per_s=100.0, eta_s=130.0)


@dataclass
class Ports:
    """``MigrationPorts`` of a service that is in the state that a test wants."""

    now: Progress = field(default_factory=Progress)
    run: int | None = None
    until: datetime | None = None
    holder: int | None = None
    blocked: bool = False
    trouble: str | None = None
    path: Path | None = None  # of the database whose runs it tells

    def progress(self) -> Progress:
        return self.now

    def run_id(self) -> int | None:
        return self.run

    def paused_until(self) -> datetime | None:
        return self.until

    def lock_holder(self) -> int | None:
        return self.holder

    def blocks_store(self) -> bool:
        return self.blocked

    def problem(self) -> str | None:
        return self.trouble

    def runs(self) -> Sequence[MigrationRun]:
        stored = [] if self.path is None else history(self.path)
        return [run_of(msgspec.structs.asdict(run), [KNOWN], undo_days=30) for run in reversed(stored)]


_HELD_TO_THE_PROTOCOL: type[MigrationPorts] = Ports  # by mypy


def a_run(path: Path, **changes: Any) -> int:
    """Write down a run that is done, changed by ``changes``; its id."""
    values: dict[str, Any] = {
        "id": 0,
        "state": RunState.DONE,
        "from_versions": {"(none)": 10, "1.0.0": 990, "2.1.0": 5},
        "to_version": "2.0.0",
        "checksums": {"2.0.0": "abc"},
        "app_version": "5.0.0",
        "distrusts_stamps": False,
        "old_table": "completion_requests_before_2_0_0",
        "bound_id": 1005,
        "records_total": 1005,
        "records_changed": 1005,
        "gaps": {"no_total": 7, "odd_code": 9},
        "unfit": {"model": 3},
        "cursor_id": 1005,
        "backup": "metrics-20260301.db",
        "started_at": "2026-03-01T12:00:00.000000Z",
        "finished_at": "2026-03-01T12:00:05.500000Z",
        "busy_ms": 4000.0,
        "largest_lock_ms": 48.5,
        "error": None,
        "dismissed_at": None,
        **changes,
    }
    connection = apsw.Connection(str(path))
    try:
        return insert_run(connection, Run(**values)).id
    finally:
        connection.close()
