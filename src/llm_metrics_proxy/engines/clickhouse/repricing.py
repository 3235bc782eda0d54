"""``engines.operations.Operations`` over a server: by months, the newest first, each change noted before it is made.

The lease of migrations is held meanwhile, so nothing else changes stored records. A batch of changes is noted whole,
then made by one mutation, then compared. Whoever goes on after a kill first makes whole what had been begun.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec

from llm_metrics_proxy.engines.clickhouse.conditions import where
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.expressions import literal
from llm_metrics_proxy.engines.clickhouse.lease import CHANGES, claiming
from llm_metrics_proxy.engines.clickhouse.prepare import check, prepare
from llm_metrics_proxy.engines.clickhouse.records import ClickHouseRecords, refuse_unfinished
from llm_metrics_proxy.engines.clickhouse.repricing_state import (
    DONE,
    RUNNING,
    STOPPED,
    TAKEN_BACK,
    UNDOING,
    ChangeBatch,
    RepricingRun,
    Repricings,
)
from llm_metrics_proxy.engines.clickhouse.repricing_tables import COLUMNS, Repriceable
from llm_metrics_proxy.engines.clickhouse.shadow_tables import Tables
from llm_metrics_proxy.engines.clickhouse.shadow_verify import Compared, chunks
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.engines.operations import Repricing
from llm_metrics_proxy.errors import MigrationRefusedError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.runs import now
from llm_metrics_proxy.migration.verify import StoppedError
from llm_metrics_proxy.storage.priced_facts import StoredFacts
from llm_metrics_proxy.storage.repricing import PriceChange, Report, Repriced, look_at
from llm_metrics_proxy.storage.repricing_undo import TakenBack
from llm_metrics_proxy.store_address import StoreAccess

MOST_CHANGES: Final = 2_000_000  # in a batch: each rewrites its month, and takes about 170 bytes a record of memory
_READ: Final = (*StoredFacts._fields, *COLUMNS)
_PREVIEW: Final = RepricingRun(
    id=0, state=RUNNING, started_at="", app_version=APP_VERSION, selection="", price_lists="", columns=COLUMNS
)


class ServerOperations:
    """Each call has its own connections and its own time of the lease."""

    def __init__(self, access: StoreAccess, *, most_changes: int = MOST_CHANGES) -> None:
        self._access, self._most_changes = access, most_changes
        if access.cluster is not None:
            raise MigrationRefusedError(
                "Records on a cluster (store_cluster) are not repriced by this program yet. Nothing was changed."
            )

    def reprice(self, what: Repricing, *, dry_run: bool, stop: threading.Event, report: Report) -> Repriced:
        """By months, the newest first."""
        if dry_run:
            with closing(Connection(self._access)) as connection:
                check(connection)
                refuse_unfinished(connection)
                return _Selected(connection, what, report, self._most_changes).work(stop, None)
        with self._changing(stop) as (connection, records, noted):
            run = _Selected(connection, what, report, self._most_changes)
            return run.work(stop, _Repriced(records, noted, what))

    def take_back(self, repricing_id: int, *, stop: threading.Event) -> TakenBack:
        """To the bit. What has been priced again since, or deleted, is counted as a conflict."""
        with self._changing(stop) as (_connection, records, noted):
            run = next((each for each in noted.runs if each.id == repricing_id), None)
            if run is None:
                known = [each.id for each in noted.runs]
                raise StoreError(f"there was no repricing {repricing_id}; there were: {known or 'none'}")
            if run.state == TAKEN_BACK:
                raise StoreError(f"repricing {repricing_id} was taken back already")
            while run.back < run.whole and not stop.is_set():
                batch, begun = run.batches[run.back], run.begun
                run = noted.change(run, state=UNDOING, begun=True)
                found = records.put_back(run, batch, begun=begun)
                run = noted.change(
                    run,
                    begun=False,
                    back=run.back + 1,
                    restored=run.restored + found.right,
                    conflicts=run.conflicts + found.others,
                )
            finished = run.back == run.whole
            if finished:
                run = noted.change(run, state=TAKEN_BACK, finished_at=now())
            return TakenBack(repricing_id=run.id, restored=run.restored, conflicts=run.conflicts, finished=finished)

    @contextmanager
    def _changing(self, stop: threading.Event) -> Iterator[tuple[Connection, Repriceable, Repricings]]:
        """As the only process that changes stored records; what a killed one had begun is whole then."""
        with claiming(self._access, CHANGES) as lease, closing(Tables(self._access, lease, stop.is_set)) as tables:
            lease.hold()
            prepare(tables.connection)
            refuse_unfinished(tables.connection)
            records, noted = Repriceable(tables, lease), Repricings(tables.connection, lease)
            try:
                records.prepare()
            except StoppedError:
                raise StoreError("stopped while another process's statement ended; nothing was changed") from None
            for run in [each for each in noted.runs if each.state == RUNNING]:
                records.drop_beyond(run)
                for batch in run.batches[run.whole :]:
                    _made(records, run, batch)
                noted.change(run, state=STOPPED, whole=len(run.batches), finished_at=now())
            yield tables.connection, records, noted


def _made(records: Repriceable, run: RepricingRun, batch: ChangeBatch) -> None:
    found = records.put(run, batch)
    if found.others:
        raise StoreError(
            f"{found.others:,} of {batch.records:,} records did not get the values that were calculated. Run it again; "
            "if that does not help, please report it."
        )


class _Repriced:
    """The run as it is made: nothing of it is there before the first change."""

    def __init__(self, records: Repriceable, noted: Repricings, what: Repricing) -> None:
        self._records, self._noted = records, noted
        self._run = msgspec.structs.replace(
            _PREVIEW, started_at=now(), selection=what.words, price_lists=what.price_lists
        )
        self._kept = 0  # changes of the batch that is being collected

    @property
    def id(self) -> int | None:
        """Of the run, once there is one."""
        return self._run.id or None

    def keep(self, changes: list[PriceChange]) -> int:
        """Note some; how many wait now."""
        if changes:
            if not self._run.id:
                self._run = self._noted.add(self._run)
            self._records.keep(self._run, len(self._run.batches), changes)
            self._kept += len(changes)
        return self._kept

    def make(self, part: str, done: Repriced) -> None:
        """What was noted, if anything, is in the records."""
        if self._kept:
            batch = ChangeBatch(len(self._run.batches), part, self._kept)
            self._run = self._noted.change(
                self._run,
                batches=(*self._run.batches, batch),
                looked_at=done.looked_at,
                changed=self._run.changed + self._kept,
            )
            self._kept = 0
            _made(self._records, self._run, batch)
            self._run = self._noted.change(self._run, whole=len(self._run.batches))

    def end(self, done: Repriced) -> None:
        """Note how it ended."""
        if self._run.id:
            self._noted.change(
                self._run, state=DONE if done.finished else STOPPED, finished_at=now(), looked_at=done.looked_at
            )


class _Selected:
    def __init__(self, connection: Connection, what: Repricing, report: Report, most_changes: int) -> None:
        self._connection, self._price, self._report = connection, what.price, report
        self._most_changes = most_changes
        bounds = ClickHouseRecords(connection).newest().by_host  # later ones have today's prices already
        arrived = " OR ".join(f"host = {literal(host)} AND arrival <= {last}" for host, last in bounds.items())
        more = [arrived or "0", *(["cost_usd IS NULL"] if what.only_unknown else [])]
        self._where = where(what.selection, *more).removeprefix(" WHERE ")

    def work(self, stop: threading.Event, written: _Repriced | None) -> Repriced:
        sql = f"SELECT _partition_id, count() FROM {TABLE} WHERE {self._where} GROUP BY 1 ORDER BY 1 DESC"  # noqa: S608
        parts = [(str(part), int(count)) for part, count in self._connection.query(sql)]
        done = Repriced(records=sum(count for _part, count in parts))
        for part, _count in parts:
            if stop.is_set():
                break
            done = self._of_part(part, done, written, stop.is_set)
        done = msgspec.structs.replace(done, finished=not stop.is_set() or done.looked_at >= done.records)
        if written is not None:
            written.end(done)
        return done

    def _of_part(self, part: str, done: Repriced, written: _Repriced | None, stopped: Callable[[], bool]) -> Repriced:
        rows = Compared(TABLE, f"_partition_id = {literal(part)} AND ({self._where})")
        for chunk in chunks(self._connection, rows, _READ):
            changes, done = look_at([_keyed(row) for row in chunk], self._price, done)
            if written is not None:
                if written.keep(changes) >= self._most_changes:
                    written.make(part, done)
                done = msgspec.structs.replace(done, repricing_id=written.id)
            self._report(done)
            if stopped():
                break
        if written is not None:
            written.make(part, done)
        return done


def _keyed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (row[:3], *row[3:])
