"""The thread that keeps the database up, in the background of ingestion and migrations.

It waits until the file may be written at all (``admit``), works in short transactions with pauses as long as the work,
and sleeps when there is nothing to do. It logs trouble once, and tries again.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.storage.disk_space import DATABASE, PRUNING_SHARE, DiskWatch
from llm_metrics_proxy.storage.rollup_state import FOLD_MOST
from llm_metrics_proxy.storage.sqlite_schema import store_error
from llm_metrics_proxy.upkeep.work import Retention, Upkeep, Worked

LOOK_S: Final = 3.0
LEFTOVERS_S: Final = 10.0  # how long records may wait for the ingester to take them along
RETRY_S: Final = 30.0
_NICER: Final = 10  # than the process: serving and ingestion go first

log = logging.getLogger(__name__)


class UpkeepService:
    """``start`` begins the thread, ``stop`` ends it after the piece of work under way."""

    def __init__(
        self,
        path: Path,
        retention: Retention,
        *,
        admit: Callable[[], None],
        disk: DiskWatch | None = None,
        batch_lock_ms: float = 50,
        look_s: float = LOOK_S,
        leftovers_s: float = LEFTOVERS_S,
        retry_s: float = RETRY_S,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        """``admit`` raises while the file must not be written, as ``MigrationService.admit`` does. ``disk``: where all
        of this waits while the last room is kept for storing records."""
        self._path, self._retention, self._admit = path, retention, admit
        self._disk = disk or DiskWatch({DATABASE: path.parent})
        self._batch_lock_ms, self._unix_s = batch_lock_ms, unix_s
        self._look_s, self._leftovers_s, self._retry_s = look_s, leftovers_s, retry_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None
        self._is_building = False

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the piece of work under way; the next start does the rest."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def use(self, retention: Retention) -> None:
        """Keep so much from now on; from any thread."""
        self._retention = retention

    def problem(self) -> str | None:
        """Why nothing is rolled up or pruned, for people; none while all goes well. From any thread."""
        return self._problem

    def _run(self) -> None:
        if sys.platform == "linux":
            os.nice(_NICER)  # of this thread; elsewhere it would be the whole process
        while not self._stop.is_set():
            until = time.monotonic() + self._attempt()
            while (left_s := until - time.monotonic()) > 0 and not self._stop.wait(min(left_s, self._look_s)):
                self._disk.rooms()  # which logs a disk that fills up meanwhile

    def _attempt(self) -> float:
        """Work until stopped or in trouble; seconds until the next attempt."""
        try:
            self._admit()
            if not self._path.exists():
                return self._look_s
            upkeep = Upkeep(self._path, self._retention, batch_lock_ms=self._batch_lock_ms, unix_s=self._unix_s)
        except (LlmMetricsProxyError, apsw.Error):
            self._problem = None  # the store and the migration say what is wrong with the file
            return self._look_s
        try:
            self._work(upkeep)
        except (apsw.BusyError, apsw.SchemaChangeError):
            return self._look_s
        except LlmMetricsProxyError as error:
            self._tell(f"roll-ups and retention wait: {error}")
        except apsw.Error as error:
            self._tell(f"roll-ups and retention wait: {store_error(self._path, 'upkeep', error)}")
        except Exception as error:
            # The thread's boundary: storing and answering go on, and `/health` shows the fault.
            words = f"roll-ups met a bug, {type(error).__name__}: {error}; please report it"
            if self._problem != words:
                log.exception("roll-ups met a bug")
            self._problem = words
        finally:
            upkeep.close()
        return self._retry_s

    def _work(self, upkeep: Upkeep) -> None:
        """Until stopped. Raises ``apsw.Error``."""
        last_leftovers = time.monotonic()
        while not self._stop.is_set():
            self._admit()
            upkeep.keep(self._retention)
            begun = time.monotonic()
            leftovers = begun - last_leftovers >= self._leftovers_s
            worked = self._step(upkeep, leftovers=leftovers)
            if leftovers or worked is not Worked.NOTHING:  # what looked at everything, or did something, met no trouble
                self._problem = None
            self._tell_progress(upkeep, worked)
            if worked in (Worked.NOTHING, Worked.OVERTAKEN):
                if leftovers:
                    last_leftovers = begun
                self._stop.wait(self._look_s)
            else:
                self._stop.wait(time.monotonic() - begun)  # half of the time is everybody else's

    def _step(self, upkeep: Upkeep, *, leftovers: bool) -> Worked:
        """The next piece of work, of what the disk has room for."""
        if self._disk.has():
            return upkeep.step(leftovers=leftovers)
        return upkeep.prune() if self._disk.has(PRUNING_SHARE) else Worked.NOTHING

    def _tell_progress(self, upkeep: Upkeep, worked: Worked) -> None:
        if worked in (Worked.BEGAN_ANEW, Worked.CLEARED) and not self._is_building and upkeep.behind() > FOLD_MOST:
            self._is_building = True
            log.info("records are being rolled up; until that is done, long ranges are answered slowly")
        elif worked is Worked.NOTHING and self._is_building and not upkeep.behind():
            self._is_building = False
            log.info("all records are rolled up")

    def _tell(self, words: str) -> None:
        if words != self._problem:
            log.error("%s", words)
        self._problem = words
