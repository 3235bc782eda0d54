from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from llm_metrics_proxy.migration.batches import transaction
from llm_metrics_proxy.rollups.grains import DAY
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.connection import used_bytes
from llm_metrics_proxy.storage.retention import oldest_day, prune_some
from llm_metrics_proxy.storage.rollup_state import clear_some, read_state, reset, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.rollups import oracle
from tests.rollups.records import FIRST, a_row_of, changed
from tests.storage.runs import a_run

TODAY = int(FIRST.timestamp()) // DAY.seconds * DAY.seconds
TOMORROW = TODAY + DAY.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """80 records of two days, all of them rolled up."""
    path, random = tmp_path / "metrics.db", Random(5)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random, odd=False) for _ in range(80)]))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    roll_up(connection)
    connection.close()
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


def roll_up(connection: apsw.Connection) -> None:
    with connection:
        assert add(connection, gather(connection, read_state(connection), 1000))


def prune(connection: apsw.Connection, before: int, records: int = 1000) -> int:
    with transaction(connection):
        return prune_some(connection, before, records)


def stored(connection: apsw.Connection) -> list[tuple[int, str]]:
    return list(connection.execute("SELECT arrival, timestamp FROM completion_requests ORDER BY arrival"))


def test_the_oldest_day_goes_in_steps_and_its_roll_ups_stay(path: Path, connection: apsw.Connection) -> None:
    before = oracle.stored(path)
    old = [arrival for arrival, timestamp in stored(connection) if timestamp < "2026-03-29"]
    assert oldest_day(connection) == TODAY
    assert len(old) > 5
    steps = []
    while done := prune(connection, TOMORROW, 4):
        steps.append(done)
    assert sum(steps) == len(old)
    assert max(steps) == 4
    assert oldest_day(connection) == TOMORROW
    assert oracle.stored(path) == before


def test_after_a_reset_the_days_that_were_pruned_are_still_told(path: Path, connection: apsw.Connection) -> None:
    before = oracle.stored(path)
    assert prune(connection, TOMORROW, 3) == 3  # some of that day are still there
    with connection:
        reset(connection)
    while read_state(connection).clearing:
        with connection:
            clear_some(connection, 50)
    assert {place.bucket // DAY.seconds for place in oracle.stored(path)} == {TODAY // DAY.seconds}
    roll_up(connection)
    oracle.assert_alike(oracle.stored(path), before)


def test_a_day_that_is_being_rolled_up_again_is_not_pruned_halfway(path: Path, connection: apsw.Connection) -> None:
    before = oracle.stored(path)
    with connection:
        reset(connection)
    while read_state(connection).clearing:
        with connection:
            clear_some(connection, 1000)
    with connection:
        assert add(connection, gather(connection, read_state(connection), 40))  # of both days, half of the records
    assert prune(connection, TOMORROW) == 0
    roll_up(connection)
    assert prune(connection, TOMORROW) > 0
    oracle.assert_alike(oracle.stored(path), before)


def test_a_late_record_of_a_pruned_day_is_added(path: Path, connection: apsw.Connection) -> None:
    while prune(connection, TOMORROW):
        pass
    late = changed(a_row_of(Random(9), odd=False), timestamp="2026-03-28T23:00:00.000000Z")
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[late]))
    store.close()
    requests = sum(told.requests for place, told in oracle.stored(path).items() if place[:3] == (0, 2, TODAY))
    roll_up(connection)
    assert sum(t.requests for place, t in oracle.stored(path).items() if place[:3] == (0, 2, TODAY)) == requests + 1
    assert prune(connection, TOMORROW) == 1


def test_a_number_is_not_given_again_though_its_record_is_gone(path: Path, connection: apsw.Connection) -> None:
    ((last, _),) = stored(connection)[-1:]
    while prune(connection, TOMORROW + 5 * DAY.seconds):
        pass
    assert stored(connection) == []
    store = SqliteStore(path, after_insert=rollup_store.Folding(batches=1))
    store.append(IngestBatch(rows=[a_row_of(Random(10))]))
    store.close()
    assert [arrival for arrival, _ in stored(connection)] == [last + 1]
    roll_up(connection)
    assert sum(told.requests for place, told in oracle.stored(path).items() if place[:2] == (0, 2)) == 81


def test_what_is_not_rolled_up_stays(path: Path, connection: apsw.Connection) -> None:
    count = len(stored(connection))
    with connection:
        reset(connection)
    assert prune(connection, TOMORROW) == 0
    while read_state(connection).clearing:
        with connection:
            clear_some(connection, 500)
    with connection:
        assert add(connection, gather(connection, read_state(connection), 10))
    assert prune(connection, TOMORROW) <= 10
    assert count - len(stored(connection)) <= 10


def test_nothing_goes_while_a_migration_is_under_way(connection: apsw.Connection) -> None:
    a_run(connection, "verifying")
    assert prune(connection, TOMORROW) == 0


def test_records_without_a_readable_time_stay(path: Path, connection: apsw.Connection) -> None:
    connection.execute("UPDATE completion_requests SET timestamp = '2026-02-30T10:00:00.000000Z' WHERE arrival = 1")
    connection.execute("UPDATE completion_requests SET timestamp = '2026-01-01' WHERE arrival = 2")
    assert oldest_day(connection) == TODAY
    while prune(connection, TOMORROW):
        pass
    assert {1, 2} <= {arrival for arrival, _ in stored(connection)}


def test_deleted_records_leave_room_that_counts_as_unused(path: Path, connection: apsw.Connection) -> None:
    before = used_bytes(connection)
    assert before <= path.stat().st_size
    while prune(connection, TOMORROW + 5 * DAY.seconds):
        pass
    connection.execute("PRAGMA wal_checkpoint")
    assert used_bytes(connection) < before


def test_an_empty_file_has_no_oldest_day(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "empty.db").close()
    assert oldest_day(apsw.Connection(str(tmp_path / "empty.db"))) is None


def test_what_a_repricing_kept_goes_with_its_records(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO repricings VALUES (3, 'done', 'x', 'x', '4.2.0', '{}', '', 80, 80, 80)")
    connection.execute(
        "INSERT INTO repricing_changes (repricing_id, record_id) SELECT 3, arrival FROM completion_requests"
    )
    assert prune(connection, TOMORROW, 10) == 10
    repriced = [number for (number,) in connection.execute("SELECT record_id FROM repricing_changes ORDER BY 1")]
    assert repriced == [arrival for arrival, _ in stored(connection)]
    assert len(repriced) == 70
