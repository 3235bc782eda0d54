"""Roll-ups in SQLite: records are gathered, and what they add is written, with the cursor, in one transaction.

``gather`` and ``merge`` only read, and take the time they need; ``write`` holds the write lock, and checks that what
was read is still true. The ingester does all of it at once, in the transaction that stores the records.

Roll-ups follow behind the records by a few thousand at most: a batch of the ingester touches a row for nearly every
model, client and error that there is, however few records it has, and writing 1,500 rows five times a second is what
would cost. Nobody sees it: who reads takes the records behind the cursor as they are.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec
import numpy as np

from llm_metrics_proxy.rollups.banks import in_bank
from llm_metrics_proxy.rollups.columns import chosen, of_rows, selected
from llm_metrics_proxy.rollups.grains import DAY, DENSE_DAY, DENSE_QUARTER, MINUTE, NO_TIME, QUARTER, Dense
from llm_metrics_proxy.rollups.groups import (
    BANKS,
    joined_bins,
    joined_cells,
    pack_bins,
    pack_cells,
    unpack_bins,
    unpack_cells,
)
from llm_metrics_proxy.rollups.sketch import Ints
from llm_metrics_proxy.rollups.state import FINGERPRINT, NOTHING, RollupState
from llm_metrics_proxy.rollups.tally import ALL_FIELDS, ALL_KEYS, Place, Tally, buckets_in, roll_up
from llm_metrics_proxy.storage import invalid_text
from llm_metrics_proxy.storage.rollup_state import read_state, reset, write_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE

FOLD_AT: Final = 4_000  # records behind the cursor at which the ingester rolls up
FOLD_MOST: Final = 60_000  # above, that is left to the builder, which does it in small steps
FOLD_AT_ONCE: Final = 10_000  # what is held in memory, about 40 MB
_WIDTH: Final = 3 + len(ALL_KEYS) + len(ALL_FIELDS)
_SELECT: Final = (
    f"SELECT * FROM (SELECT id, {selected(ALL_KEYS, ALL_FIELDS)} FROM {TABLE} "  # noqa: S608 -- names are ours
    "WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)"  # inner: broken text makes another LIMIT of it
)
_AT: Final = "grain = ? AND level = ? AND bucket = ? AND key = ?"
_OLD_ROW: Final = f"SELECT requests, succeeded, failed, ones, many FROM rollups WHERE {_AT}"  # noqa: S608
_OLD_SKETCH: Final = f"SELECT small, large FROM rollup_sketches WHERE {_AT}"  # noqa: S608
_ROW: Final = "INSERT OR REPLACE INTO rollups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SKETCH: Final = "INSERT OR REPLACE INTO rollup_sketches VALUES (?, ?, ?, ?, ?, ?)"
MIGRATION_RUNS: Final = "SELECT 1 FROM migrations WHERE state IN ('migrating', 'verifying', 'undoing') LIMIT 1"
TABLES: Final = ("rollups", "rollup_sketches")
_LAST_BUCKET: Final = 2**63 - 1

Database = apsw.Connection
log = logging.getLogger(__name__)


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """What the records with ``after`` < id <= ``through`` add, while the state is of ``epoch``."""

    epoch: int
    after: int
    through: int
    records: int
    days: dict[int, bool]  # on which they began, and whether each is dense
    tallies: list[Tally]


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the roll-ups as they are to be, once what was gathered is added to what was there."""

    epoch: int
    after: int
    through: int
    days: dict[int, bool]
    rows: list[tuple[Any, ...]]
    sketches: list[tuple[Any, ...]]


def fold_after_insert(connection: Database) -> None:
    """In the ingester's transaction, after its rows: roll up what has come together.

    A bug in here must not keep records from being stored: what was written of the roll-ups is undone, and the builder
    meets the same bug where it can be told. Trouble of the database (``apsw.Error``) is the transaction's.
    """
    try:
        with connection:  # a savepoint
            _fold(connection)
    except apsw.Error:
        raise
    except Exception:
        log.exception("records were stored without being rolled up")


def _fold(connection: Database) -> None:
    ((last,),) = connection.execute(f"SELECT max(id) FROM {TABLE}")  # noqa: S608
    state = read_state(connection)
    if last is None or not may_fold(connection, state):
        return
    if state.cursor_id == NOTHING:
        ((first,),) = connection.execute(f"SELECT min(id) FROM {TABLE}")  # noqa: S608
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


def may_fold(connection: Database, state: RollupState) -> bool:
    """Whether rolling up makes sense now: not while a migration is about to change what is rolled up."""
    if not state.is_current:
        return False
    return not list(connection.execute(MIGRATION_RUNS))


def gather(connection: Database, state: RollupState, records: int, through: int = 2**63 - 1) -> Gathered:
    """The next records behind the cursor, so many at most, as what they add. Raises ``apsw.Error``."""
    parameters = (state.cursor_id, through, records)
    rows = list(invalid_text.read_rows(connection, _SELECT, parameters, _WIDTH))
    columns = of_rows(rows, ALL_KEYS, ALL_FIELDS, behind=1)
    if rows and state.kept_before > NOTHING and rows[0][0] <= state.kept_through_id:
        ids = np.array([row[0] for row in rows], np.int64)
        is_kept = (columns.minute != NO_TIME) & (columns.minute < state.kept_before) & (ids <= state.kept_through_id)
        columns = chosen(columns, ~is_kept)
    last = rows[-1][0] if rows else state.cursor_id
    days = {day: _is_dense(connection, day) for day in buckets_in(columns, DAY)}
    quarters = {quarter for quarter in buckets_in(columns, QUARTER) if _has_minutes(connection, quarter)}
    dense = Dense(quarters, {day for day, is_dense in days.items() if is_dense})
    return Gathered(
        epoch=state.epoch,
        after=state.cursor_id,
        through=last,
        records=len(rows),
        days=days,
        tallies=roll_up(columns, dense),
    )


def _is_dense(connection: Database, day: int) -> bool:
    """As it was decided when the first record of the day was rolled up, or is to be decided now."""
    for (dense,) in connection.execute("SELECT dense FROM rollup_days WHERE day = ?", (day,)):
        return bool(dense)
    before = "SELECT coalesce(sum(requests), 0) FROM rollups WHERE grain = 0 AND level = 2 AND bucket = ?"
    ((yesterday,),) = connection.execute(before, (day - DAY.seconds,))
    if yesterday >= DENSE_DAY:
        return True
    return _has_records(connection, day, day + DAY.seconds, DENSE_DAY)


def _has_minutes(connection: Database, quarter: int) -> bool:
    """The same for a quarter of an hour; that it was decided, and how, is told by the rows that there are of it.

    Nothing can change between this and the writing of what follows from it: such rows are written with the cursor.
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
    """Whether so many records began between two moments (seconds)."""
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
    return Merged(
        epoch=gathered.epoch,
        after=gathered.after,
        through=gathered.through,
        days=gathered.days,
        rows=rows,
        sketches=sketches,
    )


def write(connection: Database, merged: Merged) -> bool:
    """In the caller's transaction; false if records, roll-ups or the cursor changed since they were read.

    Whoever adds to a row moves the cursor, and whoever removes one has made another epoch before: while both are as
    they were, so is every row.
    """
    state = read_state(connection)
    if (state.epoch, state.cursor_id) != (merged.epoch, merged.after) or not state.is_current:
        return False
    if any(_is_dense(connection, day) != dense for day, dense in merged.days.items()):
        return False
    connection.executemany("INSERT OR IGNORE INTO rollup_days VALUES (?, ?)", list(merged.days.items()))
    connection.executemany(_ROW, merged.rows)
    connection.executemany(_SKETCH, merged.sketches)
    if merged.through != merged.after:
        write_state(connection, msgspec.structs.replace(state, cursor_id=merged.through))
    return True


def key_bytes(key: Sequence[Any]) -> bytes:
    """A key as it is stored: MessagePack of its values, in the order of ``grains.key_names``."""
    return msgspec.msgpack.encode(
        [bytes(value).decode(errors="replace") if isinstance(value, bytes) else value for value in key]
    )


def _at(place: Place) -> tuple[int, int, int, bytes]:
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
    packed = pack_cells(joined_cells([*cells, old]).reduced(), len(ats))
    rows += [(*at, *count, *bytes_) for at, count, bytes_ in zip(ats, counts.tolist(), packed, strict=True)]

    new = joined_bins(bins)
    touched = np.unique(new.group).tolist()
    there = [(number, row) for number in touched for row in execute(_OLD_SKETCH, ats[number])]
    old_bins = unpack_bins([row for _, row in there], _numbers(there), bank)
    all_bytes = pack_bins(joined_bins([new, old_bins]).reduced(), len(ats))
    sketches += [(*ats[number], *all_bytes[number]) for number in touched]


def _numbers(there: Sequence[tuple[int, Any]]) -> Ints:
    return np.array([number for number, _ in there], np.int64)


def begin_anew(connection: Database) -> None:
    """In the caller's transaction: what is there was made by other tables than this program's."""
    reset(connection, tables=FINGERPRINT)


def clear_some(connection: Database, rows: int) -> bool:
    """Delete some rows from before a reset, in the caller's transaction; whether none is left."""
    state = read_state(connection)
    if not state.clearing:
        return True
    for table in TABLES:
        for grain, level in list(connection.execute(_grains_and_levels(table))):
            for first, last in ((NO_TIME, NO_TIME), (state.kept_before, _LAST_BUCKET)):
                connection.execute(
                    f"DELETE FROM {table} WHERE grain = ? AND level = ? AND (bucket, key) IN (SELECT bucket, key "  # noqa: S608
                    f"FROM {table} WHERE grain = ? AND level = ? AND bucket BETWEEN ? AND ? LIMIT ?)",
                    (grain, level, grain, level, first, last, rows),
                )
                rows -= connection.changes()
                if not rows:
                    return False
    connection.execute("DELETE FROM rollup_days WHERE day >= ?", (state.kept_before,))
    write_state(connection, msgspec.structs.replace(state, clearing=False))
    return True


def _grains_and_levels(table: str) -> str:
    """Those that have rows: a step in the index for each, however many rows of pruned days there are."""
    return (
        f"WITH RECURSIVE g (grain) AS (SELECT min(grain) FROM {table} UNION ALL "  # noqa: S608
        f"SELECT (SELECT min(grain) FROM {table} WHERE grain > g.grain) FROM g WHERE g.grain NOT NULL), "
        f"l (grain, level) AS (SELECT grain, (SELECT min(level) FROM {table} AS t WHERE t.grain = g.grain) FROM g "
        "WHERE grain NOT NULL UNION ALL "
        f"SELECT l.grain, (SELECT min(level) FROM {table} AS t WHERE t.grain = l.grain AND t.level > l.level) FROM l "
        "WHERE l.level NOT NULL) SELECT grain, level FROM l WHERE level NOT NULL"
    )
