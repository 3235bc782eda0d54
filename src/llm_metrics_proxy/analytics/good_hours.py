"""How many requests of a long window were good, measured again and again without reading them again.

Whether a request met an SLO is not rolled up: objectives are anybody's. So whoever watches one keeps, in memory, how
many there were and how many were good in each hour, and adds what was stored since, which is found by id. Only the two
pieces of the window that are no whole hours are read each time. Whenever stored records change, the epoch of the
roll-ups does (``storage.rollup_state``), and all is counted anew.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from llm_metrics_proxy.analytics.filters import Clause, RequestFilter, aware, stored_time, where
from llm_metrics_proxy.analytics.rows import columns_there, whole_table
from llm_metrics_proxy.analytics.slos import Slo
from llm_metrics_proxy.rollups.state import NOTHING, READ_STATE, RollupState
from llm_metrics_proxy.storage.base import Reader, Snapshot

_HOUR: Final = timedelta(hours=1)
_HOUR_CHARS: Final = 13  # of a stored time: YYYY-MM-DDTHH
_TABLE_THERE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'rollup_state'"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Counted(NamedTuple):
    """Requests, and those of them that completed and meet every SLO."""

    requests: int = 0
    good: int = 0

    def plus(self, other: "Counted") -> "Counted":
        """Of both."""
        return Counted(self.requests + other.requests, self.good + other.good)


class _Kept:
    """Hours from ``since`` on, over the records up to ``cursor``."""

    def __init__(self, epoch: int, since: datetime) -> None:
        self.epoch, self.since, self.cursor = epoch, since, 0
        self.hours: dict[str, Counted] = {}


class GoodHours:
    """For one thread: one watcher's memory of its objectives."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: dict[tuple[RequestFilter, tuple[Slo, ...]], _Kept] = {}

    def measure(self, selection: RequestFilter, slos: tuple[Slo, ...]) -> Counted:
        """Over the selection's range, which has a start and an end. Raises ``StoreError``."""
        assert selection.start is not None
        assert selection.end is not None
        start, end = aware(selection.start), aware(selection.end)
        timeless: RequestFilter = replace(selection, start=None, end=None)
        look = _Look(columns_there(self._reader), timeless, slos)
        with self._reader.snapshot() as now:
            state = RollupState.of(now.query(READ_STATE)) if now.query(_TABLE_THERE) else None
            first, last = _next_hour(start), _hour_of(end)
            if state is not None and state.kept_before > NOTHING:  # of pruned days, what is left
                first = max(first, _EPOCH + timedelta(seconds=state.kept_before))
            if state is None or first >= last:
                return look.between(now, start, end)
            kept = self._followed(now, look, (timeless, slos), state.epoch, first)
            low, high = _name(first), _name(last)
            found = look.between(now, start, first).plus(look.between(now, last, end))
        for hour, counted in kept.hours.items():
            if low <= hour < high:
                found = found.plus(counted)
        return found

    def _followed(
        self, now: Snapshot, look: "_Look", key: tuple[RequestFilter, tuple[Slo, ...]], epoch: int, first: datetime
    ) -> _Kept:
        ((newest,),) = now.query("SELECT coalesce(max(id), 0) FROM completion_requests")
        kept = self._kept.get(key)
        if kept is None or kept.epoch != epoch or kept.since > first or newest < kept.cursor:
            kept = _Kept(epoch, first)
            rows = look.hours(now, "timestamp >= ? AND timestamp < ':'", (stored_time(first),))
        else:
            rows = look.hours(now, "id > ?", (kept.cursor,), by_id=True)
        self._kept[key] = kept
        for hour, requests, good in rows:
            if isinstance(hour, str):  # an adopted file may hold anything as a time
                kept.hours[hour] = kept.hours.get(hour, Counted()).plus(Counted(requests, good))
        kept.cursor, kept.since = newest, first
        for hour in [hour for hour in kept.hours if hour < _name(first)]:
            del kept.hours[hour]
        return kept


class _Look:
    """Counts by SQL: of one filter, by one set of SLOs."""

    def __init__(self, names: dict[str, str], timeless: RequestFilter, slos: tuple[Slo, ...]) -> None:
        self._names, self._clause = names, where(timeless)
        self._good = Clause(
            " AND ".join(["success = 1", *(slo.condition for slo in slos)]), tuple(slo.limit for slo in slos)
        )

    def between(self, now: Snapshot, start: datetime, end: datetime) -> Counted:
        """Of the records that began in a piece of time."""
        if start >= end:
            return Counted()
        clause = self._clause.also("timestamp >= ? AND timestamp < ?", stored_time(start), stored_time(end))
        ((requests, good),) = self._counts(now, "", clause, "")
        return Counted(requests, good)

    def hours(
        self, now: Snapshot, condition: str, parameters: tuple[Any, ...], *, by_id: bool = False
    ) -> list[tuple[Any, ...]]:
        """Hour, requests, good ones."""
        hour = f"substr(timestamp, 1, {_HOUR_CHARS}), "
        return self._counts(now, hour, self._clause.also(condition, *parameters), "GROUP BY 1", by_id=by_id)

    def _counts(
        self, now: Snapshot, keys: str, clause: Clause, group: str, *, by_id: bool = False
    ) -> list[tuple[Any, ...]]:
        table = whole_table(self._names, "NOT INDEXED" if by_id else "")
        sql = f"SELECT {keys}count(*), count(*) FILTER (WHERE {self._good.sql}) FROM {table}{clause.sql} {group}"  # noqa: S608
        return now.query(sql, (*self._good.parameters, *clause.parameters))


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _next_hour(moment: datetime) -> datetime:
    floor = _hour_of(moment)
    return floor if floor == moment else floor + _HOUR


def _name(hour: datetime) -> str:
    return stored_time(hour)[:_HOUR_CHARS]
