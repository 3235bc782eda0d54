"""The records of an export, page by page in the order of their ids, up to a bound that is read once at the start.

A record's id never changes and new records get greater ones, so what is exported is one set: the records that were
there at the start. Each page is read from a snapshot of its own, and none is held open between pages, as that would
keep SQLite from ever shortening its write-ahead log while somebody with a slow line downloads. So a record that a
migration changes meanwhile comes as it was before or as it is after, never as a mixture, and its ``app_version`` says
which; one that retention deletes before its page is reached is left out.

A page costs what its ids cost, wherever it lies: ``NOT INDEXED`` leaves SQLite only the walk along the ids. (By the
index on ``timestamp``, every page of a long range would sort the whole range.)
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.filters import RequestFilter, where
from llm_metrics_proxy.analytics.rows import columns_there, read, whole_table
from llm_metrics_proxy.storage.base import Reader

PAGE_ROWS: Final = 2_000  # of 95 columns: about 6 MB as Python values
WINDOW_IDS: Final = 50_000  # looked through by one statement where few records are selected: about 25 ms


class Bounds(NamedTuple):
    """Ids of the first and last record that can be part of the export, both inclusive."""

    first: int
    last: int


class ExportPage(NamedTuple):
    """Rows with the values of the columns asked for; ``through``: the id up to which all is done."""

    rows: list[tuple[Any, ...]]
    through: int


def bounds(reader: Reader, selection: RequestFilter) -> Bounds | None:
    """``None`` if there can be no record. Looks at the range of time alone: it has an index.

    Raises ``StoreError``.
    """
    clause = where(RequestFilter(start=selection.start, end=selection.end))
    table = "FROM completion_requests"
    if clause.sql:
        sql = f"SELECT min(id), max(id) {table}{clause.sql}"
    else:  # each end is one step in the tree of ids; both in one SELECT would be a walk over all of it
        sql = f"SELECT (SELECT min(id) {table}), (SELECT max(id) {table})"
    ((first, last),) = reader.query(sql, clause.parameters)
    return None if first is None else Bounds(first, last)


def pages(reader: Reader, selection: RequestFilter, names: Sequence[str], within: Bounds) -> Iterator[ExportPage]:
    """Every selected record within the bounds once, lowest id first. Raises ``StoreError``."""
    table, columns = whole_table(columns_there(reader), "NOT INDEXED"), ", ".join(("id", *names))
    clause = where(selection).also("id > ? AND id <= ?")
    sql = (
        f"SELECT {columns} FROM {table}{clause.sql} "  # noqa: S608 -- names are ours
        f"ORDER BY id LIMIT {PAGE_ROWS}"
    )
    done = within.first - 1
    while done < within.last:
        window_end = min(done + WINDOW_IDS, within.last)
        rows = read(reader, sql, (*clause.parameters, done, window_end), columns=len(names) + 1)
        if len(rows) == PAGE_ROWS:
            done = rows[-1][0]
        elif rows:
            done = window_end
        else:
            done = _before_the_next(reader, window_end, within.last)
        yield ExportPage([row[1:] for row in rows], done)


def _before_the_next(reader: Reader, after: int, last: int) -> int:
    """Ids can have gaps of any width; nothing is gained by walking through them."""
    ((found,),) = reader.query("SELECT min(id) FROM completion_requests WHERE id > ?", (after,))
    return last if found is None or found > last else int(found) - 1
