"""History is carried into a new table and back, on the real engine; the next version is made up."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.engines.clickhouse.claim import claim
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.migrating import forget, status, undo
from llm_metrics_proxy.engines.clickhouse.prepare import keep_for, prepare
from llm_metrics_proxy.engines.clickhouse.records import ClickHouseRecords
from llm_metrics_proxy.errors import MigrationRefusedError, NewerDatabaseError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.model import Ended, Progress, WorkPhase
from llm_metrics_proxy.record import ROW_COLUMNS
from tests.clickhouse import migration_kills
from tests.clickhouse.history import CHAIN, access, add, all_of, call, fill, holding, migrated, row, undone
from tests.migration.test_recounting import NEXT

pytestmark = pytest.mark.system


@pytest.fixture
def emptied(clickhouse_url: str) -> Iterator[Connection]:
    connection = Connection(access(clickhouse_url))
    yield connection
    connection.close()


@pytest.fixture
def connection(emptied: Connection) -> Connection:
    fill(emptied)
    return emptied


def test_every_record_is_carried_once_and_an_undo_gives_all_of_them_back(
    connection: Connection, clickhouse_url: str
) -> None:
    before = all_of(connection)
    found = status(connection, CHAIN, app_version=NEXT)
    assert found.pending == {NEXT: 800}
    result = migrated(clickhouse_url)
    assert (result.ended, result.faults) == (Ended.DONE, ()), result
    assert result.run is not None
    assert (result.run.records_changed, result.run.records_total) == (800, 800)
    after = all_of(connection)
    assert after.keys() == before.keys()
    names = [name for (name,) in connection.query(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'completion_requests' "
        "ORDER BY position"
    )]  # fmt: skip
    for (host, arrival), values in after.items():
        was, is_ = dict(zip(names, before[host, arrival], strict=True)), dict(zip(names, values, strict=True))
        prompt = 5000 if arrival % 10 == 9 else 100 + arrival % 50 + (arrival % 20 if arrival % 3 == 0 else 0)
        total = 6000 if arrival % 10 == 9 else prompt + 7
        assert (is_["prompt_tokens"], is_["total_tokens"]) == (prompt, total)
        assert is_["tokens_per_second"] == total * 1000 / (1000.0 + arrival)
        assert is_["app_version"] == NEXT
        changed = {"prompt_tokens", "total_tokens", "tokens_per_second", "app_version", "recompute_reason"}
        assert {name: was[name] for name in names if name not in changed} == {
            name: is_[name] for name in names if name not in changed
        }
    assert ClickHouseRecords(connection).carried() is None
    assert migrated(clickhouse_url).ended is Ended.NOTHING_TO_DO
    add(connection, "one", 401, [row(number, 4, NEXT) for number in range(401, 411)])
    add(connection, "new", 1, [row(number, 5, NEXT) for number in range(1, 6)])
    result = undone(clickhouse_url)
    assert result.ended is Ended.UNDONE
    now = all_of(connection)
    assert {key: now[key] for key in before} == before
    assert now.keys() - before.keys() == {("one", n) for n in range(401, 411)} | {("new", n) for n in range(1, 6)}
    assert connection.query("SELECT DISTINCT app_version FROM completion_requests") == [(APP_VERSION,)]
    assert migrated(clickhouse_url, automatic=True).ended is Ended.HELD
    assert migrated(clickhouse_url).ended is Ended.DONE
    assert len(all_of(connection)) == 815


def test_a_formula_that_differs_from_its_oracle_is_taken_back_and_told(
    connection: Connection, clickhouse_url: str
) -> None:
    before = all_of(connection)
    right = CHAIN[-1]

    def oracle(*given: Any) -> tuple[Any, ...]:
        prompt, total, rate, reason = right.oracle(*given)
        return (4711 if prompt == 103 + 0 + 3 else prompt), total, rate, reason

    wrong = (*CHAIN[:-1], right._replace(oracle=oracle))
    result = migrated(clickhouse_url, migrations=wrong)
    assert result.ended is Ended.ROLLED_BACK
    assert {fault.check for fault in result.faults} == {"oracle"}
    assert "prompt_tokens is 106 and should be 4711" in result.faults[0].message
    assert all_of(connection) == {}
    add(connection, "one", 401, [row(401, 4, NEXT)])
    carried = ClickHouseRecords(connection).carried()
    assert carried is not None
    assert (carried.records, carried.of_records) == (0, 800)
    assert carried.stopped is not None
    assert "should be 4711" in carried.stopped
    assert migrated(clickhouse_url, automatic=True, migrations=wrong).ended is Ended.HELD
    assert migrated(clickhouse_url).ended is Ended.DONE
    assert len(all_of(connection)) == 801
    assert undone(clickhouse_url).ended is Ended.UNDONE
    now = all_of(connection)
    assert {key: now[key] for key in before} == before


def test_a_run_that_is_stopped_goes_on_and_tells_how_much_is_there(connection: Connection, clickhouse_url: str) -> None:
    stop = threading.Event()

    def report(progress: Progress) -> None:
        if progress.phase is WorkPhase.MIGRATING and progress.done >= 400:
            stop.set()

    result = migrated(clickhouse_url, report=report, stop=stop)
    assert result.ended is Ended.STOPPED
    carried = ClickHouseRecords(connection).carried()
    assert carried is not None
    assert carried.complete_from is not None
    assert 0 < carried.records < 800
    months = f"SELECT count() FROM completion_requests WHERE timestamp >= '{carried.complete_from:%F %T.%f}'"
    assert connection.value(months) == carried.records == len(all_of(connection))
    assert migrated(clickhouse_url).ended is Ended.DONE
    assert len(all_of(connection)) == 800
    assert connection.query("SHOW TABLES LIKE '%carrying%'") == []


def test_what_is_told_to_go_goes_and_cannot_be_undone_then(connection: Connection, clickhouse_url: str) -> None:
    assert migrated(clickhouse_url).ended is Ended.DONE
    assert len(connection.query("SHOW TABLES LIKE 'completion_requests%'")) == 2
    with holding(clickhouse_url) as lease:
        assert not forget(call(clickhouse_url), lease, finished_before="2000-01-01T00:00:00.000000Z")
        assert forget(call(clickhouse_url), lease, finished_before="2100-01-01T00:00:00.000000Z")
        assert not forget(call(clickhouse_url), lease, finished_before="2100-01-01T00:00:00.000000Z")
        with pytest.raises(MigrationRefusedError, match="was deleted"):
            undo(call(clickhouse_url), lease)
    assert connection.query("SHOW TABLES LIKE 'completion_requests%'") == [("completion_requests",)]
    assert len(all_of(connection)) == 800


def test_records_of_a_newer_version_are_left_alone(connection: Connection, clickhouse_url: str) -> None:
    add(connection, "one", 401, [row(401, 4, "7.0.0")])
    before = all_of(connection)
    with pytest.raises(NewerDatabaseError, match=r"has records of version 7\.0\.0; this is 6\.0\.0"):
        migrated(clickhouse_url)
    assert all_of(connection) == before
    assert connection.query("SHOW TABLES LIKE 'completion_requests%'") == [("completion_requests",)]


def test_a_migration_waits_for_hosts_that_run_an_older_version(connection: Connection, clickhouse_url: str) -> None:
    claim(connection, "one", "a control store")
    recent = row(401, 4)
    recent[ROW_COLUMNS.index("timestamp")] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    add(connection, "one", 401, [recent])
    with pytest.raises(
        MigrationRefusedError, match=rf"waits for hosts that run an older version: one \({APP_VERSION}\)"
    ):
        migrated(clickhouse_url, automatic=True)
    assert migrated(clickhouse_url).ended is Ended.DONE


def test_retention_goes_with_the_name_and_never_deletes_what_an_undo_needs(
    emptied: Connection, clickhouse_url: str
) -> None:
    connection = emptied
    prepare(connection)
    keep_for(connection, 3000)
    fill(connection)
    assert migrated(clickhouse_url).ended is Ended.DONE
    shown = dict(connection.query("SELECT name, create_table_query FROM system.tables WHERE name LIKE 'completion%' "
                                  "AND database = currentDatabase()"))  # fmt: skip
    assert {name: " TTL " in text for name, text in shown.items()} == {
        name: name == "completion_requests" for name in shown
    }
    assert not keep_for(connection, 3000)
    assert undone(clickhouse_url).ended is Ended.UNDONE
    assert not keep_for(connection, 3000)


def test_a_migration_in_sqlites_sql_is_refused_before_anything_is_changed(
    connection: Connection, clickhouse_url: str
) -> None:
    add(connection, "one", 401, [row(401, 4, "3.0.0")])
    with pytest.raises(MigrationRefusedError, match="said in SQLite's SQL"):
        migrated(clickhouse_url)
    assert connection.query("SHOW TABLES LIKE 'completion_requests%'") == [("completion_requests",)]


def test_kills_of_migrator_and_server_lose_and_double_nothing(tmp_path: Path) -> None:
    """A longer run: ``python -m tests.clickhouse.migration_kills``."""
    (tmp_path / "server").mkdir()
    found = migration_kills.run(tmp_path, 5, kills=2, records=60, pause_s=3.0)
    assert found.wrong == []
    assert found.newer == found.newer_stored > 0
