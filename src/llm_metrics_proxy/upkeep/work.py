"""One piece of upkeep at a time, each a short transaction: roll up, clear, prune."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_metrics_proxy.migration.batches import Pace, transaction
from llm_metrics_proxy.migration.retire import drop_some, is_over
from llm_metrics_proxy.rollups.grains import DAY
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.carried import has_old_table
from llm_metrics_proxy.storage.connection import Access, connect, snapshot, used_bytes
from llm_metrics_proxy.storage.rollup_state import (
    FOLD_MOST,
    begin_anew,
    clear_some,
    may_fold,
    read_state,
    records_behind,
)
from llm_metrics_proxy.storage.server_samples import has_old_samples, roll_down_or_prune

if TYPE_CHECKING:
    from llm_metrics_proxy.storage.rollup_store import Merged

_MOST: Final = 5_000  # records in memory at once
# Rolled up at once even where writing takes too long: 5 records touch 70 rows, 500 touch 1,000. On a machine that is
# busy, batches shrank to 3 records otherwise, 60 a second.
_LEAST: Final = 2_000
_CACHE_KIB: Final = 16 * 1024


class Worked(StrEnum):
    """What a step did."""

    NOTHING = "nothing"
    BEGAN_ANEW = "began_anew"
    CLEARED = "cleared"
    ROLLED_UP = "rolled_up"
    OVERTAKEN = "overtaken"  # records or roll-ups changed meanwhile; nothing was written
    PRUNED = "pruned"
    DROPPED = "dropped"  # some of what an undo would have needed


class Retention(NamedTuple):
    """How long records are kept, and what an undo of a migration needs; 0: forever, and as many as there are."""

    days: int = 0
    max_bytes: int = 0
    undo_days: int = 0
    samples_days: int = 0  # of what servers said


class Upkeep:
    """Owns a connection; used by one thread."""

    def __init__(self, path: Path, retention: Retention, *, batch_lock_ms: float, unix_s: Callable[[], float]) -> None:
        """Open the file, which must be there and ours. Raises ``apsw.Error``."""
        self._retention, self._unix_s = retention, unix_s
        self._rolling = Pace(batch_lock_ms, least=_LEAST)
        self._sampling = Pace(batch_lock_ms)
        self._clearing, self._pruning, self._dropping = (Pace(batch_lock_ms) for _ in range(3))
        self._cursor: int | None = None  # up to which all was rolled up when leftovers were last looked for
        pragmas = {"cache_size": -_CACHE_KIB}
        self._connection = connect(path, Access.WRITE, busy_ms=1000, pragmas=pragmas)

    def keep(self, retention: Retention) -> None:
        """Keep so much from now on."""
        self._retention = retention

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def state(self) -> RollupState:
        """As it is stored."""
        return read_state(self._connection)

    def behind(self) -> int:
        """Records that are not rolled up, up to a few more than the ingester rolls up by itself."""
        return records_behind(self._connection, self.state().cursor_id, FOLD_MOST + 1)

    def step(self, *, leftovers: bool) -> Worked:
        """Do the next piece of work. ``leftovers``: roll up records too that the ingester would take along later, if it
        took none along since this was last asked for.

        Raises ``apsw.Error``; what was committed is whole.
        """
        connection, state = self._connection, self.state()
        if state.tables != FINGERPRINT:
            with transaction(connection):
                begin_anew(connection)
            return Worked.BEGAN_ANEW
        if state.clearing:
            with transaction(connection, self._clearing):
                clear_some(connection, self._clearing.records)
            return Worked.CLEARED
        leftovers = leftovers and self._is_idle_at(state.cursor_id)
        if may_fold(connection, state) and (behind := self.behind()) and (leftovers or behind > FOLD_MOST):
            return self._roll_up(self._merged())
        return self.prune()

    def _is_idle_at(self, cursor: int) -> bool:
        """Whether the ingester has rolled up nothing since the last look."""
        before, self._cursor = self._cursor, cursor
        return before is None or cursor <= before  # a reset moves it back

    def _merged(self) -> "Merged":
        """What comes next, from one state of the database; nobody waits meanwhile."""
        from llm_metrics_proxy.storage.rollup_store import gather, merge  # noqa: PLC0415 -- numpy, only if used

        connection = self._connection
        with snapshot(connection):
            records = min(self._rolling.records, _MOST)
            return merge(connection, gather(connection, self.state(), records))

    def _roll_up(self, merged: "Merged") -> Worked:
        from llm_metrics_proxy.storage.rollup_store import write  # noqa: PLC0415 -- as above

        with transaction(self._connection, self._rolling):
            if not write(self._connection, merged):
                return Worked.OVERTAKEN
            self._cursor = merged.gathered.through
            return Worked.ROLLED_UP

    def prune(self) -> Worked:
        """Delete some of what an undo would need, of what servers said, or of the records, whose time is over.

        Raises ``apsw.Error``.
        """
        undone_by = self._days_ago(self._retention.undo_days) if self._retention.undo_days else ""
        if is_over(self._connection, finished_before=undone_by):
            with transaction(self._connection, self._dropping):
                drop_some(self._connection, self._dropping.records, finished_before=undone_by)
            return Worked.DROPPED
        if has_old_samples(self._connection, self._unix_s(), self._retention.samples_days):
            with transaction(self._connection, self._sampling):
                roll_down_or_prune(
                    self._connection, self._unix_s(), self._retention.samples_days, self._sampling.records
                )
            return Worked.PRUNED
        if not may_fold(self._connection, self.state()):
            return Worked.NOTHING
        before = self._prunable_before()
        if before is not None:
            from llm_metrics_proxy.storage.retention import prune_some  # noqa: PLC0415 -- as above

            with transaction(self._connection, self._pruning):
                if prune_some(self._connection, before, self._pruning.records):
                    return Worked.PRUNED
        return Worked.NOTHING

    def _prunable_before(self) -> int | None:
        """The end of the oldest day, if its records are due for deletion; days that are not over stay."""
        if not self._retention.days and not self._retention.max_bytes:
            return None
        from llm_metrics_proxy.storage.retention import oldest_day  # noqa: PLC0415 -- as above

        oldest = oldest_day(self._connection)
        if oldest is None:
            return None
        end, now = oldest + DAY.seconds, int(self._unix_s())
        too_old = bool(self._retention.days) and end <= now - self._retention.days * DAY.seconds
        too_many = self._is_too_large()
        return end if too_old or (too_many and end <= now) else None

    def _is_too_large(self) -> bool:
        """Not while the table from before a migration is there: all records would go to make room for it."""
        most = self._retention.max_bytes
        return bool(most) and used_bytes(self._connection) > most and not has_old_table(self._connection)

    def _days_ago(self, days: int) -> str:
        return (datetime.fromtimestamp(self._unix_s(), UTC) - timedelta(days=days)).isoformat()
