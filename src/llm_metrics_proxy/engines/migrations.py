"""What can be asked of the migrations of records that are on a server, whatever engine it is."""

import threading
from typing import Protocol

from llm_metrics_proxy.migration.model import Fault, MigrationResult, Progress, Report, Run
from llm_metrics_proxy.migration.overview import MigrationStatus


class StoreMigration(Protocol):
    """What this process does about older records, at one look."""

    @property
    def progress(self) -> Progress:
        """What it does now."""

    @property
    def run_id(self) -> int | None:
        """Of the last run."""

    @property
    def problem(self) -> str:
        """Why older records are left as they are; empty while all is well."""

    @property
    def pending(self) -> bool:
        """There may be older records."""


class StoreMigrations(Protocol):
    """Every method raises ``StoreError``."""

    def status(self) -> MigrationStatus:
        """What the records are and need."""

    def history(self) -> list[Run]:
        """Every run, the oldest first."""

    def migrate(
        self, *, max_seconds: float | None = None, report: Report, stop: threading.Event | None = None
    ) -> MigrationResult:
        """Bring every record to the formulas of this program, or go on with a run."""

    def undo(self, *, report: Report, stop: threading.Event | None = None) -> MigrationResult:
        """Take the last run back."""

    def forget(self, *, finished_before: str) -> bool:
        """Delete what an undo of runs that were over by then (ISO 8601 in UTC) would need; if there was any."""

    def dismiss(self) -> int:
        """Mark the notices of all ended runs as read; how many were not before."""

    def verify(self, *, report: Report, stop: threading.Event | None = None) -> tuple[Fault, ...]:
        """Every calculated value against the oracle of its version."""
