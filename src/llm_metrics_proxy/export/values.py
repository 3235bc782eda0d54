"""A column's values on one page, as they fit it: what does not is missing (``None``) and counted.

The database that this program made holds nothing else. One that another program filled may have text where a number
belongs, so every column is checked once, by the types that occur in it, which costs some 10 ns a value.
"""

from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.filters import parse_time
from llm_metrics_proxy.analytics.rows import literal, reading
from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.errors import QueryError

_NONE: Final = type(None)
# Of these types alone, a page's values fit as they are.
_AT_ONCE: Final[dict[str, frozenset[type]]] = {
    "integer": frozenset({int, _NONE}),
    "number": frozenset({float, _NONE}),
    "text": frozenset({str, _NONE}),
    "time": frozenset({str, _NONE}),
    "any": frozenset({str, _NONE}),
    "flag": frozenset(),
}
_FLAGS: Final[dict[Any, bool | None]] = {0: False, 1: True, None: None}


class Fitted(NamedTuple):
    """``values`` that fit the column or are ``None``; ``unfit``: how many are ``None`` for not fitting."""

    values: Sequence[Any]
    unfit: int


def fit(column: Column, values: Sequence[Any]) -> Fitted:
    """A whole page of one column."""
    kinds = set(map(type, values))
    if kinds <= _AT_ONCE[column.kind.holds] and (
        column.kind.holds != "number" or not (inf in values or -inf in values)
    ):
        return Fitted(values, 0)
    if column.kind.holds == "flag" and kinds <= {int, _NONE} and set(values) <= _FLAGS.keys():
        return Fitted([_FLAGS[value] for value in values], 0)
    if column.kind.holds == "any":
        return Fitted([value if value is None or isinstance(value, str) else literal(value) for value in values], 0)
    read_as = reading(column.name)
    read = [read_as(value) for value in values]
    return Fitted(read, sum(new is None and old is not None for new, old in zip(read, values, strict=True)))


def moment(text: str | None) -> datetime | None:
    """What the column ``timestamp`` holds, in UTC; ``None`` if it is not a time: an adopted file may have any text."""
    if text is None:
        return None
    try:
        return parse_time(text, "timestamp")
    except QueryError:
        return None
