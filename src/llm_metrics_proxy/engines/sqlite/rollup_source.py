"""The source that reads roll-ups: as fast for ten million records as for ten thousand.

A plan is matched with the smallest grain that has its dimensions; its range is covered with whole buckets, as coarse as
can be. What is left at the edges of the range, and the newest records, which are not rolled up yet, are read as they
are and added. All from one snapshot, in which a record is either rolled up or behind the cursor.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace

from llm_metrics_proxy.analytics.filters import aware
from llm_metrics_proxy.analytics.source import Aggregates, Needs, QueryPlan, ResultGroup, SourceResult
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.engines.sqlite.rollup_collected import Collected
from llm_metrics_proxy.engines.sqlite.rollup_plan import Chosen, choose, stretches_of
from llm_metrics_proxy.engines.sqlite.rollup_range import Covered, covered_by, is_worth_it, usable_state
from llm_metrics_proxy.engines.sqlite.rollup_times import by_day, times_of
from llm_metrics_proxy.rollups.cover import US
from llm_metrics_proxy.rollups.grains import DAY, NO_TIME
from llm_metrics_proxy.rollups.sketch import RELATIVE_ERROR, Ints
from llm_metrics_proxy.rollups.state import READ_STATE, RollupState
from llm_metrics_proxy.storage.base import Reader, Snapshot

_COUNTED: Final = Needs(counts=frozenset({"errors"}))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENDLESS: Final = 10_000_000  # days: more than a calendar has


class RollupSource:
    """``source.Source`` over roll-ups and, where they end, records."""

    name = "both"
    relative_error = RELATIVE_ERROR
    us_per_record = 0.0

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._records = RecordsSource(reader)

    def can_answer(self, plan: QueryPlan) -> bool:
        """Roll-ups are complete, and have what the plan needs."""
        with self._reader.snapshot() as now:
            return all(one is not None and _covered(now, one) is not None for one in _with_days(now, plan))

    def is_worth_it(self, plan: QueryPlan) -> bool:
        """Most of the range needs no records, and it has more of them than are read, exactly, in a few milliseconds."""
        with self._reader.snapshot() as now:
            found = ((one, _covered(now, one)) for one in _with_days(now, plan) if one is not None)
            return any(is_worth_it(now, one, *covered[1:]) for one, covered in found if covered is not None)

    def describe(self, plan: QueryPlan) -> str:
        """The grain and its buckets. Raises ``StoreError``."""
        chosen = choose(plan)
        if chosen is None:
            return "none have all of its dimensions, conditions and metrics"
        with self._reader.snapshot() as now:
            found = _covered(now, plan)
        if found is None:
            return "they are not complete, or the range has too many edges"
        cover = found[1].cover
        dimensions = ", ".join(chosen.grain.dimensions) or "time alone"
        counts = [_counted(part.microseconds // US // level.seconds, level.name) for level, part in cover.blocks]
        edges = len(cover.edges.start)
        return (
            f"roll-ups by {dimensions}: {', '.join(counts) or 'no bucket'}; and from records: "
            f"{edges:,} edge{'' if edges == 1 else 's'} of the range, and what is not rolled up yet"
        )

    def span(self) -> tuple[datetime, datetime] | None:
        """Days that were pruned and are in the roll-ups alone. Raises ``StoreError``."""
        with self._reader.snapshot() as now:
            return _pruned(now)

    def read(self, plans: Sequence[QueryPlan]) -> list[SourceResult]:
        """All from one snapshot. Raises ``StoreError``."""
        with self._reader.snapshot() as now:
            state = usable_state(now)
            shared: dict[tuple[Any, ...], SourceResult | None] = {}
            results = [] if state is None else [_result(now, plan, state, shared) for plan in plans]
        found = [result for result in results if result is not None]
        # records were changed since ``can_answer``: they answer until they are rolled up again
        return found if state is not None and len(found) == len(plans) else self._records.read(plans)


def _counted(buckets: int, name: str) -> str:
    """An open range reaches further than anything is stored."""
    return f"every {name}" if buckets >= _ENDLESS else f"{buckets:,} {name}{'' if buckets == 1 else 's'}"


def _pruned(now: Snapshot) -> tuple[datetime, datetime] | None:
    state = RollupState.of(now.query(READ_STATE))
    sql = "SELECT min(bucket) FROM rollups WHERE grain = 0 AND level = ? AND bucket > ? AND bucket < ?"
    ((oldest,),) = now.query(sql, (DAY.number, NO_TIME, state.kept_before))
    return (
        None if oldest is None else (_EPOCH + timedelta(seconds=oldest), _EPOCH + timedelta(seconds=state.kept_before))
    )


def _range(now: Snapshot, plan: QueryPlan) -> tuple[datetime, datetime] | None:
    """What is stored within the plan's range, to the second."""
    spans = [span for span in (_pruned(now), RecordsSource(now).span()) if span is not None]
    if not spans:
        return None
    start, end = min(start for start, _ in spans), max(end for _, end in spans) + timedelta(seconds=1)
    start = start if plan.filter.start is None else max(start, aware(plan.filter.start))
    end = end if plan.filter.end is None else min(end, aware(plan.filter.end))
    return (start, end) if start < end else None


def _with_days(now: Snapshot, plan: QueryPlan) -> Iterator[QueryPlan | None]:
    """The plan, and the one that finds its times; ``None``: that is not known."""
    yield plan
    if plan.needs.times:
        within = _range(now, plan)
        yield None if within is None else by_day(plan, within)


def _result(
    now: Snapshot, plan: QueryPlan, state: RollupState, shared: dict[tuple[Any, ...], SourceResult | None]
) -> SourceResult | None:
    """``shared``: what plans that add up with each other are sums of, which is read once."""
    if plan.adds_up_with:
        of = (plan.filter, plan.adds_up_with)
        if of not in shared:
            shared[of] = _grouped(now, replace(plan, group_by=plan.adds_up_with, needs=_COUNTED), state)
        found = _summed(plan, shared[of])
    else:
        found = _grouped(now, plan, state)
    if found is None or not plan.needs.times:
        return found
    within = _range(now, plan)
    if within is None:
        return None
    times = times_of(now, plan, within, state.kept_before, lambda one: _grouped(now, one, state))
    return None if times is None else found._replace(times=times)


def _summed(plan: QueryPlan, parts: SourceResult | None) -> SourceResult | None:
    if parts is None:
        return None
    places = [plan.adds_up_with.index(name) for name in plan.group_by]
    groups: dict[tuple[Any, ...], Aggregates] = {}
    for key, part in parts.groups:
        shown = tuple(key[place] for place in places)
        groups[shown] = groups[shown].merged(part) if shown in groups else part
    return SourceResult([ResultGroup(*group) for group in groups.items()], parts.versions)


def _covered(
    now: Snapshot, plan: QueryPlan, state: RollupState | None = None
) -> tuple[Chosen, Covered, RollupState] | None:
    """The grain for a plan, and how it covers the range; ``None`` if only records can answer at this moment."""
    chosen = choose(plan)
    state = state or usable_state(now) if chosen is not None else None
    if chosen is None or state is None:
        return None
    covered = covered_by(now, plan, chosen, state)
    return None if covered is None else (chosen, covered, state)


def _grouped(now: Snapshot, plan: QueryPlan, usable: RollupState) -> SourceResult | None:
    found = _covered(now, plan, usable)
    if found is None:
        return None
    chosen, covered, state = found
    collected = Collected(plan, chosen, covered.times)
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
    return collected.result()


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
    keys = chosen.keys()
    if keys is None:
        return None
    versions = {
        msgspec.msgpack.decode(key)[0]
        for (key,) in now.query("SELECT DISTINCT key FROM rollups WHERE grain = 0 AND level = ?", (DAY.number,))
    }
    return [msgspec.msgpack.encode([version, *key]) for version in sorted(versions, key=str) for key in keys]
