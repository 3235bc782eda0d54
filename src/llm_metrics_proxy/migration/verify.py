"""The checks after all has been carried over, by two witnesses that the migration did not write.

The old table proves what was observed, each migration's oracle what was calculated. Every record is checked, none
sampled.
"""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.migration import carry_functions
from llm_metrics_proxy.migration.batches import Interrupted, ProgressReporter, ranges
from llm_metrics_proxy.migration.carry_oracle import Verifier
from llm_metrics_proxy.migration.carry_sql import Carry
from llm_metrics_proxy.migration.keys import OldRecords, history_of
from llm_metrics_proxy.migration.model import Fault, Report, Run, WorkPhase
from llm_metrics_proxy.migration.oracle_check import MOST_FAULTS
from llm_metrics_proxy.storage.connection import Access, connect
from llm_metrics_proxy.storage.sqlite_schema import TABLE

CHUNK: Final = 20_000
_WORKERS: Final = 2
_BUSY_TIMEOUT_MS: Final = 10_000
_UNFIT: Final = (
    f"SELECT each.key, count(*) FROM {TABLE} AS r, json_each(r.unfit_values) AS each "  # noqa: S608 -- ours
    "WHERE r.arrival > ?1 AND r.arrival <= ?2 AND r.unfit_values IS NOT NULL GROUP BY 1"
)


class StoppedError(Exception):
    """Verification was asked to stop; nothing is decided."""


class Verified(NamedTuple):
    """``faults``: what is wrong; ``gaps``: records that have no value, by why; ``unfit``: values that did not fit their
    column, by column."""

    faults: tuple[Fault, ...]
    gaps: dict[str, int]
    unfit: dict[str, int]


def open_for_checking(path: Path) -> apsw.Connection:
    """Read-only."""
    return connect(path, Access.READ, busy_ms=_BUSY_TIMEOUT_MS)


def verify_run(path: Path, run: Run, how: Carry, *, report: Report, interrupted: Interrupted) -> Verified:
    """Hold every record of the old table against what was made of it.

    Ranges of records are checked at the same time, each in a thread and on a connection of its own: SQLite, which does
    most of the work, does not need Python's lock. Raises ``StoppedError`` or ``apsw.Error``.
    """
    assert run.old_table is not None
    checks = _Checks(path, run.old_table, how)
    faults, gaps, unfit = list[Fault](), Counter[str](), Counter[str]()
    reporter, done = ProgressReporter(report, WorkPhase.VERIFYING, run.records_total), 0
    with ExitStack() as stack:
        connection = stack.enter_context(closing(open_for_checking(path)))
        stack.callback(checks.close)
        pool = stack.enter_context(ThreadPoolExecutor(_WORKERS, thread_name_prefix="verify"))
        stack.callback(checks.end)
        history = history_of(connection, run.old_table)
        faults += _count_faults(connection, history, run)
        for each in pool.map(checks.of_range, ranges(connection, *history, run.bound_id, lambda: CHUNK)):
            faults += each.faults
            gaps.update(each.gaps)
            unfit.update(each.unfit)
            done = min(done + CHUNK, run.records_total)
            reporter.advance(done)
            if interrupted():
                raise StoppedError
            if len(faults) >= MOST_FAULTS:
                break
    return Verified(tuple(faults), dict(gaps), dict(unfit))


def _count_faults(connection: apsw.Connection, history: OldRecords, run: Run) -> list[Fault]:
    """Every old record is there once, and nothing else that has such a number."""
    made = connection.execute(f"SELECT count(*) FROM {TABLE} WHERE arrival <= ?", (run.bound_id,)).get  # noqa: S608
    there = connection.execute(f"SELECT count(*) FROM {history.table}").get  # noqa: S608
    if made == there == run.records_total == run.records_changed:
        return []
    words = f"of {run.records_total:,} records {run.records_changed:,} were carried over"
    return [Fault("count", None, f"{words}, and {made:,} of {there:,} are there")]


class _Checks:
    """Checks of ranges; each thread has a connection, which ``end`` releases."""

    def __init__(self, path: Path, old_table: str, how: Carry) -> None:
        self._path, self._old_table, self._how = path, old_table, how
        self._own = threading.local()
        self._connections: list[apsw.Connection] = []
        self._is_over = False

    def of_range(self, limits: tuple[int, int]) -> Verified:
        """Of the records with ``after`` < key <= ``through``."""
        if self._is_over:
            return Verified((), {}, {})
        connection, verifier = self._opened()
        with connection:  # one snapshot
            faults = verifier.faults(*limits, MOST_FAULTS)
            gaps: Any = dict(connection.execute(self._how.gaps, limits))
            unfit: Any = dict(connection.execute(_UNFIT, limits))
        return Verified(tuple(faults), gaps, unfit)

    def end(self) -> None:
        """What has not begun is left out."""
        self._is_over = True

    def close(self) -> None:
        """Once every thread has ended."""
        for connection in self._connections:
            connection.close()

    def _opened(self) -> tuple[apsw.Connection, Verifier]:
        if not hasattr(self._own, "opened"):
            connection = open_for_checking(self._path)
            self._connections.append(connection)
            carry_functions.register(connection)
            history_of(connection, self._old_table)
            self._own.opened = connection, Verifier(connection, self._how)
        opened: tuple[apsw.Connection, Verifier] = self._own.opened
        return opened
