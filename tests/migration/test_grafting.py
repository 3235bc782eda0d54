"""Indexes in small transactions: what comes out is what CREATE INDEX makes, whatever happens in between."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.adoption import adopt
from llm_metrics_proxy.migration.batches import Pace
from llm_metrics_proxy.migration.grafting import Grafting
from llm_metrics_proxy.migration.legacy import inspect
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Ended, Progress, RunState, WorkPhase, quiet
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.migration.own_schema import index_steps, indexes
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests import legacy

RECORDS = 700
BATCH = 100
NAMES = {"completion_requests_timestamp", "completion_requests_request_id"}
TIMESTAMPS = (
    "2025-06-01T12:00:00.000001Z", "2025-06-01T12:00:00.000001Z", "", "é", "nul\0inside", "2025", 7, 1.5, b"\xff", b"",
    "~", "z" * 300,
)  # fmt: skip


class OwnPace(Pace):
    """Always so many records; counts the transactions."""

    def __init__(self) -> None:
        super().__init__(50.0)
        self.records, self.transactions = BATCH, 0

    def took(self, held_ms: float) -> None:
        self.transactions += 1


class Builder:
    """A ``Grafting`` on a connection of its own. ``between`` is called after each batch."""

    def __init__(self, path: Path, between: Callable[[], Any] = lambda: None, stop_after: int = 10**9) -> None:
        self.pace, self._left = OwnPace(), stop_after
        self.connection = apsw.Connection(str(path))
        fence = Fence(self.connection)
        self.grafting = Grafting(
            self.connection, fence, self.pace, report=quiet, interrupted=self._interrupted, between=between
        )

    def _interrupted(self) -> bool:
        self._left -= 1
        return self._left < 0

    def build(self) -> bool:
        try:
            return self.grafting.build()
        finally:
            self.connection.close()


def adopted(
    path: Path, *pragmas: str, timestamp: str = "timestamp TEXT NOT NULL", nulls: bool = False, journal: str = "WAL"
) -> Path:
    """A file of 1.x in which every odd timestamp stands, adopted, without indexes. ``pragmas``: as it was made."""
    connection = apsw.Connection(str(path))
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {timestamp}, model TEXT, "
                       "total_tokens INTEGER, odd TEXT UNIQUE)")  # fmt: skip
    with connection:
        for number in range(RECORDS):
            value: Any = TIMESTAMPS[number % len(TIMESTAMPS)] if number % 3 else f"2025-06-01T{number:06}"
            value = None if nulls and number == 500 else value
            connection.execute(
                "INSERT INTO completion_requests (id, timestamp) VALUES (?, ?)", (number * 3 - 300, value)
            )  # some ids are negative, and there are gaps
    assert connection.pragma("journal_mode", journal).upper() == journal
    with connection:
        adopt(connection, inspect(path), app_version="3.0.0", backup=None)
    connection.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return adopted(tmp_path / "metrics.db")


def execute(path: Path, *statements: str) -> list[Any]:
    """The rows of the last one."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    try:
        return [list(connection.execute(statement)) for statement in statements][-1]
    finally:
        connection.close()


def schema(path: Path) -> set[tuple[str, str, str]]:
    return set(execute(path, "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"))


def as_sqlite_makes_it(path: Path) -> None:
    """Sound, used, in the order of CREATE INDEX; and the file has what it would have, and nothing more."""
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]
    assert execute(path, "SELECT count(*) FROM migration_state WHERE key GLOB 'entries*'") == [(0,)]
    after = schema(path)
    other = path.with_name("other.db")
    execute(path, f"VACUUM INTO '{other}'")
    execute(other, *(f"DROP INDEX {name}" for name in NAMES), *index_steps())
    assert after == schema(other)
    walk = "SELECT timestamp, id FROM completion_requests INDEXED BY completion_requests_timestamp ORDER BY timestamp"
    assert execute(path, walk) == execute(other, walk)
    plan = execute(path, "EXPLAIN QUERY PLAN SELECT * FROM completion_requests WHERE timestamp > 'x'")
    assert "completion_requests_timestamp" in plan[0][3]
    changes = (
        "DELETE FROM completion_requests WHERE id % 5 = 0",
        "UPDATE completion_requests SET timestamp = 'y', request_id = id WHERE id % 7 = 0",
        "PRAGMA integrity_check",
    )
    assert execute(path, *changes) == [("ok",)]
    twice = ("INSERT INTO completion_requests (timestamp, request_id, success) VALUES ('a', 'twice', 1)",) * 2
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):
        execute(path, *twice)


def test_it_is_built_in_small_transactions_and_is_the_same(path: Path) -> None:
    reader = apsw.Connection(str(path))
    assert reader.execute("SELECT count(*) FROM completion_requests").fetchall() == [(RECORDS,)]
    builder = Builder(path)
    assert builder.build()
    assert builder.pace.transactions >= RECORDS / BATCH
    by_index = "SELECT count(*) FROM completion_requests INDEXED BY completion_requests_timestamp WHERE timestamp >= ''"
    assert reader.execute(by_index).fetchall() > [(0,)], "who had the file open before sees it too"
    reader.close()
    as_sqlite_makes_it(path)


def test_what_arrives_meanwhile_is_in_it(path: Path) -> None:
    arrived = iter(range(1000))

    def arrive() -> None:
        number = next(arrived)
        if number < 5:
            execute(path, f"INSERT INTO completion_requests (timestamp, request_id) VALUES ('now', 'r{number}')")

    assert Builder(path, arrive).build()
    assert execute(path, "SELECT count(*) FROM completion_requests WHERE request_id IS NOT NULL") == [(5,)]
    as_sqlite_makes_it(path)


def test_a_writer_that_is_faster_than_a_batch_is_caught_up_with(path: Path) -> None:
    """Each time one is done, more records have come than it took."""
    builder = Builder(path)
    took, insert = builder.pace.took, "INSERT INTO completion_requests (timestamp) SELECT 'now' FROM {0} LIMIT 250"

    def took_and_more(held_ms: float) -> None:
        took(held_ms)
        execute(path, insert.format("completion_requests") if builder.pace.transactions < 60 else "SELECT 1")

    builder.pace.took = took_and_more  # type: ignore[method-assign]
    assert builder.build()
    assert builder.pace.transactions < 60, "without ever larger batches, more than 150"
    as_sqlite_makes_it(path)


@pytest.mark.grid
@pytest.mark.parametrize(
    "meddling",
    [
        "DELETE FROM completion_requests WHERE id = -300",
        "UPDATE completion_requests SET timestamp = 'other' WHERE id = -300",
        "UPDATE completion_requests SET id = 100000 WHERE id = -300",
        "UPDATE completion_requests SET id = -299 WHERE id = (SELECT max(id) FROM completion_requests)",
        "INSERT INTO completion_requests (id, timestamp) VALUES (-301, 'before')",
        "INSERT OR REPLACE INTO completion_requests (id, timestamp) VALUES (-300, 'in its place')",
        (
            "UPDATE completion_requests SET odd = 1 WHERE id = -300; "
            "INSERT OR REPLACE INTO completion_requests (timestamp, odd) VALUES ('in its place, at the end', 1)"
        ),
    ],
)
def test_another_program_that_changes_records_meanwhile_does_not_spoil_the_index(path: Path, meddling: str) -> None:
    once = iter([meddling])
    assert Builder(path, lambda: execute(path, next(once, "SELECT 1"))).build()
    as_sqlite_makes_it(path)


@pytest.mark.parametrize("batches", range(1, 12))
def test_an_interruption_costs_nothing(path: Path, batches: int) -> None:
    assert not Builder(path, stop_after=batches).build() or batches > RECORDS / BATCH
    again = Builder(path)
    assert again.build()
    assert again.pace.transactions <= RECORDS / BATCH + 4 - min(batches, RECORDS / BATCH)
    as_sqlite_makes_it(path)


@pytest.mark.parametrize("spoilt_before", [True, False])
def test_a_killed_program_is_followed_by_one_that_finishes(path: Path, spoilt_before: bool) -> None:
    assert not Builder(path, stop_after=3).build()
    if spoilt_before:
        execute(path, "DELETE FROM completion_requests WHERE id = -300")
    execute(path, "INSERT INTO completion_requests (timestamp, request_id) VALUES ('now', 'r')")
    assert Builder(path).build()
    as_sqlite_makes_it(path)


@pytest.mark.parametrize("declared", ["DATETIME", "NUM", "INTEGER", "BLOB", ""])
def test_a_column_of_another_type_has_its_index_in_small_transactions_too(tmp_path: Path, declared: str) -> None:
    path = adopted(tmp_path / "metrics.db", timestamp=f"timestamp {declared}")
    builder = Builder(path)
    assert builder.build()
    assert builder.pace.transactions > RECORDS / BATCH
    as_sqlite_makes_it(path)


@pytest.mark.grid
@pytest.mark.parametrize(
    ("timestamp", "nulls"),
    [
        ("timestamp TEXT", True), ("timestamp TEXT COLLATE NOCASE", False), ("timestamp REAL", False),
    ],
)  # fmt: skip
def test_where_the_trees_could_differ_sqlite_builds_it(tmp_path: Path, timestamp: str, nulls: bool) -> None:
    path = adopted(tmp_path / "metrics.db", timestamp=timestamp, nulls=nulls)
    builder = Builder(path)
    assert builder.build()
    assert builder.pace.transactions < RECORDS / BATCH
    as_sqlite_makes_it(path)


def test_a_null_that_comes_late_is_no_obstacle(tmp_path: Path) -> None:
    path = adopted(tmp_path / "metrics.db", timestamp="timestamp TEXT")
    once = iter(["INSERT INTO completion_requests (timestamp) VALUES (NULL)"])
    assert Builder(path, lambda: execute(path, next(once, "SELECT 1"))).build()
    as_sqlite_makes_it(path)


def test_two_records_with_one_request_are_refused_as_ever(path: Path) -> None:
    execute(path, "UPDATE completion_requests SET request_id = 'same' WHERE id IN (0, 900)")
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):
        Builder(path).build()
    assert execute(path, "PRAGMA integrity_check") == [("ok",)]
    execute(path, "UPDATE completion_requests SET request_id = 'other' WHERE id = 900")
    assert Builder(path).build()
    as_sqlite_makes_it(path)


@pytest.mark.grid
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize(
    "pragma",
    [
        "page_size = 512", "page_size = 65536", "encoding = 'UTF-16le'", "encoding = 'UTF-16be'", "auto_vacuum = FULL",
        "auto_vacuum = INCREMENTAL", "secure_delete = ON",
    ],
)  # fmt: skip
def test_every_kind_of_file_gets_it_and_can_be_tidied_up_after(tmp_path: Path, pragma: str, journal: str) -> None:
    path = adopted(tmp_path / "metrics.db", pragma, journal=journal)
    assert not Builder(path, stop_after=4).build()
    assert execute(path, "PRAGMA integrity_check") == execute(path, "PRAGMA quick_check") == [("ok",)], "half of it too"
    assert Builder(path).build()
    assert execute(path, "PRAGMA quick_check") == [("ok",)]
    as_sqlite_makes_it(path)
    after = ("PRAGMA incremental_vacuum", "VACUUM", "REINDEX", "ANALYZE", "PRAGMA integrity_check")
    assert execute(path, *after) == [("ok",)]
    assert execute(path, "DROP TABLE completion_requests", "VACUUM", "PRAGMA integrity_check") == [("ok",)]


def test_an_index_that_is_larger_than_the_cache_is_sound(tmp_path: Path) -> None:
    """Its pages are written before the transaction ends, several levels of them."""
    path = adopted(tmp_path / "metrics.db", "page_size = 512")
    doubled = "INSERT INTO completion_requests (timestamp) SELECT hex(timestamp) || id FROM completion_requests"
    execute(path, *[doubled] * 4)
    builder = Builder(path)
    builder.connection.pragma("cache_size", 10)
    builder.pace.records = 4000
    assert builder.build()
    as_sqlite_makes_it(path)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_transaction_that_is_given_up_leaves_the_entries_of_before(tmp_path: Path, journal: str) -> None:
    """The very last one too, in which the table has become the index already."""
    path = adopted(tmp_path / "metrics.db", journal=journal)
    for refused in range(20):
        builder, commits = Builder(path), iter(range(100))
        builder.connection.set_commit_hook(lambda: next(commits) == refused)  # noqa: B023 -- used within the round
        try:
            done = builder.build()
        except apsw.ConstraintError:
            done = False
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]
        if done and next(commits) <= refused:
            break
        is_there = execute(path, "SELECT 1 FROM sqlite_schema WHERE name = 'completion_requests_timestamp'")
        assert not is_there or refused > 0
    as_sqlite_makes_it(path)


_READS_AND_WRITES = """
import sys, apsw
connection = apsw.Connection(sys.argv[1])
connection.set_busy_timeout(30_000)
number = 0
print("ready", flush=True)
while not __import__("select").select([sys.stdin], [], [], 0.001)[0]:
    number += 1
    values = (f"2026-01-01T{number:06}", f"other-{number}")
    connection.execute("INSERT INTO completion_requests (timestamp, request_id) VALUES (?, ?)", values)
    found = connection.execute("SELECT count(*), count(request_id) FROM completion_requests").fetchall()
    assert found == [(700 + number, number)], found
    one = "SELECT timestamp FROM completion_requests WHERE request_id = ?"
    assert connection.execute(one, values[1:]).fetchall() == [values[:1]]
print(number, flush=True)
"""


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_another_process_reads_and_writes_all_the_while(tmp_path: Path, journal: str) -> None:
    path = adopted(tmp_path / "metrics.db", journal=journal)
    with subprocess.Popen(
        [sys.executable, "-c", _READS_AND_WRITES, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        builder = Builder(path, lambda: time.sleep(0.01))
        builder.connection.set_busy_timeout(30_000)
        assert builder.build()
        words, _ = other.communicate("stop")
    assert other.returncode == 0
    assert execute(path, "SELECT count(*) FROM completion_requests WHERE request_id IS NOT NULL") == [(int(words),)]
    as_sqlite_makes_it(path)


@pytest.mark.grid
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_killed_before_any_statement_the_next_one_finishes(tmp_path: Path, journal: str) -> None:
    source = adopted(tmp_path / "source.db", journal=journal)
    path, again, killed = tmp_path / "metrics.db", tmp_path / "again.db", 0
    for number in range(5, 1000, 4):
        shutil.copyfile(source, path)
        killed += _is_killed_at(path, number)
        for file in (path, path.with_name("metrics.db-wal"), path.with_name("metrics.db-journal")):
            if file.exists():
                shutil.copyfile(file, file.with_name(file.name.replace("metrics", "again")))
        assert execute(path, "PRAGMA integrity_check") == [("ok",)]
        assert Builder(again).build()
        assert execute(again, "PRAGMA integrity_check") == [("ok",)]
        if killed != (number - 1) // 4:
            break
        if number % 5 == 0:
            as_sqlite_makes_it(again)
        for file in tmp_path.glob("*.db-*"):
            file.unlink()
        for file in (*tmp_path.glob("other.db"), again):
            file.unlink(missing_ok=True)
    assert killed >= 15
    as_sqlite_makes_it(path)


def _is_killed_at(path: Path, number: int) -> bool:
    """Whether the builder had so many statements: SIGKILL before that one, in a process of its own."""
    words = [sys.executable, "-c", _IS_KILLED, str(path), str(number)]
    return subprocess.run(words, cwd=Path(__file__).parents[2], check=False).returncode == -signal.SIGKILL


_IS_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.migration.test_grafting import Builder
builder, left = Builder(Path(sys.argv[1])), [int(sys.argv[2])]
def count(*_words):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return True
builder.connection.exec_trace = count
assert builder.build()
"""


def test_an_undo_after_an_interruption_leaves_nothing_of_it(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", RECORDS)
    options = Options(backup_dir=tmp_path / "backups")
    stop = _StopIn(WorkPhase.MIGRATING, "index")
    assert engine.migrate(path, options, report=stop.report, stop=stop, migrations=MIGRATIONS).ended is Ended.STOPPED
    assert execute(path, "SELECT count(*) FROM migration_state WHERE key GLOB 'entries*'") == [(1,)]
    result = engine.undo(path, options, migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.state, result.conflicts) == (Ended.UNDONE, RunState.UNDONE, ())
    assert {name for kind, name, _sql in schema(path) if kind == "index"} >= NAMES
    as_sqlite_makes_it(path)


class _StopIn(threading.Event):
    """Set once some work has begun."""

    def __init__(self, phase: WorkPhase, words: str) -> None:
        super().__init__()
        self._work, self._words = phase, words

    def report(self, progress: Progress) -> None:
        if progress.phase is self._work and self._words in progress.detail:
            self.set()


def test_every_index_of_the_schema_is_known() -> None:
    assert {index.name for index in indexes()} == NAMES
    assert {index.column for index in indexes() if index.is_unique} == {"request_id"}
