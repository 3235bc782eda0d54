"""An adoption is rehearsed on an empty copy of the schema in memory, before the file is touched.

Records of ours are stored, changed and read there, so that a constraint or trigger that would refuse them is known.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.legacy import Inspection
from llm_metrics_proxy.migration.own_schema import columns_of, index_steps, make_ours, own_schema
from llm_metrics_proxy.record import COLUMNS, STREAM_TIMES
from llm_metrics_proxy.storage.affinity import as_read, insertion, kept_columns
from llm_metrics_proxy.storage.connection import in_memory, transaction
from llm_metrics_proxy.storage.sqlite_schema import TABLE, quoted


class _Refusal(Exception):  # noqa: N818 -- becomes a MigrationRefusedError
    """What the rehearsal met."""


def rehearse(inspection: Inspection) -> None:
    """Adopt an empty copy of the schema and store, change and read records of ours in it. Touches no file.

    Raises ``MigrationRefusedError`` that says which constraint, trigger or name is in the way.
    """
    connection = in_memory()
    try:
        connection.execute(f"PRAGMA encoding = '{inspection.encoding}'")
        _copy_schema(connection, inspection)
        make_ours(connection)
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
    declared = ((name, *own_schema()[0][name]) for name in COLUMNS[1:])
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
    names = ", ".join(quoted(column.name) for column in columns_of(connection) if column.name.lower() not in _UPDATED)
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
