"""Roll-ups in SQLite: records are gathered, and what they add is written, with the cursor, in one transaction.

``gather`` and ``merge`` only read, and take the time they need; ``write`` holds the write lock, and checks that what
was read is still true. The ingester does all of it at once, in the transaction that stores the records, and mostly
without reading them again.

Roll-ups lag a few thousand records behind, or as many as come in some batches: however small a batch of the ingester
is, it touches a row for nearly every model, client and error. Nobody sees it: readers add the records behind the
cursor.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import apsw
import msgspec
import numpy as np

from llm_metrics_proxy.rollups.banks import in_bank
from llm_metrics_proxy.rollups.columns import Columns, chosen, of_rows
from llm_metrics_proxy.rollups.grains import DAY, DENSE_DAY, DENSE_QUARTER, MINUTE, NO_TIME, QUARTER, Dense
from llm_metrics_proxy.rollups.groups import (
    BANKS,
    NO_BINS,
    NO_CELLS,
    joined,
    pack_bins,
    pack_cells,
    unpack_bins,
    unpack_cells,
)
from llm_metrics_proxy.rollups.sketch import Ints
from llm_metrics_proxy.rollups.state import NOTHING, RollupState
from llm_metrics_proxy.rollups.tally import ALL_KEYS, RollupPlace, Tally, buckets_in, roll_up
from llm_metrics_proxy.rollups.values import ALL
from llm_metrics_proxy.storage.expressions import rolled_up
from llm_metrics_proxy.storage.inserted import Behind
from llm_metrics_proxy.storage.insertion import Values
from llm_metrics_proxy.storage.rollup_state import FOLD_MOST, may_fold, read_state, write_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE

FOLD_AT: Final = 4_000  # records behind the cursor at which the ingester rolls up
FOLD_BATCHES: Final = 10  # or, where more come, those of so many batches: two seconds
FOLD_FULL: Final = 40_000  # or so many
REMEMBERED_FROM: Final = 100  # records of a batch; fewer are read again, which costs less than making arrays of them
FOLD_AT_ONCE: Final = 10_000  # what is read, or added up, at a time: about 40 MB
_SELECT: Final = (
    f"SELECT arrival, {rolled_up(ALL_KEYS, ALL)} FROM {TABLE} "  # noqa: S608 -- names are ours
    "WHERE arrival > ? AND arrival <= ? ORDER BY arrival LIMIT ?"
)
_AT: Final = "grain = ? AND level = ? AND bucket = ? AND key = ?"
# All that are there of many rows: each with the number that was asked for.
_OLD_ROWS: Final = f"SELECT ?, requests, succeeded, failed, ones, many FROM rollups WHERE {_AT}"  # noqa: S608
_OLD_SKETCHES: Final = f"SELECT ?, small, large FROM rollup_sketches WHERE {_AT}"  # noqa: S608
_ROW: Final = "INSERT OR REPLACE INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SKETCH: Final = "INSERT OR REPLACE INTO rollup_sketches VALUES (?, ?, ?, ?, ?, ?)"

Database = apsw.Connection
log = logging.getLogger(__name__)


class Gathered(NamedTuple):
    """What the records with ``after`` < arrival <= ``through`` add, while the state is of ``epoch``."""

    epoch: int
    after: int
    through: int
    records: int
    days: dict[int, bool]  # on which they began, and whether each is dense
    tallies: list[Tally]


class Merged(NamedTuple):
    """Rows of the roll-ups with what was gathered added to them."""

    gathered: Gathered
    rows: list[tuple[Any, ...]]
    sketches: list[tuple[Any, ...]]


class Folding:
    """What a store calls after each insertion, in its transaction: it rolls up what has come together."""

    def __init__(self, batches: int = FOLD_BATCHES) -> None:
        """``batches``: as ``FOLD_BATCHES``."""
        self._batches, self._behind = batches, Behind()

    def __call__(self, connection: Database, first: int, columns: Values) -> None:
        """Records with the arrivals from ``first`` on were inserted.

        A bug in here must not keep records from being stored: this undoes what it wrote, and the builder meets the same
        bug where people see it. Trouble of the database (``apsw.Error``) is the transaction's.
        """
        try:
            with connection:  # a savepoint
                self._fold(connection, first, columns)
        except apsw.Error:
            raise
        except Exception:
            log.exception("records were stored without being rolled up")

    def _fold(self, connection: Database, first: int, columns: Values) -> None:
        state, size = read_state(connection), len(columns[0])
        cursor, last = state.cursor_id, first + size - 1
        if cursor == NOTHING:
            ((oldest,),) = connection.execute(f"SELECT min(arrival) FROM {TABLE}")  # noqa: S608 -- names are ours
            cursor = oldest - 1
        behind = last - cursor  # at least as many as there are
        if behind > FOLD_MOST or not may_fold(connection, state):
            self._behind.forget()
            return
        if size >= REMEMBERED_FROM:
            self._behind.take(state.epoch, first, columns)
        else:
            self._behind.forget()
        if behind < max(FOLD_AT, min(self._batches * size, FOLD_FULL, FOLD_MOST - size)):
            return
        known = None if cursor < state.kept_through_id else self._behind.after(state.epoch, cursor, FOLD_AT_ONCE)
        if known is None:
            gathered = gather(connection, state, behind)
        else:
            gathered = _gathered(connection, state, last, behind, known)
        add(connection, gathered)
        self._behind.forget()


def gather(connection: Database, state: RollupState, records: int, through: int = 2**63 - 1) -> Gathered:
    """What the next records after the cursor add, at most that many. Raises ``apsw.Error``."""
    pieces: list[Columns] = []
    last, left, more = state.cursor_id, records, True
    while left and more:
        asked = min(left, FOLD_AT_ONCE)
        rows = list(connection.execute(_SELECT, (last, through, asked)))
        more, left = len(rows) == asked, left - len(rows)
        if rows:
            pieces.append(_without_kept(of_rows(rows, ALL_KEYS, ALL, behind=1), [row[0] for row in rows], state))
            last = rows[-1][0]
    return _gathered(connection, state, last, records - left, pieces)


def _without_kept(columns: Columns, arrivals: list[int], state: RollupState) -> Columns:
    """Without the records of days whose roll-ups are all there is of them."""
    if state.kept_before == NOTHING or arrivals[0] > state.kept_through_id:
        return columns
    is_kept = (columns.minute != NO_TIME) & (columns.minute < state.kept_before)
    return chosen(columns, ~(is_kept & (np.array(arrivals, np.int64) <= state.kept_through_id)))


def _gathered(
    connection: Database, state: RollupState, through: int, records: int, pieces: Sequence[Columns]
) -> Gathered:
    days = {day: _is_dense(connection, day) for day in {day for piece in pieces for day in buckets_in(piece, DAY)}}
    quarters = {quarter for piece in pieces for quarter in buckets_in(piece, QUARTER)}
    dense = Dense(
        {quarter for quarter in quarters if _has_minutes(connection, quarter)},
        {day for day, is_dense in days.items() if is_dense},
    )
    tallies = [tally for piece in pieces for tally in roll_up(piece, dense)]
    return Gathered(state.epoch, state.cursor_id, through, records, days, tallies)


def _is_dense(connection: Database, day: int) -> bool:
    """As decided when the first record of the day was rolled up, or as decided now."""
    for (dense,) in connection.execute("SELECT dense FROM rollup_days WHERE day = ?", (day,)):
        return bool(dense)
    before = "SELECT coalesce(sum(requests), 0) FROM rollups WHERE grain = 0 AND level = 2 AND bucket = ?"
    ((yesterday,),) = connection.execute(before, (day - DAY.seconds,))
    if yesterday >= DENSE_DAY:
        return True
    return _has_records(connection, day, day + DAY.seconds, DENSE_DAY)


def _has_minutes(connection: Database, quarter: int) -> bool:
    """The same for a quarter of an hour; its rows show whether it was decided, and how.

    Nothing can change between this look and the write that depends on it: such rows are written with the cursor.
    """
    row = "SELECT 1 FROM rollups WHERE grain = 0 AND level = ? AND bucket >= ? AND bucket < ? LIMIT 1"
    end = quarter + QUARTER.seconds
    if list(connection.execute(row, (MINUTE.number, quarter, end))):
        return True
    if list(connection.execute(row, (QUARTER.number, quarter, end))):
        return False
    before = "SELECT coalesce(sum(requests), 0) FROM rollups WHERE grain = 0 AND level = ? AND bucket = ?"
    ((requests,),) = connection.execute(before, (QUARTER.number, quarter - QUARTER.seconds))
    return int(requests) >= DENSE_QUARTER or _has_records(connection, quarter, end, DENSE_QUARTER)


def _has_records(connection: Database, begin: int, end: int, least: int) -> bool:
    """Whether that many records began between two moments (seconds)."""
    stored = f"SELECT count(*) FROM (SELECT 1 FROM {TABLE} WHERE timestamp >= ? AND timestamp < ? LIMIT ?)"  # noqa: S608
    times = (datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M") for seconds in (begin, end))
    ((count,),) = connection.execute(stored, (*times, least))
    return int(count) >= least


def add(connection: Database, gathered: Gathered) -> bool:
    """``merge`` and ``write``, in the caller's transaction."""
    return write(connection, merge(connection, gathered))


def merge(connection: Database, gathered: Gathered) -> Merged:
    """Read the rows that are touched, and add. Raises ``apsw.Error``."""
    rows: list[tuple[Any, ...]] = []
    sketches: list[tuple[Any, ...]] = []
    by_grain: dict[int, list[Tally]] = {}  # one after the other: what is held at once stays small
    for tally in gathered.tallies:
        if tally.places:
            by_grain.setdefault(tally.places[0].grain, []).append(tally)
    for bank in BANKS:
        for tallies in by_grain.values():
            parts = [part for tally in tallies if (part := in_bank(tally, bank)).places]
            if parts:
                _merge_bank(connection, bank, parts, rows, sketches)
    return Merged(gathered, rows, sketches)


def write(connection: Database, merged: Merged) -> bool:
    """In the caller's transaction; false if records, roll-ups or the cursor changed since they were read.

    Adding to a row moves the cursor, and removing one needs another epoch first: while both are unchanged, so is
    every row.
    """
    state, gathered = read_state(connection), merged.gathered
    if (state.epoch, state.cursor_id) != (gathered.epoch, gathered.after) or not state.is_current:
        return False
    if any(_is_dense(connection, day) != dense for day, dense in gathered.days.items()):
        return False
    connection.executemany("INSERT OR IGNORE INTO rollup_days VALUES (?, ?)", list(gathered.days.items()))
    connection.executemany(_ROW, merged.rows)
    connection.executemany(_SKETCH, merged.sketches)
    if gathered.through != gathered.after:
        write_state(connection, state._replace(cursor_id=gathered.through))
    return True


def key_bytes(key: Sequence[Any]) -> bytes:
    """A key as it is stored: MessagePack of its values, in the order of ``grains.key_names``."""
    return msgspec.msgpack.encode(key)


def _at(place: RollupPlace) -> tuple[int, int, int, bytes]:
    return (place.grain, place.level, place.bucket, key_bytes(place.key))


def _merge_bank(
    connection: Database,
    bank: int,
    tallies: Sequence[Tally],
    rows: list[tuple[Any, ...]],
    sketches: list[tuple[Any, ...]],
) -> None:
    """Append the rows and sketches of one bank."""
    numbers, cells, bins = [], [], []
    number_of: dict[tuple[int, int, int, bytes], int] = {}
    for tally in tallies:
        # broken text can make one key of two
        found = np.fromiter(
            (number_of.setdefault(_at(place), len(number_of)) for place in tally.places), np.int64, len(tally.places)
        )
        numbers.append(found)
        cells.append(tally.cells.regrouped(found))
        bins.append(tally.bins.regrouped(found))
    ats = list(number_of)
    counts = np.zeros((len(ats), 3), np.int64)
    for found, tally in zip(numbers, tallies, strict=True):
        for column, added in enumerate((tally.requests, tally.succeeded, tally.failed)):
            np.add.at(counts[:, column], found, added)
    there = list(connection.executemany(_OLD_ROWS, [(number, *at) for number, at in enumerate(ats)]))
    counts[_numbers(there)] += np.array([row[1:4] for row in there], np.int64).reshape(-1, 3)
    old = unpack_cells([row[4:] for row in there], _numbers(there), bank)
    packed = pack_cells(joined(NO_CELLS, [*cells, old]).reduced(), len(ats))
    rows += [(*at, *count, *bytes_) for at, count, bytes_ in zip(ats, counts.tolist(), packed, strict=True)]

    new = joined(NO_BINS, bins)
    touched = np.unique(new.group).tolist()
    there = list(connection.executemany(_OLD_SKETCHES, [(number, *ats[number]) for number in touched]))
    old_bins = unpack_bins([row[1:] for row in there], _numbers(there), bank)
    all_bytes = pack_bins(joined(NO_BINS, [new, old_bins]).reduced(), len(ats))
    sketches += [(*ats[number], *all_bytes[number]) for number in touched]


def _numbers(there: Sequence[tuple[Any, ...]]) -> Ints:
    return np.array([row[0] for row in there], np.int64)
