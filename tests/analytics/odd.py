"""A table as other programs may leave it: any value in any column, each with its storage class."""

from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.record import ALL_COLUMNS

VALUES: Final[tuple[str, ...]] = (  # SQL; each gets a record that has it in every column but the id
    "NULL",
    "0",
    "1",
    "-5",
    "2.5",
    "1500.0",
    "-0.0",
    "9223372036854775807",
    "9e999",
    "-9e999",
    "1e300",
    "''",
    "'12'",
    "'abc'",
    "'2026-13-45'",
    "'2026-03-01T12:00:00.000000Z'",
    "'v2.0.0'",
    "' 2.0.0 '",
    "'10.0.0'",
    "X''",
    "X'00FF'",
    "zeroblob(2000)",
    "CAST(X'61FF62' AS TEXT)",
    "CAST(X'618062' AS TEXT)",
    "'a' || char(0) || 'b'",
)
TYPES: Final = ("", "TEXT", "NUMERIC", "INTEGER", "REAL", "BLOB")


def make(path: Path, declared: str = "", *, encoding: str = "UTF-8") -> int:
    """One record per value, in a table whose columns are declared so; how many there are."""
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    columns = ", ".join(f'"{name}" {declared}' for name in ALL_COLUMNS[1:])
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {columns})")
    connection.execute("CREATE INDEX completion_requests_timestamp ON completion_requests (timestamp)")
    for value in VALUES:
        names = ", ".join(f'"{name}"' for name in ALL_COLUMNS[1:])
        connection.execute(
            f"INSERT INTO completion_requests ({names}) VALUES ({', '.join([value] * (len(ALL_COLUMNS) - 1))})"
        )
    connection.close()
    return len(VALUES)


def one(path: Path, **values: Any) -> int:
    """One more record with these values alone; its id."""
    connection = apsw.Connection(str(path))
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO completion_requests ({names}) VALUES ({marks})", tuple(values.values()))
    row_id = connection.last_insert_rowid()
    connection.close()
    return row_id
