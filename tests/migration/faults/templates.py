"""The databases that the faults are tried on, small enough for hundreds of trials, in many batches all the same.

With ``batch_lock_ms=0`` a batch is a quarter of the one before, down to a single record: 100, 25, 6, 1, 1, … (``jobs``
lets the first be so small). The time of a trial is the number of batches.
"""

from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.record import ROW_COLUMNS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.legacy import ODD_ROWS, make, ordinary
from tests.migration.faults.jobs import as_1_x_timed, new_record
from tests.migration.faults.oracle import Row, rows_of

RECORDS: Final = 140

Template = tuple[Path, dict[Any, Row]]


def old_file(folder: Path, layout: str = "2.0", records: int = RECORDS, *, journal_mode: str = "DELETE") -> Template:
    """As a 1.x or early 2.x program left it, a few odd records among the ordinary ones."""
    path = folder / "metrics.db"
    rows = [as_1_x_timed(ordinary(layout, index)) for index in range(records)]
    make(path, layout, rows, journal_mode=journal_mode)
    return path, dict(rows_of(path))


def odd_file(folder: Path, layout: str = "2.0 without types") -> Template:
    """Every odd value there is; the layout without types takes each as it is."""
    path = folder / "metrics.db"
    make(path, layout, ODD_ROWS)
    return path, dict(rows_of(path))


def our_file(folder: Path, records: int = RECORDS) -> Template:
    """This program's own file in WAL mode, with records that were calculated and stamped by 1.0.0."""
    path = folder / "metrics.db"
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[_of_1_0_0(number) for number in range(records)]))
    store.close()
    return path, dict(rows_of(path))


def _of_1_0_0(number: int) -> tuple[Any, ...]:
    values = dict(zip(ROW_COLUMNS, new_record(number), strict=True))
    values |= {
        "request_id": f"old-{number:08}",
        "timestamp": f"2025-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{number:06}",
        "total_tokens": None if number % 20 == 7 else 100 + number,
        "response_time_ms": 500.25 + number,
        "time_to_first_token_ms": 500.25 + number,
        "tokens_per_second": 12345.5 + number,
        "app_version": "1.0.0",
    }
    return tuple(values[name] for name in ROW_COLUMNS)


def execute(path: Path, sql: str) -> list[Any]:
    """All rows, on a connection of its own."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(30_000)
        return list(connection.execute(sql))
    finally:
        connection.close()
