"""The thread that keeps the database up, beside ingestion and migrations, and politely.

It waits until the file may be written at all (``admit``), works in short transactions with pauses as long as the work,
and sleeps when there is nothing to do. Trouble is told once in the log and tried again.
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
from llm_metrics_proxy.storage.rollup_store import FOLD_MOST
from llm_metrics_proxy.upkeep.work import Retention, Upkeep, Worked

LOOK_S: Final = 3.0
LEFTOVERS_S: Final = 10.0  # how long records may wait for the ingester to take them along
RETRY_S: Final = 30.0
_NICER: Final = 10  # than the process: whoever serves or takes in records goes first

log = logging.getLogger(__name__)


class UpkeepService:
    """``start`` begins the thread, ``stop`` ends it after the piece of work under way."""

    def __init__(
        self,
        path: Path,
        retention: Retention,
        *,
        admit: Callable[[], None],
        batch_lock_ms: float = 50,
        look_s: float = LOOK_S,
        leftovers_s: float = LEFTOVERS_S,
        retry_s: float = RETRY_S,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        """``admit`` raises while the file is not to be written, as ``MigrationService.admit`` does."""
        self._path, self._retention, self._admit = path, retention, admit
        self._batch_lock_ms, self._unix_s = batch_lock_ms, unix_s
        self._look_s, self._leftovers_s, self._retry_s = look_s, leftovers_s, retry_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: str | None = None
        self._is_building = False

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the piece of work under way; what is left is done at the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        if sys.platform == "linux":
            os.nice(_NICER)  # of this thread; elsewhere it would be the whole process
        while not self._stop.is_set():
            self._stop.wait(self._attempt())

    def _attempt(self) -> float:
        """Work until there is trouble or the end; seconds until the next attempt."""
        try:
            self._admit()
            if not self._path.exists():
                return self._look_s
            upkeep = Upkeep(self._path, self._retention, batch_lock_ms=self._batch_lock_ms, unix_s=self._unix_s)
        except (LlmMetricsProxyError, apsw.Error):
            return self._look_s  # the store and the migration tell what is wrong with the file
        try:
            self._work(upkeep)
        except (apsw.BusyError, apsw.SchemaChangeError):
            return self._look_s
        except (apsw.Error, LlmMetricsProxyError) as error:
            self._tell(f"roll-ups and retention wait: {error}")
        except Exception as error:
            # The thread's boundary: storing and answering go on, and the fault is told until a release mends it.
            if self._told != str(error):
                log.exception("roll-ups met a bug")
            self._told = str(error)
        finally:
            upkeep.close()
        return self._retry_s

    def _work(self, upkeep: Upkeep) -> None:
        """Until stopped. Raises ``apsw.Error``."""
        last_leftovers = time.monotonic()
        while not self._stop.is_set():
            self._admit()
            begun = time.monotonic()
            leftovers = begun - last_leftovers >= self._leftovers_s
            worked = upkeep.step(leftovers=leftovers)
            self._tell_progress(upkeep, worked)
            if worked in (Worked.NOTHING, Worked.OVERTAKEN):
                if leftovers:
                    last_leftovers = begun
                self._stop.wait(self._look_s)
            else:
                self._stop.wait(time.monotonic() - begun)  # half of the time is everybody else's

    def _tell_progress(self, upkeep: Upkeep, worked: Worked) -> None:
        if worked in (Worked.BEGAN_ANEW, Worked.CLEARED) and not self._is_building and upkeep.behind() > FOLD_MOST:
            self._is_building = True
            log.info("records are being rolled up; until that is done, long ranges are answered slowly")
        elif worked is Worked.NOTHING and self._is_building and not upkeep.behind():
            self._is_building = False
            log.info("all records are rolled up")

    def _tell(self, words: str) -> None:
        if words != self._told:
            log.error("%s", words)
        self._told = words
