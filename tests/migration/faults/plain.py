"""A program without an engine, on which the faults themselves are tested: it must be possible to see them strike."""

from typing import Any

import apsw


def work(path: str, *, journal: str = "wal", synchronous: str = "NORMAL", way: str = "append") -> dict[str, Any]:
    """Forty transactions. ``append``: a row each. ``torn``: value and stamp of a record in two transactions."""
    try:
        _transactions(path, journal, synchronous, way)
    except apsw.Error as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"ended": "done"}


def _transactions(path: str, journal: str, synchronous: str, way: str) -> None:
    connection = apsw.Connection(path)
    try:
        connection.pragma("journal_mode", journal)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, value, stamp, filling)")
        for number in range(1, 41):
            if way == "append":
                connection.execute("INSERT INTO t VALUES (?, ?, 'new', hex(zeroblob(400)))", (number, number))
            else:
                connection.execute("UPDATE t SET value = -value WHERE id = ?", (number,))
                connection.execute("UPDATE t SET stamp = 'new' WHERE id = ?", (number,))
    finally:
        connection.close()
