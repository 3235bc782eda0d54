"""Where in time the first records of an order can be, without reading them: roll-ups know the least and the greatest
value of each quarter of an hour, or which words it has.

What a block says holds for more records than those selected. So none is missed, and a block may have none of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.analytics.filters import RequestFilter, aware, stored_time
from llm_metrics_proxy.analytics.ordering import Order
from llm_metrics_proxy.engines.sqlite.rollup_range import usable_state
from llm_metrics_proxy.engines.sqlite.times import ends
from llm_metrics_proxy.rollups.banks import by_bank, stored_grain
from llm_metrics_proxy.rollups.grains import DAY, GRAINS, HOUR, QUARTER, Grain, RollupLevel, key_names
from llm_metrics_proxy.rollups.groups import unpack_cells
from llm_metrics_proxy.rollups.values import BY_NAME, KEY_OF_FILTER, KEYS
from llm_metrics_proxy.storage.base import Snapshot

_BLOCK: Final = 1_500  # records on average that are read at once; smaller ones cost more to find than they save
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIMENSION_OF: Final = {column: dimension for dimension, column in KEYS.items()}
_Rows = Iterable[tuple[int, Any]]  # bucket, value


class ExtremesBlock(NamedTuple):
    """Records from ``start`` to before ``end`` (as stored) have no value that stands before ``bound``."""

    bound: Any
    start: str
    end: str


class Blocks(NamedTuple):
    """The one with the first value first, of equals the newest. Every selected record that has a value is in one,
    except those that arrived behind ``cursor`` and those without a time. ``share``: of the range's records that are in
    one of them, on average."""

    blocks: Sequence[ExtremesBlock]
    cursor: int
    share: float = 1.0


class _WantedBlocks(NamedTuple):
    """What is read of the roll-ups."""

    grain: Grain
    level: RollupLevel
    conditions: Mapping[str, Sequence[Condition]]  # by dimension
    span: tuple[int, int]  # seconds

    def admits(self, key: bytes) -> Mapping[str, Any] | None:
        """The values of a key; ``None``: the filter leaves no record with it."""
        named = dict(zip(key_names(self.grain), msgspec.msgpack.decode(key), strict=True))
        of_key = ((named[name], all_of) for name, all_of in self.conditions.items() if name in named)
        return named if all(one.admits(value) for value, all_of in of_key for one in all_of) else None


def blocks_of(now: Snapshot, selection: RequestFilter, order: Order) -> Blocks | None:
    """``None``: roll-ups do not know the column, or are not complete."""
    dimension, field = _DIMENSION_OF.get(order.column), BY_NAME.get(order.column)
    state = usable_state(now) if dimension is not None or field is not None else None
    if state is None:
        return None
    oldest, newest = ends(now)
    if oldest is None or newest is None:
        return Blocks([], state.cursor_id)
    start, end = (datetime.fromisoformat(moment) for moment in (oldest, newest))
    start = max(start, aware(selection.start)) if selection.start is not None else start
    after = end + timedelta(microseconds=1)
    after = min(after, aware(selection.end)) if selection.end is not None else after
    if after <= start:
        return Blocks([], state.cursor_id)
    wanted = _wanted(now, selection, dimension, None if field is None else field.number, (start, after))
    rows = _of_keys(now, wanted, dimension) if dimension is not None else _of_field(now, wanted, field.number, order)  # type: ignore[union-attr]
    first, last = stored_time(start), stored_time(after)
    made = [
        ExtremesBlock(bound, max(_text(bucket), first), min(_text(bucket + wanted.level.seconds), last))
        for bucket, bound in _best(rows, descending=order.descending).items()
    ]
    made.sort(key=lambda block: block.start, reverse=True)
    made.sort(key=lambda block: block.bound, reverse=order.descending)
    spans = max(1, (wanted.span[1] - wanted.span[0]) // wanted.level.seconds)
    return Blocks(made, state.cursor_id, 1 / spans)


def _wanted(
    now: Snapshot, selection: RequestFilter, dimension: str | None, field: int | None, within: tuple[datetime, datetime]
) -> _WantedBlocks:
    """Of the grains that know the column and most of the filter, the longest buckets that are not too many records."""
    conditions: dict[str, list[Condition]] = {}
    for one in selection.conditions:
        if one.name in KEY_OF_FILTER:
            conditions.setdefault(KEY_OF_FILTER[one.name], []).append(one)
    begin, end = (int(moment.timestamp()) for moment in within)
    most_s = _BLOCK * (end - begin) / max(1, _records(now, begin, end))
    candidates = [
        (level.seconds > most_s, abs(level.seconds - most_s), len(foreign), -len(grain.dimensions), grain.number, level)
        for grain in GRAINS
        if field in grain.moments or dimension in key_names(grain)
        for foreign in [set(grain.dimensions) - {dimension, *conditions}]
        for level in _levels(grain)
    ]
    *_, number, level = min(candidates)
    first, last = ((moment - _EPOCH) // timedelta(seconds=level.seconds) * level.seconds for moment in within)
    grain = next(grain for grain in GRAINS if grain.number == number)
    return _WantedBlocks(grain, level, conditions, (first, last + level.seconds))


def _records(now: Snapshot, begin_s: int, end_s: int) -> int:
    """About how many there are."""
    sql = "SELECT total(requests) FROM rollups WHERE grain = 0 AND level = ? AND bucket > ? AND bucket < ?"
    ((count,),) = now.query(sql, (DAY.number, begin_s - DAY.seconds, end_s))
    return int(count)


def _levels(grain: Grain) -> list[RollupLevel]:
    """Those that are kept wherever there are records."""
    return [kept.level for kept in grain.kept if kept.dense is None and kept.level in (QUARTER, HOUR, DAY)]


def _of_field(now: Snapshot, wanted: _WantedBlocks, field: int, order: Order) -> _Rows:
    ((bank, fields),) = by_bank([field]).items()
    sql = "SELECT bucket, key, ones, many FROM rollups WHERE grain = ? AND level = ? AND bucket >= ? AND bucket < ? "
    rows = now.query(sql, (stored_grain(wanted.grain.number, bank), wanted.level.number, *wanted.span))
    known: dict[bytes, bool] = {}
    for key in {row[1] for row in rows}:
        known[key] = wanted.admits(key) is not None
    chosen = [row for row in rows if known[row[1]]]
    cells = unpack_cells([row[2:4] for row in chosen], np.array([row[0] for row in chosen], np.int64), bank, fields)
    bounds = cells.max if order.descending else cells.min
    return zip(cells.group.tolist(), bounds.tolist(), strict=True)


def _of_keys(now: Snapshot, wanted: _WantedBlocks, dimension: str) -> _Rows:
    sql = "SELECT bucket, key FROM rollups WHERE grain = ? AND level = ? AND bucket >= ? AND bucket < ?"
    rows = now.query(sql, (wanted.grain.number, wanted.level.number, *wanted.span))
    known = {key: wanted.admits(key) for key in {key for _, key in rows}}
    values = {key: named[dimension] for key, named in known.items() if named is not None}
    return ((bucket, values[key]) for bucket, key in rows if values.get(key) is not None)


def _best(rows: _Rows, *, descending: bool) -> dict[int, Any]:
    """Of each bucket the value that comes first."""
    found: dict[int, Any] = {}
    for bucket, value in rows:
        known = found.get(bucket)
        if known is None or (value > known if descending else value < known):
            found[bucket] = value
    return found


def _text(bucket: int) -> str:
    return stored_time(_EPOCH + timedelta(seconds=bucket))
