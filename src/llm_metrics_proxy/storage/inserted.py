"""Records as they are inserted, as columns of the roll-ups: what ``expressions.rolled_up`` will select of them. So no
record is read again to be rolled up.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.record import READABLE, ROW_COLUMNS, UsageSource
from llm_metrics_proxy.rollups.columns import Columns, Key, finite, floats_of, joined, key_of, minutes_of, within
from llm_metrics_proxy.rollups.sketch import Floats
from llm_metrics_proxy.rollups.values import FIELDS, KEY_LIMITS, KEYS
from llm_metrics_proxy.storage.insertion import Values

_MINUTE_LETTERS: Final = len("2026-11-29T12:00")


class Inserted:
    """Some records."""

    def __init__(self, columns: Values) -> None:
        self._columns = dict(zip(ROW_COLUMNS, columns, strict=True))
        self._known: dict[str, Floats] = {}
        self._is_repeated = self._is("usage_source", UsageSource.REPEATED)

    def rolled_up(self) -> Columns:
        """As ``rollups.columns.of_rows`` has them once they are stored."""
        times, outcomes = self._columns["timestamp"], self._columns["success"]
        return Columns(
            len(times),
            minutes_of([time and time[:_MINUTE_LETTERS] for time in times]),
            np.array([-1 if outcome is None else outcome for outcome in outcomes], np.int64),
            {dimension: self._key(dimension, READABLE[name]) for dimension, name in KEYS.items()},
            {field.number: finite(self._value(READABLE[field.name])) for field in FIELDS},
        )

    def _is(self, name: str, word: str) -> NDArray[np.bool_]:
        """Of which records a column has that word."""
        return np.fromiter((each == word for each in self._columns[name]), np.bool_, len(self._columns[name]))

    def _numbers(self, name: str) -> Floats:
        if name not in self._known:
            self._known[name] = floats_of(self._columns[name])
        return self._known[name]

    def _value(self, column: Column) -> Floats:
        """As ``expressions.expression``, step by step."""
        over, kind = column.over, column.kind
        if over is not None:
            value, known = self._value(READABLE[over.value]), READABLE[over.known]
            counted = np.where(np.isnan(value), 0.0, value) if over.counts_missing else value
            said = self._is(known.name, over.word) if over.word else ~np.isnan(self._value(known))
            if over.at_most:
                most = self._numbers(over.at_most)
                said &= self._numbers(known.name) <= np.where(np.isnan(most), 0.0, most)
            return np.where(said, counted, np.nan)
        values = self._numbers(column.name)
        if column.counts_once:
            values = np.where(self._is_repeated, np.nan, values)
        if kind.least is not None and kind.most is not None:
            values = np.where((values >= kind.least) & (values <= kind.most), values, np.nan)
        return values

    def _key(self, dimension: str, column: Column) -> Key:
        """Values as they are read: flags are numbers, and a word is no member of an enum."""
        codes, values = key_of(within(self._columns[column.name], KEY_LIMITS.get(dimension)))
        as_read = str if column.kind.holds == "text" else int
        return Key(codes, [None if value is None else as_read(value) for value in values])


class Behind:
    """The columns of the records that are not rolled up yet, as long as one thread inserts, and nobody changes them."""

    def __init__(self) -> None:
        self._parts: list[Columns] = []
        self._first = self._next = self._epoch = 0

    def forget(self) -> None:
        """They are to be read."""
        self._parts, self._first, self._next = [], 0, 0

    def take(self, epoch: int, first: int, columns: Values) -> None:
        """Records with the arrivals from ``first`` on; ``epoch``: of the roll-ups' state."""
        if (self._epoch, self._next) != (epoch, first):
            self._parts, self._epoch, self._first = [], epoch, first
        self._parts.append(Inserted(columns).rolled_up())
        self._next = first + len(columns[0])

    def after(self, epoch: int, cursor: int, size: int) -> list[Columns] | None:
        """All records behind the cursor, in pieces of at least ``size``; ``None``: not all of them are known."""
        if not self._parts or (self._epoch, self._first) != (epoch, cursor + 1):
            return None
        found, waiting, count = [], [], 0
        for part in self._parts:
            waiting.append(part)
            count += part.size
            if count >= size:
                found.append(joined(waiting))
                waiting, count = [], 0
        return [*found, joined(waiting)] if waiting else found
