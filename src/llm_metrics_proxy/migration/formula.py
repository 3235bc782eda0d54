"""A formula said once: a tree that is compiled to SQLite's SQL and to ClickHouse's, and evaluated in Python.

    tokens, duration_ms = column("completion_tokens"), column("response_time_ms")
    rate = tokens * 1000 / duration_ms
    tokens_per_second = when((tokens > 0) & (duration_ms > 0), finite(rate))

All three agree on every value, since a tree means the same everywhere:

* a column's value counts only if it fits the column's kind; else it is missing, as NULL is;
* arithmetic is in floating point, whole numbers too, so that nothing overflows. What is missing makes the result
  missing, and so do a division by zero and what IEEE 754 calls not a number;
* comparisons of what is missing are missing; ``&``, ``|`` and ``~`` know three values, and ``when`` takes what is not
  true for false. Numbers are compared as floating point, texts byte by byte;
* ``whole`` makes a whole number of 64 bits, missing where that is not exact.
"""
# ruff: noqa: S608 -- SQL of a table of templates; two trees are compared by ``equals``, never as Python objects

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from math import isinf, isnan
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.record import REGISTRY

NUMBER, WHOLE, TRUTH, TEXT = "number", "whole", "truth", "text"
_TYPE_OF: Final = {"number": NUMBER, "integer": WHOLE, "flag": TRUTH, "text": TEXT, "time": TEXT}
_LARGEST: Final = "1.7976931348623157e308"
_PLACE: Final = re.compile(r"\{([0-9]|as)\}")
_LEAST, _BEYOND = "-9223372036854775808.0", "9223372036854775808.0"
_AS_WHOLE: Final = (
    f"iif({{0}} >= {_LEAST} AND {{0}} < {_BEYOND} AND CAST({{0}} AS INTEGER) = {{0}}, CAST({{0}} AS INTEGER), NULL)"
)
# SQLite: a column's value by type, missing where it does not fit. In ClickHouse columns have types of their own.
_READ: Final = {
    NUMBER: f"iif(typeof({{0}}) IN ('integer', 'real') AND +{{0}} BETWEEN -{_LARGEST} AND {_LARGEST}, "
    "CAST({0} AS REAL), NULL)",
    WHOLE: f"CASE typeof({{0}}) WHEN 'integer' THEN {{0}} WHEN 'real' THEN {_AS_WHOLE} END",
    TRUTH: "iif(typeof({0}) IN ('integer', 'real') AND +{0} IN (0, 1), CAST({0} AS INTEGER), NULL)",
    TEXT: "iif(typeof({0}) = 'text', {0}, NULL)",
}
_CLICKHOUSE_TYPES: Final = {NUMBER: "Float64", WHOLE: "Int64", TRUTH: "UInt8", TEXT: "String"}


class Formula(msgspec.Struct, frozen=True):
    """``op``: a row of ``_OPS``, or column, name, value, member. ``of``: what it is applied to."""

    op: str
    of: tuple[Any, ...]
    type: str

    def __add__(self, other: "Given") -> "Formula":
        return _arithmetic("add", self, other)

    def __radd__(self, other: "Given") -> "Formula":
        return _arithmetic("add", other, self)

    def __sub__(self, other: "Given") -> "Formula":
        return _arithmetic("subtract", self, other)

    def __rsub__(self, other: "Given") -> "Formula":
        return _arithmetic("subtract", other, self)

    def __mul__(self, other: "Given") -> "Formula":
        return _arithmetic("multiply", self, other)

    def __rmul__(self, other: "Given") -> "Formula":
        return _arithmetic("multiply", other, self)

    def __truediv__(self, other: "Given") -> "Formula":
        return _arithmetic("divide", self, other)

    def __rtruediv__(self, other: "Given") -> "Formula":
        return _arithmetic("divide", other, self)

    def __lt__(self, other: "Given") -> "Formula":
        return _comparison("less", self, other)

    def __le__(self, other: "Given") -> "Formula":
        return _comparison("at_most", self, other)

    def __gt__(self, other: "Given") -> "Formula":
        return _comparison("less", other, self)

    def __ge__(self, other: "Given") -> "Formula":
        return _comparison("at_most", other, self)

    def equals(self, other: "Given") -> "Formula":
        """Missing if either is."""
        return _comparison("equal", self, other)

    def is_same(self, other: "Given") -> "Formula":
        """Equal, or both missing; never missing itself."""
        return _comparison("same", self, other)

    def is_one_of(self, *others: "Given") -> "Formula":
        """Equal to one of them; missing if it is missing."""
        first, *rest = (self.equals(other) for other in others)
        for each in rest:
            first |= each
        return first

    def __and__(self, other: "Formula") -> "Formula":
        return _logic("and", self, other)

    def __or__(self, other: "Formula") -> "Formula":
        return _logic("or", self, other)

    def __invert__(self) -> "Formula":
        return _logic("not", self)

    def starts_with(self, text: str) -> "Formula":
        """Of a text."""
        return _about_text("starts_with", self, text)

    def ends_with(self, text: str) -> "Formula":
        """Of a text."""
        return _about_text("ends_with", self, text)


Given = Formula | float | int | bool | str


def column(name: str) -> Formula:
    """A column of the record. Those without a fixed type have none to be calculated with."""
    return Formula("column", (name,), _TYPE_OF[REGISTRY[name].kind.holds])


def named(name: str, type_: str) -> Formula:
    """A value that the migration's ``shared`` works out under that name."""
    return Formula("name", (name,), type_)


def member(*path: str) -> Formula:
    """A number in ``usage_reported``: where the report stood, then the names that lead to the member."""
    return Formula("member", path, NUMBER)


def value(given: Given) -> Formula:
    """A constant."""
    if isinstance(given, Formula):
        return given
    type_ = TRUTH if isinstance(given, bool) else WHOLE if isinstance(given, int) else NUMBER
    return Formula("value", (given,), TEXT if isinstance(given, str) else type_)


def missing(of: Formula) -> Formula:
    """Whether there is no value."""
    return Formula("missing", (of,), TRUTH)


def finite(of: Formula) -> Formula:
    """The number, missing where it is infinite."""
    return Formula("finite", (_as_number(of),), NUMBER)


def whole(of: Formula) -> Formula:
    """The number as a whole one, missing where it is none of 64 bits."""
    return of if of.type == WHOLE else Formula("whole", (_as_number(of),), WHOLE)


def when(condition: Formula, then: Given, otherwise: Given | None = None) -> Formula:
    """``then`` if the condition is true, else ``otherwise``, or nothing."""
    yes = value(then)
    no = Formula("value", (None,), yes.type) if otherwise is None else value(otherwise)
    yes, no = _alike(yes, no)
    return Formula("when", (_checked(condition, TRUTH), yes, no), yes.type)


def coalesce(first: Given, *others: Given) -> Formula:
    """The first that is not missing."""
    found = value(first)
    for other in others:
        one, two = _alike(found, value(other))
        found = Formula("coalesce", (one, two), one.type)
    return found


def sqlite(formula: Formula | str) -> str:
    """SQL over a record whose columns have the names of ours; text is SQL already."""
    return formula if isinstance(formula, str) else _compiled(formula, 0)


def clickhouse(formula: Formula) -> str:
    """SQL over a record of ClickHouse's table."""
    return _compiled(formula, 1)


def evaluate(formula: Formula, record: Mapping[str, Any]) -> Any:
    """The value for a record: float, int, bool, str or None. ``record`` has values that fit, by column."""
    given = formula.of
    if formula.op == "column":
        found = record[given[0]]
        return found if found is None or formula.type == TEXT else _PYTHON_TYPES[formula.type](found)
    if formula.op == "name":
        return record[given[0]]
    if formula.op == "value":
        return given[0]
    if formula.op == "member":
        return _member(record["usage_reported"], given)
    return _OPS[formula.op].python(*(evaluate(each, record) if isinstance(each, Formula) else each for each in given))


_PYTHON_TYPES: Final[dict[str, Callable[[Any], Any]]] = {NUMBER: float, WHOLE: int, TRUTH: bool}


def _member(reported: str | None, path: tuple[str, ...]) -> float | None:
    try:
        found = None if reported is None else json.loads(reported)
    except (ValueError, RecursionError):
        return None
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


class _Op(NamedTuple):
    """``{0}`` and ``{1}`` are what it is applied to; in ClickHouse's SQL ``{as}`` is a name for this place's value."""

    sqlite: str
    clickhouse: str
    python: Callable[..., Any]


def _of_known(apply: Callable[..., Any]) -> Callable[..., Any]:
    def applied(*given: Any) -> Any:
        if any(each is None for each in given):
            return None
        found = apply(*given)
        return None if isinstance(found, float) and isnan(found) else found

    return applied


def _not(given: bool | None) -> bool | None:
    return None if given is None else not given


def _and(one: bool | None, two: bool | None) -> bool | None:
    return False if one is False or two is False else None if one is None or two is None else True


def _whole(number: float) -> int | None:
    return int(number) if not isinf(number) and number.is_integer() and -(2.0**63) <= number < 2.0**63 else None


def _is_number(sql: str) -> str:
    return f"if(isNaN(({sql}) AS {{as}}), NULL, {{as}})"


def _end_of_text(part: str) -> str:
    """As bytes: SQLite's texts end at a NUL. A part of no bytes is NULL to it."""
    return f"(SELECT iif(v = '', 0, substr(CAST(v AS BLOB), {part}) = CAST({{1}} AS BLOB)) FROM (SELECT {{0}} AS v))"


_OPS: Final[dict[str, _Op]] = {
    "add": _Op("({0} + {1})", _is_number("{0} + {1}"), _of_known(lambda a, b: a + b)),
    "subtract": _Op("({0} - {1})", _is_number("{0} - {1}"), _of_known(lambda a, b: a - b)),
    "multiply": _Op("({0} * {1})", _is_number("{0} * {1}"), _of_known(lambda a, b: a * b)),
    "divide": _Op("({0} / {1})", _is_number("{0} / nullIf({1}, 0)"), _of_known(lambda a, b: a / b if b else None)),
    "less": _Op("({0} < {1})", "({0} < {1})", _of_known(lambda a, b: a < b)),
    "at_most": _Op("({0} <= {1})", "({0} <= {1})", _of_known(lambda a, b: a <= b)),
    "equal": _Op("({0} = {1})", "({0} = {1})", _of_known(lambda a, b: a == b)),
    "same": _Op("({0} IS {1})", "({0} IS NOT DISTINCT FROM {1})", lambda a, b: a == b),
    "and": _Op("({0} AND {1})", "({0} AND {1})", _and),
    "or": _Op("({0} OR {1})", "({0} OR {1})", lambda a, b: _not(_and(_not(a), _not(b)))),
    "not": _Op("(NOT {0})", "(NOT {0})", _not),
    "missing": _Op("({0} IS NULL)", "isNull({0})", lambda a: a is None),
    "number": _Op("CAST({0} AS REAL)", "toFloat64({0})", _of_known(float)),
    "finite": _Op(
        "nullif(nullif({0}, 9e999), -9e999)", "nullIf(nullIf({0}, inf), -inf)",
        _of_known(lambda a: None if isinf(a) else a),
    ),
    "whole": _Op(
        f"(SELECT {_AS_WHOLE.replace('{0}', 'v')} FROM (SELECT {{0}} AS v))", "accurateCastOrNull({0}, 'Int64')",
        _of_known(_whole),
    ),
    "when": _Op("CASE WHEN {0} THEN {1} ELSE {2} END", "if(ifNull({0}, 0), {1}, {2})", lambda c, a, b: a if c else b),
    "coalesce": _Op("coalesce({0}, {1})", "coalesce({0}, {1})", lambda a, b: b if a is None else a),
    "starts_with": _Op(
        _end_of_text("1, octet_length({1})"), "startsWith({0}, {1})",
        _of_known(str.startswith),
    ),
    "ends_with": _Op(
        _end_of_text("-octet_length({1})"), "endsWith({0}, {1})",
        _of_known(str.endswith),
    ),
}  # fmt: skip


def _compiled(formula: Formula, engine: int) -> str:
    given = formula.of
    if formula.op == "column":
        return f"`{given[0]}`" if engine else f"({_READ[formula.type].replace('{0}', given[0])})"
    if formula.op == "name":
        return str(given[0])
    if formula.op == "value":
        return _constant(given[0], formula.type, engine)
    if formula.op == "member":
        return _member_sql(given, engine)
    parts = [_compiled(each, engine) for each in given]
    names = {str(place): part for place, part in enumerate(parts)}
    names["as"] = f"formula_{hashlib.sha256(repr(formula).encode()).hexdigest()[:16]}"
    template = _OPS[formula.op].clickhouse if engine else _OPS[formula.op].sqlite
    return _PLACE.sub(lambda found: names[found[1]], template)


def _constant(given: Any, type_: str, engine: int) -> str:
    if given is None:
        return f"CAST(NULL AS Nullable({_CLICKHOUSE_TYPES[type_]}))" if engine else "NULL"
    if isinstance(given, str):
        doubled = given.replace("'", "''")
        return f"'{doubled}'" if not engine else "'" + given.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(given, bool):
        return str(int(given)) if not engine else f"toUInt8({int(given)})"
    if isinstance(given, int):
        return f"toInt64({given})" if engine else f"({given})"
    if isinf(given):
        return ("inf" if given > 0 else "(-inf)") if engine else ("9e999" if given > 0 else "(-9e999)")
    return f"toFloat64({given!r})" if engine else f"({given!r})"


def _member_sql(path: tuple[str, ...], engine: int) -> str:
    if engine:
        names = ", ".join(_constant(name, TEXT, engine) for name in path)
        kind = f"JSONType(ifNull(usage_reported, ''), {names}) IN ('Int64', 'UInt64', 'Double')"
        return f"if({kind}, JSONExtract(ifNull(usage_reported, ''), {names}, 'Nullable(Float64)'), NULL)"
    place = _constant("$" + "".join(f".{json.dumps(name)}" for name in path), TEXT, engine)
    whether = f"json_valid(usage_reported) AND json_type(usage_reported, {place}) IN ('integer', 'real')"
    return f"CASE WHEN {whether} THEN CAST(json_extract(usage_reported, {place}) AS REAL) END"


def _checked(given: Formula, *types: str) -> Formula:
    if given.type not in types:
        raise TypeError(f"{given.op} is {given.type}, and should be {' or '.join(types)}")
    return given


def _as_number(given: Given) -> Formula:
    found = _checked(value(given), NUMBER, WHOLE)
    if found.type == NUMBER:
        return found
    return value(float(found.of[0])) if found.op == "value" else Formula("number", (found,), NUMBER)


def _alike(one: Formula, two: Formula) -> tuple[Formula, Formula]:
    """Both of one type; a whole number beside a number is one."""
    if one.type == two.type:
        return one, two
    if one.op == "value" and one.of[0] is None:
        return Formula("value", (None,), two.type), two
    return _as_number(one), _as_number(two)


def _arithmetic(op: str, one: Given, two: Given) -> Formula:
    return Formula(op, (_as_number(one), _as_number(two)), NUMBER)


def _comparison(op: str, one: Given, two: Given) -> Formula:
    left, right = value(one), value(two)
    if TEXT in {left.type, right.type} or {left.type, right.type} == {TRUTH}:
        return Formula(op, (_checked(left, right.type), right), TRUTH)
    return Formula(op, (_as_number(left), _as_number(right)), TRUTH)


def _logic(op: str, *given: Formula) -> Formula:
    return Formula(op, tuple(_checked(each, TRUTH) for each in given), TRUTH)


def _about_text(op: str, given: Formula, text: str) -> Formula:
    if not text:
        raise ValueError("an empty text is part of every text")
    return Formula(op, (_checked(given, TEXT), value(text)), TRUTH)
