"""An older program's table becomes ours in place: columns are added, constraints that refuse our records are lifted.

No row is rewritten, and whatever is not ours (columns, tables, views, triggers, ``schema_version``) stays. What the
table needs is worked out from what it is now; ``rehearse`` does the same to an empty copy of the schema in memory and
stores records of ours there, so that a constraint that would refuse them is known before the file is touched.

The rare table whose ``id`` is no integer key is copied: rows get an ``id`` (their rowid where there is one), the old
one is kept as ``id_original``, and constraints of the old table are not carried over. That takes time and space.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.legacy import Inspection, has_rowid_id, schema_of
from llm_metrics_proxy.record import (
    ALL_COLUMNS,
    COLUMNS,
    STREAM_TIMES,
)
from llm_metrics_proxy.storage.affinity import READS_MEANT, UNTYPED, affinity, as_read, insertion, kept_columns
from llm_metrics_proxy.storage.connection import in_memory, transaction
from llm_metrics_proxy.storage.sqlite_schema import LEDGER, TABLE, quoted, steps

_ORIGINAL_ID: Final = "id_original"
_ASIDE: Final = "completion_requests_adopting"
_ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
_NO_DEFAULTS: Final = (None, "NULL")


class _Column(NamedTuple):
    name: str
    declared: str
    not_null: bool
    default: str | None
    key: int  # place in the primary key, from 1; 0: not in it


@cache
def _ours() -> tuple[dict[str, tuple[str, bool]], tuple[str, ...], dict[str, str]]:
    """Of a database that all steps made: columns with type and NOT NULL, our other objects, the table's indexes."""
    with closing(in_memory()) as connection:
        for step in steps():
            connection.execute(step.sql)
        columns = {column.name: (column.declared, column.not_null) for column in _columns(connection)}
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
    for name, sql in _ours()[2].items():
        is_unique = sql.startswith("CREATE UNIQUE")
        column = sql.removesuffix(")").rsplit("(", 1)[1]
        found.append(
            Index(name, column, is_unique, is_unique, f"{sql} WHERE {column} IS NOT NULL" if is_unique else sql)
        )
    return found


def index_steps() -> list[str]:
    """Statements that make the indexes of ``completion_requests`` where they are missing; each its own transaction."""
    return [index.sql.replace(index.name, f"IF NOT EXISTS {index.name}", 1) for index in indexes()]


def rehearse(inspection: Inspection) -> None:
    """Adopt an empty copy of the schema and store, change and read records of ours in it. Touches no file.

    Raises ``MigrationRefusedError`` that says which constraint, trigger or name is in the way.
    """
    connection = in_memory()
    try:
        connection.execute(f"PRAGMA encoding = '{inspection.encoding}'")
        _copy_schema(connection, inspection)
        _make_ours(connection)
        for statement in index_steps():
            connection.execute(statement)
        with transaction(connection, keep=False):
            for doing, record in _RECORDS.items():
                _do(connection, doing, insertion(kept_columns(connection)), record())
            _check_what_was_stored(connection)
            for doing, values in _UPDATES.items():
                _do(connection, doing, f"UPDATE {TABLE} SET {' = ?, '.join(_UPDATED)} = ?", values)  # noqa: S608 -- ours
    except (apsw.Error, _Refusal) as error:
        raise MigrationRefusedError(
            f"{inspection.path} cannot be adopted: {error}. Nothing was changed. Remove what is in the way from a copy "
            "of the file, or name a new file with --db-path."
        ) from error
    finally:
        connection.close()


def adopt(connection: apsw.Connection, inspection: Inspection, *, app_version: str, backup: str | None) -> list[str]:
    """Make the database ours, within the transaction that the caller has opened; the names of the columns added.

    Raises ``MigrationRefusedError`` if it cannot be, or is no longer what was inspected; the caller then rolls back.
    """
    if schema_of(connection) != inspection.schema:
        raise MigrationRefusedError(f"{inspection.path} was changed by another program meanwhile; try again.")
    rehearse(inspection)
    if any(name.lower() == "request_id" for name in inspection.columns):
        _refuse_double_requests(connection, inspection)
    added = _make_ours(connection)
    now = datetime.now(UTC).isoformat()
    connection.executemany(
        "INSERT INTO schema_steps (number, name, checksum, applied_at, app_version) VALUES (?, ?, ?, ?, ?)",
        [(step.number, step.name, step.checksum, now, app_version) for step in steps()],
    )
    found = {
        "columns": inspection.columns,
        "tables": inspection.tables,
        "schema_version": inspection.schema_version,
        "has_rowid_id": inspection.has_rowid_id,
        READS_MEANT: True,
    }
    connection.execute(
        "INSERT INTO adoptions (adopted_at, app_version, found, added_columns, backup) VALUES (?, ?, ?, ?, ?)",
        (now, app_version, json.dumps(found, ensure_ascii=False), json.dumps(added), backup),
    )
    return added


class _Refusal(Exception):  # noqa: N818 -- becomes a MigrationRefusedError
    """What the rehearsal met."""


def _make_ours(connection: apsw.Connection) -> list[str]:
    """The schema's part of an adoption: columns, constraints, our other tables. The names of the columns added."""
    if not has_rowid_id(connection):
        _copy_table(connection)
    columns, others, _indexes = _ours()
    _make_originals_exact(connection)
    present = {column.name.lower(): column for column in _columns(connection)}
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
    """What is kept as it was first stored must not be converted. Columns of those names with a type, which no known
    program has, are made anew if they are empty; else the proof after a migration tells whether all was kept."""
    strict = _is_strict(connection)
    for column in _columns(connection):
        ours = _ours()[0].get(column.name.lower(), ("", False))[0]
        if ours == "ANY" and affinity(column.declared, strict=strict) != UNTYPED:
            name = quoted(column.name)
            if not list(connection.execute(f"SELECT 1 FROM {TABLE} WHERE {name} IS NOT NULL LIMIT 1")):  # noqa: S608
                with suppress(apsw.SQLError):  # an index, a view or a trigger is about it, or is broken
                    connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN {name}")


def _copy_table(connection: apsw.Connection) -> None:
    """Give the rows an integer ``id``. Every value keeps its storage class: each column keeps its affinity."""
    columns = _columns(connection, generated=True)
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


def _columns(connection: apsw.Connection, *, generated: bool = False) -> list[_Column]:
    # hidden: 0 ordinary, 2 and 3 generated
    rows = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (TABLE,)
    )
    return [
        _Column(name, declared, bool(not_null), default, key)
        for name, declared, not_null, default, key, hidden in rows
        if generated or not hidden or name.lower() in ALL_COLUMNS
    ]


def _is_strict(connection: apsw.Connection) -> bool:
    return _table_flag(connection, "strict")


def _table_flag(connection: apsw.Connection, flag: str) -> bool:
    sql = f"SELECT {flag} FROM pragma_table_list WHERE schema = 'main' AND lower(name) = ?"  # noqa: S608 -- ours
    return any(value for (value,) in connection.execute(sql, (TABLE,)))


def _refuse_double_requests(connection: apsw.Connection, inspection: Inspection) -> None:
    double = list(
        connection.execute(
            "SELECT request_id, count(*) FROM completion_requests WHERE request_id IS NOT NULL "
            "GROUP BY request_id COLLATE BINARY HAVING count(*) > 1 LIMIT 1"
        )
    )
    if double:
        raise MigrationRefusedError(
            f"{inspection.path} cannot be adopted: request_id {double[0][0]!r} stands in {double[0][1]} records, and "
            "is to tell one record from every other. Rename that column. Nothing was changed."
        )


def _copy_schema(connection: apsw.Connection, inspection: Inspection) -> None:
    """What the records' table needs must be there; what else cannot be made here is left out."""
    order = ("table", "index", "view", "trigger")
    for each in sorted(inspection.schema, key=lambda each: order.index(each.kind)):
        try:
            connection.execute(each.sql)
        except apsw.Error as error:
            if each.table.lower() == TABLE:
                raise _Refusal(f"its {each.kind} {each.name} cannot be understood here: {error}") from error


_TEXTS: Final = {
    "timestamp": "2025-06-01T12:00:00.000001Z", "request_id": "00000000000000000000000000000010",
    "app_version": "2.1.0", "outcome": "completed", "method": "POST", "endpoint": "/v1/chat/completions",
    "usage_source": "reported",
}  # fmt: skip
_UPDATED: Final = (
    "tokens_per_second",
    "app_version",
    "timestamp",
    "timestamp_original",
    "recompute_reason",
    "success",
    "outcome",
    "error_type",
    "error_category",
    "error_phase",
    "outcome_original",
    "error_type_original",
    *STREAM_TIMES,
    "time_per_output_token_ms",
    "output_tokens_per_second",
    *(f"{name}_original" for name in STREAM_TIMES),
)
_FAILED: Final = (0, "upstream_error", "unknown", "unknown", "mid_stream", "stream_error", b"1")
_ENDED: Final = (1, "completed", None, None, None, None, None)
_NOT_STREAMED: Final = (None, None, None, None, None, 1.5, "1.5", b"1")
_STREAMED: Final = (1.5, 1.5, 1.5, 2.5, 2.5, None, None, None)
# What a declared type would convert, if it were given so.
_CONVERTIBLE: Final = {"INTEGER": 1, "REAL": 2 / 3, "TEXT": "007"}
_PLAIN: Final = {"INTEGER": 1, "REAL": 1.5, "TEXT": "text"}


def _record(number: int, values: Mapping[str, Any], *, full: bool = True) -> tuple[Any, ...]:
    """Values in the order of ``COLUMNS`` without ``id``: all there are, or only those that are never NULL."""
    own = {**_TEXTS, "request_id": f"{number:032}"}
    declared = ((name, *_ours()[0][name]) for name in COLUMNS[1:])
    return tuple(own.get(name, values[type_]) if full or not_null else None for name, type_, not_null in declared)


# What is stored, and then done to all of it, in order: for people, and the values.
_RECORDS: Final[dict[str, Callable[[], tuple[Any, ...]]]] = {
    "a record of ours": partial(_record, 10, _PLAIN),
    "a second record like another": partial(_record, 11, _PLAIN),
    "a record with all that can be unknown": partial(_record, 20, _PLAIN, full=False),
    "a second such record": partial(_record, 21, _PLAIN, full=False),
    "a record whose texts look like numbers": partial(_record, 30, _CONVERTIBLE),
}
_TIMESTAMP: Final = _TEXTS["timestamp"]
_UPDATES: Final[dict[str, tuple[Any, ...]]] = {
    "a recomputed record": (2.5, "2.0.0", _TIMESTAMP, "2025-06-01 12:00:00", None, *_FAILED, *_STREAMED),
    "a record that cannot be recomputed": (
        None, "2.0.0", _TIMESTAMP, b"1", "not_a_number", *_FAILED, *_NOT_STREAMED,
    ),
    "a record that an undo puts back": (2.5, _TEXTS["app_version"], _TIMESTAMP, None, None, *_ENDED, *_STREAMED),
}  # fmt: skip


def _do(connection: apsw.Connection, doing: str, statement: str, parameters: tuple[Any, ...]) -> None:
    """One statement of the rehearsal; an update must leave all other columns as they are."""
    names = ", ".join(quoted(column.name) for column in _columns(connection) if column.name.lower() not in _UPDATED)
    others = f"SELECT {names} FROM {TABLE} ORDER BY id"  # noqa: S608 -- all quoted
    before = list(connection.execute(others))
    try:
        connection.execute(statement, parameters)
    except apsw.Error as error:
        raise _Refusal(f"its table {TABLE} would refuse {doing}: {error}") from error
    if statement.startswith("UPDATE") and before != list(connection.execute(others)):
        raise _Refusal(f"{doing} would change other columns too, by a trigger of its table {TABLE}")


def _check_what_was_stored(connection: apsw.Connection) -> None:
    kept = kept_columns(connection)
    shown = ", ".join(as_read(kept, name, name) for name in COLUMNS[1:])
    stored = list(connection.execute(f"SELECT {shown} FROM {TABLE} ORDER BY id"))  # noqa: S608 -- ours
    if len(stored) != len(_RECORDS):
        raise _Refusal("a trigger of its table completion_requests keeps records of ours out or adds others")
    for row, record in zip(stored, _RECORDS.values(), strict=True):
        for name, is_, should in zip(COLUMNS[1:], row, record(), strict=True):
            if type(is_) is not type(should) or is_ != should:
                raise _Refusal(f"its column {name} does not keep what is stored in it: {should!r} becomes {is_!r}")
