"""An older or foreign table of records, and what the values in it mean.

SQLite converts what is stored in a column by its declared type (its affinity). DATETIME, NUM and INTEGER
make the number 7 of a model '007', ``TEXT`` makes text of a number, ``REAL`` makes 1.0 of 1. 4.3.0 to 4.5.0 stored what
such a column would convert as the bytes of its text. So for each column whose type is not ours there is an expression
of what is meant. ``timestamp`` is taken as it is, whatever its type: a time never looks like a number.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from llm_metrics_proxy.storage.base import SHORTENED
from llm_metrics_proxy.storage.expressions import TYPES
from llm_metrics_proxy.storage.sqlite_schema import quoted

UNTYPED: Final = "BLOB"  # the affinity that converts nothing
_AS_THEY_ARE: Final = ("timestamp", "timestamp_original")
_ORIGINAL: Final = "_original"

# A text looks like a number to SQLite if the comparison, which makes a number of it then, finds it equal to its number.
_LOOKS_NUMERIC: Final = "CAST({0} AS NUMERIC) = {0}"
_IN_BYTES: Final = f"iif({_LOOKS_NUMERIC.format('CAST({0} AS TEXT)')}, CAST(CAST({{0}} AS TEXT) AS INTEGER), {{0}})"
_WHOLE: Final = "{0} = CAST({0} AS INTEGER)"
_WORD: Final = "CAST({0} AS TEXT)"
# By our type of the column and its affinity in the file; where there is no row, both mean the same.
_MEANT: Final[dict[tuple[str, str], str]] = {
    ("TEXT", "INTEGER"): _WORD,
    ("TEXT", "NUMERIC"): _WORD,
    ("TEXT", "REAL"): f"CAST(iif({_WHOLE}, CAST({{0}} AS INTEGER), {{0}}) AS TEXT)",
    ("INTEGER", "TEXT"): f"iif({_LOOKS_NUMERIC}, CAST({{0}} AS NUMERIC), {{0}})",
    ("INTEGER", "REAL"): (
        f"CASE typeof({{0}}) WHEN 'real' THEN iif({_WHOLE}, CAST({{0}} AS INTEGER), {{0}}) "
        f"WHEN 'blob' THEN {_IN_BYTES} ELSE {{0}} END"
    ),
    ("REAL", "TEXT"): f"iif({_LOOKS_NUMERIC}, CAST({{0}} AS REAL), {{0}})",
}


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


class OldTable(NamedTuple):
    """``rows``: SQL of what is selected from; ``key``: of the whole number there that becomes a record's ``arrival``.

    ``affinities``: of the columns that have a name of ours, by that name; ``names``: as the table writes them, quoted.
    ``is_ours``: STRICT, each of these columns of our type, so that what is in it is what this program wrote.
    ``added``: columns that a migration by 2.1.0 to 4.5.0 added to it.
    """

    name: str
    rows: str
    key: str
    affinities: Mapping[str, str]
    names: Mapping[str, str]
    is_ours: bool
    added: frozenset[str] = frozenset()

    def meant(self, column: str) -> str:
        """SQL of what a column of ours means, over the row ``t``; NULL if the table lacks it."""
        if column not in self.names:
            return "NULL"
        stored = f"t.{self.names[column]}"
        if self.is_ours or column in _AS_THEY_ARE:
            return stored
        ours, theirs = TYPES[REGISTRY[column].kind.holds], self.affinities[column]
        if ours == "ANY":  # it keeps what stood in the column that it is named after, with its type
            of = column.removesuffix(_ORIGINAL)
            ours = TYPES[REGISTRY[of].kind.holds]
            theirs = theirs if theirs != UNTYPED else self.affinities.get(of, UNTYPED)
        return _MEANT.get((ours, theirs), "{0}").format(stored)

    def is_stored(self, column: str) -> bool:
        """The column is there, and what is stored in it is what is meant."""
        return column in self.names and self.meant(column) == f"t.{self.names[column]}"

    def report(self, column: str, value: str) -> str:
        """SQL of the whole value of a column that may be stored shortened."""
        return SHORTENED.get(column, "{0}").format(value)


def read_table(connection: apsw.Connection, name: str, *, rows: str, key: str) -> OldTable:
    """The table as its file declares it; ``rows`` and ``key`` as in ``keys.OldRecords``. Raises ``apsw.Error``."""
    found: list[Any] = connection.execute(
        "SELECT lower(name), name, type FROM pragma_table_xinfo(?, 'main')", (name,)
    ).fetchall()
    ((strict,),) = connection.execute(
        "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?)", (name,)
    )
    declared = {lower: str(type_) for lower, _name, type_ in found}
    known = [column for column in ALL_COLUMNS if column in declared]
    return OldTable(
        name,
        rows,
        f"t.{key}",
        {column: affinity(declared[column], strict=bool(strict)) for column in known},
        {lower: quoted(written) for lower, written, _type in found if lower in known},
        bool(strict) and all(declared[column].upper() == TYPES[REGISTRY[column].kind.holds] for column in known),
        _added(connection),
    )


def _added(connection: apsw.Connection) -> frozenset[str]:
    if not connection.table_exists("main", "adoptions"):
        return frozenset()
    found = connection.execute("SELECT added_columns FROM main.adoptions")
    return frozenset(str(name) for (names,) in found for name in json.loads(str(names)))
