"""Records into their table, by a statement without the columns in which none of them has anything: a parameter costs as
much for NULL as for a number, and more than half of the columns are empty in most batches.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import length_hint
from typing import Any, Final

import apsw

from llm_metrics_proxy.record import KEY_COLUMNS, ROW_COLUMNS
from llm_metrics_proxy.storage.base import SHORTENED
from llm_metrics_proxy.storage.sqlite_schema import TABLE

Values = Sequence[tuple[Any, ...]]  # of records, by column, in the order of ``record.ROW_COLUMNS``
AfterInsert = Callable[[apsw.Connection, int, Values], None]
# What SQLite or the driver says of one row's values; everything else is the database's own trouble.
_ROW_ERRORS: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    OverflowError,
    TypeError,
    UnicodeEncodeError,
)
(_REPORT,) = (ROW_COLUMNS.index(name) for name in SHORTENED)  # its place among the columns


def insert(
    connection: apsw.Connection, first: int, host: str, columns: Values, shorten: Callable[[Any], Any]
) -> list[tuple[int, str]]:
    """Insert records with the arrivals from ``first`` on; of each that is refused its index and why. ``shorten``: what
    is stored for a report. After a refusal the caller takes the transaction back. Raises ``apsw.Error`` else.
    """
    size = len(columns[0])
    nothing = (None,) * size
    filled = [place for place, column in enumerate(columns) if column != nothing]
    names = (*KEY_COLUMNS, *(ROW_COLUMNS[place] for place in filled))
    marks = ", ".join("?" * len(names))
    sql = f"INSERT INTO main.{TABLE} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 -- names are ours
    arrivals = iter(range(first, first + size))
    values = [map(shorten, columns[place]) if place == _REPORT else columns[place] for place in filled]
    rows = zip(arrivals, repeat(host), *values, strict=False)
    refused: list[tuple[int, str]] = []
    while True:
        try:
            connection.executemany(sql, rows)
        except _ROW_ERRORS as error:
            # a failed statement undoes itself only, and the iterator stands behind its row
            refused.append((size - length_hint(arrivals) - 1, str(error)))
        else:
            return refused
