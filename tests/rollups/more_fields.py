"""A later program, with more fields than releases before 4.4.0 could store: this one, which rolls up more columns.

Other tables follow from that of columns when they are imported, so it takes a process of its own. As a plugin of pytest
(``-p tests.rollups.more_fields``) it lets tests run on the later program; run as a module, it rolls up and prunes:
``python -m tests.rollups.more_fields PATH [DAYS]``.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from llm_metrics_proxy.columns import DURATION, MONEY, TOKENS, RolledUp
from llm_metrics_proxy.record import READABLE, REGISTRY

assert "llm_metrics_proxy.rollups.values" not in sys.modules

WHOLE: Final = {50: "max_tokens"}  # of the total
BY_MODEL: Final = {51: "temperature"}  # and by everything that has latencies
FAR: Final = {300: "top_p"}  # of the total, in a bank far behind
ADDED: Final = WHOLE | BY_MODEL | FAR

for number, name, kind, by in (
    (50, "max_tokens", TOKENS, "total"),
    (51, "temperature", DURATION, "main"),
    (300, "top_p", MONEY, "total"),
):
    REGISTRY[name] = READABLE[name] = REGISTRY[name]._replace(kind=kind, rolled_up=RolledUp(number, by))

from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked  # noqa: E402 -- behind the table
from tests.rollups import oracle  # noqa: E402

oracle.NAMES.update(ADDED)
oracle.COUNTED.update(WHOLE.values())
oracle.MOMENTS[0].update(ADDED)
for grain, fields in oracle.MOMENTS.items():
    if grain and fields >= oracle.MAIN:
        oracle.MOMENTS[grain] = fields | set(BY_MODEL)

NOW: Final = datetime(2027, 1, 1, tzinfo=UTC)


def keep_up(path: Path, days: int = 0) -> None:
    """Roll up all records, and prune those that are older than so many days."""
    upkeep = Upkeep(path, Retention(days=days), batch_lock_ms=10, unix_s=NOW.timestamp)
    try:
        while upkeep.step(leftovers=True) is not Worked.NOTHING:
            pass
    finally:
        upkeep.close()


if __name__ == "__main__":
    print("begins")
    keep_up(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
