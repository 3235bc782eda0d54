"""How a person or a setting wants a migration to go about its work, and one call of the engine with it."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.model import Migration, Report, quiet
from llm_metrics_proxy.migration.window import DailyWindow


@dataclass(frozen=True)
class Options:
    """How to go about it. ``automatic``: not started by a person, so a run that a person undid is left alone."""

    backup_dir: Path
    backup_keep: int = 3
    batch_lock_ms: int = 50
    undo_days: int = 30  # how long the table from before stays; 0: until it is told to go
    pause_ms: int = 0
    window: DailyWindow | None = None
    max_seconds: float | None = None
    wait_for_lock: bool = False
    automatic: bool = False

    @property
    def staged(self) -> bool:
        """Spread over a long time, so that old and new records are read side by side meanwhile."""
        return self.pause_ms > 0 or self.window is not None


@dataclass(frozen=True)
class EngineCall:
    """What to work on, by which migrations, and how. Its time runs from when it is made."""

    path: Path
    options: Options
    migrations: tuple[Migration, ...]
    app_version: str = APP_VERSION
    report: Report = quiet
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    def interrupted(self) -> bool:
        """Whether it was stopped, or its time is over."""
        limit_s = self.options.max_seconds
        return self.stop.is_set() or (limit_s is not None and time.monotonic() > self.began + limit_s)

    @property
    def newest(self) -> str | None:
        """The version that records follow after a whole run."""
        return self.migrations[-1].version if self.migrations else None
