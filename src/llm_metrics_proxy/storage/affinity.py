"""What the declared types of an adopted table do to our values, and the SQL that has every value mean what it does in
our own table.

SQLite converts what is stored in a column, and what is compared with it, by the column's declared type (its affinity).
``DATETIME``, ``NUM`` and ``INTEGER`` make the number 7 of a model '007', ``TEXT`` makes text of a number and rounds it
to 15 digits, ``REAL`` makes 1.0 of 1. An adopted table keeps the types it has. So for each column whose type is not
ours there are two expressions: one that reads what is stored, and one that stores what must not be converted.

``shadow`` puts the first ones into a temporary view with the name of the table, for one connection, so statements that
read records need not know of them. Our own table gets none, and its statements stay as they are.
Statements that write name ``main.completion_requests``.

``timestamp`` is read as it is, whatever its type, so that the index by time serves. A time never looks like a number,
and so is never converted; what does look like one is not a time. Constants that it is compared with must not look like
one either: '9999' would be a number next to a column of numbers, and every text is greater than that.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.record import COLUMNS
from llm_metrics_proxy.storage.base import SHORTENED
from llm_metrics_proxy.storage.connection import Access, Pragmas, connect
from llm_metrics_proxy.storage.sqlite_schema import TABLE, declared_columns, quoted

_AS_THEY_ARE: Final = ("timestamp", "timestamp_original")
_INDEXED: Final = ("timestamp", "request_id")  # in the order of the column's own collation
UNTYPED: Final = "BLOB"  # the affinity that converts nothing
_ALWAYS_EXACT: Final = 2**53  # whole numbers up to here are themselves as REAL

# A text looks like a number to SQLite if the comparison, which makes a number of it then, finds it equal to its number.
_LOOKS_NUMERIC: Final = "CAST({0} AS NUMERIC) = {0}"
_IN_BYTES: Final = f"iif({_LOOKS_NUMERIC.format('CAST({0} AS TEXT)')}, CAST(CAST({{0}} AS TEXT) AS INTEGER), {{0}})"
_WHOLE: Final = "{0} = CAST({0} AS INTEGER)"


class ColumnAccess(NamedTuple):
    """One column, as SQL templates in which ``{0}`` is the value that is stored, or will be.

    ``reads``: the value as our table would have it. ``stores``: what the column keeps of it without converting.
    ``mangles``: the column makes numbers of words, words of numbers, or fractions of counts.
    """

    reads: str
    stores: str = "{0}"
    mangles: bool = False


_AS_IS: Final = ColumnAccess("{0}")
# What the column would convert is stored as the bytes of its text: no affinity touches a BLOB.
_WORD_BESIDE_NUMBERS: Final = f"(SELECT iif({_LOOKS_NUMERIC.format('v')}, CAST(v AS BLOB), v) FROM (SELECT {{0}} AS v))"  # noqa: S608
_WORD: Final = ColumnAccess("CAST({0} AS TEXT)", _WORD_BESIDE_NUMBERS, mangles=True)
_FRACTION: Final = ColumnAccess("iif(typeof({0}) = 'integer', CAST({0} AS REAL), {0})")
# By our type of the column and its affinity in the file; where there is no row, both mean the same.
_KEPT: Final[dict[tuple[str, str], ColumnAccess]] = {
    ("TEXT", "INTEGER"): _WORD,
    ("TEXT", "NUMERIC"): _WORD,
    ("TEXT", "REAL"): _WORD._replace(reads=f"CAST(iif({_WHOLE}, CAST({{0}} AS INTEGER), {{0}}) AS TEXT)"),
    ("INTEGER", "TEXT"): ColumnAccess(f"iif({_LOOKS_NUMERIC}, CAST({{0}} AS NUMERIC), {{0}})", mangles=True),
    ("INTEGER", "REAL"): ColumnAccess(
        f"CASE typeof({{0}}) WHEN 'real' THEN iif({_WHOLE}, CAST({{0}} AS INTEGER), {{0}}) "
        f"WHEN 'blob' THEN {_IN_BYTES} ELSE {{0}} END",
        f"iif({{0}} BETWEEN -{_ALWAYS_EXACT} AND {_ALWAYS_EXACT}, {{0}}, CAST({{0}} AS BLOB))",
        mangles=True,
    ),
    # `quote` gives as many digits as it takes to read the same number again
    ("REAL", "TEXT"): ColumnAccess(
        f"iif({_LOOKS_NUMERIC}, CAST({{0}} AS REAL), {{0}})",
        "(SELECT iif(typeof(v) = 'real', quote(v), v) FROM (SELECT {0} AS v))",
        mangles=True,
    ),
    ("REAL", "INTEGER"): _FRACTION,
    ("REAL", "NUMERIC"): _FRACTION,
    ("REAL", UNTYPED): _FRACTION,
}
_ORIGINAL: Final = "_original"


def affinity(declared: str, *, strict: bool) -> str:
    """A type with the affinity that SQLite gives ``declared``, by its rules in their order."""
    upper = declared.upper()
    if strict and upper == "ANY":
        return UNTYPED
    for affinity, words in (("INTEGER", ("INT",)), ("TEXT", ("CHAR", "CLOB", "TEXT")), (UNTYPED, ("BLOB",))):
        if any(word in upper for word in words):
            return affinity
    if not upper:
        return UNTYPED
    return "REAL" if any(word in upper for word in ("REAL", "FLOA", "DOUB")) else "NUMERIC"


def kept_columns(connection: apsw.Connection) -> dict[str, ColumnAccess]:
    """The columns of ours that mean something else in this file; none in a table of our own. Raises ``apsw.Error``."""
    declared = {
        str(name).lower(): str(type_)
        for name, type_ in connection.execute("SELECT name, type FROM pragma_table_xinfo(?, 'main')", (TABLE,))
    }
    strict = _is_strict(connection)
    if strict and all(declared_columns().get(name) == type_ for name, type_ in declared.items()):
        return {}
    theirs = {name: affinity(type_, strict=strict) for name, type_ in declared.items()}
    found = {}
    for name, ours in declared_columns().items():
        if name not in theirs or name in _AS_THEY_ARE or name == "id":
            continue
        kept = _original(name, theirs) if ours == "ANY" else _KEPT.get((ours, theirs[name]), _AS_IS)
        if ours == "TEXT" and name not in _INDEXED and _collation(connection, name) != "BINARY":
            kept = kept._replace(reads=f"{kept.reads} COLLATE BINARY")
        if kept != _AS_IS:
            found[name] = kept
    return found


def mangled_columns(connection: apsw.Connection) -> dict[str, ColumnAccess]:
    """Those that mangle and those that are stored shortened, for migrations, whose formulas must see what was meant.

    In a file that was adopted before 4.3.0 none mangles: what migrations made of it then is to stay right. Raises
    ``apsw.Error``.
    """
    there = {name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (TABLE,))}
    shortened = {name: ColumnAccess(reads) for name, reads in SHORTENED.items() if name in there}
    if connection.table_exists("main", "adoptions"):
        found = [text for (text,) in connection.execute("SELECT found FROM main.adoptions")]
        if found and not any(f'"{READS_MEANT}"' in text for text in found):
            return shortened
    return {name: kept for name, kept in kept_columns(connection).items() if kept.mangles} | shortened


READS_MEANT: Final = "reads_meant"  # in ``adoptions.found`` of files whose migrations see what was meant


def shadow(connection: apsw.Connection) -> dict[str, ColumnAccess]:
    """Have ``completion_requests`` mean, in what this connection reads, what it does in our own table; the columns
    for which that takes something. Once more after the schema has changed. Raises ``apsw.Error``."""
    kept = kept_columns(connection)
    if list(connection.execute("SELECT 1 FROM pragma_table_list WHERE schema = 'temp' AND name = ?", (TABLE,))):
        connection.execute(f"DROP VIEW temp.{TABLE}")
    if kept:
        names = [
            str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?, 'main')", (TABLE,))
        ]
        shown = (f"{as_read(kept, name.lower(), quoted(name))} AS {quoted(name)}" for name in names)
        connection.execute(f"CREATE TEMP VIEW {TABLE} AS SELECT {', '.join(shown)} FROM main.{TABLE}")  # noqa: S608
    return kept


def connect_to_records(path: Path, access: Access, *, busy_ms: int, pragmas: Pragmas | None = None) -> apsw.Connection:
    """A connection that reads records as our own table would have them (``shadow``). Raises ``apsw.Error``."""
    connection = connect(path, access, busy_ms=busy_ms, pragmas=pragmas)
    try:
        shadow(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def insertion(kept: Mapping[str, ColumnAccess], *, shortened: Iterable[str] = ()) -> str:
    """The statement that stores a record, its values in the order of ``COLUMNS`` without the id. What is stored in the
    ``shortened`` columns instead stands behind them all."""
    places = {name: place for place, name in enumerate((*COLUMNS[1:], *shortened), 1)}
    values = (as_stored(kept, name, f"?{place}") for name, place in places.items())
    return f"INSERT INTO main.{TABLE} ({', '.join(COLUMNS[1:])}) VALUES ({', '.join(values)})"  # noqa: S608 -- ours


def as_stored(kept: Mapping[str, ColumnAccess], column: str, value: str) -> str:
    """SQL of what the column is given for a value."""
    return kept.get(column, _AS_IS).stores.format(value)


def as_read(kept: Mapping[str, ColumnAccess], column: str, stored: str) -> str:
    """SQL of the value that a column means by what is stored in it."""
    return kept.get(column, _AS_IS).reads.format(stored)


def _original(name: str, theirs: Mapping[str, str]) -> ColumnAccess:
    """What a migration keeps there, with its type, comes from the column that it is named after; if that one made
    words of numbers or numbers of words, so they are."""
    of = name.removesuffix(_ORIGINAL)
    affinity_ = theirs[name] if theirs[name] != UNTYPED else theirs.get(of, UNTYPED)
    kept = _KEPT.get((declared_columns()[of], affinity_), _AS_IS)
    return ColumnAccess(kept.reads) if kept.mangles else _AS_IS


def _is_strict(connection: apsw.Connection) -> bool:
    sql = "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND lower(name) = ?"
    return any(strict for (strict,) in connection.execute(sql, (TABLE,)))


def _collation(connection: apsw.Connection, name: str) -> str:
    return str(connection.column_metadata("main", TABLE, name)[1])
