"""Samples of servers and GPUs in the control store: written by the poller, read for ranges, rolled down and pruned.

They are this host's own: in a deployment where records are on a server, each host keeps what it asked itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.storage.base import Reader
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect, transaction
from llm_metrics_proxy.storage.sampled import MINUTE_S, QUARTER_S, ServerSample, decoded, encoded, merged
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, store_error

MINUTES_KEPT_S: Final = 2 * 86_400  # as minutes; later as quarters of an hour
_COLUMNS: Final = "grain_s, at, kind, name, asked, answered, said"
_PUT: Final = f"INSERT OR REPLACE INTO server_samples ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_AT: Final = f"SELECT {_COLUMNS} FROM server_samples WHERE grain_s = ? AND at >= ? AND at < ?"  # noqa: S608
_THERE: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'server_samples'"


class SampleStore:
    """For one thread. Methods raise ``StoreError`` until the store has made the file's tables."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self._path = path
        self._connection: apsw.Connection | None = None

    def add(self, samples: Iterable[ServerSample]) -> None:
        """Keep these, in one transaction; what was kept of the same stretch already is added to."""
        try:
            connection = self._opened()
            with transaction(connection):
                for sample in samples:
                    before = connection.execute(
                        f"{_AT} AND kind = ? AND name = ?",
                        (sample.grain_s, sample.at, sample.at + 1, sample.kind, sample.name),
                    ).fetchone()
                    _put(connection, sample if before is None else merged((decoded(before), sample), *sample[:2]))
        except apsw.Error as error:
            self.close()
            raise store_error(self._path, "keeping what servers said", error) from error

    def close(self) -> None:
        """Release the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> apsw.Connection:
        if self._connection is None:
            connection = connect(self._path, Access.WRITE, busy_ms=BUSY_TIMEOUT_MS)
            if connection.execute(_THERE).get is None:
                connection.close()
                applied_steps(self._path)  # which says that it is of an older version, where it is
                raise StoreError(f"The database {self._path} has no table for what servers say yet.")
            self._connection = connection
        return self._connection


def read_samples(reader: Reader, start_s: float, end_s: float) -> list[ServerSample]:
    """All that begin from ``start_s`` to before ``end_s``, in order of time; a quarter of an hour that the range begins
    in is read whole. None if the file is of a program that kept none. Raises ``StoreError``."""
    if not reader.query(_THERE):
        return []
    sql = f"SELECT {_COLUMNS} FROM server_samples WHERE grain_s = ? AND at > ? AND at < ? ORDER BY at"  # noqa: S608
    rows = [row for grain_s in (QUARTER_S, MINUTE_S) for row in reader.query(sql, (grain_s, start_s - grain_s, end_s))]
    return sorted((decoded(row) for row in rows), key=lambda sample: sample.at)


def roll_down_or_prune(connection: apsw.Connection, now_s: float, days: int, most: int) -> int:
    """Make quarters of an hour of minutes whose time is over, or delete what is older than ``days`` (0: nothing), about
    ``most`` rows, in the caller's transaction; how many rows went. Raises ``apsw.Error``."""
    if connection.execute(_THERE).get is None:
        return 0
    gone = _prune(connection, int(now_s) - days * 86_400, most) if days else 0
    return gone or _roll_down(connection, int(now_s) - MINUTES_KEPT_S, most)


def has_old_samples(connection: apsw.Connection, now_s: float, days: int) -> bool:
    """Whether ``roll_down_or_prune`` would find anything. Raises ``apsw.Error``."""
    if connection.execute(_THERE).get is None:
        return False
    found: Any = connection.execute("SELECT grain_s, min(at) FROM server_samples GROUP BY grain_s")
    oldest: dict[int, int] = dict(found)
    due = int(now_s) - MINUTES_KEPT_S
    return oldest.get(MINUTE_S, due) < due - due % QUARTER_S or (
        bool(days) and min(oldest.values(), default=now_s) < int(now_s) - days * 86_400
    )


def _prune(connection: apsw.Connection, before: int, most: int) -> int:
    rows = connection.execute(
        "SELECT grain_s, at, kind, name FROM server_samples WHERE grain_s IN (?, ?) AND at < ? LIMIT ?",
        (MINUTE_S, QUARTER_S, before, most),
    ).fetchall()
    _delete(connection, rows)
    return len(rows)


def _roll_down(connection: apsw.Connection, before: int, most: int) -> int:
    """Whole quarters only, so that none is made twice."""
    before -= before % QUARTER_S
    first = connection.execute("SELECT min(at) FROM server_samples WHERE grain_s = ?", (MINUTE_S,)).get
    if first is None or first >= before:
        return 0
    end = first - first % QUARTER_S + QUARTER_S
    rows = connection.execute(_AT, (MINUTE_S, first, end)).fetchall()
    while len(rows) < most and end < before:
        rows += connection.execute(_AT, (MINUTE_S, end, end + QUARTER_S)).fetchall()
        end += QUARTER_S
    found: dict[tuple[int, str, str], list[ServerSample]] = defaultdict(list)
    for row in rows:
        sample = decoded(row)
        found[sample.at - sample.at % QUARTER_S, sample.kind, sample.name].append(sample)
    for (at, _, _), samples in found.items():
        _put(connection, merged(samples, QUARTER_S, at))
    _delete(connection, [row[:4] for row in rows])
    return len(rows)


def _put(connection: apsw.Connection, sample: ServerSample) -> None:
    connection.execute(_PUT, (*sample[:6], encoded(sample)))


def _delete(connection: apsw.Connection, keys: Sequence[tuple[object, ...]]) -> None:
    connection.executemany("DELETE FROM server_samples WHERE grain_s = ? AND at = ? AND kind = ? AND name = ?", keys)
