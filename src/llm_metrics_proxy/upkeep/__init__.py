"""Keeps a database fast and small, in the background: roll-ups of older records, and retention.

A thread of the metrics process. It holds the write lock for tens of milliseconds at a time, and after any end goes on
from what is committed. ``processes`` makes it.
"""

from llm_metrics_proxy.upkeep.service import UpkeepService
from llm_metrics_proxy.upkeep.work import Retention, Upkeep, Worked

__all__ = ["Retention", "Upkeep", "UpkeepService", "Worked"]
