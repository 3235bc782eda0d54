"""Collects the groups of one plan, from roll-ups and from records."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from llm_metrics_proxy.analytics.dimensions import BIN_EDGES
from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.analytics.source import QueryPlan, ResultGroup, SourceResult
from llm_metrics_proxy.engines.sqlite.conditions import TABLE, where
from llm_metrics_proxy.engines.sqlite.rollup_plan import CATEGORY, Chosen
from llm_metrics_proxy.rollups.aggregates import NONE, SketchedAggregates, aggregates_of
from llm_metrics_proxy.rollups.banks import by_bank, stored_grain
from llm_metrics_proxy.rollups.columns import Columns, of_rows
from llm_metrics_proxy.rollups.cover import Cover
from llm_metrics_proxy.rollups.entries import Filled, Slotted, bins_of, cells_of
from llm_metrics_proxy.rollups.grains import VERSION, RollupLevel
from llm_metrics_proxy.rollups.groups import (
    NO_BINS,
    NO_CELLS,
    Bins,
    Cells,
    joined,
    unpack_bins,
    unpack_cells,
)
from llm_metrics_proxy.rollups.sketch import VALUES, Ints
from llm_metrics_proxy.storage.base import Snapshot, SqlValue
from llm_metrics_proxy.storage.expressions import rolled_up

PAGE: Final = 2_500  # rows of roll-ups, up to 10 MB when they are unpacked
MOST_ENTRIES: Final = 300_000  # 24 to 56 bytes each
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _pages(
    now: Snapshot, table: str, wanted: str, place: tuple[int, int, int, int], keys: Sequence[bytes] | None
) -> Iterator[list[tuple[Any, ...]]]:
    """``bucket, key`` and the wanted columns, some thousand rows at a time, of these keys or of all.

    ``place``: grain and level, and from which bucket (seconds) to before which.
    """
    grain, level, bucket, end = place
    among = "" if keys is None else f"AND key IN ({', '.join('?' * len(keys))}) "
    sql = (
        f"SELECT bucket, key, {wanted} FROM {table} WHERE grain = ? AND level = ? AND bucket >= ? AND bucket < ? "  # noqa: S608
        f"{among}AND (bucket > ? OR key > ?) ORDER BY bucket, key LIMIT {PAGE}"
    )
    key = b""
    while True:
        rows = now.query(sql, (grain, level, bucket, end, *(keys or ()), bucket, key))
        yield rows
        if len(rows) < PAGE:
            return
        bucket, key = rows[-1][:2]


class Collected:
    """One plan, group by group."""

    def __init__(self, plan: QueryPlan, chosen: Chosen, times: Sequence[tuple[Any, ...]]) -> None:
        self._plan, self._chosen, self._times = plan, chosen, times
        # without dimensions there is one group, even with no records
        by_any = chosen.times or chosen.grouping != chosen.hidden
        self._numbers: dict[tuple[Any, ...], int] = {} if by_any else {(None,) * len(chosen.hidden): 0}
        self._counts: list[tuple[Ints, Ints]] = []  # group, (requests, succeeded, failed)
        self._versions: dict[Any, int] = {}
        self._cells: list[Cells] = []
        self._bins: list[Bins] = []
        self._known: dict[bytes, tuple[Any, tuple[Any, ...]] | None] = {}

    def _number(self, place: int, dimensions: tuple[Any, ...]) -> int:
        """The group of one place in time and one key."""
        times = self._times[place] if place >= 0 else (None,) * len(self._chosen.times)
        key = self._chosen.ordered(times, dimensions)
        return self._numbers.setdefault(key, len(self._numbers))

    def _decoded(self, key: bytes) -> tuple[Any, tuple[Any, ...]] | None:
        """Version and grouping values of a key; ``None`` if the filter leaves it out."""
        version, *values = msgspec.msgpack.decode(key)
        named = dict(zip(self._chosen.grain.dimensions, values, strict=True)) | {VERSION: version}
        if not self._chosen.admits(named):
            return None
        return version, tuple(named[name] for name in self._chosen.grouping)

    def take_buckets(
        self,
        now: Snapshot,
        level: RollupLevel,
        span: tuple[int, int],
        blocks: tuple[Ints, Ints],
        keys: Sequence[bytes] | None,
    ) -> None:
        """All rows of one level in a span (seconds); ``blocks``: where stretches begin, and their places."""
        grain = self._chosen.grain.number
        wanted = by_bank(self._chosen.moments)
        for bank in sorted({0, *wanted}):  # counts are in the first
            place = (stored_grain(grain, bank), level.number, *span)
            for rows in _pages(now, "rollups", "requests, succeeded, failed, ones, many", place, keys):
                chosen, group = self._placed(rows, blocks)
                if bank == 0:
                    self._counts.append((group, np.array([row[2:5] for row in chosen], np.int64).reshape(-1, 3)))
                    for row in chosen:
                        version = self._known[row[1]][0]  # type: ignore[index]
                        self._versions[version] = self._versions.get(version, 0) + row[2]
                if bank in wanted:
                    self._cells.append(unpack_cells([row[5:7] for row in chosen], group, bank, wanted[bank]))
                self._add_up()
        for bank, fields in by_bank(self._chosen.sketches).items():
            place = (stored_grain(grain, bank), level.number, *span)
            for rows in _pages(now, "rollup_sketches", "small, large", place, keys):
                chosen, group = self._placed(rows, blocks)
                self._bins.append(unpack_bins([row[2:4] for row in chosen], group, bank, fields))
                self._add_up()

    def _add_up(self) -> None:
        """Thousands of clients on each of many days are added up on the way, so that few are held at once."""
        if _is_much(self._cells):
            self._cells = [joined(NO_CELLS, self._cells).reduced()]
        if _is_much(self._bins):
            self._bins = [joined(NO_BINS, self._bins).reduced()]

    def _placed(self, rows: Sequence[tuple[Any, ...]], blocks: tuple[Ints, Ints]) -> tuple[list[tuple[Any, ...]], Ints]:
        """The rows that the filter leaves, and the group of each."""
        starts, places = blocks
        where_ = places[np.searchsorted(starts, [row[0] for row in rows], side="right") - 1].tolist() if rows else []
        chosen, numbers, known = [], [], self._known
        cache: dict[tuple[int, bytes], int] = {}
        for row, place in zip(rows, where_, strict=True):
            key = row[1]
            if key not in known:
                known[key] = self._decoded(key)
            decoded = known[key]
            if decoded is None:
                continue
            chosen.append(row)
            number = cache.get((place, key))
            if number is None:
                number = cache[place, key] = self._number(place, decoded[1])
            numbers.append(number)
        return chosen, np.array(numbers, np.int64)

    def take_edges(self, now: Snapshot, covered: Cover, cursor: int) -> None:
        """Records at the edges that are rolled up, but in buckets that reach beyond."""
        for begin, end, place in zip(*(column.tolist() for column in covered.edges), strict=True):
            times = (_text(begin), _text(end))
            rows = self._records(now, "timestamp >= ? AND timestamp < ? AND +arrival <= ?", (*times, cursor))
            self._take_records(rows, [place] * len(rows))

    def take_tail(self, now: Snapshot, found: Any, cursor: int) -> None:
        """Records that are not rolled up yet."""
        stretches = found[0]
        order = np.argsort(stretches.start)
        starts = [_text(start) for start in stretches.start[order].tolist()]
        ends = [_text(end) for end in stretches.end[order].tolist()]
        places = stretches.place[order].tolist()
        is_open = self._plan.filter.start is None and self._plan.filter.end is None
        rows = []
        if is_open:
            rows = self._records(now, "arrival > ?", (cursor,))
        elif starts:
            # the plus keeps SQLite from reading the whole range by its times
            condition = "arrival > ? AND +timestamp >= ? AND +timestamp < ?"
            rows = self._records(now, condition, (cursor, starts[0], ends[-1]))
        chosen, at = [], []
        for row in rows:
            if row[1] is None:  # a time that cannot be read
                if is_open:
                    chosen.append(row)
                    at.append(-1)
                continue
            index = bisect_right(starts, row[0]) - 1
            if index >= 0 and row[0] < ends[index]:
                chosen.append(row)
                at.append(places[index])
        self._take_records(chosen, at)

    def _records(self, now: Snapshot, condition: str, parameters: tuple[SqlValue, ...]) -> list[tuple[Any, ...]]:
        """Time, and what ``columns.of_rows`` takes, of records that the filter leaves."""
        timeless: RequestFilter = replace(self._plan.filter, start=None, end=None)
        clause = where(timeless).also(condition, *parameters)
        keys = (VERSION, *self._chosen.grouping)
        sql = f"SELECT timestamp, {rolled_up(keys, self._chosen.moments)} FROM {TABLE}{clause.sql}"  # noqa: S608
        return now.query(sql, clause.parameters)

    def _take_records(self, rows: Sequence[tuple[Any, ...]], places: Sequence[int]) -> None:
        if not rows:
            return
        names = (VERSION, *self._chosen.grouping)
        columns = of_rows(rows, names, self._chosen.moments, behind=1)
        keys = [columns.keys[name] for name in names]
        for version, n in zip(
            keys[0].values, np.bincount(keys[0].codes, minlength=len(keys[0].values)).tolist(), strict=True
        ):
            self._versions[version] = self._versions.get(version, 0) + n
        values = zip(*([key.values[code] for code in key.codes.tolist()] for key in keys[1:]), strict=True)
        dimensions = list(values) if len(keys) > 1 else [()] * len(rows)
        cache: dict[tuple[int, tuple[Any, ...]], int] = {}
        group = np.zeros(len(rows), np.int64)
        for index, at in enumerate(zip(places, dimensions, strict=True)):
            number = cache.get(at)
            if number is None:
                number = cache[at] = self._number(*at)
            group[index] = number
        self._add_columns(columns, group)

    def _add_columns(self, columns: Columns, group: Ints) -> None:
        counts = np.stack((np.ones(len(group), np.int64), columns.outcome == 1, columns.outcome == 0), axis=1)
        self._counts.append((group, counts.astype(np.int64)))
        present, dense = np.unique(group, return_inverse=True)
        filled = Filled.of(columns.fields, self._chosen.moments)
        self._cells.append(cells_of(filled, dense).regrouped(present))
        sketched = Slotted.of(Filled.of(columns.fields, self._chosen.sketches))
        self._bins.append(bins_of(sketched, dense).regrouped(present))

    def result(self) -> SourceResult:
        """All of it as groups."""
        counts = np.zeros((len(self._numbers), 3), np.int64)
        for group, added in self._counts:
            np.add.at(counts, group, added)
        cells, bins = joined(NO_CELLS, self._cells).reduced(), joined(NO_BINS, self._bins).reduced()
        found = aggregates_of(counts, cells, bins, {*self._chosen.sketches})
        if self._chosen.bins_of is not None:
            groups = _binned(found[0], self._chosen.bins_of)
        elif "errors" in self._plan.needs.counts:
            groups = self._with_errors(found)
        else:
            groups = [ResultGroup(key, found[number]) for key, number in self._numbers.items()]
        return SourceResult(groups, list(self._versions.items()))

    def _with_errors(self, partials: Sequence[SketchedAggregates]) -> list[ResultGroup]:
        """Groups that know how many of their records are errors."""
        place = [*self._plan.group_by, *self._chosen.hidden].index(CATEGORY)
        found: dict[tuple[Any, ...], SketchedAggregates] = {}
        for key, number in self._numbers.items():
            one, shown = partials[number], key[: len(self._plan.group_by)]
            one = one._replace(errors=one.requests if key[place] is not None else 0)
            found[shown] = found[shown].merged(one) if shown in found else one
        return [ResultGroup(*group) for group in found.items()]


def _binned(whole: SketchedAggregates, field: int) -> list[ResultGroup]:
    """The one group by bins of a field: a value within 1 % of a bin's edge may be counted in its neighbour."""
    moments = whole.fields.get(field, NONE)
    counts: dict[int | None, int] = {None: whole.requests - moments.n} if whole.requests > moments.n else {}
    if moments.sketch is not None:
        for slot, amount in zip(*(column.tolist() for column in moments.sketch.added_up()), strict=True):
            index = bisect_right(BIN_EDGES, float(VALUES[slot])) - 1
            counts[index] = counts.get(index, 0) + amount
    return [ResultGroup((index,), SketchedAggregates(amount, 0, 0, {})) for index, amount in counts.items()]


def _is_much(parts: Sequence[Cells | Bins]) -> bool:
    """Whether more came together than was added up before: so no entry is sorted many times."""
    sizes = [len(part.group) for part in parts]
    return len(sizes) > 1 and sum(sizes[1:]) > max(MOST_ENTRIES, sizes[0])


def _text(microseconds: int) -> str:
    """As in the column ``timestamp``; before year 1 or behind 9999 it sorts before or behind all times."""
    try:
        return stored_time(_EPOCH + timedelta(microseconds=microseconds))
    except OverflowError:
        return "0000-" if microseconds < 0 else ":"
