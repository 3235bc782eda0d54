"""Records of another program's table that have the ``request_id`` of one before them.

Ours is unique. The first record keeps it; of the others ``unfit_values`` says it. Which these are is looked up once for
each connection, and only in a table whose own index does not say that there are none.
"""
# ruff: noqa: S608 -- names are ours, or quoted

from typing import Final

import apsw

from llm_metrics_proxy.migration.fits import fitted
from llm_metrics_proxy.migration.old_table import OldTable

COLUMN: Final = "request_id"
_TABLE: Final = "temp.double_requests"


def find_doubles(connection: apsw.Connection, old: OldTable) -> bool:
    """Note them for this connection; whether there are any. Raises ``apsw.Error``."""
    if COLUMN not in old.names or _is_unique(connection, old):
        return False
    connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (number INTEGER PRIMARY KEY)")
    connection.execute(f"DELETE FROM {_TABLE}")
    given = f"(SELECT {old.key} AS number, {old.meant(COLUMN)} AS given FROM {old.rows} AS t LIMIT -1 OFFSET 0)"
    place = "row_number() OVER (PARTITION BY id COLLATE BINARY ORDER BY number)"
    connection.execute(
        f"INSERT INTO {_TABLE} SELECT number FROM (SELECT number, {place} AS place FROM "
        f"(SELECT number, {fitted(COLUMN, 'given')} AS id FROM {given}) WHERE id IS NOT NULL) WHERE place > 1"
    )
    return connection.changes() > 0


def is_double_sql(number: str) -> str:
    """SQL: the record with that number is one."""
    return f"({number} IN (SELECT number FROM {_TABLE}))"


def _is_unique(connection: apsw.Connection, old: OldTable) -> bool:
    unique = connection.execute('SELECT name FROM pragma_index_list(?) WHERE "unique"', (old.name,)).fetchall()
    columns = (
        [str(column).lower() for (column,) in connection.execute("SELECT name FROM pragma_index_info(?)", (name,))]
        for (name,) in unique
    )
    return any(names == [COLUMN] for names in columns) and old.is_ours
