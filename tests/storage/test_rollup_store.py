import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.rollups.sketch import VALUES
from llm_metrics_proxy.rollups.state import FINGERPRINT, NOTHING, RollupState
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import clear_some, read_state, reset, write_state
from llm_metrics_proxy.storage.rollup_store import Folding, add, gather
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.rollups import oracle
from tests.rollups.records import FIRST, a_row_of, changed
from tests.storage.runs import a_run
from tests.waiting import wait_until

Row = tuple[Any, ...]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh database whose roll-ups begin at once, and whose days are dense from 40 records on, quarters from 4."""
    monkeypatch.setattr(rollup_store, "FOLD_AT", 1)
    monkeypatch.setattr(rollup_store, "REMEMBERED_FROM", 4)
    monkeypatch.setattr(rollup_store, "DENSE_DAY", 40)
    monkeypatch.setattr(rollup_store, "DENSE_QUARTER", 4)
    path = tmp_path / "metrics.db"
    SqliteStore(path).close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    connection.close()
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


def rows(count: int, seed: int = 1, **more: Any) -> list[Row]:
    random = Random(seed)
    return [a_row_of(random, **more) for _ in range(count)]


def store(path: Path, batches: list[list[Row]], *, rolling_up: bool = True) -> None:
    opened = SqliteStore(path, after_insert=Folding(batches=1) if rolling_up else None)
    for batch in batches:
        opened.append(IngestBatch(rows=batch))
    opened.close()


def cut(all_rows: list[Row], size: int) -> list[list[Row]]:
    return [all_rows[begin : begin + size] for begin in range(0, len(all_rows), size)]


def state(connection: apsw.Connection) -> RollupState:
    return read_state(connection)


def assert_as_recomputed(path: Path, cursor: int | None = None) -> None:
    """What is stored is what the oracle makes of the records up to the cursor."""
    records = [record for record in oracle.records_in(path) if cursor is None or record["arrival"] <= cursor]
    oracle.assert_alike(oracle.stored(path), oracle.expected(records, oracle.decided(path)))


@pytest.mark.parametrize("size", [1, 7, 300])
def test_batches_of_any_size_leave_what_a_person_would_add_up(path: Path, size: int) -> None:
    store(path, cut(rows(60 if size == 1 else 300), size))
    assert_as_recomputed(path)
    assert set(oracle.decided(path).days.values()) <= {False, True}


def test_dense_days_have_the_hours_of_clients_and_sparse_ones_do_not(path: Path) -> None:
    store(path, [rows(200, hours=1), rows(5, seed=2, hours=100)])
    assert set(oracle.decided(path).days.values()) == {False, True}
    assert_as_recomputed(path)


def test_quarters_of_an_hour_that_are_dense_have_minutes(path: Path, connection: apsw.Connection) -> None:
    store(path, [rows(40, hours=0.5, odd=False), rows(3, seed=2, hours=0.2, odd=False), rows(30, seed=3, hours=20)])
    quarter = int(FIRST.timestamp())
    assert oracle.decided(path).quarters >= {quarter, quarter + 900}
    sparse = {quarter for (quarter,) in connection.execute("SELECT bucket FROM rollups WHERE grain = 0 AND level = 0")}
    assert sparse - oracle.decided(path).quarters - {oracle.NO_TIME}
    assert_as_recomputed(path)


def test_a_quarter_after_a_dense_one_is_dense_and_what_was_decided_stays(path: Path) -> None:
    late = [changed(row, timestamp="2026-03-28T21:00:00.000000Z") for row in rows(9, odd=False)]
    dense = [changed(row, timestamp="2026-03-28T22:00:00.000000Z") for row in rows(4, odd=False)]
    after = [changed(row, timestamp="2026-03-28T22:15:00.000000Z") for row in rows(1, odd=False)]
    store(path, [late[:1], late[1:], dense, after])
    begin = int(datetime(2026, 3, 28, 22, tzinfo=UTC).timestamp())
    assert oracle.decided(path).quarters == {begin, begin + 900}  # that of 21:00 began with one record
    assert_as_recomputed(path)


def test_sketches_hold_every_value_within_one_percent(path: Path) -> None:
    store(path, cut(rows(300, odd=False), 50))
    told, sketches = oracle.stored(path), oracle.sketches(path)
    assert sketches
    for (place, name), slots in sketches.items():
        n, _, low, high = told[place].fields[name]
        assert sum(slots.values()) == n
        assert float(VALUES[min(slots)]) == pytest.approx(low, rel=0.0101)
        if high < 5e10:  # as far as the promise reaches
            assert float(VALUES[max(slots)]) == pytest.approx(high, rel=0.0101)


def test_few_records_wait_and_are_taken_along_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_store, "FOLD_AT", 50)
    store(path, [rows(49)])
    assert oracle.stored(path) == {}
    store(path, [rows(1, seed=2)])
    assert_as_recomputed(path)


def test_where_many_come_those_of_some_batches_are_rolled_up_at_once(path: Path, connection: apsw.Connection) -> None:
    opened = SqliteStore(path, after_insert=Folding(batches=3))
    passed = []
    for batch in cut(rows(33), 5):
        opened.append(IngestBatch(rows=batch))
        passed.append(state(connection).cursor_id)
    opened.close()
    assert passed == [NOTHING, NOTHING, 15, 15, 15, 30, 30]
    assert_as_recomputed(path, 30)


def test_what_was_just_inserted_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> None:
        raise AssertionError("records are read")

    monkeypatch.setattr(rollup_store, "FOLD_AT", 100)
    monkeypatch.setattr(rollup_store, "FOLD_AT_ONCE", 40)
    monkeypatch.setattr(rollup_store, "gather", read)
    store(path, cut(rows(360), 30))
    assert_as_recomputed(path)


def test_a_batch_that_was_taken_back_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_store, "FOLD_AT", 60)
    opened = SqliteStore(path, after_insert=Folding(batches=1))
    opened.append(IngestBatch(rows=rows(20)))
    connection = opened._connection
    connection.set_exec_trace(lambda _, sql, __: sql != "COMMIT")
    with pytest.raises(StoreError):
        opened.append(IngestBatch(rows=rows(20, seed=2)))
    connection.set_exec_trace(None)
    opened.append(IngestBatch(rows=rows(20, seed=3)))
    opened.append(IngestBatch(rows=rows(20, seed=4)))
    opened.close()
    assert len(oracle.records_in(path)) == 60
    assert_as_recomputed(path)


def test_records_that_were_changed_are_read_again(
    path: Path, connection: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_store, "FOLD_AT", 30)
    opened = SqliteStore(path, after_insert=Folding(batches=1))
    opened.append(IngestBatch(rows=rows(20)))
    with connection:
        connection.execute("UPDATE completion_requests SET total_tokens = 1")
        reset(connection)
    opened.append(IngestBatch(rows=rows(20, seed=2)))
    opened.close()
    assert_as_recomputed(path)


def test_many_are_left_to_whoever_takes_small_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_store, "FOLD_MOST", 20)
    store(path, [rows(30)])
    assert oracle.stored(path) == {}


def test_steps_of_any_size_come_to_the_same(path: Path, connection: apsw.Connection) -> None:
    store(path, [rows(200)], rolling_up=False)
    for size in (1, 2, 50, 500):
        with connection:
            assert add(connection, gather(connection, state(connection), size))
        assert_as_recomputed(path, state(connection).cursor_id)
    assert_as_recomputed(path)


def test_what_was_gathered_before_records_changed_is_thrown_away(path: Path, connection: apsw.Connection) -> None:
    store(path, [rows(50)], rolling_up=False)
    gathered = gather(connection, state(connection), 50)
    with connection:
        connection.execute("UPDATE completion_requests SET total_tokens = 1")
        reset(connection)
    with connection:
        assert not add(connection, gathered)
    assert oracle.stored(path) == {}
    with connection:
        assert add(connection, gather(connection, state(connection), 50))
    assert_as_recomputed(path)


def test_what_somebody_else_has_rolled_up_is_not_added_twice(path: Path, connection: apsw.Connection) -> None:
    store(path, [rows(50)], rolling_up=False)
    gathered = gather(connection, state(connection), 50)
    with connection:
        assert add(connection, gather(connection, state(connection), 20))
    with connection:
        assert not add(connection, gathered)
    assert_as_recomputed(path, state(connection).cursor_id)


def test_while_a_migration_is_under_way_nothing_is_rolled_up(path: Path, connection: apsw.Connection) -> None:
    a_run(connection, "migrating")
    store(path, [rows(20)])
    assert oracle.stored(path) == {}
    connection.execute("UPDATE migration_runs SET state = 'done'")
    store(path, [rows(1, seed=2)])
    assert_as_recomputed(path)


def test_after_a_reset_the_old_rows_go_in_steps_and_all_is_made_anew(path: Path, connection: apsw.Connection) -> None:
    store(path, [rows(80)])
    with connection:
        reset(connection)
    assert state(connection).clearing
    store(path, [rows(1, seed=2)])
    steps = 0
    while state(connection).clearing:
        with connection:
            clear_some(connection, 100)
        steps += 1
    assert steps > 2
    assert oracle.stored(path) == {}
    store(path, [rows(1, seed=3)])
    assert_as_recomputed(path)


def test_a_bug_in_rolling_up_loses_no_record(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(rollup_store, "pack_bins", broken)
        store(path, [rows(20)])
    assert "without being rolled up" in caplog.text
    assert len(oracle.records_in(path)) == 20
    assert oracle.stored(path) == {}
    store(path, [rows(1, seed=2)])
    assert_as_recomputed(path)


def test_counts_beyond_all_that_the_proxy_takes_count_as_missing(path: Path) -> None:
    """Older programs stored such."""
    odd = [
        changed(row, total_tokens=tokens, status_code=1000) for row, tokens in zip(rows(2), (2**50, -1), strict=True)
    ]
    store(path, [odd])
    assert_as_recomputed(path)
    assert all("total_tokens" not in told.fields for told in oracle.stored(path).values())
    assert {place.key[1] for place in oracle.stored(path) if place.grain == 7} == {None}


def test_endless_values_count_as_missing(path: Path) -> None:
    infinite = [changed(row, response_time_ms=float("inf"), connect_ms=float("-inf")) for row in rows(5)]
    store(path, [infinite])
    assert_as_recomputed(path)
    assert all("response_time_ms" not in told.fields for told in oracle.stored(path).values())


_CHILD = """
import sys
from pathlib import Path
from random import Random
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.rollups.records import a_row_of
rollup_store.FOLD_AT, rollup_store.DENSE_DAY, rollup_store.DENSE_QUARTER = 1, 40, 4
rollup_store.REMEMBERED_FROM = 1
random = Random(int(sys.argv[2]))
import tests.analytics.database as database
import itertools
database._numbers = itertools.count(int(sys.argv[2]) * 10**9)
store = SqliteStore(Path(sys.argv[1]), after_insert=rollup_store.Folding(batches=1))
print("ready", flush=True)
while True:
    store.append(IngestBatch(rows=[a_row_of(random) for _ in range(20)]))
"""


@pytest.mark.system
def test_killed_at_any_moment_every_record_is_in_once(path: Path) -> None:
    kept = 0
    for seed in range(1, 5):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(path), str(seed)], stdout=subprocess.PIPE, env=_environment()
        )
        with child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            _wait_for_records(path, kept + 40 * seed)
            child.send_signal(signal.SIGKILL)
        connection = apsw.Connection(str(path))
        cursor = state(connection).cursor_id
        connection.close()
        assert_as_recomputed(path, cursor)
        kept = len(oracle.records_in(path))
        assert cursor == kept


def _environment() -> dict[str, str]:
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}


def _wait_for_records(path: Path, count: int) -> None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    enough = "SELECT 1 FROM completion_requests LIMIT 1 OFFSET ?"
    with contextlib.closing(connection):
        wait_until(lambda: connection.execute(enough, (count - 1,)).fetchall(), f"{count} records", 120)
