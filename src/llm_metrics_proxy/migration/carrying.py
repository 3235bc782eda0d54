"""The records of the old table are carried over in batches, from the greatest number down, by two threads in turn.

A batch is calculated into a temporary table first, while the other thread writes: the formulas take several times as
long as storing what they give, and nobody waits for them. Then one transaction stores it, with the cursor and what
readers are told, in the order of the batches, so that everything above the cursor has been carried over at any moment.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from llm_metrics_proxy.migration import carry_functions
from llm_metrics_proxy.migration.batches import Log, Pace, transaction
from llm_metrics_proxy.migration.carry_sql import Carry, are_unicode, run
from llm_metrics_proxy.migration.history import Counted
from llm_metrics_proxy.migration.keys import BELOW_ALL, OldRecords, history_of
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Fault, Run
from llm_metrics_proxy.migration.runs import change_run
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.carried import CarriedCounts, write_carried
from llm_metrics_proxy.storage.connection import Access, Pragmas, connect
from llm_metrics_proxy.storage.expressions import TYPES
from llm_metrics_proxy.storage.sqlite_schema import TABLE

_THREADS: Final = 2
_MADE: Final = "temp.made"
_PRAGMAS: Final[Pragmas] = {
    "synchronous": "NORMAL",
    "cache_size": -16 * 1024,  # KiB
    "temp_store": "MEMORY",
}
# SQLite's words for a formula that cannot be calculated; all others are the disk's or the file's trouble.
_FORMULA_ERRORS: Final = (apsw.SQLError, apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError)


class FormulaError(Exception):
    """A record that cannot be calculated or stored."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _CarriedBatch(NamedTuple):
    """Records with ``after`` < key <= ``through``; they are stored as the ``number``-th."""

    number: int
    after: int
    through: int


class Carrying:
    """All batches of one run from its cursor on; used once.

    ``may_go_on`` is asked before each batch, by either thread, and raises what ends the work; ``between`` is called
    after each, with the records carried over so far.
    """

    def __init__(
        self,
        path: Path,
        run: Run,
        how: Carry,
        *,
        counted: Counted,
        fence: Fence,
        pace: Pace,
        may_go_on: Callable[[int], None],
        between: Callable[[int], None],
    ) -> None:
        self._path, self._run, self._counted, self._fence, self._pace = path, run, counted, fence, pace
        filled = {name for each in (*how.usual, how.insert, how.insert_any) for name in _columns_of(each)}
        columns = [name for name in ALL_COLUMNS if name in filled]
        # STRICT, as the one that is written to: what does not fit there does not fit here
        declared = ", ".join(f"{name} {TYPES[REGISTRY[name].kind.holds]}" for name in columns[1:])
        self._prepare = (
            "CREATE TEMP TABLE batch (low, high); INSERT INTO temp.batch VALUES (0, 0); "  # noqa: S608 -- ours
            f"CREATE TABLE {_MADE} ({columns[0]} INTEGER PRIMARY KEY, {declared}) STRICT; "
            f"{_view('fitting', how.insert)}; {_view('fitted', how.insert_any)}"
            + "".join(f"; {_view(f'usual_{place}', each)}" for place, each in enumerate(how.usual))
        )
        self._how = how
        self._usual = [_make(f"usual_{place}", each) for place, each in enumerate(how.usual)]
        self._make, self._make_any = _make("fitting", how.insert), _make("fitted", how.insert_any)
        self._move = (
            f"INSERT INTO main.{TABLE} ({', '.join(columns)}) SELECT {', '.join(columns)} FROM {_MADE} ORDER BY 1"  # noqa: S608
        )
        self._may_go_on, self._between = may_go_on, between
        self._busy_before_ms = run.busy_ms - pace.busy_ms
        self._turn = threading.Condition()
        self._next = _CarriedBatch(0, run.cursor_id, run.cursor_id)
        self._stored = 0
        self._has_failed = False

    def work(self) -> Run:
        """Until all has been carried over; the run then.

        Raises ``FormulaError``, ``apsw.Error``, and what ``may_go_on`` and ``between`` raise.
        """
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="carry") as pool:
            both = [pool.submit(self._thread) for _ in range(_THREADS)]
        for each in both:
            each.result()
        return self._run

    def _thread(self) -> None:
        try:
            with closing(connect(self._path, Access.WRITE, busy_ms=1000, pragmas=_PRAGMAS)) as connection:
                carry_functions.register(connection)
                connection.execute(self._prepare)
                history = history_of(connection, str(self._run.old_table))
                log = Log(connection)
                while (batch := self._take(connection, history)) is not None:
                    if not self._carry(connection, batch):
                        return
                    log.between()
                    self._between(self._run.records_changed)
        except BaseException:
            with self._turn:
                self._has_failed = True
                self._turn.notify_all()
            raise

    def _take(self, connection: apsw.Connection, history: OldRecords) -> _CarriedBatch | None:
        """The next batch; None: there is none, or the other thread has failed."""
        self._may_go_on(self._run.records_changed)
        with self._turn:
            number, through, _through = self._next
            if through <= BELOW_ALL or self._has_failed:
                return None
            lower = (
                f"SELECT {history.key} FROM {history.table} WHERE {history.key} <= ? "  # noqa: S608 -- ours
                f"ORDER BY {history.key} DESC LIMIT 1 OFFSET ?"
            )
            after = connection.execute(lower, (through, self._pace.records)).get
            batch = _CarriedBatch(number, BELOW_ALL if after is None else int(after), through)
            self._next = _CarriedBatch(number + 1, batch.after, batch.after)
            return batch

    def _carry(self, connection: apsw.Connection, batch: _CarriedBatch) -> bool:
        """Whether it was stored: not after the other thread has failed."""
        try:
            self._calculate(connection, batch.after, batch.through)
            with self._turn:
                self._turn.wait_for(lambda: self._stored == batch.number or self._has_failed)
                if self._has_failed:
                    return False
            with self._fence.transaction(self._pace, connection):
                self._store(connection, batch)
        except _FORMULA_ERRORS as error:
            connection.execute(f"DELETE FROM {_MADE}")  # noqa: S608 -- ours
            raise FormulaError(self._fault(connection, batch, error)) from error
        connection.execute(f"DELETE FROM {_MADE}")  # noqa: S608 -- ours
        with self._turn:
            self._stored += 1
            self._turn.notify_all()
        return True

    def _calculate(self, connection: apsw.Connection, after: int, through: int) -> None:
        """The new records of a range into the temporary table."""
        connection.execute("UPDATE temp.batch SET low = ?, high = ?", (after, through))
        are_text = bool(self._usual) and are_unicode(connection, self._how, after, through)
        run(connection.execute, self._usual if are_text else (), self._make, self._make_any)

    def _store(self, connection: apsw.Connection, batch: _CarriedBatch) -> None:
        connection.execute(self._move)
        carried = self._run.records_changed + connection.changes()
        ends = self._counted.complete_from(batch.after)
        rollup_state.reset(connection)
        write_carried(connection, CarriedCounts(carried, self._counted.records, ends))
        self._run = change_run(
            connection,
            self._run,
            cursor_id=batch.after,
            records_total=self._counted.records,
            records_changed=carried,
            busy_ms=self._busy_before_ms + self._pace.busy_ms,
            largest_lock_ms=max(self._run.largest_lock_ms, self._pace.largest_ms),
        )

    def _fault(self, connection: apsw.Connection, batch: _CarriedBatch, error: apsw.Error) -> Fault:
        """Which record it was, by halving the batch."""
        old = self._how.old
        keys: list[Any] = connection.execute(
            f"SELECT {old.key} FROM {old.rows} AS t WHERE {old.key} > ? AND {old.key} <= ? ORDER BY 1",  # noqa: S608
            (batch.after, batch.through),
        ).fetchall()
        low, high = 0, len(keys)  # it is one of keys[low:high]
        while high - low > 1:
            middle = (low + high) // 2
            try:
                with transaction(connection, keep=False):
                    self._calculate(connection, keys[low][0] - 1, keys[middle - 1][0])
                    connection.execute(self._move)
            except _FORMULA_ERRORS:
                high = middle
            else:
                low = middle
        with suppress(IndexError):
            return Fault("formula", keys[low][0], f"a formula cannot be calculated: {error}")
        return Fault("formula", None, f"a formula cannot be calculated: {error}")


def _columns_of(statement: str) -> list[str]:
    """Those that an INSERT fills."""
    return statement.partition("(")[2].partition(")")[0].split(", ")


def _view(name: str, insert: str) -> str:
    """What an INSERT would insert, of the records of ``temp.batch``.

    As a view, because the statement that reads it is short: apsw keeps no longer ones prepared, and to compile this for
    each batch takes longer than many a batch.
    """
    select = insert.partition(")")[2].replace(f"FROM main.{TABLE})", f"FROM {_MADE})")  # what is there already
    limits = select.replace("?1", "(SELECT low FROM temp.batch)").replace("?2", "(SELECT high FROM temp.batch)")
    return f"CREATE TEMP VIEW {name} ({', '.join(_columns_of(insert))}) AS {limits}"


def _make(view: str, insert: str) -> str:
    return f"INSERT INTO {_MADE} ({', '.join(_columns_of(insert))}) SELECT * FROM temp.{view}"  # noqa: S608 -- ours
