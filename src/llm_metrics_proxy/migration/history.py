"""What is in the old table, counted once before it is carried over: stamps, and until when its records are.

One pass in blocks of keys, by two threads. The old table is not written to, so that a run that is resumed finds the
same again.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.migration.invalid_text import read_rows
from llm_metrics_proxy.migration.keys import OldRecords, history_of
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect

_BLOCKS: Final = 1000
_LEAST_KEYS: Final = 10_000
ALL_OF_TIME: Final = "0001-01-01T00:00:00.000000Z"
# Most files have nothing else: local time or UTC with six digits. The greatest of such texts is the latest.
_PLAIN: Final = (
    "timestamp GLOB '????-??-??T??:??:??.[0-9][0-9][0-9][0-9][0-9][0-9]' "
    "OR timestamp GLOB '????-??-??T??:??:??.[0-9][0-9][0-9][0-9][0-9][0-9]Z'"
)


class Block(NamedTuple):
    """Records with keys above ``above``, up to the next block. ``ends``: none of them has a time at or after it, as
    timestamps are stored; ``""``: none has a time at all; ``None``: that is not known."""

    above: int
    ends: str | None


class Counted(NamedTuple):
    """``blocks`` in the order of their keys."""

    records: int
    stamps: dict[Any, int]
    blocks: tuple[Block, ...]

    def complete_from(self, cursor: int) -> str | None:
        """From when on all is carried over, once everything above ``cursor`` is."""
        left = [block.ends for block in self.blocks if block.above < cursor]
        if None in left:
            return None
        return max((ends for ends in left if ends), default=ALL_OF_TIME)


def count_history(path: Path, old_table: str, bound: int, heard: Callable[[int], None]) -> Counted:
    """``heard`` gets each block's records, in one thread at a time. Raises ``apsw.Error``, and what that raises."""
    with closing(connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
        history = history_of(connection, old_table)
        least = connection.execute(f"SELECT min({history.key}) FROM {history.table}").get  # noqa: S608
    if least is None:
        return Counted(0, {}, ())
    width = max(_LEAST_KEYS, -(-(bound - least + 1) // _BLOCKS))
    starts, one_at_a_time = range(least - 1, bound, width), threading.Lock()

    def tell(records: int) -> None:
        with one_at_a_time:
            heard(records)

    def count(part: range) -> Counted:
        with closing(connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
            return _count(connection, history_of(connection, old_table), part, bound, tell)

    half = len(starts) // 2
    with ThreadPoolExecutor(2, thread_name_prefix="count") as pool:
        first, second = pool.map(count, (starts[:half], starts[half:]))
    stamps = Counter(first.stamps) + Counter(second.stamps)
    return Counted(stamps.total(), dict(stamps), first.blocks + second.blocks)


def _count(
    connection: apsw.Connection, history: OldRecords, starts: range, bound: int, heard: Callable[[int], None]
) -> Counted:
    """The blocks that begin there, each as long as the step of ``starts``."""
    columns = connection.execute("SELECT lower(name) FROM pragma_table_info(?)", (history.table.partition(".")[2],))
    stamp = "app_version" if "app_version" in {name for (name,) in columns} else "NULL"
    statement = (
        f"SELECT {stamp}, count(*), max(iif(typeof(timestamp) = 'text', timestamp, NULL)), "  # noqa: S608 -- ours
        f"count(*) FILTER (WHERE typeof(timestamp) = 'text' AND NOT ({_PLAIN})) FROM {history.table} "
        f"WHERE {history.key} > ? AND {history.key} <= ? GROUP BY 1"
    )
    stamps: Counter[Any] = Counter()
    blocks = []
    for above in starts:
        rows = list(read_rows(connection, statement, (above, min(bound, above + starts.step)), 4))
        for found, count, _latest, _odd in rows:
            stamps[found] += count
        if rows:
            latest = [row[2] for row in rows if row[2] is not None]
            blocks.append(Block(above, _ends(latest, is_plain=not any(row[3] for row in rows))))
            heard(sum(row[1] for row in rows))
    return Counted(stamps.total(), dict(stamps), tuple(blocks))


def _ends(texts: list[Any], *, is_plain: bool) -> str | None:
    """After every readable time in a block whose greatest texts are these.

    Where they have zones, or less usual forms, the day is what is sure: no zone moves a time by more than one.
    """
    if not texts:
        return ""
    if not all(isinstance(text, str) for text in texts):
        return None
    latest = max(texts)
    try:
        if is_plain:
            after = datetime.fromisoformat(latest[:26]) + timedelta(microseconds=1)
        else:
            after = datetime.fromisoformat(latest[:10]) + timedelta(days=2)
    except (ValueError, OverflowError):
        return None
    return f"{after.isoformat(timespec='microseconds')}Z"
