"""A clock that is wrong by so many seconds, for one process."""

import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any


def shift_clock(seconds: float) -> None:
    """From now on every module of the program sees the time that much later (earlier if negative)."""
    if not seconds:
        return

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=seconds)

    for name, module in list(sys.modules.items()):
        if name.startswith("llm_metrics_proxy") and getattr(module, "datetime", None) is datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]
    right = time.time
    time.time = lambda: right() + seconds
