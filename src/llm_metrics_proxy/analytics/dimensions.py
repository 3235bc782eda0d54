"""What records can be grouped by, one row each: name, meaning, and what kind of value it has.

Two families have a free name after a colon: ``tag:<key>`` and ``bin:<column>``. Time, hour of day and weekday depend on
the range and the zone, see ``calendar``.
"""

from itertools import pairwise
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY

MAX_TAG_KEY_CHARS: Final = 128


class Dimension(NamedTuple):
    """``kind``: text, flag, number, bin, time. ``column`` is the one that it reads, if it reads one.

    The key of a record is, by ``family``: the value of the column; the band (of ``BANDS``) or the bin (of
    ``BIN_EDGES``) that the value is in; the value of the ``tag``; or where in time it began. ``order``: keys in the
    order in which people expect them, where that is fixed.
    """

    name: str
    kind: str
    meaning: str
    column: str | None = None
    family: str = "column"  # or band, bin, tag, time
    tag: str = ""
    order: tuple[str, ...] = ()


def has_order(one: Dimension) -> bool:
    """Whether its values have their own order, not alphabetical or by count."""
    return one.kind in {"time", "number", "bin"} or bool(one.order)


BANDS: Final = (1, 64, 256, 1024, 4096, 16_384, 65_536)  # tokens; where a band begins
BAND_NAMES: Final = ("0", *(f"{low}-{high - 1}" for low, high in pairwise(BANDS)), f"{BANDS[-1]}+")
_KINDS: Final = {"flag": "flag", "integer": "number"}  # by what the column holds; text otherwise


def _of_columns() -> list[Dimension]:
    """One for each column that records can be grouped by."""
    found = sorted((column for column in REGISTRY.values() if column.group), key=lambda column: column.place)
    return [
        Dimension(column.group_name, _KINDS.get(column.kind.holds, "text"), column.group.meaning, column.name)
        for column in found
        if column.group
    ]


_ROWS: Final = (
    Dimension(
        "time", "time", "when the request began, by `bucket`; the key is the bucket's first moment", family="time"
    ),
    *_of_columns(),
    *(
        Dimension(name, "text", f"{column} in bands", column, "band", order=BAND_NAMES)
        for name, column in (("prompt_length", "prompt_tokens"), ("completion_length", "completion_tokens"))
    ),
    Dimension(
        "hour_of_day", "number", "hour in which the request began, 0 to 23, in the zone asked for", family="time"
    ),
    Dimension(
        "weekday", "number", "day on which the request began, 1 (Monday) to 7, in the zone asked for", family="time"
    ),
)
DIMENSIONS: Final = {row.name: row for row in _ROWS}
IN_TIME: Final = ("time", "hour_of_day", "weekday")  # those that depend on range and zone

_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
# Where bins of values begin: the same for all data, so that two histograms can be laid over each other.
BIN_EDGES: Final = (0.0, *(float(f"{step}e{power}") for power in range(-3, 9) for step in _STEPS), 1e9)


def dimension(name: str, parameter: str = "group_by") -> Dimension:
    """The dimension of this name. Raises ``QueryError`` that names ``parameter`` and what may have been meant."""
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    family, _, rest = name.partition(":")
    if family == "tag" and 0 < len(rest) <= MAX_TAG_KEY_CHARS and "=" not in rest and "," not in rest:
        return Dimension(name, "text", f"value of the tag {rest}", "tags", "tag", rest)
    if family == "bin" and rest in FIELDS:
        meaning = f"{rest} in bins; the key is where the bin begins, in {FIELDS[rest].unit}"
        return Dimension(name, "bin", meaning, rest, "bin")
    if family == "bin":
        raise QueryError(parameter, unknown("column for bin:", rest, FIELDS))
    raise QueryError(parameter, unknown("dimension", name, (*DIMENSIONS, "tag:<key>", "bin:<column>")))
