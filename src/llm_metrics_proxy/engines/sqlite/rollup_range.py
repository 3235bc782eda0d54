"""Where in time roll-ups answer a plan: which buckets, which edges, and whether that is better than records alone."""

from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from llm_metrics_proxy.analytics.filters import RequestFilter, aware
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.engines.sqlite.conditions import TABLE, where
from llm_metrics_proxy.engines.sqlite.rollup_plan import Chosen, stretches_of
from llm_metrics_proxy.engines.sqlite.times import ends
from llm_metrics_proxy.rollups.cover import US, Cover, Stretches, clipped, cover
from llm_metrics_proxy.rollups.grains import DAY, MINUTE, NO_TIME, QUARTER, RollupLevel
from llm_metrics_proxy.rollups.state import NOTHING, READ_STATE, RollupState
from llm_metrics_proxy.storage.base import Snapshot

MAX_TAIL: Final = 60_000  # records behind the cursor; with more, roll-ups count as incomplete
FEW_RECORDS: Final = 5_000  # that many are read in a few milliseconds
MAX_EDGES: Final = 500  # pieces of time read from records; days of a zone with half an hour in its offset have two each
_LONGEST_LOOK_S: Final = 7 * DAY.seconds
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def usable_state(now: Snapshot) -> RollupState | None:
    """The state, if roll-ups are complete except for the newest records."""
    state = RollupState.of(now.query(READ_STATE))
    if not state.is_current:
        return None
    behind = f"SELECT count(*) FROM (SELECT 1 FROM {TABLE} WHERE arrival > ? LIMIT ?)"  # noqa: S608
    ((count,),) = now.query(behind, (state.cursor_id, MAX_TAIL + 1))
    return state if count <= MAX_TAIL else None


def covered_by(now: Snapshot, plan: QueryPlan, chosen: Chosen, state: RollupState) -> "Covered | None":
    """The range as buckets and edges; ``None`` if it has more edges than are worth reading."""
    oldest, newest = ends(now)
    # what was pruned began before the oldest record that is left
    found = stretches_of(plan, oldest if state.kept_before == NOTHING else None, newest)
    if found is None or not _is_whole(now, chosen, state, found[0]):
        return None
    stretches, times = found
    covered = cover(stretches, chosen.cover_levels(_dense(now, chosen, stretches)), state.kept_before)
    return None if len(covered.edges.start) > MAX_EDGES else Covered(covered, times)


def _is_whole(now: Snapshot, chosen: Chosen, state: RollupState, stretches: Stretches) -> bool:
    """Whether the grain has all days: those that were pruned before this program kept it cannot be made any more."""
    if state.kept_before == NOTHING or not len(stretches.start) or stretches.start.min() >= state.kept_before * US:
        return True
    first = "SELECT min(bucket) FROM rollups WHERE grain = ? AND level = ? AND bucket > ?"
    (total,), (own,) = (now.query(first, (n, DAY.number, NO_TIME))[0] for n in (0, chosen.grain.number))
    return bool(total == own)


def _dense(now: Snapshot, chosen: Chosen, stretches: Stretches) -> dict[RollupLevel, Container[int]]:
    """Days and quarters that have the levels that not all have; without a kind that has none."""
    found: dict[RollupLevel, Container[int]] = {}
    if chosen.needs_dense(DAY):
        found[DAY] = {day for (day,) in now.query("SELECT day FROM rollup_days WHERE dense")}
    if chosen.needs_dense(QUARTER) and len(stretches.start):
        quarters = _DenseQuarters(now)
        if quarters.any(int(stretches.start.min()) // US, -(-int(stretches.end.max()) // US)):
            found[QUARTER] = quarters
    return found


class _DenseQuarters:
    """Quarters of an hour that have minutes, each looked up when needed."""

    def __init__(self, now: Snapshot) -> None:
        self._now = now
        self._known: dict[int, bool] = {}

    def any(self, start: int, end: int) -> bool:
        """Whether there is one in that time (seconds)."""
        sql = "SELECT 1 FROM rollups WHERE grain = 0 AND level = ? AND bucket >= ? AND bucket < ? LIMIT 1"
        return bool(self._now.query(sql, (MINUTE.number, start, end)))

    def __contains__(self, quarter: object) -> bool:
        """Of its first second."""
        assert isinstance(quarter, int)
        if quarter not in self._known:
            self._known[quarter] = self.any(quarter, quarter + QUARTER.seconds)
        return self._known[quarter]


class Covered(NamedTuple):
    """``times``: of each place of the cover, the values of the plan's dimensions in time."""

    cover: Cover
    times: Sequence[tuple[Any, ...]]


def is_worth_it(now: Snapshot, plan: QueryPlan, covered: Covered, state: RollupState) -> bool:
    """Whether most of it needs no records, and records are not read as fast."""
    exact = stretches_of(plan, None, None)
    if exact is None:
        return False
    # a range that is open to one side ends with the records
    oldest, newest = (_us_of(stamp) for stamp in ends(now))
    first = oldest if state.kept_before == NOTHING else None
    edges, whole = (clipped(part, first, newest) for part in (covered.cover.edges, exact[0]))
    if 2 * edges.microseconds > whole.microseconds and not _has_few_at(now, edges, whole):
        return False
    start, end = plan.filter.start, plan.filter.end
    if state.kept_before > NOTHING and (start is None or aware(start).timestamp() < state.kept_before):
        return True  # there, roll-ups are all there is
    clause = where(RequestFilter(start=start, end=end))
    limited = f"SELECT count(*) FROM (SELECT 1 FROM {TABLE}{clause.sql} LIMIT {FEW_RECORDS + 1})"  # noqa: S608
    ((count,),) = now.query(limited, clause.parameters)
    return bool(count > FEW_RECORDS)


def _has_few_at(now: Snapshot, edges: Stretches, whole: Stretches) -> bool:
    """Whether most of the records are not at the edges, long as these are: traffic that began a while ago is in minutes
    of the last quarters, and hours of hardly any before them are edges. A quarter's records are taken as spread evenly.
    """
    if not len(whole.start):
        return False
    begin = int(whole.start.min()) // US // QUARTER.seconds * QUARTER.seconds
    end = -(-int(whole.end.max()) // US // QUARTER.seconds) * QUARTER.seconds
    if end - begin > _LONGEST_LOOK_S:
        return False
    rows = now.query(
        "SELECT bucket, sum(requests) FROM rollups WHERE grain = 0 AND level = ? AND bucket >= ? AND bucket < ? "
        "GROUP BY bucket",
        (QUARTER.number, begin, end),
    )
    requests = np.zeros((end - begin) // QUARTER.seconds)
    for bucket, count in rows:
        requests[(bucket - begin) // QUARTER.seconds] = count
    moments = np.arange(begin, end + 1, QUARTER.seconds) * float(US)
    before = np.concatenate(([0.0], np.cumsum(requests)))
    of_edges, of_whole = (
        float((np.interp(part.end, moments, before) - np.interp(part.start, moments, before)).sum())
        for part in (edges, whole)
    )
    return 2 * of_edges <= of_whole


def _us_of(stored: str | None) -> int | None:
    """Microseconds since 1970."""
    return None if stored is None else (datetime.fromisoformat(stored) - _EPOCH) // timedelta(microseconds=1)
