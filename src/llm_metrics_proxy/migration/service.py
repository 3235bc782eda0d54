"""A thread of the metrics process that migrates the database while everything else goes on.

The rules:

* It looks before anybody writes: until the file is known to be ours, or one that can be migrated, the store stays shut
  (``admit``) and records wait in the journal. A newer or a foreign file ends the process, untouched.
* Trouble that may pass (a full disk, a lock, an I/O error) is reported, and tried again.
* What a person or verification took back is reported and left alone.
* Other processes migrate too (``llm-metrics-proxy migrate``): every few seconds it reads what they wrote down, reports
  it, and finishes the run of one that died.

All it knows is one frozen ``View``, replaced as a whole, which any thread may read without waiting. One file, because
one thread owns all of this.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.errors import (
    ForeignDatabaseError,
    LlmMetricsProxyError,
    MigrationRefusedError,
    NewerDatabaseError,
    StoreBusyError,
    StoreError,
)
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import lock_holder
from llm_metrics_proxy.migration.model import (
    UNFINISHED,
    Ended,
    Migration,
    MigrationResult,
    Progress,
    Run,
    RunState,
    WorkPhase,
)
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.overview import Look, MigrationStatus, look_at, refuse, refuse_newer
from llm_metrics_proxy.migration.runs import all_runs, is_held
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect
from llm_metrics_proxy.storage.sqlite_schema import holds_one_table

RETRY_S: Final = 30.0
LOOK_S: Final = 3.0
# Than the process: serving and ingestion go first. Not SCHED_IDLE, which was no politer when measured:
# a thread that gets nothing while all cores are busy holds Python's lock and SQLite's meanwhile.
_NICER: Final = 10
# While nothing is known yet, a lock is likely to be a short one.
_FIRST_WAITS_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0)

_BEFORE_THE_FIRST_ROW: Final = frozenset(
    {WorkPhase.IDLE, WorkPhase.WAITING, WorkPhase.CHECKING, WorkPhase.BACKING_UP, WorkPhase.SETTING_ASIDE}
)
_SAID: Final = {
    WorkPhase.WAITING: "the migration waits: %s",
    WorkPhase.BACKING_UP: "a migration is due; first, the database is backed up to %s",
    WorkPhase.MIGRATING: "older records are being carried over, the newest first; new ones are stored meanwhile",
    WorkPhase.PAUSED: "the migration pauses; it goes on at %s",
    WorkPhase.VERIFYING: "every record that was carried over is being verified",
    WorkPhase.UNDOING: "a migration is being taken back",
}

log = logging.getLogger(__name__)


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service knows at one moment. ``looked``: the kind of the file is known."""

    looked: bool = False
    trouble: str | None = None  # why it has not looked yet
    blocks_store: bool = False  # its table is of an older layout, and records cannot be stored in it
    progress: Progress = Progress()
    run_id: int | None = None  # that ``progress`` is about
    paused_until: datetime | None = None  # aware
    result: MigrationResult | None = None  # of the last attempt that ended
    problem: str | None = None  # why older records are left as they are, and what to do, for people


class MigrationService:
    """``start`` begins the thread, ``stop`` ends it after the batch under way. Owned by the metrics process."""

    def __init__(
        self,
        path: Path,
        options: Options,
        *,
        allowed: bool = True,
        migrations: Sequence[Migration],
        app_version: str = APP_VERSION,
        retry_s: float = RETRY_S,
        look_s: float = LOOK_S,
    ) -> None:
        """``allowed``: false where the setting ``auto_migrate`` is, and an older database then is refused."""
        self._path, self._options, self._allowed = path, options, allowed
        self._migrations, self._app_version = migrations, app_version
        self._retry_s, self._look_s = retry_s, look_s
        self._view = View()
        self._changing = threading.Lock()  # reports come from two threads while a run is verified
        self._looked = threading.Event()
        self._stop = threading.Event()
        self._refusal: LlmMetricsProxyError | None = None
        self._on_refusal: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None

    # -- for the process

    def start(self, on_refusal: Callable[[], None]) -> None:
        """Begin. ``on_refusal`` is called, once and from the thread, if the process must end; then see ``refusal``."""
        self._on_refusal = on_refusal
        self._thread = threading.Thread(target=self._run, name="migration", daemon=True)
        self._thread.start()

    def wait_until_looked(self, timeout_s: float) -> bool:
        """Wait up to ``timeout_s`` until the kind of the file is known; whether it is."""
        return self._looked.wait(timeout_s)

    def stop(self) -> None:
        """End after the batch under way; what is left is done at the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def refusal(self) -> LlmMetricsProxyError | None:
        """Why this process must not go on: a newer or a foreign database, or an older one and no ``auto_migrate``."""
        return self._refusal

    def admit(self) -> None:
        """Raise unless records may be stored in the file now: ``StoreBusyError`` if that only needs time."""
        view = self._view
        if self._refusal is not None:
            raise StoreError(str(self._refusal))
        if view.blocks_store:
            why = " and is being migrated." if view.problem is None else f": {view.problem}"
            raise StoreBusyError(f"The database {self._path} is of an older version{why}")
        if not view.looked:
            raise StoreBusyError(view.trouble or f"The database {self._path} is being looked into.")

    # -- for any thread, without waiting

    def view(self) -> View:
        """All of it, at one moment."""
        return self._view

    def lock_holder(self) -> int | None:
        """Id of the process that migrates this database now, this one included. Reads a file."""
        return lock_holder(self._path)

    # -- the thread

    def _run(self) -> None:
        if sys.platform == "linux":
            os.nice(_NICER)  # of this thread and those it starts; elsewhere it would be the whole process
        first_waits_s = iter(_FIRST_WAITS_S)
        while not self._stop.is_set():
            settled = self._attempt()
            self._looked.set()  # or tried to; ``problem`` says more
            if self._refusal is not None:
                self._on_refusal()
                return
            if settled:
                self._watch()
            else:
                self._stop.wait(self._retry_s if self._view.looked else next(first_waits_s, self._retry_s))

    def _attempt(self) -> bool:
        """Look, and do what is due; whether nothing is left to be tried again."""
        try:
            looked = self._look()
            seen = looked.seen.status
            if not (self._allowed or self._is_left_alone(seen)) and seen.has_work:
                return self._leave_it_to_a_person(seen)
            result = engine.migrate(
                self._path,
                self._options,
                report=self._report,
                stop=self._stop,
                migrations=self._migrations,
                app_version=self._app_version,
                looked=looked,
            )
        except (NewerDatabaseError, ForeignDatabaseError) as error:
            self._refusal = error
        except (LlmMetricsProxyError, OSError) as error:
            self._failed(str(error))
        except Exception as error:
            # The thread's boundary: queries are still answered, and the fault is reported.
            log.exception("the migration met a bug")
            self._failed(f"The migration met a bug, {type(error).__name__}: {error}. Please report it.")
        else:
            self._ended(result)
            return result.ended is not Ended.STOPPED
        return False

    def _look(self) -> Look:
        """What the file is and needs. Raises as ``engine.migrate`` does for a file that must not be changed."""
        looked = look_at(self._path, self._migrations, app_version=self._app_version, quick=True)
        refuse(looked.seen.inspection)
        found = looked.seen.status
        refuse_newer(self._path, found.newer, self._app_version)
        self._set(looked=True, blocks_store=found.is_older_layout)
        if found.has_work:
            self._report(Progress(phase=WorkPhase.CHECKING))
        self._looked.set()
        return looked

    @staticmethod
    def _is_left_alone(found: MigrationStatus) -> bool:
        """The engine will report it; what is in a table of ours can be served."""
        return found.unfinished is None and (found.held or found.failed_before)

    def _leave_it_to_a_person(self, found: MigrationStatus) -> bool:
        """Without ``auto_migrate``: wait for the person who is at it now, else refuse to go on."""
        while found.has_work and found.lock_holder is not None:
            self._report(
                Progress(phase=WorkPhase.WAITING, detail=f"process {found.lock_holder} is migrating the database")
            )
            if self._stop.wait(self._look_s):
                return False
            found = self._look().seen.status
        if found.has_work and not self._is_left_alone(found):
            self._refusal = MigrationRefusedError(
                f"The database {self._path} is of an older version, and auto_migrate is false; nothing was changed. "
                "`llm-metrics-proxy migrate plan` shows what a migration would do and `llm-metrics-proxy migrate run` "
                "does it; then start again."
            )
            return False
        self._set(progress=Progress())
        return not found.has_work

    def _watch(self) -> None:
        """Until there is something to do again: look at what other processes write down about their migrations."""
        while not self._stop.wait(self._look_s):
            is_free = lock_holder(self._path) is None
            try:
                last, held, is_older = self._glance()
            except (LlmMetricsProxyError, apsw.Error, OSError):
                continue  # the store and the reader report what is wrong with the file
            unfinished = last is not None and last.state in UNFINISHED
            taken_back = held or (last is not None and last.state in (RunState.UNDONE, RunState.ROLLED_BACK))
            problem = _taken_back(last, held=held) if taken_back and not unfinished else None
            if problem is not None and self._view.problem is None:
                log.warning("%s", problem)
            self._set(run_id=last.id if last is not None else None, blocks_store=is_older, problem=problem)
            # before and after: a process may have begun or ended its run between
            if unfinished and is_free and lock_holder(self._path) is None:
                return  # its process died

    def _glance(self) -> tuple[Run | None, bool, bool]:
        """The last run, whether it is held, and whether the table is of an older layout. Raises ``apsw.Error``."""
        if not self._path.exists():
            return None, False, False
        with closing(connect(self._path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
            runs = all_runs(connection)
            return runs[-1] if runs else None, is_held(connection), not holds_one_table(connection)

    # -- reporting

    def _report(self, progress: Progress) -> None:
        """Called by the engine, from two threads while it verifies."""
        before = self._view
        changes: dict[str, Any] = {"progress": progress}
        if progress.phase is not WorkPhase.CHECKING:  # a try begins with that, and may end as the one before
            changes["problem"] = None
        if progress.phase is not before.progress.phase:
            changes |= self._new_phase(progress)
        self._set(**changes)

    def _new_phase(self, progress: Progress) -> dict[str, Any]:
        """What changes with the phase, and a line of the log."""
        changes: dict[str, Any] = {"paused_until": None}
        opens_at = None
        if progress.phase is WorkPhase.PAUSED and self._options.window is not None:
            now = datetime.now()
            wait = timedelta(seconds=self._options.window.seconds_until_open(now))
            changes["paused_until"] = opens_at = now.astimezone() + wait
        if progress.phase not in _BEFORE_THE_FIRST_ROW:
            try:
                last, _held, is_older = self._glance()
            except apsw.Error:  # busy; the next phase has another try
                last, is_older = None, True
            if last is not None and not is_older:  # from now on new records are stored
                changes |= {"run_id": last.id, "blocks_store": False}
        if words := _SAID.get(progress.phase):
            said = {
                WorkPhase.BACKING_UP: self._options.backup_dir,
                WorkPhase.WAITING: progress.detail,
                WorkPhase.PAUSED: opens_at,
            }
            log.info(words, *([said[progress.phase]] if progress.phase in said else []))
        return changes

    def _failed(self, reason: str) -> None:
        if not self._view.looked:
            self._set(trouble=reason)  # the ingester, whose records wait for this, reports it
            return
        if reason != self._view.problem and not self._stop.is_set():
            log.error("the migration waits: %s", reason)
        waits = Progress(phase=WorkPhase.WAITING, detail=f"{reason} It is tried again every {self._retry_s:g} s")
        self._set(progress=waits, paused_until=None, problem=reason)

    def _ended(self, result: MigrationResult) -> None:
        problem, run = None, result.run
        if result.ended is Ended.HELD:
            problem = _taken_back(run, held=run is None or run.state is RunState.UNDONE)
            log.warning("%s", problem)
        elif result.ended is Ended.ROLLED_BACK:
            what = "; ".join(f"{fault.check}: {fault.message}" for fault in result.faults[:1])
            problem = f"The migration was taken back: {result.message} ({what})"
            log.error("%s", problem)
        elif result.ended is Ended.DONE and run is not None:
            words = "migration %d is done: %d records carried over and verified; kept: the table %s and the backup %s"
            log.info(words, run.id, run.records_changed, run.old_table, run.backup)
        self._set(
            progress=Progress(),
            paused_until=None,
            result=result,
            run_id=run.id if run is not None else self._view.run_id,
            problem=problem,
            blocks_store=result.ended is Ended.UNDONE
            or (self._view.blocks_store and result.ended in (Ended.STOPPED, Ended.HELD)),
        )

    def _set(self, **changes: Any) -> None:
        with self._changing:
            self._view = msgspec.structs.replace(self._view, **changes)


def _taken_back(last: Run | None, *, held: bool) -> str:
    """Why records are older, in one sentence."""
    number = "a migration" if last is None else f"migration {last.id}"
    if held:
        return f"{number} was taken back by a person: the database stays as it is until `migrate run`"
    why = f" ({last.error})" if last is not None and last.error else ""
    return f"{number} was taken back by its own verification{why}: older records stay as they are"
