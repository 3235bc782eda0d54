"""``python -m bench.migration_floor``: what a migration that keeps its promises costs at the least, part by part.

Each part is the cheapest way that this engine (SQLite, driven from Python) has of doing only that, on the same records,
in CPU time as a multiple of one bare UPDATE of them: nothing is decided, told, paced, or done in small transactions.

    --records 500000     of the file that is made for it
    --turns 3            medians are shown
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import apsw

from bench import migration_child, migration_file
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.sqlite_schema import steps

_RAW: Final = (
    "timestamp", "success", "status_code", "response_time_ms", "model", "origin", "is_streaming", "max_tokens",
    "temperature", "top_p", "message_count", "prompt_tokens", "completion_tokens", "total_tokens", "finish_reason",
    "time_to_first_token_ms", "time_to_last_token_ms", "error_type", "error_message",
)  # fmt: skip
_ASIDE: Final = "ALTER TABLE completion_requests RENAME TO aside; " + "; ".join(step.sql for step in steps())
_COPY: Final = (
    f"INSERT INTO completion_requests (arrival, app_version, {', '.join(_RAW)}) "
    f"SELECT id, '5.0.0', {', '.join(_RAW)} FROM aside; PRAGMA wal_checkpoint(TRUNCATE)"
)
_STAMPS: Final = "SELECT app_version, count(*) FROM completion_requests GROUP BY app_version"


def main() -> int:
    """Measure and print, as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m bench.migration_floor")
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        spent = measure(Path(name), arguments.records, arguments.turns)
    bare, *rest = [(what, median(seconds)) for what, seconds in spent.items()]
    rest.append(("all of these", sum(seconds for _what, seconds in rest)))
    lines = ["| what | CPU time, µs a record | ÷ bare UPDATE |", "| --- | --- | --- |"]
    for what, seconds in (bare, *rest):
        lines.append(f"| {what} | {seconds / arguments.records * 1e6:.2f} | {seconds / bare[1]:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def measure(folder: Path, records: int, turns: int) -> dict[str, list[float]]:
    """CPU seconds of each part in each turn, the bare UPDATE first. Works in ``folder``, and leaves it empty."""
    source = folder / "legacy.db"
    migration_file.make(source, records)
    spent: dict[str, list[float]] = {}
    for _ in range(turns):
        for what, seconds in _turn(source, folder / "turn").items():
            spent.setdefault(what, []).append(seconds)
    source.unlink()
    return spent


def _turn(source: Path, folder: Path) -> dict[str, float]:
    """CPU seconds of each part, the bare UPDATE first."""
    spent: dict[str, float] = {}
    path = migration_file.copy(source, folder / "bare.db")
    spent["one bare UPDATE"] = migration_child.update(path)["cpu_seconds"]
    path = migration_file.copy(source, folder / "metrics.db")
    kept = folder / "backups"
    spent["counting records by version"] = _timed(path, _STAMPS)
    spent["a backup that is proved"] = _cpu_s(lambda: backups.create(path, kept, reason="bench", app_version="0.0.0"))
    _timed(path, f"PRAGMA journal_mode = WAL; {_ASIDE}")
    spent["a copy of each record in the new table"] = _timed(path, _COPY)
    same = " AND ".join(f"a.{name} IS b.{name}" for name in _RAW)
    spent["comparing what was observed with it"] = _timed(
        path, f"SELECT b.id FROM aside b JOIN completion_requests a ON a.arrival = b.id WHERE NOT ({same})"
    )
    for each in sorted(folder.rglob("*"), reverse=True):
        if each.is_file():
            each.unlink()
    return spent


def _timed(path: Path, sql: str) -> float:
    connection = apsw.Connection(str(path))
    try:
        return _cpu_s(lambda: _exhaust(connection, sql))
    finally:
        connection.close()


def _exhaust(connection: apsw.Connection, sql: str) -> None:
    for _row in connection.execute(sql):
        pass


def _cpu_s(work: Callable[[], object]) -> float:
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


if __name__ == "__main__":
    sys.exit(main())
