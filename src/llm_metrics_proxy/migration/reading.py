"""What an old value means and what becomes of it in our table, in Python: the reading that the SQL is held against.

Written apart from ``old_table`` and ``fits``. ``InvalidText`` is text whose bytes are no Unicode.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Self

from llm_metrics_proxy.migration.invalid_text import InvalidText
from llm_metrics_proxy.migration.timestamps import normalise
from llm_metrics_proxy.record import REGISTRY, literal
from llm_metrics_proxy.storage.base import SqlValue

_NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t\n\v\f\r]*", re.ASCII)
_WORDS_IN_NUMBERS: Final = ("INTEGER", "NUMERIC", "REAL")
_TIME_ORIGINAL: Final = "timestamp_original"
_INT64: Final = 2**63
_NORMAL_CHARS: Final = 27


def _holds(column: str) -> str:
    return REGISTRY[column].kind.holds


def meant(column: str, affinities: Mapping[str, str], value: Any, encoding: str) -> Any:
    """What was given to a column of a table whose declared types have those affinities, by what it made of it."""
    holds, affinity = _holds(column), affinities[column]
    if holds == "any" and column != _TIME_ORIGINAL:  # a value of the column that it is named after, of any type
        of = column.removesuffix("_original")
        holds, affinity = _holds(of), affinities.get(of, affinity) if affinity == "BLOB" else affinity
    if value is None or holds in {"time", "any"}:
        return value
    if holds == "text" and affinity in _WORDS_IN_NUMBERS:
        if type(value) is bytes:  # 4.3.0 and later put words there in this way
            return _decoded(value, encoding)
        if isinstance(value, float):
            return (
                str(int(value)) if affinity == "REAL" and value.is_integer() and abs(value) < _INT64 else _shown(value)
            )
        return str(value) if isinstance(value, int) else value
    if holds in {"integer", "flag"} and affinity == "REAL":
        if isinstance(value, float):
            return int(value) if value.is_integer() and abs(value) < _INT64 else value
        if type(value) is bytes and isinstance(number := _number(_decoded(value, encoding)), int | float):
            return int(number)
    if holds in {"integer", "flag", "number"} and affinity == "TEXT" and isinstance(value, str):
        number = _number(value)
        return value if number is None else float(number) if holds == "number" else number
    return value


def _decoded(value: bytes, encoding: str) -> str | InvalidText:
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        return InvalidText(value)


def _shown(value: float) -> str:
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return NumberWord(value)


class NumberWord(str):
    """A word that was made of a number with a fraction: SQLite's last digit of it is its own choice."""

    __slots__ = ()

    def __new__(cls, value: float) -> Self:
        return super().__new__(cls, repr(value))

    def says(self, other: Any) -> bool:
        """Whether ``other`` is a text of the same number."""
        return isinstance(other, str) and _NUMBER.fullmatch(other) is not None and float(other) == float(self)


def _number(text: Any) -> int | float | None:
    if not isinstance(text, str) or _NUMBER.fullmatch(text) is None:
        return None
    number = float(text)
    if re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII) and abs(int(text)) < _INT64:
        return int(text)
    return int(number) if number.is_integer() and abs(number) < 2**51 else number


def fitted(column: str, value: Any, encoding: str) -> tuple[Any, str | None]:
    """The value that our column gets, and what ``unfit_values`` says of it, if it does not fit."""
    holds = _holds(column)
    if isinstance(value, InvalidText):
        text = value.decode(encoding, errors="replace")
        return text if holds in {"text", "any"} else None, literal(text)
    if value is None or (_fits(holds, value) and _is_within(column, value)):
        return value, None
    return None, literal(value)


def fit(column: str, value: SqlValue) -> Any:
    """The value if it fits the column, else None: what a formula sees of it."""
    return value if value is not None and type(value) is not InvalidText and _fits(_holds(column), value) else None


def _is_within(column: str, value: Any) -> bool:
    """Whether a whole number is in the range of the column's kind."""
    kind = REGISTRY[column].kind
    return kind.holds != "integer" or kind.least is None or kind.most is None or kind.least <= value <= kind.most


def _fits(holds: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    if holds == "text":
        return isinstance(value, str)
    if holds == "integer":
        return is_number and value == math.floor(value) and -_INT64 <= value < _INT64
    if holds == "number":
        return is_number
    if holds == "flag":
        return is_number and value in {0, 1}
    if holds == "time":
        return is_time(value)
    return True


def is_time(value: Any) -> bool:
    """Whether it is a time in the one form that sorts as text."""
    return (
        isinstance(value, str)
        and len(value) == _NORMAL_CHARS
        and value[10] == "T"
        and normalise(value) == value
        and (normalise(value[:-1]) == value)
    )
