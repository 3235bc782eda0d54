"""What records can be grouped by, one row each: name, meaning, what kind of value it has, and its SQL.

Three families have a free name after a colon: ``tag:<key>`` and ``bin:<column>``. Time, hour of day
and weekday have no SQL here: they depend on the range and the zone, see ``calendar``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.filters import Clause
from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.storage.base import SqlValue

MAX_TAG_KEY_CHARS: Final = 128


class Dimension(NamedTuple):
    """``kind``: text, flag, number, bin, time. ``column`` is the one of the table that it reads, if it reads one.

    ``sql`` is the key of one record, over the table's columns; NULL where the record has no such value. ``order``: keys
    in the order in which people expect them, where that is fixed.
    """

    name: str
    kind: str
    meaning: str
    column: str | None = None
    sql: str = "NULL"
    parameters: tuple[SqlValue, ...] = ()
    order: tuple[str, ...] = ()


def search(value: str, edges: Sequence[SqlValue], results: Sequence[int | None]) -> Clause:
    """``results[k]``, where k of the ascending ``edges`` are at or below ``value``, as an expression with parameters.

    A binary tree of CASE: 2,000 edges cost eleven comparisons per record, where a joined table of them would be gone
    through for every record.
    """
    if not edges:
        (only,) = results
        return Clause("NULL" if only is None else str(only), ())
    middle = len(edges) // 2
    below = search(value, edges[:middle], results[: middle + 1])
    above = search(value, edges[middle + 1 :], results[middle + 1 :])
    sql = f"CASE WHEN {value} < ? THEN {below.sql} ELSE {above.sql} END"
    return Clause(sql, (edges[middle], *below.parameters, *above.parameters))


def has_order(one: Dimension) -> bool:
    """Whether its values have their own order, not alphabetical or by count."""
    return one.kind in {"time", "number", "bin"} or bool(one.order)


_BANDS: Final = (1, 64, 256, 1024, 4096, 16_384, 65_536)  # tokens; where a band begins
_BAND_NAMES: Final = (
    "0",
    *(f"{low}-{high - 1}" for low, high in pairwise(_BANDS)),
    f"{_BANDS[-1]}+",
)


def _band(column: str) -> str:
    whens = " ".join(f"WHEN v < {edge} THEN '{name}'" for edge, name in zip(_BANDS, _BAND_NAMES[:-1], strict=True))
    band = f"CASE WHEN v IS NULL THEN NULL {whens} ELSE '{_BAND_NAMES[-1]}' END"
    return f"(SELECT {band} FROM (SELECT {FIELDS[column].sql} AS v))"  # noqa: S608 -- so the value is checked once


_KINDS: Final = {"flag": "flag", "integer": "number"}  # by what the column holds; text otherwise


def _of_columns() -> list[Dimension]:
    """One for each column that records can be grouped by."""
    found = sorted((column for column in REGISTRY.values() if column.group), key=lambda column: column.place)
    return [
        Dimension(
            column.group_name, _KINDS.get(column.kind.holds, "text"), column.group.meaning, column.name, column.sql
        )
        for column in found
        if column.group
    ]


_ROWS: Final = (
    Dimension("time", "time", "when the request began, by `bucket`; the key is the bucket's first moment"),
    *_of_columns(),
    *(
        Dimension(name, "text", f"{column} in bands", column, _band(column), order=_BAND_NAMES)
        for name, column in (("prompt_length", "prompt_tokens"), ("completion_length", "completion_tokens"))
    ),
    Dimension("hour_of_day", "number", "hour in which the request began, 0 to 23, in the zone asked for"),
    Dimension("weekday", "number", "day on which the request began, 1 (Monday) to 7, in the zone asked for"),
)
DIMENSIONS: Final = {row.name: row for row in _ROWS}
IN_TIME: Final = ("time", "hour_of_day", "weekday")  # those that depend on range and zone

_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
# Where bins of values begin: the same for all data, so that two histograms can be laid over each other.
BIN_EDGES: Final = (0.0, *(float(f"{step}e{power}") for power in range(-3, 9) for step in _STEPS), 1e9)


def _tag(key: str) -> Dimension:
    all_tags = "(',' || tags || ',')"
    start = f"instr({all_tags}, ',' || ? || '=')"
    rest = f"substr({all_tags}, {start} + length(?) + 2)"
    sql = f"iif({start} > 0, (SELECT substr(rest, 1, instr(rest, ',') - 1) FROM (SELECT {rest} AS rest)), NULL)"  # noqa: S608
    return Dimension(f"tag:{key}", "text", f"value of the tag {key}", "tags", sql, (key,) * 3)


def _bin(column: str) -> Dimension:
    index = search("v", BIN_EDGES, range(-1, len(BIN_EDGES)))
    sql = f"(SELECT iif(v IS NULL, NULL, {index.sql}) FROM (SELECT {FIELDS[column].sql} AS v))"  # noqa: S608
    meaning = f"{column} in bins; the key is where the bin begins, in {FIELDS[column].unit}"
    return Dimension(f"bin:{column}", "bin", meaning, column, sql, index.parameters)


def dimension(name: str, parameter: str = "group_by") -> Dimension:
    """The dimension of this name. Raises ``QueryError`` that names ``parameter`` and what may have been meant."""
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    family, _, rest = name.partition(":")
    if family == "tag" and 0 < len(rest) <= MAX_TAG_KEY_CHARS and "=" not in rest and "," not in rest:
        return _tag(rest)
    if family == "bin" and rest in FIELDS:
        return _bin(rest)
    if family == "bin":
        raise QueryError(parameter, unknown("column for bin:", rest, FIELDS))
    raise QueryError(parameter, unknown("dimension", name, (*DIMENSIONS, "tag:<key>", "bin:<column>")))
