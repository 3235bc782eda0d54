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
    minutes, outcomes, *values = list(zip(*rows, strict=True))[behind:]
    return Columns(
        len(rows),
        minutes_of(minutes),
        np.array(outcomes, np.int64),
        {name: key_of(within(column, KEY_LIMITS.get(name))) for name, column in zip(keys, values, strict=False)},
        {
            number: finite(floats_of(column), LIMITS.get(number))
            for number, column in zip(fields, values[len(keys) :], strict=True)
        },
    )


def floats_of(column: tuple[Any, ...]) -> Floats:
    """The numbers of a column, NaN where it has none."""
    if column == (None,) * len(column):
        return np.full(len(column), np.nan)
    try:
        return np.fromiter(column, np.float64, len(column))
    except TypeError:
        return np.array(column, np.float64)  # twice as slow; None becomes NaN


def finite(values: Floats, limits: Limits | None = None) -> Floats:
    """What is not within the limits, or what 2.0.0 makes of a response time next to nothing, is NaN."""
    is_sound = np.isfinite(values)
    if limits is not None:
        is_sound &= (values >= limits[0]) & (values <= limits[1])
    return np.where(is_sound, values, np.nan)


def within(column: tuple[Any, ...], limits: Limits | None) -> tuple[Any, ...]:
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


def _counting() -> _Known:
    """What is met is numbered."""
    code: _Known = _Known(lambda _: len(code))
    return code


def key_of(column: Sequence[Any]) -> Key:
    """A column of words as numbers."""
    code = _counting()
    codes = np.fromiter(map(code.__getitem__, column), np.int64, len(column))
    return Key(codes, list(code))


def minutes_of(texts: Sequence[str | None]) -> Ints:
    """``seconds_of`` each."""
    return np.fromiter(map(_Known(seconds_of).__getitem__, texts), np.int64, len(texts))


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


def joined(parts: Sequence[Columns]) -> Columns:
    """All records of the parts, of which there are some, in their order."""
    if len(parts) == 1:
        return parts[0]
    return Columns(
        sum(part.size for part in parts),
        np.concatenate([part.minute for part in parts]),
        np.concatenate([part.outcome for part in parts]),
        {name: _joined_keys([part.keys[name] for part in parts]) for name in parts[0].keys},
        {number: np.concatenate([part.fields[number] for part in parts]) for number in parts[0].fields},
    )


def _joined_keys(parts: Sequence[Key]) -> Key:
    code = _counting()
    return Key(
        np.concatenate([np.array([code[value] for value in part.values], np.int64)[part.codes] for part in parts]),
        list(code),
    )
