"""Indexes in small transactions: what comes out is what CREATE INDEX makes, whatever happens in between."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.adoption import adopt, index_steps, indexes
from llm_metrics_proxy.migration.batches import Pace, transaction
from llm_metrics_proxy.migration.grafting import Grafting
from llm_metrics_proxy.migration.legacy import inspect
from llm_metrics_proxy.migration.lock import Fence
from llm_metrics_proxy.migration.model import Ended, Phase, Progress, State, quiet
from llm_metrics_proxy.migration.options import Options
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
        with transaction(self.connection):
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


def adopted(path: Path, *, timestamp: str = "timestamp TEXT NOT NULL", nulls: bool = False) -> Path:
    """A file of 1.x in which every odd timestamp stands, adopted, without indexes."""
    connection = apsw.Connection(str(path))
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {timestamp}, model TEXT, "
                       "total_tokens INTEGER, odd TEXT UNIQUE)")  # fmt: skip
    for number in range(RECORDS):
        value: Any = TIMESTAMPS[number % len(TIMESTAMPS)] if number % 3 else f"2025-06-01T{number:06}"
        value = None if nulls and number == 500 else value
        connection.execute(
            "INSERT INTO completion_requests (id, timestamp) VALUES (?, ?)", (number * 3 - 300, value)
        )  # some ids are negative, and there are gaps
    connection.pragma("journal_mode", "WAL")
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


@pytest.mark.parametrize(
    ("timestamp", "nulls"),
    [
        ("timestamp TEXT", True), ("timestamp TEXT COLLATE NOCASE", False), ("timestamp REAL", False),
        ("timestamp DATETIME", False),
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


def test_an_undo_after_an_interruption_leaves_nothing_of_it(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", RECORDS)
    options = Options(backup_dir=tmp_path / "backups")
    stop = _StopIn(Phase.MIGRATING, "index")
    assert engine.migrate(path, options, report=stop.report, stop=stop).ended is Ended.STOPPED
    assert execute(path, "SELECT count(*) FROM migration_state WHERE key GLOB 'entries*'") == [(1,)]
    result = engine.undo(path, options)
    assert result.run is not None
    assert (result.ended, result.run.state, result.conflicts) == (Ended.UNDONE, State.UNDONE, ())
    assert {name for kind, name, _sql in schema(path) if kind == "index"} >= NAMES
    as_sqlite_makes_it(path)


class _StopIn(threading.Event):
    """Set once some work has begun."""

    def __init__(self, phase: Phase, words: str) -> None:
        super().__init__()
        self._work, self._words = phase, words

    def report(self, progress: Progress) -> None:
        if progress.phase is self._work and self._words in progress.detail:
            self.set()


def test_every_index_of_the_schema_is_known() -> None:
    assert {index.name for index in indexes()} == NAMES
    assert {index.column for index in indexes() if index.is_unique} == {"request_id"}
