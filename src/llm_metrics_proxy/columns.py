"""What a column of ``completion_requests`` can be: its kind, and what people may do with it. Pure.

The columns themselves are the rows of ``record``: each says its kind and meaning once, and whether records can be
filtered and grouped by it, whether it is rolled up, and where the dashboard shows it. The schema, the filters, the
flags of the verbs, the parameters of the API, the roll-ups, exports, docs and the dashboard follow from these rows.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

MAX_COUNT: Final = 2**40  # the proxy refuses larger ones; a sum over millions of records stays exact
LAST: Final = 99


def _finite(column: str) -> str:
    """The value if it is a finite number.

    Text and bytes sort after every number in SQLite, so the comparison also leaves out what an older program wrote into
    a number's column; ``percentile_cont`` would refuse the whole query for one of them, as for an infinity. The plus
    takes the column's type away: SQLite would turn the limits into text for a column of text.
    """
    return f"iif(+{column} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308, {column}, NULL)"


def _whole(least: int, most: int) -> Callable[[str], str]:
    """The value if it is a whole number within bounds, kept as 1500 or 1500.0."""

    def sql(column: str) -> str:
        return (
            f"iif(+{column} BETWEEN {least} AND {most} AND CAST({column} AS INTEGER) = +{column}, "
            f"CAST({column} AS INTEGER), NULL)"
        )

    return sql


def _text(column: str) -> str:
    """Any stored value as text; an adopted file may hold numbers and bytes where words belong."""
    return f"iif(typeof({column}) = 'blob', 'X' || quote(hex(substr({column}, 1, 64))), CAST({column} AS TEXT))"


def _flag(column: str) -> str:
    return f"iif(+{column} IN (0, 1), CAST({column} AS INTEGER), NULL)"


class Kind(NamedTuple):
    """``holds``: integer, number, flag, text, time, or any (whatever an older program stored). ``sql``: the value of
    one record, or NULL where what is stored does not fit the kind."""

    name: str
    holds: str
    sql_type: str  # as SQLite declares it
    sql: Callable[[str], str]
    unit: str = ""


_COUNT: Final = _whole(0, MAX_COUNT)

DURATION: Final = Kind("duration", "number", "REAL", _finite, "ms")
RATE: Final = Kind("rate", "number", "REAL", _finite, "tokens/s")
MONEY: Final = Kind("money", "number", "REAL", _finite, "USD")
TOKENS: Final = Kind("tokens", "integer", "INTEGER", _COUNT, "tokens")
LIMIT: Final = Kind("limit", "integer", "INTEGER", _COUNT, "tokens")  # requested, not used: a sum means nothing
BYTES: Final = Kind("bytes", "integer", "INTEGER", _COUNT, "bytes")
COUNT: Final = Kind("count", "integer", "INTEGER", _COUNT)
STATUS: Final = Kind("status", "integer", "INTEGER", _whole(0, 999))
NUMBER: Final = Kind("number", "number", "REAL", _finite)
FLAG: Final = Kind("flag", "flag", "INTEGER", _flag)
TEXT: Final = Kind("text", "text", "TEXT", _text)
TIME: Final = Kind("time", "time", "TEXT", _text)
ANY: Final = Kind("any", "any", "ANY", _text)
_REPORTED: Final = (TOKENS, MONEY)  # by servers, perhaps in several records (``UsageSource.REPEATED``)
_IS_REPEATED: Final = "usage_source = 'repeated'"
MEASURED: Final = (DURATION, RATE)  # their distribution says something; of tokens, bytes and money the sum does


class Flag(NamedTuple):
    """A flag of the verbs. ``declaration``: where it is not the filter's name; ``negated``: its first word means no."""

    help: str
    declaration: str = ""
    negated: bool = False


class RuleKey(NamedTuple):
    """A key of ``[[slos]]`` and ``[[alerts]]`` that says which requests a rule is about."""

    meaning: str
    allowed: str


class Filter(NamedTuple):
    """A condition on a column: the parameter of the API, and what else offers it."""

    meaning: str
    name: str = ""  # where it is not the column's
    flag: Flag | None = None
    rule: RuleKey | None = None
    is_chip: bool = True  # the dashboard offers it


class Grouping(NamedTuple):
    """A dimension. ``in_rollups``: roll-ups are kept by it. ``explored``: the dashboard offers it."""

    meaning: str
    name: str = ""  # where it is not the column's
    in_rollups: bool = False
    explored: bool = True


class RolledUp(NamedTuple):
    """``number`` identifies the column in stored bytes: it is in every database and never changes. ``by``: how far."""

    number: int
    by: str = "total"  # alone; or main: by model, server, client … too; or client: also where there are thousands


class Shown(NamedTuple):
    """A column of the dashboard's table of requests; those with the lowest places are shown at first."""

    width_px: int
    place: int = LAST


class Column(NamedTuple):
    """One column. ``name`` and ``origin`` (key, raw, derived, stamp, priced or kept) are set by ``record``."""

    kind: Kind
    meaning: str
    name: str = ""
    place: int = LAST  # in lists that people choose from
    label: str = ""  # the dashboard's message that names it; else it shows the name
    filter: Filter | None = None
    group: Grouping | None = None
    rolled_up: RolledUp | None = None
    explored: bool = False  # the dashboard offers it as a metric
    shown: Shown | None = None
    step: int = 0  # the schema step that adds it, which is made of this row; 0: a step of ``storage/schema`` does
    origin: str = ""

    @property
    def unit(self) -> str:
        """Of its values; empty for words, flags and plain counts."""
        return self.kind.unit

    @property
    def sql(self) -> str:
        """The value of one record, or NULL where it is missing or does not fit, or another record counts it."""
        value = self.stored_sql
        return f"iif({_IS_REPEATED}, NULL, {value})" if self.origin == "raw" and self.kind in _REPORTED else value

    @property
    def stored_sql(self) -> str:
        """The same, whoever counts it."""
        return self.kind.sql(self.name)

    @property
    def filter_name(self) -> str:
        """The parameter that selects by it."""
        return (self.filter.name if self.filter else "") or self.name

    @property
    def group_name(self) -> str:
        """The dimension that groups by it."""
        return (self.group.name if self.group else "") or self.name
