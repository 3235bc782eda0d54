"""New prices for stored records: in batches of short transactions, with an exact account.

One transaction holds the new costs of a batch, what they were before (``repricing_changes``) and how far the run has
come (``repricings``). Interrupted anywhere, what is committed is whole, and another run changes what still differs.
A cost that is known is never replaced by an unknown one: a price list that no longer knows a model says nothing.

The caller holds the lock of migrations, so that nothing else changes stored records.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw
import msgspec

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION, Priced
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.connection import Access, connect, transaction
from llm_metrics_proxy.storage.priced_facts import StoredFacts, facts_of
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, store_error

LOCK_TARGET_MS: Final = 50.0
_FIRST_BATCH: Final = 500
_LARGEST_BATCH: Final = 20_000
BUSY_MS: Final = 10_000  # the ingester's transactions are short; a person can wait
_FACTS: Final = len(StoredFacts._fields)
COST_UPDATE: Final = (
    "UPDATE completion_requests SET cost_usd = ?1, cost_source = ?2, cache_savings_usd = ?3 WHERE arrival = ?4"
)
REPRICED_COLUMNS: Final = ("cost_usd", "cost_source", "cache_savings_usd")
BEFORE_ALL: Final = -(2**63)  # records from before 5.0.0 have the numbers that they had there


class Repriced(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did, or would do. ``cost_…_usd`` are sums over the records whose cost is known then."""

    repricing_id: int | None = None  # none: nothing was changed
    finished: bool = True
    records: int = 0  # that the selection is about; 0: not counted yet
    looked_at: int = 0
    changed: int = 0
    kept: int = 0  # their cost is known, and the price lists of today have none
    unknown: int = 0  # before and after
    cost_before_usd: float = 0.0
    cost_after_usd: float = 0.0
    largest_lock_ms: float = 0.0


Price = Callable[[StoredFacts], Priced]
Report = Callable[[Repriced], None]


class PriceChange(NamedTuple):
    """Of one record: what it had, and what it gets, in the order of ``record.PRICED``."""

    record: Any
    old: tuple[Any, ...]
    new: tuple[Any, ...]


class Selection(NamedTuple):
    """`` WHERE …`` (or nothing), the values of its placeholders, and the same in words, to be kept with the run."""

    sql: str
    parameters: tuple[SqlValue, ...]
    words: str
    only_unknown: bool = False  # only records without a cost


def look_at(rows: Sequence[tuple[Any, ...]], price: Price, done: Repriced) -> tuple[list[PriceChange], Repriced]:
    """What would change of these records, and the account with them in it.

    A row is what names the record, its ``StoredFacts``, and its priced values. What a price does not say stays.
    """
    changes, before, after, kept, unknown = [], done.cost_before_usd, done.cost_after_usd, 0, 0
    for record, *values in rows:
        facts, old = values[:_FACTS], tuple(values[_FACTS:])
        given = price(facts_of(facts))
        new, known = (*given, *old[len(given) :]), old[0] is not None
        if new[0] is None:
            kept, unknown = kept + known, unknown + (not known)
            new = old
        elif new != old:
            changes.append(PriceChange(record, old, new))
        before += old[0] if known else 0.0
        after += new[0] or 0.0
    return changes, msgspec.structs.replace(
        done,
        looked_at=done.looked_at + len(rows),
        changed=done.changed + len(changes),
        kept=done.kept + kept,
        unknown=done.unknown + unknown,
        cost_before_usd=before,
        cost_after_usd=after,
    )


def reprice(
    path: Path,
    price: Price,
    selection: Selection,
    *,
    price_lists: str,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    report: Report = lambda _: None,
    on_change: Callable[[apsw.Connection], None] = lambda _: None,
) -> Repriced:
    """Price the selected records again. ``on_change`` runs in each transaction that changes records, before it does.

    Raises ``StoreError`` and its kinds; a database that needs a migration first is one of them.
    """
    refuse_without_records(path, apply_steps=not dry_run)
    access = Access.READ if dry_run else Access.WRITE
    try:
        with closing(connect(path, access, busy_ms=BUSY_MS)) as connection:
            run = _Run(connection, price, selection, price_lists, on_change)
            return run.work(stop or threading.Event(), report, dry_run=dry_run)
    except apsw.Error as error:
        raise store_error(path, "pricing records", error) from error


def refuse_without_records(path: Path, *, apply_steps: bool) -> None:
    """Raise ``StoreError`` for a file without records; ``apply_steps``: bring the schema of others up to date."""
    if not applied_steps(path):
        raise StoreError(f"{path} holds no records yet; `llm-metrics-proxy serve` fills it")
    if apply_steps:
        SqliteStore(path).close()


class _Run:
    def __init__(
        self,
        connection: apsw.Connection,
        price: Price,
        selection: Selection,
        price_lists: str,
        on_change: Callable[[apsw.Connection], None],
    ) -> None:
        self._connection = connection
        self._price = price
        self._selection = selection
        self._price_lists = price_lists
        self._on_change = on_change
        self._started_at = datetime.now(UTC).isoformat()
        self._bound = int(connection.execute("SELECT coalesce(max(arrival), 0) FROM completion_requests").get)
        self._where = selection.sql
        if selection.only_unknown:
            self._where += f"{' AND' if self._where else ' WHERE'} cost_usd IS NULL"
        # NOT INDEXED: by the primary key, in which batches go on, and never sorting all again by another index.
        self._select = (
            f"SELECT arrival, {', '.join(StoredFacts._fields)}, {', '.join(REPRICED_COLUMNS)} "  # noqa: S608 -- names are ours
            "FROM completion_requests NOT INDEXED "
            f"WHERE arrival > ? AND arrival <= ?{self._where.replace(' WHERE ', ' AND ', 1)} ORDER BY arrival LIMIT ?"
        )

    def work(self, stop: threading.Event, report: Report, *, dry_run: bool) -> Repriced:
        done = Repriced(records=self._records())
        cursor, batch = BEFORE_ALL, _FIRST_BATCH
        while not stop.is_set():
            parameters = (cursor, self._bound, *self._selection.parameters, batch)
            rows = list(self._connection.execute(self._select, parameters))
            if not rows:
                return self._finish(done)
            cursor = rows[-1][0]
            changes, done = look_at(rows, self._price, done)
            if changes and not dry_run:
                done, lock_ms = self._write(changes, done)
                if lock_ms > 0:
                    batch = max(1, min(_LARGEST_BATCH, int(batch * min(2.0, LOCK_TARGET_MS / lock_ms))))
            else:
                batch = min(_LARGEST_BATCH, batch * 2)
            report(done)
        return self._finish(msgspec.structs.replace(done, finished=False))

    def _write(self, changes: Sequence[PriceChange], done: Repriced) -> tuple[Repriced, float]:
        connection = self._connection
        with transaction(connection):
            locked = time.perf_counter()
            self._on_change(connection)
            if done.repricing_id is None:
                connection.execute(
                    "INSERT INTO repricings (state, started_at, app_version, selection, price_lists, bound_id, "
                    "records_looked_at, records_changed) VALUES ('running', ?, ?, ?, ?, ?, 0, 0)",
                    (self._started_at, APP_VERSION, self._selection.words, self._price_lists, self._bound),
                )
                done = msgspec.structs.replace(done, repricing_id=connection.last_insert_rowid())
            run = done.repricing_id
            connection.executemany(COST_UPDATE, ((*change.new, change.record) for change in changes))
            connection.executemany(
                "INSERT INTO repricing_changes (repricing_id, record_id, old_cost_usd, old_cost_source, "
                "old_cache_savings_usd, new_cost_usd, new_cost_source, new_cache_savings_usd) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ((run, change.record, *change.old, *change.new) for change in changes),
            )
            connection.execute(
                "UPDATE repricings SET records_looked_at = ?, records_changed = ? WHERE id = ?",
                (done.looked_at, done.changed, run),
            )
        lock_ms = (time.perf_counter() - locked) * 1000
        return msgspec.structs.replace(done, largest_lock_ms=max(done.largest_lock_ms, lock_ms)), lock_ms

    def _finish(self, done: Repriced) -> Repriced:
        if done.repricing_id is not None:
            state = "done" if done.finished else "stopped"
            self._connection.execute(
                "UPDATE repricings SET state = ?, finished_at = ?, records_looked_at = ? WHERE id = ?",
                (state, datetime.now(UTC).isoformat(), done.looked_at, done.repricing_id),
            )
        return done

    def _records(self) -> int:
        sql = f"SELECT count(*) FROM completion_requests{self._where}"  # noqa: S608 -- values are parameters
        return int(self._connection.execute(sql, self._selection.parameters).get)
