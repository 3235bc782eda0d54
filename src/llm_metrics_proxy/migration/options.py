"""How a person or a setting wants a migration to go about its work."""

from dataclasses import dataclass
from pathlib import Path

from llm_metrics_proxy.migration.model import BATCH_LOCK_MS
from llm_metrics_proxy.migration.window import DailyWindow


@dataclass(frozen=True)
class Options:
    """How to go about it. ``automatic``: nobody asked, so what a person took back is left alone."""

    backup_dir: Path
    backup_keep: int = 3
    batch_lock_ms: int = BATCH_LOCK_MS
    pause_ms: int = 0
    window: DailyWindow | None = None
    max_seconds: float | None = None
    wait_for_lock: bool = False
    automatic: bool = False

    @property
    def staged(self) -> bool:
        """Spread over a long time, so that old and new records are read side by side meanwhile."""
        return self.pause_ms > 0 or self.window is not None
