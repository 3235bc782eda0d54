"""One migrator at a time: refused or waited for, told by its process id, and freed by the kernel when it dies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import MigrationFailedError, MigrationRefusedError
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import Fence, lock_holder, lock_path, migration_lock
from llm_metrics_proxy.migration.model import Progress
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.migration.databases import make, options

_HOLD = """
import sys
from pathlib import Path
from llm_metrics_proxy.migration.lock import migration_lock
with migration_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _holder(database: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_migrator_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    database = tmp_path / "metrics.db"
    assert lock_holder(database) is None
    with _holder(database) as process:
        assert lock_holder(database) == process.pid
        with pytest.raises(MigrationRefusedError, match=f"process {process.pid} "), migration_lock(database):
            pass
    assert lock_holder(database) is None
    with migration_lock(database):
        assert lock_holder(database) == os.getpid()


def test_a_killed_holder_leaves_no_lock_behind(tmp_path: Path) -> None:
    database = tmp_path / "metrics.db"
    with _holder(database) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with migration_lock(database):
            assert lock_path(database).read_text() == f"{os.getpid()}\n"


def test_one_that_waits_says_so_and_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    database, told = tmp_path / "metrics.db", threading.Event()
    with _holder(database) as process:

        def report(progress: Progress) -> None:
            assert str(process.pid) in progress.detail
            if not told.is_set():
                told.set()
                process.kill()

        with migration_lock(database, wait=True, report=report):
            assert told.is_set()


def test_one_that_waits_can_be_stopped(tmp_path: Path) -> None:
    database, stop = tmp_path / "metrics.db", threading.Event()
    with (
        _holder(database),
        pytest.raises(MigrationRefusedError, match="nothing was changed"),
        migration_lock(database, wait=True, stop=stop, report=lambda _progress: stop.set()),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MigrationRefusedError, match="has to be writable"), migration_lock(tmp_path / "no" / "m.db"):
        pass


def test_whoever_took_a_later_turn_stops_the_one_before(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 10)
    engine.migrate(path, options(path), migrations=MIGRATIONS)
    connection = apsw.Connection(str(path))
    first = Fence(connection)
    with first.transaction():
        pass
    second = Fence(connection)
    with second.transaction():
        pass
    with pytest.raises(MigrationFailedError, match="its turn is"), first.transaction():
        pass
    assert not connection.in_transaction
    connection.close()
