"""Where history is read from, and which number each of its records gets.

That is the integer ``id`` of the old table, or its rowid where ``id`` is something else. A table that has neither, or
has numbers that no program can count on from, has its records numbered in the order of its key: in a table of keys
alone, made step by step.
"""

from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.storage.sqlite_schema import quoted

NUMBERED: Final = "migration_keys"
_VIEW, _NUMBER = "history", "number_in_history"
_LARGEST: Final = 2**53 - 1  # JSON's numbers are exact up to there
_ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
BELOW_ALL: Final = -(2**60)


class OldRecords(NamedTuple):
    """``table`` and ``key`` are SQL: what to select from, and the arrival of its rows."""

    table: str
    key: str


def history_of(connection: apsw.Connection, old_table: str) -> OldRecords:
    """The same for as long as nothing is written to the old table. Makes a temporary view where records are numbered.

    Raises ``MigrationRefusedError`` for a table whose columns hide its rowid, and ``apsw.Error``.
    """
    columns = key_columns(connection, old_table)
    if not _is_numbered(connection, old_table, columns):
        return OldRecords(f"main.{old_table}", columns[0])
    met = " AND ".join(f"o.{name} = k.k{place}" for place, name in enumerate(columns))
    connection.execute(
        f"CREATE TEMP VIEW IF NOT EXISTS {_VIEW} AS SELECT k.arrival AS {_NUMBER}, o.* "  # noqa: S608 -- ours
        f"FROM main.{NUMBERED} k CROSS JOIN main.{old_table} o ON {met}"
    )
    return OldRecords(f"temp.{_VIEW}", _NUMBER)


def key_columns(connection: apsw.Connection, table: str) -> list[str]:
    """What leads to a row, quoted: one name of the rowid, or the primary key of a table WITHOUT ROWID."""
    found: list[Any] = connection.execute("SELECT name, pk FROM pragma_table_xinfo(?)", (table,)).fetchall()
    taken = {str(name).lower() for name, _key in found}
    is_rowless = connection.execute("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).get
    if is_rowless:
        keys: list[tuple[int, str]] = [(place, str(name)) for name, place in found if place]
        return [quoted(name) for _place, name in sorted(keys)]
    if _has_integer_id(connection, table):
        return ["id"]
    free = [name for name in _ROWID_NAMES if name not in taken]
    if not free:
        raise MigrationRefusedError(
            f"The columns rowid, _rowid_ and oid of {table} hide the numbers of its rows; rename one of them. "
            "Nothing was changed."
        )
    return free[:1]


def _has_integer_id(connection: apsw.Connection, table: str) -> bool:
    """``id`` is another name of the rowid: every other primary key has an index."""
    key = [str(n).lower() for (n,) in connection.execute("SELECT name FROM pragma_table_info(?) WHERE pk", (table,))]
    return key == ["id"] and not any(
        connection.execute("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", (table,))
    )


def _is_numbered(connection: apsw.Connection, table: str, columns: list[str]) -> bool:
    if len(columns) > 1 or (columns[0] != "id" and columns[0] not in _ROWID_NAMES):
        return True
    key = columns[0]
    least, most = connection.execute(
        f"SELECT coalesce((SELECT min({key}) FROM {table}), 0), coalesce((SELECT max({key}) FROM {table}), 0)"  # noqa: S608
    ).get
    return bool(least < -_LARGEST or most > _LARGEST)


def prepare(connection: apsw.Connection, old_table: str) -> int:
    """In the transaction that sets the table aside: a table of keys where one is needed; the greatest arrival."""
    columns = key_columns(connection, old_table)
    if not _is_numbered(connection, old_table, columns):
        return int(connection.execute(f"SELECT coalesce(max({columns[0]}), 0) FROM {old_table}").get)  # noqa: S608
    connection.execute(f"DROP TABLE IF EXISTS {NUMBERED}")
    kept = ", ".join(f"k{place}" for place in range(len(columns)))
    connection.execute(f"CREATE TABLE {NUMBERED} (arrival INTEGER PRIMARY KEY, {kept})")
    return int(connection.execute(f"SELECT count(*) FROM {old_table}").get)  # noqa: S608


def number_some(connection: apsw.Connection, old_table: str, rows: int) -> bool:
    """Number some more records, in the caller's transaction; whether all have been, or need not be."""
    columns = key_columns(connection, old_table)
    if not _is_numbered(connection, old_table, columns):
        return True
    keys, kept = ", ".join(columns), ", ".join(f"k{place}" for place in range(len(columns)))
    last = f"(SELECT {kept} FROM {NUMBERED} ORDER BY arrival DESC LIMIT 1)"  # noqa: S608
    behind = connection.execute(f"SELECT 1 FROM {NUMBERED} LIMIT 1").get  # noqa: S608
    where = f"WHERE ({keys}) > {last} " if behind else ""
    connection.execute(
        f"INSERT INTO {NUMBERED} ({kept}) SELECT {keys} FROM {old_table} {where}ORDER BY {keys} LIMIT ?",  # noqa: S608
        (rows,),
    )
    return connection.changes() < rows
