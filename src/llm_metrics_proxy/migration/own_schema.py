"""The table ``completion_requests`` of an older program is made ours in place.

Columns are added, constraints that refuse our records are lifted. No row is rewritten, and whatever is not ours
(columns, tables, views, triggers, ``schema_version``) stays.

The rare table without an integer key ``id`` is copied: rows get an ``id`` (their rowid if there is one), the old
one is kept as ``id_original``, and constraints of the old table are not carried over. That takes time and space.
"""

from contextlib import closing, suppress
from functools import cache
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.migration.legacy import has_rowid_id, schema_of
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.affinity import UNTYPED, affinity
from llm_metrics_proxy.storage.connection import in_memory
from llm_metrics_proxy.storage.sqlite_schema import LEDGER, TABLE, quoted, steps

_ORIGINAL_ID: Final = "id_original"
_ASIDE: Final = "completion_requests_adopting"
_ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
_NO_DEFAULTS: Final = (None, "NULL")


class TableColumn(NamedTuple):
    """One column of ``completion_requests`` as it is declared."""

    name: str
    declared: str
    not_null: bool
    default: str | None
    key: int  # place in the primary key, from 1; 0: not in it


@cache
def own_schema() -> tuple[dict[str, tuple[str, bool]], tuple[str, ...], dict[str, str]]:
    """Of a database that all steps made: columns with type and NOT NULL, our other objects, the table's indexes."""
    with closing(in_memory()) as connection:
        for step in steps():
            connection.execute(step.sql)
        columns = {column.name: (column.declared, column.not_null) for column in columns_of(connection)}
        schema = schema_of(connection)
    others = tuple(each.sql for each in schema if each.table != TABLE)
    return columns, others, {each.name: each.sql for each in schema if each.kind == "index" and each.table == TABLE}


class Index(NamedTuple):
    """One index of ``completion_requests``; where ``is_partial``, of the records that have a value in ``column``."""

    name: str
    column: str
    is_unique: bool
    is_partial: bool
    sql: str


def indexes() -> list[Index]:
    """Those that an adopted file is to have. Records from before have no ``request_id``: only the others are in it."""
    found = []
    for name, sql in own_schema()[2].items():
        is_unique = sql.startswith("CREATE UNIQUE")
        column = sql.removesuffix(")").rsplit("(", 1)[1]
        found.append(
            Index(name, column, is_unique, is_unique, f"{sql} WHERE {column} IS NOT NULL" if is_unique else sql)
        )
    return found


def index_steps() -> list[str]:
    """Statements that make the indexes of ``completion_requests`` where they are missing; each its own transaction."""
    return [index.sql.replace(index.name, f"IF NOT EXISTS {index.name}", 1) for index in indexes()]


def make_ours(connection: apsw.Connection) -> list[str]:
    """The schema's part of an adoption: columns, constraints, our other tables. The names of the columns added."""
    if not has_rowid_id(connection):
        _copy_table(connection)
    columns, others, _indexes = own_schema()
    _make_originals_exact(connection)
    present = {column.name.lower(): column for column in columns_of(connection)}
    any_type = "ANY" if _is_strict(connection) else UNTYPED
    added = [name for name in ALL_COLUMNS if name not in present]
    for name in added:
        declared = columns[name][0]
        connection.execute(f"ALTER TABLE {TABLE} ADD COLUMN {name} {any_type if declared == 'ANY' else declared}")
    for name, column in present.items():
        wanted = columns.get(name)
        left_out = wanted is None and column.default in _NO_DEFAULTS
        may_be_null = wanted is not None and not wanted[1]
        if column.not_null and not column.key and (left_out or may_be_null):
            connection.execute(f"ALTER TABLE {TABLE} ALTER COLUMN {quoted(column.name)} DROP NOT NULL")
    for statement in (LEDGER.replace("IF NOT EXISTS ", ""), *others):
        connection.execute(statement)
    return added


def _make_originals_exact(connection: apsw.Connection) -> None:
    """Columns for originals must not convert what they store. One that has a type, as no known program made it, is
    replaced if it is empty; else the proof after a migration shows whether all was kept."""
    strict = _is_strict(connection)
    for column in columns_of(connection):
        ours = own_schema()[0].get(column.name.lower(), ("", False))[0]
        if ours == "ANY" and affinity(column.declared, strict=strict) != UNTYPED:
            name = quoted(column.name)
            if not list(connection.execute(f"SELECT 1 FROM {TABLE} WHERE {name} IS NOT NULL LIMIT 1")):  # noqa: S608
                with suppress(apsw.SQLError):  # an index, a view or a trigger is about it, or is broken
                    connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN {name}")


def _copy_table(connection: apsw.Connection) -> None:
    """Give the rows an integer ``id``. Every value keeps its storage class: each column keeps its affinity."""
    columns = columns_of(connection, generated=True)
    names = {column.name.lower() for column in columns}
    kept = _ORIGINAL_ID
    while kept in names:
        kept += "_"
    strict = _is_strict(connection)
    attached = [each for each in schema_of(connection) if each.table.lower() == TABLE and each.kind != "table"]
    key = next((name for name in _ROWID_NAMES if name not in names), None)
    if _table_flag(connection, "wr"):  # WITHOUT ROWID
        key = None
    defined, targets = ["id INTEGER PRIMARY KEY"], []
    for column in columns:
        name = kept if column.name.lower() == "id" else column.name
        defined.append(f"{quoted(name)} {affinity(column.declared, strict=strict)}")
        targets.append(quoted(name))
    sources = [quoted(column.name) for column in columns]
    # otherwise SQLite looks through every view and trigger, and refuses where an old one is broken
    legacy_alter = connection.pragma("legacy_alter_table")
    connection.pragma("legacy_alter_table", 1)
    try:
        connection.execute(f"ALTER TABLE {TABLE} RENAME TO {_ASIDE}")
        connection.execute(f"CREATE TABLE {TABLE} ({', '.join(defined)})")
        connection.execute(
            f"INSERT INTO {TABLE} ({', '.join([*(['id'] if key else []), *targets])}) "  # noqa: S608 -- all quoted
            f"SELECT {', '.join([*([key] if key else []), *sources])} FROM {_ASIDE} ORDER BY {key or 'timestamp'}"
        )
        connection.execute(f"DROP TABLE {_ASIDE}")
        for each in attached:
            connection.execute(each.sql)
    finally:
        connection.pragma("legacy_alter_table", legacy_alter)


def columns_of(connection: apsw.Connection, *, generated: bool = False) -> list[TableColumn]:
    """The table's columns; generated ones only on request, or if they have a name of ours."""
    # hidden: 0 ordinary, 2 and 3 generated
    rows = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (TABLE,)
    )
    return [
        TableColumn(name, declared, bool(not_null), default, key)
        for name, declared, not_null, default, key, hidden in rows
        if generated or not hidden or name.lower() in ALL_COLUMNS
    ]


def _is_strict(connection: apsw.Connection) -> bool:
    return _table_flag(connection, "strict")


def _table_flag(connection: apsw.Connection, flag: str) -> bool:
    sql = f"SELECT {flag} FROM pragma_table_list WHERE schema = 'main' AND lower(name) = ?"  # noqa: S608 -- ours
    return any(value for (value,) in connection.execute(sql, (TABLE,)))
