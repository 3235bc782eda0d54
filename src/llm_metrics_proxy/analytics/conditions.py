"""Conditions on one record's values, as people write them and as frozen values. Pure.

One line of text is one condition: ``model=a,b`` (any of them), ``model!=a,b`` (there is a value, and it is none of
them), ``response_time_ms>5000`` (also ``>=``, ``<``, ``<=``). ``(none)`` means that there is no value. Blanks around a
value do not count. A comma within a value is ``\\,``, and a backslash before one of ``, \\ ( =`` or a blank is
``\\\\``; others stand for themselves. ``\\()`` is the empty text. Several tags must all be there, as
``tag=a=1,b=2`` has always meant.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.moments import parse_time, stored_time
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.columns import STATUS, Column
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.wire.error_types import CATEGORIES, OUTCOMES, PHASES, TAXONOMY

NO_VALUE: Final = "(none)"
MAX_VALUES: Final = 100  # of one condition
MAX_CONDITIONS: Final = 50
MAX_CHARS: Final = 4096  # of one condition
COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
OPERATORS: Final = ("=", "!=", *COMPARISONS)
# Columns whose words are ours: another word would select nothing, and look like "there was no such error".
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "outcome": OUTCOMES,
    "error_category": CATEGORIES,
    "error_type": tuple(dict.fromkeys(row.type for row in TAXONOMY)),  # upstream and proxy both have `internal`
    "error_phase": PHASES,
}
_UNREADABLE: Final = ("usage_reported", "unfit_values")  # JSON, and not stored as it is shown
# What a condition can be about, by the name that it has in one: that of the filter, where there is one.
CONDITIONED: Final[dict[str, Column]] = {
    column.filter_name: column
    for column in REGISTRY.values()
    if column.kind.holds != "any" and column.name not in _UNREADABLE
}
_ALIASES: Final = {column.name: name for name, column in CONDITIONED.items()}
_ORDERED: Final = ("integer", "number", "time")  # what can be greater
_MOST: Final = 2**63
_FORM: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(!=|>=|<=|==|=|>|<)(.*)", re.ASCII | re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_ESCAPED: Final = re.compile(r"\\([,\\( =])")
_PIECE: Final = re.compile(r"((?:\\[,\\( =]|[^,])*)(,|\Z)")
_EMPTY: Final = "\\()"  # a value of no characters
_SHOWN_CHARS: Final = 64

Value = str | int | float | bool | None


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``values`` are those that the column holds: text, whole or other numbers, ``bool`` for flags, moments as stored;
    ``None``: no value. A comparison has one. Raises ``QueryError`` that names the column if it makes no sense."""

    name: str  # one of ``CONDITIONED``
    op: str  # one of ``OPERATORS``
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if self.name not in CONDITIONED:
            raise _no_column(self.name)
        if self.op not in OPERATORS:
            raise QueryError(self.name, f"{self.op[:8]!r} compares nothing; there are: {' '.join(OPERATORS)}")
        if not 1 <= len(self.values) <= MAX_VALUES:
            raise QueryError(self.name, f"{self.name}{self.op}: give from 1 to {MAX_VALUES} values")
        self._check_comparison()
        for value in self.values:
            if value is not None:
                _CHECKS[self.column.kind.holds](self, value)

    def _check_comparison(self) -> None:
        if self.column.kind.holds == "time" and self.op not in COMPARISONS:
            raise QueryError(self.name, f"compare {self.name} by {', '.join(COMPARISONS)}, or use start and end")
        if self.op in COMPARISONS:
            _check_order(self.name, self.op)
            if len(self.values) != 1 or self.values[0] is None:
                raise QueryError(self.name, f"{self.name}{self.op} compares with one number")
        if self.name == "tag" and None in self.values and len(self.values) > 1:
            raise QueryError(self.name, f"{NO_VALUE} is no tag: a record that has none has no other either")

    @property
    def column(self) -> Column:
        """Of the record."""
        return CONDITIONED[self.name]

    def __str__(self) -> str:
        """The text that ``parse_condition`` reads."""
        return f"{self.name}{self.op}{','.join(map(_written, self.values))}"

    def admits(self, value: Any) -> bool:
        """Whether a record with this value meets it; flags may be 0 and 1, ``None`` is no value. Not for tags."""
        if self.op in COMPARISONS:
            return value is not None and COMPARISONS[self.op](value, self.values[0])
        return (value in self.values) if self.op == "=" else (value is not None and value not in self.values)


def _no_column(name: str) -> QueryError:
    """With what may have been meant; all columns are too many for a message."""
    message = unknown("column", name, sorted({*CONDITIONED, *_ALIASES}))
    begun = message.partition("; there are: ")
    return QueryError(name[:_SHOWN_CHARS], f"{begun[0]}; docs/metrics.md lists them" if begun[1] else message)


def _check_order(name: str, op: str) -> None:
    if op in COMPARISONS and CONDITIONED[name].kind.holds not in _ORDERED:
        raise QueryError(name, f"{name} has no order: compare it by = or !=")


def _check_text(condition: Condition, value: Value) -> None:
    name = condition.name
    if not isinstance(value, str):
        raise QueryError(name, f"{name}: {value!r} is not text")
    if value not in WORDS.get(name, (value,)):
        raise QueryError(name, f"there is no {name} {value[:_SHOWN_CHARS]!r}; there are: {', '.join(WORDS[name])}")
    if name == "tag" and "=" not in value:
        raise QueryError(name, f"{value[:_SHOWN_CHARS]!r} is not a tag: give k=v, or several separated by commas")


def _check_flag(condition: Condition, value: Value) -> None:
    if not isinstance(value, bool):
        raise QueryError(condition.name, f"{condition.name}: it must be true or false")


def _check_number(condition: Condition, value: Value) -> None:
    name = condition.name
    if isinstance(value, bool | str) or value is None or not isfinite(value):
        raise QueryError(name, f"{name}: {str(value)[:_SHOWN_CHARS]!r} is not a number")
    if isinstance(value, int) and not -_MOST <= value < _MOST:
        raise QueryError(name, f"{name}: {str(value)[:_SHOWN_CHARS]} is beyond all that is stored")


def _check_integer(condition: Condition, value: Value) -> None:
    name, compares = condition.name, condition.op in COMPARISONS
    if isinstance(value, float) and not compares:
        raise QueryError(name, f"{name}: {value!r} is not a whole number")
    is_status = condition.column.kind is STATUS and not compares and isinstance(value, int)
    if is_status and not 100 <= value <= 599:  # type: ignore[operator]
        raise QueryError(name, f"{value} is not an HTTP status; they run from 100 to 599")
    _check_number(condition, value)


def _check_time(condition: Condition, value: Value) -> None:
    if not isinstance(value, str) or stored_time(parse_time(value, condition.name)) != value:
        raise QueryError(condition.name, f"{condition.name}: a moment is text as records have it")


_CHECKS: Final[Mapping[str, Callable[[Condition, Value], None]]] = {
    "text": _check_text, "flag": _check_flag, "number": _check_number, "integer": _check_integer, "time": _check_time,
}  # fmt: skip


def parse_condition(text: str) -> Condition:
    """One condition. Raises ``QueryError`` that says what is wrong, and what may have been meant."""
    match = _FORM.fullmatch(text)
    if len(text) > MAX_CHARS:
        raise QueryError("where", f"a condition has at most {MAX_CHARS} characters")
    if match is None:
        shown = text[:_SHOWN_CHARS]
        raise QueryError("where", f"{shown!r} is not a condition: give one such as model!=a,b or response_time_ms>5000")
    name, op = _ALIASES.get(match[1], match[1]), "=" if match[2] == "==" else match[2]
    if name not in CONDITIONED:
        raise _no_column(name)
    _check_order(name, op)
    return Condition(name, op, parse_values(name, match[3], several=op not in COMPARISONS))


def parse_values(name: str, text: str, *, several: bool = True) -> tuple[Value, ...]:
    """What stands behind the operator of a condition on that column. Raises ``QueryError``."""
    read = _READERS[CONDITIONED[name].kind.holds]
    pieces = list(_pieces(text)) if several else [text]
    if len(pieces) > MAX_VALUES:
        raise QueryError(name, f"{name}: there are {len(pieces)} values; at most {MAX_VALUES} can be given")
    return tuple(_value(name, piece, read) for piece in pieces)


def _pieces(text: str) -> Iterator[str]:
    """What stands between commas that are not escaped; of nothing, nothing once."""
    for found in _PIECE.finditer(text):
        yield found[1]
        if not found[2]:
            return


def _value(name: str, piece: str, read: Callable[[str, str], Value]) -> Value:
    begun = piece.lstrip(" ")
    bare = begun.rstrip(" ")
    if begun != bare and (len(bare) - len(bare.rstrip("\\"))) % 2:  # the last blank is escaped
        bare += " "
    if bare == _EMPTY:
        return read(name, "")
    if bare == "":
        raise QueryError(name, f"{name}: a value is missing; for records without one, write {NO_VALUE}")
    return None if bare == NO_VALUE else read(name, _ESCAPED.sub(r"\1", bare))


def _read_number(name: str, text: str) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise QueryError(name, f"{name}: {text[:_SHOWN_CHARS]!r} is not a number")
    if text.lstrip("+-").isdigit():
        return int(text[:_SHOWN_CHARS])
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _read_flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise QueryError(name, f"{name}: it must be true or false, not {text[:_SHOWN_CHARS]!r}")
    return text == "true"


_READERS: Final[Mapping[str, Callable[[str, str], Value]]] = {
    "text": lambda _, text: text,
    "flag": _read_flag,
    "number": _read_number,
    "integer": _read_number,
    "time": lambda name, text: stored_time(parse_time(text, name)),
}


def _written(value: Value) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _written_text(value)
    return str(int(value)) if isinstance(value, int) or (value.is_integer() and abs(value) < 2**53) else repr(value)


def _written_text(text: str) -> str:
    if text in ("", NO_VALUE):
        return f"\\{text}" if text else _EMPTY
    body = text.strip(" ")
    begin = len(text) - len(text.lstrip(" "))
    escaped = body.replace("\\", "\\\\").replace(",", "\\,")
    escaped = f"\\{escaped}" if escaped.startswith("=") else escaped  # as == is taken for =
    return "\\ " * begin + escaped + "\\ " * (len(text) - begin - len(body))


def parse_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Several, which must all be met. Raises ``QueryError``."""
    found = tuple(parse_condition(text) for text in texts)
    if len(found) > MAX_CONDITIONS:
        raise QueryError("where", f"there are {len(found)} conditions; at most {MAX_CONDITIONS} can be given")
    return found


def condition_in(name: str, value: str) -> str | None:
    """The condition that a parameter of a query string is, where it is one: ``model!`` with ``a``, or
    ``response_time_ms>5000`` with nothing. ``None``: its name has no operator and is no column."""
    begun = re.match(r"\s*\w+\s*(!|>|<|=)", name, re.ASCII)
    if begun is None:
        return f"{name}={value}" if _ALIASES.get(name, name) in CONDITIONED else None
    is_whole = value == "" and re.search(r"[=<>]", name) and not name.endswith(("!", ">", "<"))
    return name if is_whole else f"{name}={value}"
