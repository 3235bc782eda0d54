import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import apsw
import pytest

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import reset, write_state
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests.migration.databases import options
from tests.rollups import oracle
from tests.rollups.records import FIRST, a_row_of

FOREVER = Retention()
GOLDEN = Path(__file__).parents[1] / "fixtures" / "databases"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path, random = tmp_path / "metrics.db", Random(3)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[a_row_of(random) for _ in range(150)]))
    store.close()
    return path


@pytest.fixture
def upkeep(path: Path) -> Iterator[Upkeep]:
    opened = opened_at(path)
    yield opened
    opened.close()


def opened_at(path: Path, retention: Retention = FOREVER, now: datetime = FIRST) -> Upkeep:
    return Upkeep(path, retention, batch_lock_ms=50, unix_s=now.timestamp)


def everything(upkeep: Upkeep) -> list[Worked]:
    """Until there is nothing to do."""
    done: list[Worked] = []
    while (worked := upkeep.step(leftovers=True)) is not Worked.NOTHING:
        done.append(worked)
    return done


def assert_as_recomputed(path: Path) -> None:
    oracle.assert_alike(oracle.stored(path), oracle.expected(oracle.records_in(path), oracle.decided(path)))


def test_records_from_before_roll_ups_are_all_rolled_up(path: Path, upkeep: Upkeep) -> None:
    assert upkeep.behind() == 150
    assert everything(upkeep)[:2] == [Worked.BEGAN_ANEW, Worked.ROLLED_UP]
    assert upkeep.behind() == 0
    assert_as_recomputed(path)


def test_on_a_machine_that_is_too_slow_it_comes_to_an_end_all_the_same(path: Path) -> None:
    store, random = SqliteStore(path), Random(4)
    store.append(IngestBatch(rows=[a_row_of(random) for _ in range(1500)]))
    store.close()
    slow = Upkeep(path, FOREVER, batch_lock_ms=0.001, unix_s=FIRST.timestamp)  # every batch takes far too long
    done = everything(slow)
    slow.close()
    assert done.count(Worked.ROLLED_UP) <= 4
    assert_as_recomputed(path)


def test_it_goes_on_where_another_one_ended(path: Path, upkeep: Upkeep) -> None:
    upkeep.step(leftovers=True)
    connection = apsw.Connection(str(path))
    ((cursor_before,),) = connection.execute("SELECT cursor_id FROM rollup_state")
    other = opened_at(path)
    assert everything(other) == [Worked.ROLLED_UP]
    other.close()
    assert upkeep.state().cursor_id > cursor_before
    assert upkeep.step(leftovers=True) is Worked.NOTHING
    assert_as_recomputed(path)


def test_a_few_new_records_are_left_to_the_ingester(path: Path, upkeep: Upkeep) -> None:
    upkeep.step(leftovers=False)
    assert upkeep.step(leftovers=False) is Worked.NOTHING
    assert upkeep.behind() == 150


def test_what_is_left_waits_while_the_ingester_rolls_up(
    path: Path, upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollup_store, "FOLD_AT", 50)
    everything(upkeep)
    store, random = SqliteStore(path, after_insert=rollup_store.Folding(batches=1)), Random(5)
    for count in (60, 20):
        store.append(IngestBatch(rows=[a_row_of(random) for _ in range(count)]))
    assert upkeep.behind() == 20
    assert [upkeep.step(leftovers=True) for _ in range(2)] == [Worked.NOTHING, Worked.ROLLED_UP]
    store.append(IngestBatch(rows=[a_row_of(random)]))
    assert upkeep.step(leftovers=True) is Worked.ROLLED_UP
    store.close()
    assert_as_recomputed(path)


def test_roll_ups_of_other_tables_are_made_anew(path: Path, upkeep: Upkeep) -> None:
    everything(upkeep)
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables="another version's", cursor_id=150))
    connection.close()
    done = everything(upkeep)
    assert done[0] is Worked.BEGAN_ANEW
    assert Worked.CLEARED in done
    assert upkeep.state().tables == FINGERPRINT
    assert_as_recomputed(path)


def test_changed_records_are_rolled_up_again(path: Path, upkeep: Upkeep) -> None:
    everything(upkeep)
    connection = apsw.Connection(str(path))
    with connection:
        connection.execute("UPDATE completion_requests SET model = 'renamed', response_time_ms = 5.0")
        reset(connection)
    connection.close()
    everything(upkeep)
    assert_as_recomputed(path)


@pytest.mark.parametrize(
    "golden", [path for path in sorted(GOLDEN.glob("*.db")) if int(path.stem[0]) < 5], ids=lambda golden: golden.stem
)
def test_a_migration_and_its_undo_leave_no_old_number(golden: Path, tmp_path: Path) -> None:
    path = shutil.copyfile(golden, tmp_path / "metrics.db")
    for again in (True, False):
        assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
        upkeep = opened_at(path)
        everything(upkeep)
        assert_as_recomputed(path)
        upkeep.close()
        if again:
            assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE


def test_what_an_undo_would_need_goes_when_its_time_is_over_and_no_record_goes_to_make_room_for_it(
    tmp_path: Path,
) -> None:
    path = shutil.copyfile(GOLDEN / "4.5.0.db", tmp_path / "metrics.db")
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    records = oracle.records_in(path)
    soon, late = datetime.now(UTC) + timedelta(days=29), datetime.now(UTC) + timedelta(days=31)

    def kept_up(retention: Retention, now: datetime) -> list[Worked]:
        upkeep = opened_at(path, retention, now)
        done = everything(upkeep)
        upkeep.close()
        return done

    done = set(kept_up(Retention(undo_days=30, max_bytes=1), soon))
    assert done == {Worked.BEGAN_ANEW, Worked.CLEARED, Worked.ROLLED_UP}  # 4.5.0 rolled up fewer columns
    assert kept_up(Retention(), late) == []
    assert oracle.records_in(path) == records
    assert Worked.DROPPED in kept_up(Retention(undo_days=30), late)
    assert oracle.records_in(path) == records
    with closing(apsw.Connection(str(path))) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert not [name for name in tables if "before" in name and name.startswith("completion_requests")]


def test_days_beyond_the_retention_are_pruned_and_others_stay(path: Path) -> None:
    before = [record["timestamp"] for record in oracle.records_in(path)]
    upkeep = opened_at(path, Retention(days=3), datetime(2026, 4, 1, 0, 30, tzinfo=UTC))
    assert Worked.PRUNED in everything(upkeep)
    upkeep.close()
    left = [record["timestamp"] for record in oracle.records_in(path)]
    readable = [timestamp for timestamp in before if oracle.minute_of(timestamp) is not None]
    assert {timestamp for timestamp in readable if timestamp >= "2026-03-29"} <= set(left)
    assert not {timestamp for timestamp in readable if timestamp < "2026-03-29"} & set(left)
    assert [timestamp for timestamp in before if oracle.minute_of(timestamp) is None] == [
        timestamp for timestamp in left if oracle.minute_of(timestamp) is None
    ]


def test_too_many_bytes_take_the_oldest_days_but_never_today(path: Path) -> None:
    upkeep = opened_at(path, Retention(max_bytes=1), datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert Worked.PRUNED in everything(upkeep)
    upkeep.close()
    left = {str(record["timestamp"])[:10] for record in oracle.records_in(path)}
    assert "2026-03-28" not in left
    assert "2026-03-29" in left


def test_what_was_pruned_since_is_no_fault_of_an_undo(tmp_path: Path) -> None:
    path = shutil.copyfile(GOLDEN / "1.0.0.db", tmp_path / "metrics.db")
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    upkeep = opened_at(path, Retention(days=1), datetime(2027, 1, 1, tzinfo=UTC))
    assert Worked.PRUNED in everything(upkeep)
    upkeep.close()
    undone = engine.undo(path, options(path), migrations=MIGRATIONS)
    assert (undone.ended, undone.faults, undone.conflicts) == (Ended.UNDONE, (), ())


def test_without_a_retention_nothing_is_pruned(path: Path) -> None:
    upkeep = opened_at(path, FOREVER, datetime(2099, 1, 1, tzinfo=UTC))
    everything(upkeep)
    upkeep.close()
    assert len(oracle.records_in(path)) == 150
