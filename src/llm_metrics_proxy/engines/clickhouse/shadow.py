"""A migration of the records on a server: a table of the newest layout takes the name, and history is carried into it.

From the EXCHANGE on, new records go to the new table and questions are answered from it. History follows by months,
the newest first: each month is calculated into a table of its own, verified there against the table from before, and
only then moved, whole, into the table that answers. What was interrupted is thrown away and done again; a month that
may have been moved is counted first. The old table is never written to: it is the undo.
"""

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from llm_metrics_proxy.engines.clickhouse import shadow_tables
from llm_metrics_proxy.engines.clickhouse.connection import names
from llm_metrics_proxy.engines.clickhouse.expressions import AT_US, literal
from llm_metrics_proxy.engines.clickhouse.formulas import ServerStep, carried, steps_for, written_by
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.shadow_state import Notebook, RecordsPart, ShadowWork, new_query_id, stamps_of
from llm_metrics_proxy.engines.clickhouse.shadow_tables import Tables, of_run, to_carry
from llm_metrics_proxy.engines.clickhouse.shadow_verify import Compared, count_and_digest_fault, oracle_faults
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.errors import LeaseLostError, MigrationRefusedError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.batches import ProgressReporter
from llm_metrics_proxy.migration.model import (
    Ended,
    Fault,
    Migration,
    MigrationResult,
    Report,
    Run,
    RunState,
    WorkPhase,
    chain_checksum,
    quiet,
)
from llm_metrics_proxy.migration.runs import now
from llm_metrics_proxy.migration.verify import StoppedError
from llm_metrics_proxy.migration.versions import Census
from llm_metrics_proxy.record import APP_VERSION_COLUMN, KEY_COLUMNS
from llm_metrics_proxy.store_address import StoreAccess

_NO_UUID: Final = str(uuid.UUID(int=0))
_KEYS: Final = frozenset({*KEY_COLUMNS, "timestamp"})


@dataclass(frozen=True)
class ShadowCall:
    """What to work on, by which migrations, and how. Its time runs from when it is made."""

    access: StoreAccess
    migrations: tuple[Migration, ...]
    app_version: str = APP_VERSION
    automatic: bool = False
    max_seconds: float | None = None
    report: Report = quiet
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    def interrupted(self) -> bool:
        """Whether it was stopped, or its time is over."""
        is_late = self.max_seconds is not None and time.monotonic() > self.began + self.max_seconds
        return is_late or self.stop.is_set()


class Shadow:
    """One run, from its noted state to its end; the caller holds the lease and closes this.

    Every method raises ``StoreError``, and ``LeaseLostError`` where another process has taken over.
    """

    def __init__(self, call: ShadowCall, lease: Lease) -> None:
        self._call = call
        self._tables = Tables(call.access, lease, call.interrupted)
        self.notes = Notebook(self._tables.connection, lease)

    def close(self) -> None:
        """Release the connections."""
        self._tables.close()

    def begin(self, census: Census) -> None:
        """Note a new run; nothing else has changed then."""
        chain = self._call.migrations
        old = self._tables.uuid_of(TABLE)
        if old is None or old == _NO_UUID:
            raise MigrationRefusedError(
                f"Tables of the database {self._call.access.address.database} have no UUIDs: a migration needs a "
                "database of the engine Atomic, which is the default. Nothing was changed."
            )
        run = Run(
            from_versions=census.by_name(),
            to_version=chain[-1].version,
            checksums=chain_checksum(chain),
            app_version=self._call.app_version,
            distrusts_stamps=False,
            bound_id=0,
            cursor_id=0,
            records_total=sum(count for _stamp, count in census.counts),
            backup=None,
            started_at=now(),
        )
        self.notes.add(run, ShadowWork(old=old, made=str(uuid.uuid4())))

    def begin_undo(self) -> None:
        """Note that the last run is taken back."""
        _run, work = self._last()
        self.notes.change(
            {"state": RunState.UNDOING, "error": None, "finished_at": None},
            has_moved=False, after=work.through if work.has_moved else {}, through={}, late=(), parts=None, done=0,
            publishes=False,
        )  # fmt: skip

    def begin_again(self) -> None:
        """Note a new run with the tables of the last one, which was taken back."""
        run, work = self._last()
        chain = self._call.migrations
        again = Run(
            from_versions=run.from_versions,
            to_version=chain[-1].version,
            checksums=chain_checksum(chain),
            app_version=self._call.app_version,
            distrusts_stamps=False,
            old_table=run.old_table,
            bound_id=0,
            cursor_id=0,
            records_total=run.records_total,
            backup=None,
            started_at=now(),
        )
        self.notes.add(again, msgspec.structs.replace(work, done=0, publishes=False))

    def begin_anew(self) -> MigrationResult:
        """The run was begun by other code: what that has calculated goes, or there is nothing of it yet."""
        _run, work = self._last()
        if work.has_moved:
            self._tables.end_earlier()
            return self.take_back((), "the program was changed")
        chain = self._call.migrations
        self.notes.change(
            {
                "to_version": chain[-1].version,
                "checksums": chain_checksum(chain),
                "app_version": self._call.app_version,
            }
        )
        return self.go_on()

    def forget(self, finished_before: str) -> bool:
        """Drop what an undo of runs that were over by then would need; if there was any."""
        dropped = False
        in_use = self._tables.uuid_of(TABLE)
        for run, work in zip(self.notes.all.runs, self.notes.all.work, strict=True):
            beside = {RunState.DONE: work.old, RunState.UNDONE: work.made}.get(run.state)
            if beside is None or beside == in_use or (run.finished_at or "") >= finished_before:
                continue
            if run.old_table is not None:  # from now on it cannot be undone
                self.notes.replace(run, msgspec.structs.replace(run, old_table=None))
            name = self._tables.name_of(beside)
            if name is not None:
                self._tables.do(f"DROP TABLE IF EXISTS {name} SYNC SETTINGS max_table_size_to_drop = 0")
                dropped = True
        return dropped

    def go_on(self) -> MigrationResult:
        """Work on the last run until it ends or is stopped."""
        try:
            self._tables.end_earlier()
            run, _work = self._last()
            if run.state is RunState.UNDOING:
                return self._undo()
            if run.state is RunState.TAKING_BACK:
                return self._take_back(())
            return self._migrate()
        except StoppedError:
            words = "stopped; what was begun of a month is thrown away, and the next run goes on from there"
            return MigrationResult(Ended.STOPPED, self._last()[0], message=words)

    def take_back(self, faults: Sequence[Fault], error: str = "") -> MigrationResult:
        """What was carried goes again, and the reason is kept."""
        if faults:
            first = faults[0]
            where = f"record {first.record_id}: " if first.record_id is not None else ""
            error = f"{first.check}: {where}{first.message}"
        self.notes.change({"state": RunState.TAKING_BACK, "error": error})
        self._tables.drop_staging()
        return self._take_back(tuple(faults))

    def _last(self) -> tuple[Run, ShadowWork]:
        last = self.notes.all.last
        assert last is not None
        return last

    # -- there

    def _migrate(self) -> MigrationResult:
        run, work = self._last()
        beside = f"{TABLE}_before_{run.to_version.replace('.', '_')}"
        if not work.has_moved:
            self._tables.make(work.made, beside)
            self._tables.give_name(work.made, beside)
            self._tables.settle(work.old)
            old = self._name(work.old)
            bounds = self._tables.greatest(old)
            parts = self._parts(old, "1")
            total = sum(part.records for part in parts)
            run, work = self.notes.change(
                {"old_table": old, "records_total": total}, through=bounds, parts=parts, has_moved=True
            )
        assert work.parts is not None
        steps = steps_for(self._chain(run), stamps_of(work.parts))
        faults = self._carry(work.old, steps, WorkPhase.MIGRATING)
        if faults:
            return self.take_back(faults)
        run, work = self._last()
        gaps = self._gaps(run)
        run, _work = self.notes.change(
            {
                "state": RunState.DONE,
                "finished_at": now(),
                "error": None,
                "gaps": gaps,
                "old_table": self._name(work.old),
            }
        )
        message = f"{run.records_changed:,} records carried over, every one verified"
        return MigrationResult(Ended.DONE, run, message=message)

    def _chain(self, run: Run) -> list[Migration]:
        return [migration for migration in self._call.migrations if migration.version in run.checksums]

    def _parts(self, table: str, where: str) -> tuple[RecordsPart, ...]:
        """Newest first; records without a time are the last."""
        sql = (
            f"SELECT _partition_id, count(), max({AT_US}), groupUniqArray({APP_VERSION_COLUMN}) FROM {table} "  # noqa: S608
            f"WHERE {where} GROUP BY 1 ORDER BY 3 DESC"
        )
        rows = self._tables.connection.query(sql)
        return tuple(RecordsPart(str(row[0]), int(row[1]), int(row[2]), tuple(sorted(row[3]))) for row in rows)

    def _carry(self, source_uuid: str, steps: Sequence[ServerStep], phase: WorkPhase) -> list[Fault]:
        """Every part that is left, from the source into the table that answers; faults of the first part with any."""
        run, work = self._last()
        assert work.parts is not None
        total = sum(part.records for part in work.parts)
        reporter = ProgressReporter(self._call.report, phase, total, sum(p.records for p in work.parts[: work.done]))
        while work.parts is not None and work.done < len(work.parts):
            if self._call.interrupted():
                raise StoppedError
            began, part = time.monotonic(), work.parts[work.done]
            done = sum(each.records for each in work.parts[: work.done])
            source = self._name(source_uuid)
            if not (work.publishes and self._is_there(work, part, source)):
                faults = self._carry_part(part, source, steps, reporter, done)
                if faults:
                    return faults
            changed = run.records_changed + part.records if phase is WorkPhase.MIGRATING else run.records_changed
            busy_ms = run.busy_ms + (time.monotonic() - began) * 1000
            run, work = self.notes.change(
                {"records_changed": changed, "cursor_id": int(part.id), "busy_ms": busy_ms},
                done=work.done + 1, publishes=False, query_id="",
            )  # fmt: skip
            reporter.advance(done + part.records, force=True)
        return []

    def _is_there(self, work: ShadowWork, part: RecordsPart, source: str) -> bool:
        """Whether all of a part is in the table that answers; if some of it is, that goes."""
        where = f"({of_run(work, source)})"
        found = self._tables.count(TABLE, f"_partition_id = {literal(part.id)} AND {where}")
        if 0 < found < part.records:
            self._tables.delete(part.id, where)
        return found >= part.records

    def _carry_part(
        self, part: RecordsPart, source: str, steps: Sequence[ServerStep], reporter: ProgressReporter, done: int
    ) -> list[Fault]:
        """Calculate, verify, and move it."""
        tables, (run, work) = self._tables, self._last()
        concerned = steps_for([step.migration for step in steps], part.stamps)
        where = f"_partition_id = {literal(part.id)} AND {to_carry(work)}"
        query_id = new_query_id()
        self.notes.change(query_id=query_id, publishes=False)
        staging = tables.stage(work.done)
        columns = self._columns(source, staging)
        rows = f"SELECT {names(columns)} FROM {source} WHERE {where}"  # noqa: S608
        undoing = run.state is RunState.UNDOING
        if undoing:
            rows = f"SELECT * REPLACE ({_known_stamp(part, run)}) FROM ({rows})"  # noqa: S608
        sql = f"INSERT INTO {staging} ({names(columns)}) SELECT {names(columns)} FROM ({carried(rows, concerned)})"  # noqa: S608
        try:
            tables.long(sql, query_id, lambda written: reporter.advance(done + min(written, part.records) // 2))
        except (StoreBusyError, LeaseLostError):
            raise
        except StoreError as error:  # the formula's, or the table's: it would be the same again
            return [Fault("formula", None, str(error))]
        old, new = Compared(source, where), Compared(staging)
        written = written_by(concerned) | ({APP_VERSION_COLUMN} if undoing else set())
        raw = [name for name in columns if name not in written and name not in _KEYS]
        fault = count_and_digest_fault(tables.connection, old, new, raw, part.records)
        if fault is not None:
            return [fault]
        seen = [done + part.records // 2]

        def heard(records: int) -> None:
            if self._call.interrupted():
                raise StoppedError
            seen[0] += records // 2
            reporter.advance(seen[0], phase=WorkPhase.VERIFYING)

        faults = oracle_faults(tables.connection, old, new, concerned, heard)
        if not faults:
            self.notes.change(publishes=True)
            tables.publish(staging, part.id)
        return faults

    def _columns(self, source: str, target: str) -> list[str]:
        """What both tables have, in the order of the target; the others get NULL."""
        of_table = "database = currentDatabase() AND table = {table:String}"
        sql = f"SELECT name FROM system.columns WHERE {of_table} ORDER BY position"  # noqa: S608
        query = self._tables.connection.query
        there = {name for (name,) in query(sql, {"table": source})}
        return [name for (name,) in query(sql, {"table": target}) if name in there]

    def _gaps(self, run: Run) -> dict[str, int]:
        """Records without a value, by why."""
        codes = [gap.code for migration in self._chain(run) for gap in migration.gaps]
        if not codes:
            return {}
        reasons = ", ".join(map(literal, codes))
        sql = f"SELECT recompute_reason, count() FROM {TABLE} WHERE recompute_reason IN ({reasons}) GROUP BY 1"  # noqa: S608
        return {str(code): int(count) for code, count in self._tables.connection.query(sql)}

    def _name(self, table_uuid: str) -> str:
        name = self._tables.name_of(table_uuid)
        if name is None:
            raise StoreError(
                f"The table with the records from before ({table_uuid}) is gone from {self._call.access.address}; "
                "what is in completion_requests stays as it is."
            )
        return name

    # -- and back

    def _take_back(self, faults: tuple[Fault, ...]) -> MigrationResult:
        """Verification failed: the new table stays in use, without history; the old one stays beside."""
        run, work = self._last()
        source = self._name(work.old)
        for part in (work.parts or ())[: work.done + 1]:
            where = f"({of_run(work, source)})"
            if self._tables.count(TABLE, f"_partition_id = {literal(part.id)} AND {where}"):
                self._tables.delete(part.id, where)
        run, _work = self.notes.change(
            {"state": RunState.ROLLED_BACK, "finished_at": now(), "records_changed": 0}, done=0, publishes=False
        )
        words = "the older records are in their own table, as they were"
        return MigrationResult(Ended.ROLLED_BACK, run, faults, message=words)

    def _undo(self) -> MigrationResult:
        """The old table has its name again; then records that came since are put into it."""
        run, work = self._last()
        beside = f"{TABLE}_of_{run.to_version.replace('.', '_')}"
        if not work.has_moved:
            self._tables.give_name(work.old, beside)
            made = self._tables.name_of(work.made)
            if made is None:
                return self._undone()  # it had not been made yet
            self._tables.settle(work.made)
            late = shadow_tables.late_in(self._tables.connection, made, TABLE, work.after)
            through = self._tables.greatest(made)
            run, work = self.notes.change(late=tuple(late), through=through)
            parts = self._parts(made, to_carry(work) if work.after or work.late else "1")
            self.notes.change(parts=parts, has_moved=True)
        faults = self._carry(work.made, (), WorkPhase.UNDOING)
        if faults:
            raise StoreError(f"Records that came since were not copied rightly ({faults[0].message}). Try again.")
        return self._undone()

    def _undone(self) -> MigrationResult:
        run, _work = self.notes.change({"state": RunState.UNDONE, "finished_at": now(), "old_table": None})
        words = "the records are as they were before, with those that have arrived since"
        return MigrationResult(Ended.UNDONE, run, message=words)


def _known_stamp(part: RecordsPart, run: Run) -> str:
    """SQL of a stamp that the program knows which wrote the records from before: its newest, for newer ones."""
    newest = str(Census(tuple(run.from_versions.items())).ordered()[-1][0])
    newer = Census(tuple((stamp, 1) for stamp in part.stamps)).newer_than(newest)
    listed = ", ".join(map(literal, newer)) or "''"
    return f"if({APP_VERSION_COLUMN} IN ({listed}), {literal(newest)}, {APP_VERSION_COLUMN}) AS {APP_VERSION_COLUMN}"
