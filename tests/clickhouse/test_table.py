import re
from collections.abc import Iterator

import pytest

from llm_metrics_proxy.engines.clickhouse import prepare
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.projections import PROJECTIONS, added_projections
from llm_metrics_proxy.engines.clickhouse.report import report
from llm_metrics_proxy.engines.clickhouse.table import (
    HOSTS,
    LAYOUT,
    LAYOUTS,
    LEASES,
    LOCAL,
    NOTES,
    RETENTION,
    TABLE,
    TablePlace,
    added_columns,
    column_type,
    retention,
    tables,
)
from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreError
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.waiting import wait_until

ALONE, CLUSTER = TablePlace("db"), TablePlace("db", "c1")


def test_every_column_of_a_record_is_there_with_its_type() -> None:
    (records,) = (sql for sql in tables(ALONE) if f"EXISTS {TABLE} " in sql)
    declared = dict(re.findall(r"^    `(\w+)` (.+) CODEC", records, re.MULTILINE))
    assert declared == {name: column_type(column) for name, column in REGISTRY.items()}
    assert declared["timestamp"] == "DateTime64(6, 'UTC')"
    assert declared["prompt_tokens"] == "Nullable(Int64)"
    assert declared["response_time_ms"] == "Nullable(Float64)"
    assert declared["model"] == "LowCardinality(Nullable(String))"
    assert declared["request_id"] == "Nullable(String)"


def test_a_cluster_has_replicated_tables_and_a_view_of_all_shards() -> None:
    layouts, hosts, leases, notes, asked, records, view = tables(CLUSTER)
    for sql in (layouts, hosts, leases, notes, asked, records, view):
        assert " ON CLUSTER c1" in sql
    replicated = "ReplicatedMergeTree('/clickhouse/tables/{shard}/db/completion_requests_local', '{replica}')"
    assert f"ENGINE = {replicated}" in records
    assert "ReplicatedMergeTree('/clickhouse/tables/all/db/record_hosts', '{shard}-{replica}')" in hosts
    assert "ReplicatedMergeTree('/clickhouse/tables/all/db/record_layouts', '{shard}-{replica}')" in layouts
    replacing = "ReplicatedReplacingMergeTree('/clickhouse/tables/all/db/record_leases', '{shard}-{replica}', beat)"
    assert replacing in leases
    assert view == (
        f"CREATE TABLE IF NOT EXISTS {TABLE} ON CLUSTER c1 AS db.{LOCAL} "
        f"ENGINE = Distributed(c1, db, {LOCAL}, cityHash64(host, bitShiftRight(arrival, 16)))"
    )
    assert added_projections(CLUSTER, ()) == []  # they are read by name, of one server
    assert retention(CLUSTER, 7).startswith(f"ALTER TABLE {LOCAL} ON CLUSTER c1 MODIFY TTL ")
    for sql, name in zip(added_columns(CLUSTER, set(ALL_COLUMNS) - {"app"}), (LOCAL, TABLE), strict=True):
        assert sql.startswith(f"ALTER TABLE {name} ON CLUSTER c1 ADD COLUMN IF NOT EXISTS `app` ")


@pytest.fixture
def connection(clickhouse_url: str) -> Iterator[Connection]:
    address = store_address(clickhouse_url)
    assert address is not None
    connection = Connection(StoreAccess(address))
    yield connection
    connection.close()


@pytest.mark.system
class TestPrepare:
    def test_makes_what_is_missing_and_nothing_twice(self, connection: Connection) -> None:
        for _ in range(2):
            prepare.prepare(connection)
            assert connection.query(f"SELECT layout FROM {LAYOUTS}") == [(LAYOUT,)]
            there = {name for (name,) in connection.query("SHOW TABLES")}
            assert there == {TABLE, HOSTS, LAYOUTS, LEASES, NOTES, RETENTION}

    @pytest.mark.parametrize("made", range(1, 3))
    def test_goes_on_where_another_process_was_killed(self, connection: Connection, made: int) -> None:
        for sql in tables(prepare.place_of(connection))[:made]:
            connection.command(sql)
        prepare.prepare(connection)
        assert connection.value(f"SELECT count() FROM {TABLE}") == 0

    def test_adds_the_columns_of_later_versions(self, connection: Connection) -> None:
        prepare.prepare(connection)
        connection.command(f"ALTER TABLE {TABLE} DROP COLUMN app, DROP COLUMN quota_plan")
        prepare.prepare(connection)
        columns = connection.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}",
            {"table": TABLE},
        )
        assert {name for (name,) in columns} == set(ALL_COLUMNS)

    def test_adds_the_sums_of_later_versions_to_older_parts_too(self, connection: Connection) -> None:
        for sql in tables(prepare.place_of(connection)):
            connection.command(sql)
        connection.command(
            f"INSERT INTO {TABLE} (host, arrival, timestamp) SELECT 'a', number, now64(6) FROM numbers(9)"
        )
        prepare.prepare(connection)
        kept = "SELECT name, sum(parent_rows) FROM system.projection_parts WHERE active AND table = {table:String} "
        found = f"{kept} AND database = currentDatabase() AND startsWith(name, 'hours') GROUP BY name"
        whole = {(one.name, 9) for one in PROJECTIONS}
        wait_until(lambda: set(connection.query(found, {"table": TABLE})) == whole, "old parts have sums", 30)
        prepare.prepare(connection)
        made = "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
        assert connection.value(made) == len(PROJECTIONS)  # each once

    def test_sums_of_earlier_versions_go(self, connection: Connection) -> None:
        for sql in tables(prepare.place_of(connection)):
            connection.command(sql)
        for name in ("hours", "hours_2_by_model"):
            connection.command(f"ALTER TABLE {TABLE} ADD PROJECTION {name} (SELECT model, count() GROUP BY model)")
        prepare.prepare(connection)
        found = "SELECT name FROM system.projections WHERE database = currentDatabase() AND table = {table:String} "
        kept = {name for (name,) in connection.query(f"{found} AND startsWith(name, 'hours')", {"table": TABLE})}
        assert kept == {one.name for one in PROJECTIONS}

    def test_refuses_a_newer_layout(self, connection: Connection) -> None:
        prepare.prepare(connection)
        connection.command(f"INSERT INTO {LAYOUTS} (layout, app_version) SELECT {LAYOUT + 1}, '9.0.0'")
        with pytest.raises(NewerDatabaseError, match=f"layout {LAYOUT + 1}, which a newer program made"):
            prepare.prepare(connection)

    def test_refuses_a_table_of_another_program(self, connection: Connection) -> None:
        connection.command(f"CREATE TABLE {TABLE} (a Int64) ENGINE = MergeTree ORDER BY a")
        with pytest.raises(ForeignDatabaseError, match="did not make"):
            prepare.prepare(connection)

    def test_refuses_a_server_that_is_too_old(self, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prepare, "LEAST_VERSION", (99, 1))
        with pytest.raises(StoreError, match=r"99\.1 or newer is needed"):
            prepare.prepare(connection)

    def test_the_server_deletes_what_is_too_old(self, connection: Connection) -> None:
        prepare.prepare(connection)
        connection.command(
            f"INSERT INTO {TABLE} (host, arrival, timestamp) SELECT 'a', number, "
            "if(number = 9, toDateTime64('1900-01-01 00:00:00', 6, 'UTC'), now64(6) - toIntervalDay(number)) "
            "FROM numbers(10)"
        )
        assert prepare.keep_for(connection, 3)
        assert not prepare.keep_for(connection, 3)
        connection.command(f"OPTIMIZE TABLE {TABLE} FINAL")
        kept = [arrival for (arrival,) in connection.query(f"SELECT arrival FROM {TABLE} ORDER BY arrival")]
        assert kept == [0, 1, 2, 3, 9]  # three whole days before this one, and what has no time
        assert prepare.keep_for(connection, 5)
        assert prepare.keep_for(connection, 0)
        assert not prepare.keep_for(connection, 0)

    def test_a_report_counts_hosts_and_compares_clocks(self, connection: Connection) -> None:
        assert report(connection.access).hosts == []
        prepare.prepare(connection)
        connection.command(f"INSERT INTO {TABLE} (host, arrival, timestamp) SELECT 'a', 7, now64(6)")
        found = report(connection.access)
        assert [tuple(each) for each in found.hosts] == [("a", 1, 7)]
        assert abs(found.clock_ahead_s) < 5
        assert found.size > 0
        assert found.disk_free > 0
