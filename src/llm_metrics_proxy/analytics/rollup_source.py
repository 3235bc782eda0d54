"""The source that reads roll-ups: as fast for ten million records as for ten thousand.

A plan is matched with the smallest grain that has its dimensions; its range is covered with whole buckets, as coarse as
can be. What is left at the edges of the range, and the newest records, which are not rolled up yet, are read as they
are and added. All from one snapshot, in which a record is either rolled up or behind the cursor.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from llm_metrics_proxy.analytics.dimensions import BIN_EDGES
from llm_metrics_proxy.analytics.filters import RequestFilter, aware, stored_time, where
from llm_metrics_proxy.analytics.records_source import RecordsSource
from llm_metrics_proxy.analytics.rollup_plan import Chosen, choose, stretches_of
from llm_metrics_proxy.analytics.rows import read
from llm_metrics_proxy.analytics.source import Group, Plan, Reading
from llm_metrics_proxy.rollups.aggregate import Filled, bins_of, cells_of, slots_by_field
from llm_metrics_proxy.rollups.columns import Columns, of_rows, selected
from llm_metrics_proxy.rollups.cover import US, Cover, cover
from llm_metrics_proxy.rollups.grains import DAY, NO_TIME, VERSION, Level
from llm_metrics_proxy.rollups.groups import Bins, Cells, joined_bins, joined_cells, unpack_bins, unpack_cells
from llm_metrics_proxy.rollups.partial import NONE, Moments, Partial, Sketch
from llm_metrics_proxy.rollups.sketch import RELATIVE_ERROR, SLOTS, VALUES, Ints
from llm_metrics_proxy.rollups.state import NOTHING, READ_STATE, RollupState
from llm_metrics_proxy.rollups.values import WHOLE
from llm_metrics_proxy.storage.base import Reader, Snapshot, SqlValue

MAX_TAIL: Final = 60_000  # records behind the cursor; with more, roll-ups count as incomplete
FEW_RECORDS: Final = 5_000  # that many are read in a few milliseconds
MAX_EDGES: Final = 500  # pieces of time read from records; days of a zone with half an hour in its offset have two each
_TABLE: Final = "completion_requests"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RollupSource:
    """``source.Source`` over roll-ups and, where they end, records."""

    name = "both"
    relative_error = RELATIVE_ERROR

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._records = RecordsSource(reader)

    def can_answer(self, plan: Plan) -> bool:
        """Roll-ups are complete, and keep what is asked for."""
        with self._reader.snapshot() as now:
            return _found(now, plan) is not None

    def is_worth_it(self, plan: Plan) -> bool:
        """Most of the range needs no records, and it has more of them than are read, exactly, in a few milliseconds."""
        with self._reader.snapshot() as now:
            found = _found(now, plan)
            return found is not None and _is_worth_it(now, plan, *found)

    def span(self) -> tuple[datetime, datetime] | None:
        """Days that were pruned and are in the roll-ups alone. Raises ``StoreError``."""
        with self._reader.snapshot() as now:
            if not _has_tables(now):
                return None
            state = RollupState.of(now.query(READ_STATE))
            oldest = now.query(
                "SELECT min(bucket) FROM rollups WHERE grain = 0 AND level = ? AND bucket > ? AND bucket < ?",
                (DAY.number, NO_TIME, state.kept_before),
            )
        if not oldest or oldest[0][0] is None:
            return None
        return _EPOCH + timedelta(seconds=oldest[0][0]), _EPOCH + timedelta(seconds=state.kept_before)

    def read(self, plans: Sequence[Plan]) -> list[Reading]:
        """All from one snapshot. Raises ``StoreError``."""
        with self._reader.snapshot() as now:
            state = _usable_state(now)
            readings = [] if state is None else [_reading(now, plan, state) for plan in plans]
        found = [reading for reading in readings if reading is not None]
        # records were changed since ``can_answer``: they are the answer until they are rolled up again
        return found if state is not None and len(found) == len(plans) else self._records.read(plans)


def _has_tables(now: Snapshot) -> bool:
    return bool(now.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'rollup_days'"))


def _found(now: Snapshot, plan: Plan) -> "tuple[Covered, RollupState] | None":
    """How the plan's range is covered; ``None`` if roll-ups cannot answer it at this moment."""
    chosen = choose(plan)
    state = _usable_state(now) if chosen is not None else None
    if chosen is None or state is None:
        return None
    covered = _covered(now, plan, chosen, state)
    return None if covered is None else (covered, state)


def _usable_state(now: Snapshot) -> RollupState | None:
    """The state, if roll-ups are complete but for the newest records."""
    if not _has_tables(now):
        return None
    state = RollupState.of(now.query(READ_STATE))
    if not state.is_current:
        return None
    behind = f"SELECT count(*) FROM (SELECT 1 FROM {_TABLE} WHERE id > ? LIMIT ?)"  # noqa: S608
    ((count,),) = now.query(behind, (state.cursor_id, MAX_TAIL + 1))
    return state if count <= MAX_TAIL else None


def _covered(now: Snapshot, plan: Plan, chosen: Chosen, state: RollupState) -> "Covered | None":
    """The range as buckets and edges; ``None`` if it has more edges than are worth reading."""
    oldest, newest = _ends(now)
    # what was pruned began before the oldest record that is left
    found = stretches_of(plan, oldest if state.kept_before == NOTHING else None, newest)
    if found is None:
        return None
    stretches, times = found
    dense = {day for (day,) in now.query("SELECT day FROM rollup_days WHERE dense")} if chosen.needs_dense else None
    covered = cover(stretches, chosen.steps(dense), state.kept_before)
    return None if len(covered.edges.start) > MAX_EDGES else Covered(covered, times)


class Covered(NamedTuple):
    """``times``: of each place of the cover, the values of the plan's dimensions in time."""

    cover: Cover
    times: Sequence[tuple[Any, ...]]


def _is_worth_it(now: Snapshot, plan: Plan, covered: Covered, state: RollupState) -> bool:
    exact = stretches_of(plan, None, None)
    if exact is None or 2 * covered.cover.edges.microseconds > exact[0].microseconds:
        return False
    start, end = plan.filter.start, plan.filter.end
    if state.kept_before > NOTHING and (start is None or aware(start).timestamp() < state.kept_before):
        return True  # there, roll-ups are all there is
    clause = where(RequestFilter(start=start, end=end))
    limited = f"SELECT count(*) FROM (SELECT 1 FROM {_TABLE}{clause.sql} LIMIT {FEW_RECORDS + 1})"  # noqa: S608
    ((count,),) = now.query(limited, clause.parameters)
    return bool(count > FEW_RECORDS)


def _ends(now: Snapshot) -> tuple[str | None, str | None]:
    """The oldest and the newest time stored, as texts: a range that goes beyond has no edge there."""
    one = f"SELECT {{}}(timestamp) FROM {_TABLE} WHERE timestamp >= '0000-' AND timestamp < ':'"  # noqa: S608
    ((oldest,),), ((newest,),) = now.query(one.format("min")), now.query(one.format("max"))
    return oldest, newest


def _reading(now: Snapshot, plan: Plan, state: RollupState) -> Reading | None:
    chosen = choose(plan)
    covered = _covered(now, plan, chosen, state) if chosen is not None else None
    if chosen is None or covered is None:
        return None
    collected = _Collected(plan, chosen, covered.times)
    keys = _keys_wanted(now, chosen)
    for level, blocks in covered.cover.blocks:
        order = np.argsort(blocks.start)
        starts, ends, places = (column[order] for column in blocks)
        for begin, end in _runs(starts, ends):
            collected.take_buckets(now, level, (begin // US, end // US), (starts // US, places), keys)
    if plan.filter.start is None and plan.filter.end is None:
        nowhere = (np.array([NO_TIME]), np.array([-1]))
        collected.take_buckets(now, DAY, (NO_TIME, NO_TIME + 1), nowhere, keys)
    collected.take_edges(now, covered.cover, state.cursor_id)
    collected.take_tail(now, stretches_of(plan, None, None), state.cursor_id)
    return collected.reading()


def _runs(starts: Ints, ends: Ints) -> Iterator[tuple[int, int]]:
    """Blocks that follow each other without a gap are read at once."""
    begin = end = None
    for start, until in zip(starts.tolist(), ends.tolist(), strict=True):
        if start != end:
            if begin is not None and end is not None:
                yield begin, end
            begin = start
        end = until
    if begin is not None and end is not None:
        yield begin, end


def _keys_wanted(now: Snapshot, chosen: Chosen) -> list[bytes] | None:
    """The keys that the filter leaves, where it settles all of the grain's dimensions; ``None``: any may be."""
    if set(chosen.filter) - {VERSION} != set(chosen.grain.dimensions) or not chosen.grain.dimensions:
        return None
    versions = {
        msgspec.msgpack.decode(key)[0]
        for (key,) in now.query("SELECT DISTINCT key FROM rollups WHERE grain = 0 AND level = ?", (DAY.number,))
    }
    rest = [chosen.filter[name] for name in chosen.grain.dimensions]
    return [msgspec.msgpack.encode([version, *rest]) for version in sorted(versions, key=str)]


class _Collected:
    """What was found of one plan, group by group."""

    def __init__(self, plan: Plan, chosen: Chosen, times: Sequence[tuple[Any, ...]]) -> None:
        self._plan, self._chosen, self._times = plan, chosen, times
        # without dimensions there is one group, be it of no records
        self._numbers: dict[tuple[Any, ...], int] = {} if chosen.times or chosen.grouping else {(): 0}
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
        if any(named[name] != wanted for name, wanted in self._chosen.filter.items()):
            return None
        return version, tuple(named[name] for name in self._chosen.grouping)

    def take_buckets(
        self,
        now: Snapshot,
        level: Level,
        span: tuple[int, int],
        blocks: tuple[Ints, Ints],
        keys: Sequence[bytes] | None,
    ) -> None:
        """All rows of one level in a span (seconds); ``blocks``: where stretches begin, and their places."""
        parameters: tuple[SqlValue, ...] = (self._chosen.grain.number, level.number, *span)
        condition = "grain = ? AND level = ? AND bucket >= ? AND bucket < ?"
        if keys is not None:
            condition += f" AND key IN ({', '.join('?' * len(keys))})"
            parameters += tuple(keys)
        wanted = "bucket, key, requests, succeeded, failed, ones, many"
        rows = now.query(f"SELECT {wanted} FROM rollups WHERE {condition}", parameters)  # noqa: S608
        chosen, numbers = self._placed(rows, blocks)
        if not chosen:
            return
        group = np.array(numbers, np.int64)
        self._counts.append((group, np.array([row[2:5] for row in chosen], np.int64)))
        for row in chosen:
            version = self._known[row[1]][0]  # type: ignore[index]
            self._versions[version] = self._versions.get(version, 0) + row[2]
        if self._chosen.moments:
            self._cells.append(unpack_cells([row[5:7] for row in chosen], group, self._chosen.moments))
        if self._chosen.sketches:
            wanted = "bucket, key, small, large"
            rows = now.query(f"SELECT {wanted} FROM rollup_sketches WHERE {condition}", parameters)  # noqa: S608
            chosen, numbers = self._placed(rows, blocks)
            group = np.array(numbers, np.int64)
            self._bins.append(unpack_bins([row[2:4] for row in chosen], group, self._chosen.sketches))

    def _placed(
        self, rows: Sequence[tuple[Any, ...]], blocks: tuple[Ints, Ints]
    ) -> tuple[list[tuple[Any, ...]], list[int]]:
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
        return chosen, numbers

    def take_edges(self, now: Snapshot, covered: Cover, cursor: int) -> None:
        """Records at the edges that are rolled up, but in buckets that reach beyond."""
        for begin, end, place in zip(*(column.tolist() for column in covered.edges), strict=True):
            times = (_text(begin), _text(end))
            rows = self._records(now, "timestamp >= ? AND timestamp < ? AND +id <= ?", (*times, cursor))
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
            rows = self._records(now, "id > ?", (cursor,))
        elif starts:
            # the plus keeps SQLite from reading the whole range by its times
            condition = "id > ? AND +timestamp >= ? AND +timestamp < ?"
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
        sql = f"SELECT timestamp, {selected(keys, self._chosen.moments)} FROM {_TABLE}{clause.sql}"  # noqa: S608
        width = 3 + len(keys) + len(self._chosen.moments)
        return read(now, sql, clause.parameters, columns=width)

    def _take_records(self, rows: Sequence[tuple[Any, ...]], places: Sequence[int]) -> None:
        if not rows:
            return
        names = (VERSION, *self._chosen.grouping)
        columns = of_rows([row[1:] for row in rows], names, self._chosen.moments)
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
        self._cells.append(cells_of(filled, dense, np.argsort(dense, kind="stable")).regrouped(present))
        if self._chosen.sketches:
            fields = {number: columns.fields[number] for number in self._chosen.sketches}
            self._bins.append(bins_of(slots_by_field(fields), self._chosen.sketches, group))

    def reading(self) -> Reading:
        """All of it as groups."""
        groups = len(self._numbers)
        counts = np.zeros((groups, 3), np.int64)
        for group, added in self._counts:
            np.add.at(counts, group, added)
        cells = joined_cells(self._cells).reduced()
        bins = joined_bins(self._bins).reduced()
        fields = _fields_by_group(cells, bins, groups, frozenset(self._chosen.sketches))
        partials = [
            Partial(requests, succeeded, failed, of_group)
            for (requests, succeeded, failed), of_group in zip(counts.tolist(), fields, strict=True)
        ]
        if self._chosen.bins_of is not None:
            found = _binned(partials[0], self._chosen.bins_of)
        else:
            found = [Group(key, partials[number]) for key, number in self._numbers.items()]
        return Reading(found, list(self._versions.items()))


def _binned(whole: Partial, field: int) -> list[Group]:
    """The one group by bins of a field: a value within 1 % of where a bin begins may be counted in its neighbour."""
    moments = whole.fields.get(field, NONE)
    counts: dict[int | None, int] = {None: whole.requests - moments.n} if whole.requests > moments.n else {}
    if moments.sketch is not None:
        slots, amounts = moments.sketch.added_up()
        for slot, amount in zip(slots.tolist(), amounts.tolist(), strict=True):
            index = bisect_right(BIN_EDGES, float(VALUES[slot])) - 1
            counts[index] = counts.get(index, 0) + amount
    return [Group((index,), Partial(amount, 0, 0, {})) for index, amount in counts.items()]


def _fields_by_group(cells: Cells, bins: Bins, groups: int, sketched: frozenset[int]) -> list[dict[int, Moments]]:
    found: list[dict[int, Moments]] = [{} for _ in range(groups)]
    code = bins.group * 32 + bins.slot // SLOTS
    slots = bins.slot % SLOTS
    wanted = cells.group * 32 + cells.field
    lows, highs = np.searchsorted(code, wanted, side="left"), np.searchsorted(code, wanted, side="right")
    for group, number, n, total, whole, low, high, begin, end in zip(
        *(column.tolist() for column in cells), lows.tolist(), highs.tolist(), strict=True
    ):
        has = number in sketched
        found[group][number] = Moments(
            n,
            whole if number in WHOLE else total,
            low,
            high,
            Sketch(slots[begin:end], bins.amount[begin:end]) if has else None,
        )
    return found


def _text(microseconds: int) -> str:
    """As the column ``timestamp`` holds it; what is before year 1 or behind 9999 sorts before or behind all times."""
    try:
        return stored_time(_EPOCH + timedelta(microseconds=microseconds))
    except OverflowError:
        return "0000-" if microseconds < 0 else ":"
