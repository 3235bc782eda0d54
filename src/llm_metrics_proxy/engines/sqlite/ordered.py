"""Records in the order of any column.

The index on ``timestamp`` is the only one that helps, and one for each column would cost every record that is stored.
So a long range is read by its quarters of an hour, those first whose roll-ups have the first values, until what is left
can have none that belongs to the page. A column that roll-ups do not know is sorted whole, by value and place alone.
"""

from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.ordering import Order
from llm_metrics_proxy.analytics.records import OrderedPlace, Place
from llm_metrics_proxy.engines.sqlite.conditions import TABLE, Clause, where
from llm_metrics_proxy.engines.sqlite.extremes import ExtremesBlock, blocks_of
from llm_metrics_proxy.storage.base import Snapshot, SqlValue
from llm_metrics_proxy.storage.expressions import expression

MANY: Final = 20_000  # records of a range; fewer are sorted in some milliseconds
MOST: Final = 0.1  # of the range's records; above, one pass over all of them costs less


class FoundRow(NamedTuple):
    """A record that belongs to the page."""

    value: Any
    timestamp: str | None
    arrival: int


class OrderedReading:
    """One page, of one snapshot. ``after``: behind that record, which has a value; ``None``: from the first on."""

    def __init__(
        self, now: Snapshot, selection: RequestFilter, order: Order, after: OrderedPlace | None, limit: int
    ) -> None:
        self._now, self._selection, self._order, self._limit = now, selection, order, limit
        value = expression(order.row)
        self._there = f"{value} NOT NULL"
        self._behind = Clause("") if after is None else _behind(value, order, after)
        # by a time itself, the second one would keep SQLite from the index
        older = "" if order.row.kind.holds == "time" else "timestamp DESC, "
        by = f"{value} {'DESC' if order.descending else 'ASC'}, {older}arrival DESC"
        self._sql = f"SELECT {value}, timestamp, arrival FROM {TABLE}{{}} ORDER BY {by} LIMIT ?"  # noqa: S608 -- names are ours

    def found(self) -> list[FoundRow]:
        """The first ``limit`` of the selected records that have a value, in order."""
        whole = where(self._selection)
        known = blocks_of(self._now, self._selection, self._order) if self._is_long() else None
        if known is None:
            return self._read(whole)
        timeless = where(replace(self._selection, start=None, end=None))
        best = self._read(whole.also("arrival > ?", known.cursor))
        if self._selection.start is None and self._selection.end is None:
            best = self._first([*best, *self._read(timeless.also("timestamp IS NULL AND +arrival <= ?", known.cursor))])
        for number, block in enumerate(known.blocks):
            if len(best) == self._limit and not self._may_have(block, best[-1]):
                break
            if number * known.share > MOST:  # the filter leaves little of what made the blocks seem good
                return self._read(whole)
            within = timeless.also("timestamp >= ? AND timestamp < ?", block.start, block.end)
            best = self._first([*best, *self._read(within.also("+arrival <= ?", known.cursor))])
        return best

    def _is_long(self) -> bool:
        clause = where(RequestFilter(start=self._selection.start, end=self._selection.end))
        limited = f"SELECT count(*) FROM (SELECT 1 FROM {TABLE}{clause.sql} LIMIT {MANY + 1})"  # noqa: S608
        ((count,),) = self._now.query(limited, clause.parameters)
        return bool(count > MANY)

    def _read(self, clause: Clause) -> list[FoundRow]:
        chosen = clause.also(self._there)
        chosen = chosen.also(self._behind.sql, *self._behind.parameters) if self._behind.sql else chosen
        return [
            FoundRow(*row) for row in self._now.query(self._sql.format(chosen.sql), (*chosen.parameters, self._limit))
        ]

    def _first(self, found: list[FoundRow]) -> list[FoundRow]:
        found.sort(key=lambda one: (one.timestamp or "", one.arrival), reverse=True)
        found.sort(key=lambda one: one.value, reverse=self._order.descending)
        return found[: self._limit]

    def _may_have(self, block: ExtremesBlock, last: FoundRow) -> bool:
        """Whether the block, or one behind it, may have a record that stands before ``last``."""
        if block.bound != last.value:
            return bool(block.bound > last.value if self._order.descending else block.bound < last.value)
        return last.timestamp is None or block.end > last.timestamp


def _behind(value: str, order: Order, after: OrderedPlace) -> Clause:
    """The next values, and of the same one what stands behind the record."""
    older = behind_place(after.place)
    comparison = "<" if order.descending else ">"
    sql = f"{value} {comparison}= ? AND ({value} {comparison} ? OR {older.sql})"
    return Clause(sql, (after.value, after.value, *older.parameters))


def behind_place(after: Place) -> Clause:
    """What stands behind a record among equals, in the order of pages."""
    if after.timestamp is None:
        return Clause("(timestamp IS NULL AND arrival < ?)", (after.arrival,))
    times: tuple[SqlValue, ...] = (after.timestamp, after.arrival)
    return Clause("((timestamp, arrival) < (?, ?) OR timestamp IS NULL)", times)
