"""How large a batch is, which records it takes, and what progress says of it."""

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.migration.batches import Log, Pace, ProgressReporter, ranges, transaction
from llm_metrics_proxy.migration.model import Progress, WorkPhase


@given(st.floats(0.00001, 0.1), st.floats(5, 100))
def test_the_pace_finds_batches_that_hold_the_lock_for_less_than_the_target(ms_each: float, target_ms: float) -> None:
    pace = Pace(target_ms)
    for _ in range(80):
        pace.took(pace.records * ms_each)
    assert pace.records * ms_each <= target_ms or pace.records == 1
    assert pace.records * ms_each >= target_ms * 0.3 or pace.records == 50_000


def test_one_stall_is_answered_at_once_and_forgotten_slowly() -> None:
    pace = Pace(50)
    pace.records = 10_000
    pace.took(1000)
    assert pace.records == 2500
    pace.took(10)
    assert pace.records == 3751
    assert (pace.largest_ms, pace.busy_ms) == (1000, 1010)


def test_what_costs_as_much_for_few_records_is_not_done_for_fewer_than_the_least() -> None:
    pace = Pace(50, least=300)
    for _ in range(20):
        pace.took(10_000)
    assert pace.records == 300
    pace.took(1)
    assert pace.records == 451
    assert Pace(50, least=9000).records == 9000


@given(st.sets(st.integers(-(2**62), 2**62), max_size=50), st.integers(1, 20), st.integers(-(2**62), 2**62))
def test_ranges_cover_every_id_up_to_the_bound_once(ids: set[int], size: int, bound: int) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE completion_requests (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO completion_requests VALUES (?)", [(each,) for each in ids])
    covered: list[int] = []
    for after, through in ranges(connection, "completion_requests", "id", bound, lambda: size):
        found = connection.execute("SELECT id FROM completion_requests WHERE id > ? AND id <= ?", (after, through))
        batch = [row[0] for row in found]
        assert len(batch) <= size
        covered += [int(str(each)) for each in batch]
    assert covered == sorted(each for each in ids if each <= bound)
    connection.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "some.db"))
    connection.execute("CREATE TABLE t (x UNIQUE)")
    pace = Pace(50)
    with pytest.raises(apsw.ConstraintError), transaction(connection, pace):
        connection.execute("INSERT INTO t VALUES (2); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)")
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    assert pace.busy_ms == 0
    with transaction(connection, pace):
        connection.execute("INSERT INTO t VALUES (1)")
    assert pace.busy_ms > 0
    connection.close()


def test_the_log_is_put_back_between_transactions_and_not_within_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "WAL")
    connection.execute("CREATE TABLE t (x)")
    log = Log(connection)
    log.between()
    empty_bytes = path.stat().st_size
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (zeroblob(4096 * 4096))")
    assert path.stat().st_size == empty_bytes, "the lock is free, and nothing is synced yet"
    log.between()
    assert path.stat().st_size > 4096 * 4096
    connection.close()


def test_a_log_that_cannot_be_put_back_stays_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    connection, reader = apsw.Connection(str(path)), apsw.Connection(str(path))
    connection.pragma("journal_mode", "WAL")
    connection.execute("CREATE TABLE t (x)")
    log = Log(connection)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    for _ in range(2):
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (zeroblob(4096 * 4096))")
        log.between()
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    reader.close()
    connection.close()
    assert not path.with_name("some.db-wal").exists()


def test_progress_has_a_rate_only_once_something_was_done() -> None:
    told: list[Progress] = []
    reporter = ProgressReporter(told.append, WorkPhase.MIGRATING, 100, done=40)
    reporter.advance(50, force=True)
    assert told[0] == Progress(phase=WorkPhase.MIGRATING, done=40, total=100)
    assert told[1].per_s is not None
    assert told[1].eta_s is not None
    assert told[1].eta_s * told[1].per_s == pytest.approx(50)
