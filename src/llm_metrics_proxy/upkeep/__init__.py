"""What is done beside everything else to keep a database fast and small: roll-ups of older records, and retention.

A thread of the metrics process. It holds the write lock for tens of milliseconds at a time, and goes on after any end
from what is committed. Made by ``cli``.
"""

from llm_metrics_proxy.upkeep.service import UpkeepService
from llm_metrics_proxy.upkeep.work import Retention, Upkeep, Worked

__all__ = ["Retention", "Upkeep", "UpkeepService", "Worked"]
