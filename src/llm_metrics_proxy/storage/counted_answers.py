"""The table of answers whose tokens were counted, for the store that owns the connection.

A row is the day of the record that counted them (YYYYMMDD, UTC), 64 bits of the answer's id and, where that record
fetched the answer, when it began. It takes some 20 bytes, and goes with its day: no server keeps answers for longer
than ``KEPT_DAYS``, so none can be fetched then.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

import apsw

from llm_metrics_proxy.storage.base import CountedAnswer

KEPT_DAYS: Final = 35
_MOST_FORGOTTEN: Final = 2_000  # rows per transaction


def day_of(timestamp: str) -> int:
    """The day of a record."""
    return int(timestamp[:4] + timestamp[5:7] + timestamp[8:10])


def is_counted(connection: apsw.Connection, answer: int, timestamp: str) -> bool:
    """Whether the table has it; ``timestamp``: of the record that asks. Raises ``apsw.Error``."""
    newest = date.fromisoformat(timestamp[:10]) + timedelta(days=1)
    days = [int(f"{newest - timedelta(days=ago):%Y%m%d}") for ago in range(KEPT_DAYS + 2)]
    sql = f"SELECT 1 FROM counted_answers WHERE day IN ({', '.join(map(str, days))}) AND answer = ?"  # noqa: S608
    return bool(list(connection.execute(sql, (answer,))))


def newest_fetched(connection: apsw.Connection, most: int) -> list[tuple[int, str]]:
    """Answers that fetches counted on the newest two days that have any, with the time of that fetch."""
    sql = (
        "SELECT answer, fetched_at FROM counted_answers WHERE fetched_at NOT NULL AND day IN "
        "(SELECT DISTINCT day FROM counted_answers ORDER BY day DESC LIMIT 2) ORDER BY fetched_at DESC LIMIT ?"
    )
    return [(answer, fetched_at) for answer, fetched_at in connection.execute(sql, (most,))]


def keep(connection: apsw.Connection, answers: Iterable[CountedAnswer]) -> None:
    """Add rows, in the caller's transaction, and forget some that are too old."""
    rows = [(day_of(timestamp), answer, timestamp if by_fetch else None) for answer, timestamp, by_fetch in answers]
    connection.executemany("INSERT OR IGNORE INTO counted_answers VALUES (?, ?, ?)", rows)
    if rows:
        newest = date.fromisoformat(f"{max(rows)[0]:08d}")
        last = int(f"{newest - timedelta(days=KEPT_DAYS):%Y%m%d}")
        connection.execute(
            "DELETE FROM counted_answers WHERE (day, answer) IN "
            "(SELECT day, answer FROM counted_answers WHERE day < ? LIMIT ?)",
            (last, _MOST_FORGOTTEN),
        )
