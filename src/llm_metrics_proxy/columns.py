"""What a column of ``completion_requests`` can be: its kind, and what people may do with it. Pure.

The columns themselves are the rows of ``record``: each says its kind and meaning once, and whether records can be
filtered and grouped by it, whether it is rolled up, and where the dashboard shows it. The schema, the filters, the
flags of the verbs, the parameters of the API, the roll-ups, exports, docs and the dashboard follow from these rows.
"""

from typing import Final, NamedTuple

MAX_COUNT: Final = 2**40  # the proxy refuses larger ones; a sum over millions of records stays exact
LAST: Final = 99


class Kind(NamedTuple):
    """``holds``: integer, number (a finite float), flag, text, time (``analytics.filters.stored_time``), or any
    (whatever an older program stored). ``least``, ``most``: what an older program stored beyond counts as missing."""

    name: str
    holds: str
    unit: str = ""
    least: int | None = None
    most: int | None = None


DURATION: Final = Kind("duration", "number", "ms")
RATE: Final = Kind("rate", "number", "tokens/s")
MONEY: Final = Kind("money", "number", "USD")
BUSY: Final = Kind("busy", "number", "ms")  # shares of a whole: their sum says something, their distribution does not
TOKENS: Final = Kind("tokens", "integer", "tokens", 0, MAX_COUNT)
LIMIT: Final = Kind("limit", "integer", "tokens")  # requested, not used: a sum means nothing
BYTES: Final = Kind("bytes", "integer", "bytes", 0, MAX_COUNT)
COUNT: Final = Kind("count", "integer")
STATUS: Final = Kind("status", "integer", "", 0, 999)
NUMBER: Final = Kind("number", "number")
FLAG: Final = Kind("flag", "flag")
TEXT: Final = Kind("text", "text")
TIME: Final = Kind("time", "time")
ANY: Final = Kind("any", "any")
_REPORTED: Final = (TOKENS, MONEY)  # by servers, perhaps in several records (``UsageSource.REPEATED``)
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


class Over(NamedTuple):
    """A column that no table has: ``value`` of the records that have ``known``. So two sums are about the same records.
    ``word``: only where ``known`` is this word; ``at_most``: only where it is no more than that column.
    ``counts_missing``: the value is 0 where it is missing, so that all of those records have one."""

    value: str
    known: str
    word: str = ""
    counts_missing: bool = False
    at_most: str = ""


class Shown(NamedTuple):
    """A column of the dashboard's table of requests; those with the lowest places are shown at first."""

    width_px: int
    place: int = LAST


class Column(NamedTuple):
    """One column. ``name`` and ``origin`` (key, raw, derived, stamp, priced, kept or read) are set by ``record``."""

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
    over: Over | None = None
    origin: str = ""

    @property
    def unit(self) -> str:
        """Of its values; empty for words, flags and plain counts."""
        return self.kind.unit

    @property
    def counts_once(self) -> bool:
        """Whether a record that repeats what another one reported has no value here for any sum, mean or group."""
        return self.origin == "raw" and self.kind in _REPORTED

    @property
    def filter_name(self) -> str:
        """The parameter that selects by it."""
        return (self.filter.name if self.filter else "") or self.name

    @property
    def group_name(self) -> str:
        """The dimension that groups by it."""
        return (self.group.name if self.group else "") or self.name
