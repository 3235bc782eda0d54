"""Records as columns: arrays made of rows."""

from calendar import timegm
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.rollups.grains import NO_TIME
from llm_metrics_proxy.rollups.sketch import Floats, Ints
from llm_metrics_proxy.rollups.values import KEY_LIMITS, LIMITS, Limits

_MONTH_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PARTS: Final = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2))  # of a minute: year, month, day, hour, minute


class Key(NamedTuple):
    """One dimension of some records: for each the place of its value in ``values``."""

    codes: Ints
    values: list[Any]


class Columns(NamedTuple):
    """Some records. ``fields``: values by number, NaN where missing; ``keys``: by dimension."""

    size: int
    minute: Ints  # seconds since 1970 at which its minute began, or NO_TIME
    outcome: Ints  # 1: succeeded, 0: failed, -1: says neither
    keys: dict[str, Key]
    fields: dict[int, Floats]


def of_rows(rows: Sequence[Sequence[Any]], keys: Sequence[str], fields: Sequence[int], behind: int = 0) -> Columns:
    """Arrays of rows that have, after so many other columns: the minute in which the record's request began (the first
    16 characters of its time, or ``None``), ``success``, and the values of these keys and fields."""
    if not rows:
        empty = np.zeros(0, np.int64)
        return Columns(
            0, empty, empty, {name: Key(empty, []) for name in keys}, {number: np.zeros(0) for number in fields}
        )
    columns = list(zip(*rows, strict=True))[behind:]
    size, values = len(rows), iter(columns[2:])
    minutes = _Known(seconds_of)
    return Columns(
        size,
        np.fromiter(map(minutes.__getitem__, columns[0]), np.int64, size),
        np.array(columns[1], np.int64),
        {name: _key(_within(next(values), KEY_LIMITS.get(name))) for name in keys},
        {number: _numbers(next(values), LIMITS.get(number)) for number in fields},
    )


def _numbers(column: tuple[Any, ...], limits: Limits | None) -> Floats:
    if column.count(None) == len(column):
        return np.full(len(column), np.nan)
    values = np.array(column, np.float64)  # None becomes NaN
    values[np.isinf(values)] = np.nan  # what 2.0.0 makes of a response time next to nothing
    if limits is not None:
        values[(values < limits[0]) | (values > limits[1])] = np.nan
    return values


def _within(column: tuple[Any, ...], limits: Limits | None) -> tuple[Any, ...]:
    """The values of a key; those beyond the limits, which older programs may have left, are missing."""
    if limits is None:
        return column
    odd = {value for value in set(column) if value is not None and not limits[0] <= value <= limits[1]}
    return tuple(None if value in odd else value for value in column) if odd else column


class _Known(dict[Any, Any]):
    """A function's results, each calculated once."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: Any) -> Any:
        value = self[key] = self._function(key)
        return value


def _key(column: tuple[Any, ...]) -> Key:
    values = list(dict.fromkeys(column))
    if len(values) == 1:
        return Key(np.zeros(len(column), np.int64), values)
    code = {value: index for index, value in enumerate(values)}
    return Key(np.fromiter(map(code.__getitem__, column), np.int64, len(column)), values)


def seconds_of(minute: str | None) -> int:
    """Seconds since 1970 at which the minute ``YYYY-MM-DDTHH:MM`` began; ``NO_TIME`` if it is not a time."""
    if minute is None:
        return NO_TIME
    try:
        year, month, day, hour, minutes = (int(minute[at : at + size]) for at, size in _PARTS)
    except ValueError:
        return NO_TIME
    if not (year and 1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1] and hour < 24 and minutes < 60):
        return NO_TIME
    if (month, day) == (2, 29) and (year % 4 or (not year % 100 and year % 400)):
        return NO_TIME
    return timegm((year, month, day, hour, minutes, 0))


def chosen(columns: Columns, mask: NDArray[np.bool_]) -> Columns:
    """Those of the records."""
    return Columns(
        int(mask.sum()),
        columns.minute[mask],
        columns.outcome[mask],
        {name: Key(key.codes[mask], key.values) for name, key in columns.keys.items()},
        {number: values[mask] for number, values in columns.fields.items()},
    )
