"""Reading a database without a trace: what SQLite would find after its recovery, with nothing recovered on disk."""

import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import ForeignDatabaseError
from llm_metrics_proxy.storage.read_only_file import header, open_read_only
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests import legacy

WAIT_MS = 250
GROW = (
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
    "INSERT INTO completion_requests (timestamp, success, error_message) SELECT 'new', 0, hex(randomblob(2000)) FROM n"
)
LOCKED = """
import sys, apsw
try:
    apsw.Connection(sys.argv[1]).execute("BEGIN IMMEDIATE")
except apsw.BusyError:
    sys.exit(7)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


def read(path: Path) -> tuple[list[tuple[object, ...]], str]:
    """Every record, and what the integrity check says; the folder is as it was."""
    before = legacy.side_files(path)
    with open_read_only(path, WAIT_MS) as connection:
        found = legacy.dump(connection), str(connection.pragma("integrity_check"))
    assert legacy.side_files(path) == before
    return found


def recovered(path: Path) -> list[tuple[object, ...]]:
    """Every record after SQLite itself has recovered the file."""
    connection = apsw.Connection(str(path))
    found = legacy.dump(connection)
    connection.close()
    return found


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("shm", [True, False])
def test_what_only_the_wal_has_is_read(path: Path, page_size: int, shm: bool) -> None:
    legacy.make(path, rows=300, page_size=page_size)
    legacy.leave_wal(path, "DELETE FROM completion_requests WHERE id % 3 = 0", GROW, shm=shm)
    found = read(path)
    assert found == (recovered(path), "ok")
    assert len(found[0]) == 500


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("statements", [(), (GROW,), ("DELETE FROM completion_requests", GROW)])
def test_what_a_hot_journal_takes_back_is_not_read(path: Path, page_size: int, statements: tuple[str, ...]) -> None:
    legacy.make(path, rows=300, page_size=page_size)
    connection = apsw.Connection(str(path))
    before = legacy.dump(connection)
    connection.close()
    legacy.leave_hot_journal(path, *statements)
    assert read(path) == (before, "ok")
    assert recovered(path) == before


def test_nothing_can_be_written(path: Path) -> None:
    legacy.leave_hot_journal(legacy.make(path, rows=100))
    with open_read_only(path, WAIT_MS) as connection, pytest.raises(apsw.ReadOnlyError):
        connection.execute("DELETE FROM completion_requests")


def test_several_threads_may_look_at_once(path: Path) -> None:
    legacy.leave_wal(legacy.make(path, rows=300), "DELETE FROM completion_requests WHERE id > 100", shm=False)
    before = legacy.side_files(path)
    counts: list[int] = []

    def look() -> None:
        for _ in range(10):
            with open_read_only(path, WAIT_MS) as connection:
                ((count,),) = connection.execute("SELECT count(*) FROM completion_requests")
                counts.append(count)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [100] * 40
    assert legacy.side_files(path) == before


def test_no_lock_of_this_process_is_lost(path: Path) -> None:
    legacy.make(path)
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    header(path)
    with open_read_only(path, WAIT_MS) as connection:
        connection.execute("SELECT count(*) FROM completion_requests").fetchall()
    assert subprocess.run([sys.executable, "-c", LOCKED, str(path)], check=False).returncode == 7
    holder.close()


def test_a_store_that_is_open_goes_on(path: Path) -> None:
    store = SqliteStore(path)
    reader = SqliteReader(path)
    for _ in range(3):
        with open_read_only(path, WAIT_MS) as connection:
            assert connection.execute("SELECT count(*) FROM completion_requests").fetchall() == [(0,)]
        assert reader.query("SELECT count(*) FROM completion_requests") == [(0,)]
        store.forget_worker("nobody")
    reader.close()
    store.close()
    assert [each.name for each in path.parent.iterdir()] == ["metrics.db"]


def test_the_head_of_a_file(path: Path) -> None:
    assert header(path) is None
    path.touch()
    assert header(path) == b""
    path.write_bytes(b"\0")
    assert header(path) == b"\0"
    path.write_bytes(b"ab\0" * 50)
    assert header(path) == (b"ab\0" * 50)[:100]
    with pytest.raises(ForeignDatabaseError):
        header(path.parent)
