"""Roll-ups in SQLite: records are gathered, and what they add is written, with the cursor, in one transaction.

``gather`` and ``merge`` only read, and take the time they need; ``write`` holds the write lock, and checks that what
was read is still true. The ingester does all of it at once, in the transaction that stores the records.

Roll-ups lag a few thousand records behind: however small a batch of the ingester is, it touches a row for nearly every
model, client and error, and writing 1,500 rows five times a second would cost too much. Nobody sees it: readers add the
records behind the cursor.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import apsw
import msgspec
import numpy as np

from llm_metrics_proxy.rollups.banks import in_bank
from llm_metrics_proxy.rollups.columns import chosen, of_rows
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
from llm_metrics_proxy.storage.carried import is_migrating
from llm_metrics_proxy.storage.expressions import rolled_up
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE

FOLD_AT: Final = 4_000  # records behind the cursor at which the ingester rolls up
FOLD_MOST: Final = 60_000  # above, that is left to the builder, which does it in small steps
FOLD_AT_ONCE: Final = 10_000  # what is held in memory, about 40 MB
_SELECT: Final = (
    f"SELECT arrival, {rolled_up(ALL_KEYS, ALL)} FROM {TABLE} "  # noqa: S608 -- names are ours
    "WHERE arrival > ? AND arrival <= ? ORDER BY arrival LIMIT ?"
)
_AT: Final = "grain = ? AND level = ? AND bucket = ? AND key = ?"
_OLD_ROW: Final = f"SELECT requests, succeeded, failed, ones, many FROM rollups WHERE {_AT}"  # noqa: S608
_OLD_SKETCH: Final = f"SELECT small, large FROM rollup_sketches WHERE {_AT}"  # noqa: S608
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


def fold_after_insert(connection: Database) -> None:
    """In the ingester's transaction, after its rows: roll up what has come together.

    A bug in here must not keep records from being stored: this undoes what it wrote, and the builder meets the same bug
    where people see it. Trouble of the database (``apsw.Error``) is the transaction's.
    """
    try:
        with connection:  # a savepoint
            _fold(connection)
    except apsw.Error:
        raise
    except Exception:
        log.exception("records were stored without being rolled up")


def _fold(connection: Database) -> None:
    ((last,),) = connection.execute(f"SELECT max(arrival) FROM {TABLE}")  # noqa: S608
    state = read_state(connection)
    if last is None or not may_fold(connection, state):
        return
    if state.cursor_id == NOTHING:
        ((first,),) = connection.execute(f"SELECT min(arrival) FROM {TABLE}")  # noqa: S608
        behind = last - first + 1
    else:
        behind = last - state.cursor_id  # at least as many as there are
    if behind > FOLD_MOST:
        return
    while behind >= FOLD_AT:  # what is left waits for more: a few hundred records touch half as many rows as thousands
        gathered = gather(connection, read_state(connection), FOLD_AT_ONCE)
        if not add(connection, gathered) or not gathered.records:
            return
        behind = last - gathered.through


def records_behind(connection: Database, cursor_id: int, most: int) -> int:
    """How many records came after the one up to which all are rolled up, counted as far as ``most``."""
    counted = f"SELECT count(*) FROM (SELECT 1 FROM {TABLE} WHERE arrival > ? LIMIT ?)"  # noqa: S608 -- names are ours
    return int(connection.execute(counted, (cursor_id, most)).get)


def may_fold(connection: Database, state: RollupState) -> bool:
    """Whether rolling up makes sense: not while a migration carries records over, with numbers behind the cursor."""
    return state.is_current and not is_migrating(connection)


def gather(connection: Database, state: RollupState, records: int, through: int = 2**63 - 1) -> Gathered:
    """What the next records after the cursor add, at most that many. Raises ``apsw.Error``."""
    rows = list(connection.execute(_SELECT, (state.cursor_id, through, records)))
    columns = of_rows(rows, ALL_KEYS, ALL, behind=1)
    if rows and state.kept_before > NOTHING and rows[0][0] <= state.kept_through_id:
        ids = np.array([row[0] for row in rows], np.int64)
        is_kept = (columns.minute != NO_TIME) & (columns.minute < state.kept_before) & (ids <= state.kept_through_id)
        columns = chosen(columns, ~is_kept)
    last = rows[-1][0] if rows else state.cursor_id
    days = {day: _is_dense(connection, day) for day in buckets_in(columns, DAY)}
    quarters = {quarter for quarter in buckets_in(columns, QUARTER) if _has_minutes(connection, quarter)}
    dense = Dense(quarters, {day for day, is_dense in days.items() if is_dense})
    return Gathered(state.epoch, state.cursor_id, last, len(rows), days, roll_up(columns, dense))


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
    for bank in BANKS:
        parts = [part for tally in gathered.tallies if (part := in_bank(tally, bank)).places]
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
    execute = connection.execute
    there = [(number, row) for number, at in enumerate(ats) for row in execute(_OLD_ROW, at)]
    for number, row in there:
        counts[number] += row[:3]
    old = unpack_cells([row[3:] for _, row in there], _numbers(there), bank)
    packed = pack_cells(joined(NO_CELLS, [*cells, old]).reduced(), len(ats))
    rows += [(*at, *count, *bytes_) for at, count, bytes_ in zip(ats, counts.tolist(), packed, strict=True)]

    new = joined(NO_BINS, bins)
    touched = np.unique(new.group).tolist()
    there = [(number, row) for number in touched for row in execute(_OLD_SKETCH, ats[number])]
    old_bins = unpack_bins([row for _, row in there], _numbers(there), bank)
    all_bytes = pack_bins(joined(NO_BINS, [new, old_bins]).reduced(), len(ats))
    sketches += [(*ats[number], *all_bytes[number]) for number in touched]


def _numbers(there: Sequence[tuple[int, Any]]) -> Ints:
    return np.array([number for number, _ in there], np.int64)
