"""``analytics.records.Records`` over SQLite: pages, single records, and records by arrival."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.analytics.arrivals import ONE_HOST, ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter, aware, parse_time
from llm_metrics_proxy.analytics.ordering import Order
from llm_metrics_proxy.analytics.records import (
    EVERY,
    Carried,
    Only,
    OrderedPlace,
    Part,
    Place,
    Row,
    SessionList,
    SessionPlace,
    SessionSums,
)
from llm_metrics_proxy.analytics.source import Source
from llm_metrics_proxy.engines.sqlite import sessions
from llm_metrics_proxy.engines.sqlite.conditions import ALONG_ARRIVALS, TABLE, Clause, where, within
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.rollups.state import NOTHING, READ_STATE, RollupState
from llm_metrics_proxy.storage.base import SHORTENED, Reader, Snapshot
from llm_metrics_proxy.storage.carried import READ as READ_CARRIED
from llm_metrics_proxy.storage.expressions import expression

PART_ROWS: Final = 2_000  # of 98 columns: about 6 MB as Python values
WINDOW: Final = 50_000  # arrivals looked through by one statement where few records are selected: about 25 ms
MODELS: Final = SessionSums._fields.index("models")
_MUCH: Final = 0.2  # of all time: from there on, a walk along all sessions is faster than to look the range up
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SqliteRecords:
    """For several threads, as the reader. Its file belongs to one host, so its arrivals are those of ``ONE_HOST``."""

    def __init__(self, reader: Reader) -> None:
        """``reader`` stays its owner's."""
        self._reader = reader

    def sources(self) -> Sequence[Source]:
        """Roll-ups, and what reads the records."""
        from llm_metrics_proxy.engines.sqlite.rollup_source import RollupSource  # noqa: PLC0415 -- numpy, only if used

        return (RollupSource(self._reader), RecordsSource(self._reader))

    @contextmanager
    def moment(self) -> Iterator["SqliteRecords"]:
        """From one snapshot."""
        with self._reader.snapshot() as now:
            yield SqliteRecords(_Moment(now))

    def page(
        self, selection: RequestFilter, names: Sequence[str], after: Place | None, limit: int, only: Only | None = None
    ) -> list[Row]:
        """In the order of (timestamp, arrival), which the index on ``timestamp`` has: arrivals are those of one host.

        NULL compares with nothing, so records without a time, the last of all, need a query of their own: one condition
        for both would keep SQLite from walking along the index.
        """
        return _page(self._reader, names, where(selection, only), after, limit)

    def ordered(
        self, selection: RequestFilter, names: Sequence[str], order: Order, after: OrderedPlace | None, limit: int
    ) -> list[Row]:
        """Which records first, and then all of their columns: sorting would carry a hundred of each through the sorter.

        Those without a value are a page of their own, along the index on ``timestamp``."""
        from llm_metrics_proxy.engines.sqlite.ordered import OrderedReading  # noqa: PLC0415 -- as above

        with self._reader.snapshot() as now:
            rows: list[Row] = []
            if after is None or after.value is not None:
                found = OrderedReading(now, selection, order, after, limit).found()
                marks = ", ".join("?" * len(found))
                sql = f"SELECT arrival, {_shown(names)} FROM {TABLE} WHERE arrival IN ({marks})"  # noqa: S608
                places = tuple(one.arrival for one in found)
                whole = {row[0]: row[1:] for row in now.query(sql, places)} if found else {}
                rows = [(*whole[one.arrival], one.value) for one in found]
            if len(rows) < limit:
                clause = where(selection).also(f"{expression(order.row)} IS NULL")
                place = None if after is None or after.value is not None else after.place
                rows += [(*row, None) for row in _page(now, names, clause, place, limit - len(rows))]
            return rows

    def get(self, names: Sequence[str], *, request_id: str | None = None, arrival: int | None = None) -> Row | None:
        """By the key of the table or its index."""
        clause = Clause("").also(*(("arrival = ?", arrival) if request_id is None else ("request_id = ?", request_id)))
        sql = f"SELECT {_shown(names)} FROM {TABLE}{clause.sql}"  # noqa: S608 -- names are ours
        return next(iter(self._reader.query(sql, clause.parameters)), None)

    def newest(self) -> Arrivals:
        """0 if there is no record."""
        ((number,),) = self._reader.query(f"SELECT coalesce(max(arrival), 0) FROM {TABLE}")  # noqa: S608
        return Arrivals.of_one_host(number)

    def arrived(
        self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange, limit: int, *, newest: bool = False
    ) -> list[Row]:
        """Walks along the arrivals, however few records are selected."""
        rows = self._arrived(selection, names, within, f"ORDER BY arrival {'DESC' if newest else ''} LIMIT {limit}")
        return rows[::-1] if newest else rows

    def _arrived(self, selection: RequestFilter, names: Sequence[str], range_: ArrivalRange, rest: str) -> list[Row]:
        clause = within(where(selection), range_)
        sql = f"SELECT {_shown(names)} FROM {TABLE} {ALONG_ARRIVALS}{clause.sql} {rest}"  # noqa: S608 -- names are ours
        return self._reader.query(sql, clause.parameters)

    def each(self, selection: RequestFilter, names: Sequence[str], within: ArrivalRange) -> Iterator[Part]:
        """A part costs what its arrivals cost, wherever it lies: by the index on ``timestamp``, every part of a long
        range would sort the whole range. Each is read from a snapshot of its own, as one that is held open while
        somebody with a slow line downloads would keep SQLite from ever shortening its write-ahead log."""
        first, last = self._bounds(selection, within)
        done = first - 1
        while done < last:
            end = min(done + WINDOW, last)
            part = ArrivalRange(Arrivals.of_one_host(done), Arrivals.of_one_host(end))
            rows = self._arrived(selection, ("arrival", *names), part, f"ORDER BY arrival LIMIT {PART_ROWS}")
            if len(rows) == PART_ROWS:
                done = rows[-1][0]
            elif rows:
                done = end
            else:
                done = self._before_the_next(end, last)
            yield Part([row[1:] for row in rows], (done - first + 1) / (last - first + 1))

    def _bounds(self, selection: RequestFilter, range_: ArrivalRange) -> tuple[int, int]:
        """The first and last arrival that can be part of it. Looks at the range of time alone: it has an index."""
        clause = where(RequestFilter(start=selection.start, end=selection.end))
        if clause.sql:
            sql = f"SELECT min(arrival), max(arrival) FROM {TABLE}{clause.sql}"  # noqa: S608 -- names are ours
        else:  # each end is one step in the tree of arrivals; both in one SELECT would be a walk over all of it
            sql = f"SELECT (SELECT min(arrival) FROM {TABLE}), (SELECT max(arrival) FROM {TABLE})"  # noqa: S608
        ((first, last),) = self._reader.query(sql, clause.parameters)
        if first is None:
            return 1, 0
        after = range_.after.by_host.get(ONE_HOST)
        return first if after is None else max(first, after + 1), min(last, range_.through.number)

    def _before_the_next(self, after: int, last: int) -> int:
        """Arrivals can have gaps of any width; nothing is gained by walking through them."""
        ((found,),) = self._reader.query(f"SELECT min(arrival) FROM {TABLE} WHERE arrival > ?", (after,))  # noqa: S608
        return last if found is None or found > last else int(found) - 1

    def sessions(self, asked: SessionList) -> list[tuple[SessionPlace, SessionSums]]:
        """The sessions of the page first, then what they add up to."""
        with self._reader.snapshot() as now:
            clause = sessions.order(asked, whole_pass=_is_walked(now, asked.selection))
            places = [SessionPlace(value, found) for found, value in now.query(clause.sql, clause.parameters)]
            clause = sessions.sums([place.session_id for place in places], asked.within)
            rows = now.query(clause.sql, clause.parameters) if places else []
        by_id = {row[0]: SessionSums(*row)._replace(models=_names(row[MODELS])) for row in rows}
        return [(place, by_id[place.session_id]) for place in places]

    def started_by(self, session_id: str, limit: int, within: RequestFilter = EVERY) -> list[str]:
        """By the index of parents."""
        clause = where(within).also("parent_agent_id = ? AND session_id <> ?", session_id, session_id)
        sql = f"SELECT DISTINCT session_id FROM {TABLE}{clause.sql} ORDER BY session_id LIMIT ?"  # noqa: S608
        return [found for (found,) in self._reader.query(sql, (*clause.parameters, limit))]

    def of_session(self, session_id: str, names: Sequence[str], limit: int, within: RequestFilter = EVERY) -> list[Row]:
        """Along the index of sessions; the arrivals are those of one host."""
        clause = where(within).also("session_id = ? AND timestamp NOT NULL", session_id)
        sql = f"SELECT {_shown(names)} FROM {TABLE}{clause.sql} ORDER BY timestamp, arrival LIMIT ?"  # noqa: S608
        return self._reader.query(sql, (*clause.parameters, limit))

    def epoch(self) -> int:
        """That of the roll-ups, which every transaction changes that changes or removes records."""
        return self._state().epoch

    def kept_from(self) -> datetime | None:
        """Days before were pruned."""
        before = self._state().kept_before
        return None if before == NOTHING else _EPOCH + timedelta(seconds=before)

    def _state(self) -> RollupState:
        return RollupState.of(self._reader.query(READ_STATE))

    def carried(self) -> Carried | None:
        """As the last run of a migration left it."""
        for records, of_records, complete_from, error in self._reader.query(READ_CARRIED):
            since = None if complete_from is None else parse_time(complete_from, "complete_from")
            stopped = None if error is None else f"carrying them over failed and was taken back ({error})"
            return Carried(records, of_records, since, stopped)
        return None

    def check(self) -> None:
        """Reads one row."""
        self._reader.query(f"SELECT 1 FROM {TABLE} LIMIT 1")  # noqa: S608

    def close(self) -> None:
        """The reader is its owner's."""


class _Moment:
    """``storage.base.Reader`` that sees one snapshot, for one thread."""

    def __init__(self, now: Snapshot) -> None:
        self.query = now.query

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The one."""
        yield self

    def close(self) -> None:
        """It is its owner's."""


def _page(asked: Snapshot | Reader, names: Sequence[str], clause: Clause, after: Place | None, limit: int) -> list[Row]:
    """The newest first."""
    if after is None:
        return _newest(asked, names, clause, limit)
    if after.timestamp is None:
        return _newest(asked, names, clause.also("timestamp IS NULL AND arrival < ?", after.arrival), limit)
    behind = clause.also("(timestamp, arrival) < (?, ?)", after.timestamp, after.arrival)
    rows = _newest(asked, names, behind, limit)
    if len(rows) < limit:
        rows += _newest(asked, names, clause.also("timestamp IS NULL"), limit - len(rows))
    return rows


def _newest(asked: Snapshot | Reader, names: Sequence[str], clause: Clause, limit: int) -> list[Row]:
    sql = f"SELECT {_shown(names)} FROM {TABLE}{clause.sql} ORDER BY timestamp DESC, arrival DESC LIMIT ?"  # noqa: S608
    return asked.query(sql, (*clause.parameters, limit))


def _shown(names: Sequence[str]) -> str:
    """The SELECT list; what is stored shortened is whole in it."""
    return ", ".join(SHORTENED.get(name, "{0}").format(name) for name in names)


def _is_walked(now: Snapshot, selection: RequestFilter) -> bool:
    if not sessions.is_time_alone(selection):
        return False
    sql = f"SELECT (SELECT min(timestamp) FROM {TABLE}), (SELECT max(timestamp) FROM {TABLE})"  # noqa: S608
    ((oldest, newest),) = now.query(sql)
    if oldest is None or selection.start is None:
        return True
    begin, end = (parse_time(text, "timestamp") for text in (oldest, newest))
    last = end if selection.end is None else min(end, aware(selection.end))
    return (last - max(begin, aware(selection.start))) >= _MUCH * (end - begin)


def _names(listed: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in json.loads(listed) if name is not None))
