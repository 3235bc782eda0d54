"""Rows of records into their table, by a statement with few parameters where that is possible.

Half of the columns of most records are NULL, and a parameter costs as much for NULL as for a number. So a batch has two
statements: one that leaves out the columns that are NULL in a sample of the batch, for the rows that have nothing in
them, and one with every column for the others.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter, length_hint
from typing import Any, Final

import apsw

from llm_metrics_proxy.record import KEY_COLUMNS, ROW_COLUMNS
from llm_metrics_proxy.storage.base import SHORTENED, SqlValue
from llm_metrics_proxy.storage.sqlite_schema import TABLE

Row = Sequence[SqlValue]  # in the order of ``record.ROW_COLUMNS``
# What SQLite or the driver says of one row's values; everything else is the database's own trouble.
_ROW_ERRORS: Final = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    OverflowError,
    TypeError,
    UnicodeEncodeError,
)
(_REPORT,) = (ROW_COLUMNS.index(name) for name in SHORTENED)  # its place in a row
_OTHERS: Final = [place for place in range(len(ROW_COLUMNS)) if place != _REPORT]
_SAMPLE: Final = 32
_WORTH_IT: Final = 500  # rows, from which on it pays to look


def insert(
    connection: apsw.Connection, first: int, host: str, rows: Sequence[Row], shorten: Callable[[Any], Any]
) -> list[tuple[int, str]]:
    """Insert rows with the arrivals from ``first`` on; of each that is refused its index and why. ``shorten``: what is
    stored for a report. After a refusal the caller takes the transaction back. Raises ``apsw.Error`` else.
    """
    refused: list[tuple[int, str]] = []
    for places, chosen in _by_places(rows):
        take = itemgetter(*places)
        columns = (*KEY_COLUMNS, ROW_COLUMNS[_REPORT], *(ROW_COLUMNS[place] for place in places))
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO main.{TABLE} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 -- names are ours
        left = iter(chosen)
        values = ((first + index, host, shorten(rows[index][_REPORT]), *take(rows[index])) for index in left)
        while True:
            try:
                connection.executemany(sql, values)
            except _ROW_ERRORS as error:
                # a failed statement undoes itself only, and the iterator stands behind its row
                refused.append((chosen[len(chosen) - length_hint(left) - 1], str(error)))
            else:
                break
    return sorted(refused)


def _by_places(rows: Sequence[Row]) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Places in rows, and the indexes of rows that have all there is, beside the report, in these."""
    if len(rows) < _WORTH_IT:
        yield _OTHERS, range(len(rows))
        return
    sample = list(zip(*rows[:: len(rows) // _SAMPLE], strict=True))
    filled = [place for place in _OTHERS if sample[place].count(None) < len(sample[place])]
    empty = [place for place in _OTHERS if sample[place].count(None) == len(sample[place])]
    if len(empty) < 2 or len(filled) < 2:
        yield _OTHERS, range(len(rows))
        return
    rest, nothing = itemgetter(*empty), (None,) * len(empty)
    fitting: list[int] = []
    others: list[int] = []
    for index, row in enumerate(rows):
        (fitting if rest(row) == nothing else others).append(index)
    yield filled, fitting
    yield _OTHERS, others
