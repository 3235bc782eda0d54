"""Checks roll-ups against the records: makes some days again, and compares.

Counts, n, the smallest and the largest value, whole sums and sketches must be the same; sums of fractions to the last
digits, which depend on the order of adding. Pruned days have nothing to compare with.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

import apsw
import numpy as np

from llm_metrics_proxy.rollups.banks import in_bank
from llm_metrics_proxy.rollups.columns import of_rows, seconds_of
from llm_metrics_proxy.rollups.grains import DAY, MINUTE, NO_TIME, QUARTER, Dense
from llm_metrics_proxy.rollups.groups import BANKS, Bins, Cells, unpack_bins, unpack_cells
from llm_metrics_proxy.rollups.state import NOTHING
from llm_metrics_proxy.rollups.tally import ALL_KEYS, RollupPlace, Tally, roll_up
from llm_metrics_proxy.rollups.values import ALL
from llm_metrics_proxy.storage.connection import snapshot
from llm_metrics_proxy.storage.expressions import rolled_up
from llm_metrics_proxy.storage.rollup_state import FOLD_MOST, read_state
from llm_metrics_proxy.storage.rollup_store import key_bytes
from llm_metrics_proxy.storage.sqlite_schema import TABLE

MOST_RECORDS: Final = 200_000  # of one day: about a second, and 300 MB
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SELECT: Final = (
    f"SELECT {rolled_up(ALL_KEYS, ALL)} FROM {TABLE} "  # noqa: S608 -- names are ours
    "WHERE timestamp >= ? AND timestamp < ? AND +arrival <= ? LIMIT ?"
)


class Checked(NamedTuple):
    """Of one look: days and rows that were compared, and what was found, in words."""

    days: list[str]
    rows: int
    is_complete: bool  # roll-ups are not being rebuilt
    fault: str | None


def check(connection: apsw.Connection, days: int, seed: int) -> Checked:
    """Compare that many days, chosen by ``seed``, from one snapshot. Raises ``apsw.Error``."""
    with snapshot(connection):
        return _check(connection, days, seed)


def _check(connection: apsw.Connection, days: int, seed: int) -> Checked:
    state = read_state(connection)
    if not state.is_current:
        return Checked([], 0, False, None)
    stored = "SELECT DISTINCT bucket FROM rollups WHERE grain = 0 AND level = ? AND bucket >= ? ORDER BY bucket"
    first = max(state.kept_before, NO_TIME + 1)
    rolled_up = {day for (day,) in connection.execute(stored, (DAY.number, first))}
    there = sorted(rolled_up | {day for day in _days_of_records(connection) if day >= first})
    rows, names = 0, []
    for day in sorted(Random(seed).sample(there, min(days, len(there)))):  # noqa: S311 -- a sample, no secret
        compared, fault = _compare(connection, day, state.cursor_id)
        if compared:
            rows += compared
            names.append(_name(day))
        if fault is not None:
            return Checked(names, rows, True, f"{_name(day)}: {fault}")
    ((behind,),) = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {TABLE} WHERE arrival > ? LIMIT ?)",  # noqa: S608 -- names are ours
        (state.cursor_id, FOLD_MOST + 1),
    )
    return Checked(names, rows, behind <= FOLD_MOST and (state.cursor_id > NOTHING or not behind), None)


def _days_of_records(connection: apsw.Connection) -> Iterator[int]:
    """On which records began: one step in the index of times for each."""
    at = "0000-"
    following = f"SELECT min(timestamp) FROM {TABLE} WHERE timestamp >= ? AND timestamp < ':'"  # noqa: S608
    while True:
        ((found,),) = connection.execute(following, (at,))
        if found is None:
            return
        day = found[:10]
        begin = seconds_of(f"{day}T00:00") if _DAY.fullmatch(day) else NO_TIME
        if begin != NO_TIME:
            yield begin
        at = max(f"{day}T~", f"{found}\0")  # behind all times of that day


def _name(day: int) -> str:
    return datetime.fromtimestamp(day, UTC).strftime("%Y-%m-%d")


def _compare(connection: apsw.Connection, day: int, cursor: int) -> tuple[int, str | None]:
    """Rows compared, and the first difference. A day with too many records is left out."""
    span = (f"{_name(day)}T", f"{_name(day + DAY.seconds)}T")
    found = list(connection.execute(_SELECT, (*span, cursor, MOST_RECORDS + 1)))
    if len(found) > MOST_RECORDS:
        return 0, None
    columns = of_rows(found, ALL_KEYS, ALL)
    dense = _dense(connection, day)
    compared = 0
    for tally in roll_up(columns, dense):
        tally = _of_day(tally, day)  # noqa: PLW2901
        for bank in BANKS:
            part = in_bank(tally, bank)
            fault = _difference(connection, part, bank, day) if part.places else None
            if fault is not None:
                return compared, fault
            compared += len(part.places)
    if not compared:
        span_s = (day, day + DAY.seconds)
        left = connection.execute("SELECT count(*) FROM rollups WHERE bucket >= ? AND bucket < ?", span_s)
        ((rows,),) = left
        if rows:
            return 0, f"{rows} rows are stored, and no record is"
    return compared, None


def _dense(connection: apsw.Connection, day: int) -> Dense:
    """Which were found dense: the day, and its quarters, which have minutes then."""
    days = {day for (each,) in connection.execute("SELECT dense FROM rollup_days WHERE day = ?", (day,)) if each}
    minutes = "SELECT bucket FROM rollups WHERE grain = 0 AND level = ? AND bucket >= ? AND bucket < ?"
    rows = connection.execute(minutes, (MINUTE.number, day, day + DAY.seconds))
    return Dense({bucket - bucket % QUARTER.seconds for (bucket,) in rows}, days)


def _of_day(tally: Tally, day: int) -> Tally:
    """Without odd times, which are in the range as texts."""
    stay = np.array([day <= place.bucket < day + DAY.seconds for place in tally.places], np.bool_)
    return tally.where(stay)


def _difference(connection: apsw.Connection, made: Tally, bank: int, day: int) -> str | None:
    """What differs at one grain and level on that day, in words."""
    first = made.places[0]
    where = (first.grain, first.level, day, day + DAY.seconds)
    condition = "grain = ? AND level = ? AND bucket >= ? AND bucket < ? ORDER BY bucket, key"
    wanted = "bucket, key, requests, succeeded, failed, ones, many"
    rows: list[Any] = list(connection.execute(f"SELECT {wanted} FROM rollups WHERE {condition}", where))  # noqa: S608
    number = {(place.bucket, key_bytes(place.key)): index for index, place in enumerate(made.places)}
    stored = {(bucket, key) for bucket, key, *_ in rows}
    if stored != number.keys():
        return f"grain {first.grain}, level {first.level}: {len(stored)} rows are stored and {len(number)} should be"
    order = np.array([number[bucket, key] for bucket, key, *_ in rows], np.int64)
    counts = np.array([row[2:5] for row in rows], np.int64)
    made_counts = np.stack((made.requests, made.succeeded, made.failed), axis=1)[order]
    if not np.array_equal(counts, made_counts):
        return _at(made, int(order[np.flatnonzero((counts != made_counts).any(axis=1))[0]]), "counts")
    different = _cells_differ(unpack_cells([row[5:7] for row in rows], order, bank).reduced(), made.cells)
    if different is not None:
        return _at(made, different, "sums")
    wanted = "bucket, key, small, large"
    rows = list(connection.execute(f"SELECT {wanted} FROM rollup_sketches WHERE {condition}", where))  # noqa: S608
    order = np.array([number[bucket, key] for bucket, key, *_ in rows], np.int64)
    bins = unpack_bins([row[2:4] for row in rows], order, bank).reduced()
    return None if _same(bins, made.bins) else f"grain {first.grain}, level {first.level}: sketches differ"


def _cells_differ(stored: Cells, made: Cells) -> int | None:
    """The group of the first cell that differs."""
    exact = ("group", "field", "n", "whole", "min", "max")
    if len(stored.group) != len(made.group):
        return int((made.group if len(made.group) else stored.group)[0])
    same = np.ones(len(made.group), np.bool_)
    for name in exact:
        same &= getattr(stored, name) == getattr(made, name)
    scale = np.maximum(np.abs(made.min), np.abs(made.max)) * made.n
    same &= np.abs(stored.sum - made.sum) <= 1e-9 * scale
    return None if same.all() else int(made.group[np.flatnonzero(~same)[0]])


def _same(one: Bins, other: Bins) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _at(made: Tally, group: int, what: str) -> str:
    place: RollupPlace = made.places[group]
    return f"grain {place.grain}, level {place.level}, bucket {place.bucket}, key {place.key}: {what} differ"
