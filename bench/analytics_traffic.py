"""``python -m bench.analytics_traffic JOURNAL PER_SECOND [now]``: a worker's journal, written at a steady rate until
killed.

Records are those of ``analytics_data``, with times that go on where its records end, or that are those of the clock.
"""

import secrets
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.analytics_data import END, Traffic
from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.record import RAW_COLUMNS, RequestRecord

TURN_S: Final = 0.05
_DIFFERENT: Final = 20_000  # records; then they come again, with other ids and times


def records(count: int) -> list[dict[str, Any]]:
    """Facts of so many records, as keyword arguments."""
    seconds = np.sort(np.random.default_rng(5).random(count)) + END.timestamp()
    columns = Traffic(count, seed=8).piece(seconds, 0)
    names = [name for name in RAW_COLUMNS if name in columns]
    flags = {"is_streaming", "success", "usage_rejected", "upstream_reused"}
    rows = zip(*([bool(v) for v in columns[name]] if name in flags else columns[name] for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def write(folder: Path, per_second: float, first: datetime = END) -> None:
    """Until the process ends."""
    facts, writer = records(_DIFFERENT), JournalWriter(folder, secrets.token_hex(8))
    begun, written, run = time.monotonic(), 0, secrets.token_hex(8)
    while True:
        elapsed = time.monotonic() - begun
        for number in range(written, int(elapsed * per_second)):
            one = dict(facts[number % len(facts)])
            one["request_id"] = f"{run}{number:016x}"
            one["timestamp"] = stored_time(first + timedelta(seconds=number / per_second))
            record = RequestRecord(**one)
            writer.opened(record)
            writer.closed(record)
            written = number + 1
        writer.flush()
        time.sleep(TURN_S)


def fill(folder: Path, count: int) -> None:
    """So many records at once, as a worker leaves them that ends in order."""
    facts, writer = records(min(count, _DIFFERENT)), JournalWriter(folder, secrets.token_hex(8))
    for number in range(count):
        one = dict(facts[number % len(facts)])
        one["request_id"] = f"{number:032x}"
        one["timestamp"] = stored_time(END + timedelta(seconds=number / 2000))
        record = RequestRecord(**one)
        writer.opened(record)
        writer.closed(record)
        if number % 50 == 0:
            writer.flush()
    writer.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), float(sys.argv[2]), datetime.now(UTC) if sys.argv[3:] == ["now"] else END)
