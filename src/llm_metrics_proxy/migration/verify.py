"""The checks after a run, by two witnesses that the migration did not write.

The backup proves what was observed, each migration's oracle what was calculated. Every record is checked, none sampled.
"""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.batches import Interrupted, ProgressReporter, ranges
from llm_metrics_proxy.migration.model import Fault, Report, Run, WorkPhase
from llm_metrics_proxy.migration.oracle_check import MOST_FAULTS, OracleCheck
from llm_metrics_proxy.migration.sql import CALCULATED, WAS_NULL, RunSql
from llm_metrics_proxy.record import COUNTED
from llm_metrics_proxy.rollups.state import NOTHING
from llm_metrics_proxy.storage.backup_copy import settles_class
from llm_metrics_proxy.storage.connection import Access, connect
from llm_metrics_proxy.storage.invalid_text import read_rows
from llm_metrics_proxy.storage.rollup_state import read_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE, quoted

CHUNK: Final = 20_000
_BUSY_TIMEOUT_MS: Final = 10_000


class StoppedError(Exception):
    """Verification was asked to stop; nothing is decided."""


def verify_run(
    path: Path, run: Run, sql: RunSql, backup: Path, *, report: Report, interrupted: Interrupted
) -> tuple[tuple[Fault, ...], dict[str, int]]:
    """What is wrong after the batches of a run, nothing if all is well; and records by why they have no value.

    The checks run at the same time, each in a thread and on a connection of its own: SQLite, which does most of the
    work, does not need Python's lock. Raises ``StoppedError`` or ``apsw.Error``.
    """
    steps = range(len(sql.migrations))
    reporter = ProgressReporter(report, WorkPhase.VERIFYING, (1 + len(steps)) * run.records_total)
    done = [0] * (1 + len(steps))
    given_up = threading.Event()

    def counted(index: int) -> Callable[[int], None]:
        def count(records: int) -> None:
            done[index] = min(done[index] + records, run.records_total)
            reporter.advance(sum(done))
            if given_up.is_set() or interrupted():
                raise StoppedError

        return count

    with ThreadPoolExecutor(len(done), thread_name_prefix="verify") as pool:
        try:
            raw = pool.submit(raw_faults, path, backup, run, sql, counted(0))
            heard = [pool.submit(_step_faults, path, run, sql, k, counted(1 + k)) for k in steps]
            faults = _count_faults(path, run, sql)
            gaps: Counter[str] = Counter()
            for each in heard:
                found, reasons = each.result()
                faults += found
                gaps += reasons
            return (*faults, *raw.result()), dict(gaps)
        finally:
            given_up.set()  # one that failed ends the others too


def open_for_checking(path: Path) -> apsw.Connection:
    """Read-only, and able to attach by address."""
    return connect(path, Access.READ, busy_ms=_BUSY_TIMEOUT_MS)


def _count_faults(path: Path, run: Run, sql: RunSql) -> list[Fault]:
    """Nothing came and nothing went, and all that was changed can be undone."""
    with closing(open_for_checking(path)) as connection:
        faults = []
        records = connection.execute(f"SELECT count(*) FROM {TABLE} WHERE id <= ?", (run.bound_id,)).get  # noqa: S608
        if records != run.records_total:
            faults.append(Fault("count", None, f"there were {run.records_total:,} records and are now {records:,}"))
        tables = [sql.undo_table(k) for k in range(len(sql.migrations))]
        kept = sum(connection.execute(f"SELECT count(*) FROM {table}").get for table in tables)  # noqa: S608
        if kept != run.records_changed:
            faults.append(Fault("undo", None, f"{run.records_changed:,} changes were made, {kept:,} can be undone"))
        return faults


def _step_faults(
    path: Path, run: Run, sql: RunSql, k: int, count: Callable[[int], None]
) -> tuple[list[Fault], Counter[str]]:
    """Hold every value that migration k wrote against its oracle; and records by the reasons that it gave."""
    migration, gaps = sql.migrations[k], Counter[str]()
    codes = {gap.code for gap in migration.gaps}  # not the reason of an earlier one, which it may have left
    with closing(open_for_checking(path)) as connection:
        left = connection.execute(sql.missed(k, MOST_FAULTS), (run.bound_id,))
        words = f"the record was not migrated to {migration.version}"
        faults = [Fault("left behind", record_id, words) for (record_id,) in left]
        oracle = OracleCheck(connection, sql, k)
        for after, through, records in ranges(connection, run.bound_id, lambda: CHUNK, sql.undo_table(k)):
            faults += islice(oracle.faults(after, through), MOST_FAULTS)
            if len(faults) >= MOST_FAULTS:
                break
            for reason, number in read_rows(connection, sql.reasons(k), (after, through), 2):
                if reason in codes:
                    gaps[reason] += number
            count(records)
        return faults, gaps


def raw_faults(path: Path, backup: Path, run: Run, sql: RunSql | None, count: Callable[[int], None]) -> list[Fault]:
    """Every column of the backup that is not calculated, compared with the database by value and storage class.

    Without ``sql`` nothing is supposed to have been calculated, and every column is compared.
    """
    with closing(open_for_checking(path)) as connection:
        connection.execute("ATTACH ? AS kept", (f"{backup.absolute().as_uri()}?immutable=1",))
        chain = sql.migrations if sql else ()
        kept_in = {
            change.column: (change.original, sql.undo_table(k))
            for k, m in enumerate(chain)
            for change in m.changes
            if sql and change.original
        }
        # a generated column follows the columns that it is made of, the calculated ones too
        columns: list[Any] = connection.execute(
            "SELECT lower(name), type FROM pragma_table_xinfo(?, 'kept') WHERE hidden NOT IN (2, 3)", (TABLE,)
        ).fetchall()
        names = {name for name, _type in columns}
        filled = {c.column for k in range(len(chain)) for c in sql.changes(k) if c.only_if_added} if sql else set()
        counted = {change.column for migration in chain for change in migration.changes}.intersection(COUNTED)
        compared = {
            name: _same(name, declared, names, *kept_in.get(name, (None, "")))
            for name, declared in columns
            if name != "id" and not (sql and (name in CALCULATED or name in filled or name in counted))
        }
        records = connection.execute(f"SELECT count(*) FROM kept.{TABLE} WHERE id <= ?", (run.bound_id,)).get  # noqa: S608
        faults = []
        if records != run.records_total:
            faults.append(Fault("backup", None, f"it holds {records:,} records, and {run.records_total:,} were there"))
        pruned = "0" if sql else _was_pruned(connection)
        statement = (
            f"SELECT b.id, a.id IS NULL FROM kept.{TABLE} b LEFT JOIN main.{TABLE} a ON a.id = b.id "  # noqa: S608
            f"WHERE b.id > ?1 AND b.id <= ?2 "
            f"AND iif(a.id IS NULL, NOT {pruned}, NOT ({' AND '.join(compared.values()) or '1'})) LIMIT {MOST_FAULTS}"
        )
        for after, through, size in ranges(connection, run.bound_id, lambda: CHUNK, f"kept.{TABLE}"):
            found: list[Any] = connection.execute(statement, (after, through)).fetchall()
            for record_id, is_gone in found:
                faults.append(_raw_fault(connection, record_id, is_gone, compared))
            if len(faults) >= MOST_FAULTS:
                break
            count(size)
        return faults


def _was_pruned(connection: apsw.Connection) -> str:
    """SQL: the record that is gone was deleted by the retention, and not lost.

    By the date alone: the backup may have local times, which a migration made UTC.
    """
    there = connection.execute("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = 'rollup_state'")
    kept_before = read_state(connection).kept_before if list(there) else NOTHING
    if kept_before == NOTHING:
        return "0"
    return f"(substr(b.timestamp, 1, 10) <= '{datetime.fromtimestamp(kept_before, UTC):%Y-%m-%d}')"


def _same(name: str, declared: str, names: set[str], original: str | None, undo_table: str) -> str:
    """SQL: the column ``name`` of ``a``, the database, is what it is in ``b``, the backup."""
    now, then = f"a.{quoted(name)}", f"b.{quoted(name)}"
    if original:
        had = f"b.{quoted(original)} IS NOT NULL" if original in names else "0"
        # where the original was in use before, the undo entry alone knows the value that was overwritten
        entry = f"main.{undo_table} WHERE id = b.id"
        kept = f"SELECT nullif({quoted(name)}, {WAS_NULL}) FROM {entry}"  # noqa: S608 -- ours
        before = f"CASE WHEN EXISTS (SELECT 1 FROM {entry}) THEN ({kept}) ELSE {now} END"  # noqa: S608
        now = f"CASE WHEN {had} THEN {before} ELSE coalesce(a.{quoted(original)}, {now}) END"
    elif settles_class(declared):
        return f"{now} IS {then} COLLATE BINARY"
    return f"{now} IS {then} COLLATE BINARY AND typeof({now}) = typeof({then})"


def _raw_fault(connection: apsw.Connection, record_id: int, is_gone: int, compared: dict[str, str]) -> Fault:
    if is_gone:
        return Fault("raw", record_id, "the record is gone")
    for name, condition in compared.items():
        values = list(
            read_rows(
                connection,
                f"SELECT a.{quoted(name)}, b.{quoted(name)} FROM kept.{TABLE} b JOIN main.{TABLE} a ON a.id = b.id "  # noqa: S608
                f"WHERE b.id = ? AND NOT ({condition})",
                (record_id,),
                2,
            )
        )
        if values:
            return Fault("raw", record_id, f"{name} was {values[0][1]!r} and is now {values[0][0]!r}")
    return Fault("raw", record_id, "a value changed, and has changed back since")


def differences_from_backup(path: Path, backup: Path, run: Run) -> list[Fault]:
    """After an undo: every column of the backup, the calculated ones too, compared with the records."""
    return raw_faults(path, backup, run, None, lambda _records: None)
