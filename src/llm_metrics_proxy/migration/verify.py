"""Is everything as it must be? The checks after a run, and those of a whole table at any time.

Two witnesses that the migration did not write: the backup, for what was observed, and each migration's oracle, for
what was calculated. Every record is looked at, none sampled.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.batches import Interrupted, Teller, ranges
from llm_metrics_proxy.migration.model import REASON_COLUMN, Fault, Migration, Phase, Report, Run, describe_stamp
from llm_metrics_proxy.migration.sql import CALCULATED, WAS_NULL, RunSql
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import APP_VERSION_COLUMN
from llm_metrics_proxy.rollups.state import NOTHING
from llm_metrics_proxy.storage.affinity import ColumnAccess, as_read, mangled_columns
from llm_metrics_proxy.storage.backup_copy import settles_class
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.connection import Access, connect
from llm_metrics_proxy.storage.invalid_text import read_rows
from llm_metrics_proxy.storage.rollup_state import read_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE, quoted

_CHUNK: Final = 20_000
_FAULTS: Final = 10  # of each kind; one is enough to take the run back, some more help to see why
_BUSY_TIMEOUT_MS: Final = 10_000


class StoppedError(Exception):
    """Verification was asked to stop; nothing is decided."""


def verify_run(
    path: Path, run: Run, sql: RunSql, backup: Path, *, report: Report, interrupted: Interrupted
) -> tuple[tuple[Fault, ...], dict[str, int]]:
    """What is wrong after the batches of a run, nothing if all is well; and records by why they have no value.

    The witnesses are heard beside each other, each in a thread and on a connection of its own: SQLite, which does the
    most of it, does not need Python's lock. Raises ``StoppedError`` or ``apsw.Error``.
    """
    steps = range(len(sql.migrations))
    teller = Teller(report, Phase.VERIFYING, (1 + len(steps)) * run.records_total)
    done = [0] * (1 + len(steps))
    given_up = threading.Event()

    def counted(index: int) -> Callable[[int], None]:
        def count(records: int) -> None:
            done[index] = min(done[index] + records, run.records_total)
            teller.tell(sum(done))
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


def _open(path: Path) -> apsw.Connection:
    return connect(path, Access.READ, busy_ms=_BUSY_TIMEOUT_MS)


def _one(connection: apsw.Connection, sql: str, parameters: Sequence[SqlValue] = ()) -> Any:
    rows: list[Any] = connection.execute(sql, parameters).fetchall()
    return rows[0][0]


def _count_faults(path: Path, run: Run, sql: RunSql) -> list[Fault]:
    """Nothing came and nothing went, and all that was changed can be undone."""
    connection = _open(path)
    try:
        faults = []
        records = _one(connection, f"SELECT count(*) FROM {TABLE} WHERE id <= ?", (run.bound_id,))  # noqa: S608
        if records != run.records_total:
            faults.append(Fault("count", None, f"there were {run.records_total:,} records and are now {records:,}"))
        tables = [sql.undo_table(k) for k in range(len(sql.migrations))]
        kept = sum(_one(connection, f"SELECT count(*) FROM {table}") for table in tables)  # noqa: S608
        if kept != run.records_changed:
            faults.append(Fault("undo", None, f"{run.records_changed:,} changes were made, {kept:,} can be undone"))
        return faults
    finally:
        connection.close()


def _step_faults(
    path: Path, run: Run, sql: RunSql, k: int, count: Callable[[int], None]
) -> tuple[list[Fault], Counter[str]]:
    """Hold every value that migration k wrote against its oracle; and records by the reasons that it gave."""
    migration, gaps = sql.migrations[k], Counter[str]()
    codes = {gap.code for gap in migration.gaps}  # not the reason of an earlier one, which it may have left
    connection = _open(path)
    try:
        left = connection.execute(sql.left_behind(k, _FAULTS), (run.bound_id,))
        words = f"the record was not migrated to {migration.version}"
        faults = [Fault("left behind", record_id, words) for (record_id,) in left]
        oracle = _Oracle(connection, sql, k)
        for after, through, records in ranges(connection, run.bound_id, lambda: _CHUNK, sql.undo_table(k)):
            faults += islice(oracle.faults(after, through), _FAULTS)
            if len(faults) >= _FAULTS:
                break
            for reason, number in read_rows(connection, sql.reasons(k), (after, through), 2):
                if reason in codes:
                    gaps[reason] += number
            count(records)
        return faults, gaps
    finally:
        connection.close()


class _Oracle:
    """The oracle of migration k beside what is stored."""

    def __init__(self, connection: apsw.Connection, sql: RunSql, k: int) -> None:
        self._connection, self._sql, self._k = connection, sql, k
        migration = sql.migrations[k]
        names = [change.column for change in sql.changes(k)]
        every = [change.column for change in migration.changes]
        self._labels = (*names, REASON_COLUMN, APP_VERSION_COLUMN)
        active = [*(every.index(name) for name in names), -1]
        # all that it gives, as it is: the commonest by far
        self._of_this_file = None if names == every else itemgetter(*active) if names else lambda given: given[-1:]

    def faults(self, after: int, through: int) -> Iterator[Fault]:
        """What differs in the records of a range of ids. Alike ones are asked about once, if the migration says how."""
        sql, k = self._sql, self._k
        if sql.migrations[k].seen_as is None:
            yield from self._by_record(sql.written(k), after, through)
            return
        found = next(self._differences(sql.combinations(k), 0, after, through), None)
        if found is not None:
            named = list(islice(self._by_record(sql.written(k), after, through), _FAULTS))  # which records it is
            yield from named or [Fault("oracle", None, f"of records {after + 1} to {through}, {found[1]}")]
        elif apart := sql.written_apart(k):
            yield from self._by_record(apart, after, through)

    def _by_record(self, statement: str, after: int, through: int) -> Iterator[Fault]:
        for row, words in self._differences(statement, 1, after, through):
            yield Fault("oracle", row[0], words)

    def _differences(
        self, statement: str, before: int, after: int, through: int
    ) -> Iterator[tuple[tuple[Any, ...], str]]:
        """Rows in which the values after the inputs, of which ``before`` others come, are not the oracle's."""
        migration, of_this_file = self._sql.migrations[self._k], self._of_this_file
        oracle, stamp, split = migration.oracle, (migration.version,), before + len(migration.inputs)
        width = split + len(self._labels)
        for row in read_rows(self._connection, statement, (after, through), width):
            expected = oracle(*row[before:split])
            should = (expected if of_this_file is None else of_this_file(expected)) + stamp
            if should != row[split:]:
                yield row, _difference(self._labels, should, row[split:])


def _difference(labels: Sequence[str], expected: Sequence[SqlValue], actual: Sequence[SqlValue]) -> str:
    return "; ".join(
        f"{label} is {is_!r} and should be {should!r}"
        for label, should, is_ in zip(labels, expected, actual, strict=True)
        if should != is_
    )


def raw_faults(path: Path, backup: Path, run: Run, sql: RunSql | None, count: Callable[[int], None]) -> list[Fault]:
    """What was observed, value and storage class, beside the backup: every column of it that is not calculated.

    Without ``sql`` nothing is supposed to have been calculated, and every column is compared.
    """
    connection = _open(path)
    try:
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
        compared = {
            name: _same(name, declared, names, *kept_in.get(name, (None, "")))
            for name, declared in columns
            if name != "id" and not (sql and (name in CALCULATED or name in filled))
        }
        records = _one(connection, f"SELECT count(*) FROM kept.{TABLE} WHERE id <= ?", (run.bound_id,))  # noqa: S608
        faults = []
        if records != run.records_total:
            faults.append(Fault("backup", None, f"it holds {records:,} records, and {run.records_total:,} were there"))
        pruned = "0" if sql else _was_pruned(connection)
        statement = (
            f"SELECT b.id, a.id IS NULL FROM kept.{TABLE} b LEFT JOIN main.{TABLE} a ON a.id = b.id "  # noqa: S608
            f"WHERE b.id > ?1 AND b.id <= ?2 "
            f"AND iif(a.id IS NULL, NOT {pruned}, NOT ({' AND '.join(compared.values()) or '1'})) LIMIT {_FAULTS}"
        )
        for after, through, size in ranges(connection, run.bound_id, lambda: _CHUNK, f"kept.{TABLE}"):
            found: list[Any] = connection.execute(statement, (after, through)).fetchall()
            for record_id, is_gone in found:
                faults.append(_raw_fault(connection, record_id, is_gone, compared))
            if len(faults) >= _FAULTS:
                break
            count(size)
        return faults
    finally:
        connection.close()


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
    """After an undo: every column of the backup, the calculated ones too, beside the records as they are now."""
    return raw_faults(path, backup, run, None, lambda _records: None)


def verify_table(
    path: Path,
    migrations: Sequence[Migration],
    *,
    report: Report,
    stop: threading.Event,
    census: Sequence[tuple[Any, int]],
) -> tuple[Fault, ...]:
    """Every calculated value of the table against the oracle of the version that its stamp names.

    Records older than every migration have no oracle here and are left out. Raises ``StoppedError``, ``apsw.Error``.
    """
    connection = _open(path)
    try:
        bound = _one(connection, f"SELECT coalesce(max(id), 0) FROM {TABLE}")  # noqa: S608
        names = {name for (name,) in connection.execute("SELECT lower(name) FROM pragma_table_info(?)", (TABLE,))}
        mangled = mangled_columns(connection)
        teller = Teller(report, Phase.VERIFYING, sum(count for _stamp, count in census))
        faults: list[Fault] = []
        done = 0
        for stamp, records in census:
            done += records
            for migration in migrations:
                later = [
                    m for m in migrations if is_older(migration.version, m.version) and not is_older(stamp, m.version)
                ]
                superseded = {change.column for m in later for change in m.changes}
                if is_older(stamp, migration.version):
                    continue
                followed = [m for m in migrations if not is_older(stamp, m.version)]
                statement = _stamped(migration, followed, stamp, superseded, names, mangled=mangled)
                if statement is None:
                    continue
                for after, through, _size in ranges(connection, bound, lambda: _CHUNK):
                    if stop.is_set():
                        raise StoppedError
                    faults += _stamp_faults(connection, migration, superseded, statement, (after, through, stamp))
                    if len(faults) >= _FAULTS:
                        return tuple(faults)
            teller.tell(done)
        return tuple(faults)
    finally:
        connection.close()


def _checked(migration: Migration, superseded: set[str]) -> list[int]:
    """Which changes can be worked out again at any time: those that rest on raw facts alone."""
    if not migration.repeatable and not CALCULATED.isdisjoint(migration.inputs):
        return []
    return [
        index
        for index, change in enumerate(migration.changes)
        if not change.only_if_added and change.column not in superseded
    ]


def _stamped(
    migration: Migration,
    followed: Sequence[Migration],
    stamp: Any,
    superseded: set[str],
    names: set[str],
    *,
    mangled: Mapping[str, ColumnAccess],
) -> str | None:
    checked = [migration.changes[index] for index in _checked(migration, superseded)]
    if not checked:
        return None
    # a later migration may have corrected what this one read
    originals = {change.column: change.original for m in followed for change in m.changes if change.original in names}
    stored = {name: f"coalesce({originals[name]}, {name})" if name in originals else name for name in migration.inputs}
    columns = [as_read(mangled, name, value) for name, value in stored.items()]
    columns += [as_read(mangled, change.column, change.column) for change in checked]
    return (
        f"SELECT id, {', '.join(columns)} FROM {TABLE} "  # noqa: S608
        f"WHERE id > ?1 AND id <= ?2 AND app_version {'IS' if stamp is None else '='} ?3"
    )


def _stamp_faults(
    connection: apsw.Connection,
    migration: Migration,
    superseded: set[str],
    statement: str,
    parameters: tuple[SqlValue, ...],
) -> Iterator[Fault]:
    checked, inputs = _checked(migration, superseded), len(migration.inputs)
    labels = [migration.changes[index].column for index in checked]
    oracle = migration.oracle_at(str(parameters[2])) if migration.oracle_at else migration.oracle
    for row in read_rows(connection, statement, parameters, 1 + inputs + len(labels)):
        expected = oracle(*row[1 : 1 + inputs])
        should = tuple(expected[index] for index in checked)
        if should != row[1 + inputs :]:
            text = _difference(labels, should, row[1 + inputs :])
            yield Fault("oracle", row[0], f"by version {describe_stamp(parameters[2])}, {text}")
