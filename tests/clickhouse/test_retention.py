"""For how long records are kept, where hosts ask for different times: none deletes what another one wants to keep."""

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.cli.store_checks import store as checked
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.engines.clickhouse.claim import claim
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.prepare import keep_for, kept_for, prepare
from llm_metrics_proxy.engines.clickhouse.records import ClickHouseRecords
from llm_metrics_proxy.engines.clickhouse.report import report
from llm_metrics_proxy.engines.clickhouse.retention import agree, kept
from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.storage.base import IngestBatch
from tests.clickhouse.history import access, add, row
from tests.waiting import wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def connection(clickhouse_url: str) -> Iterator[Connection]:
    with closing(Connection(access(clickhouse_url))) as made:
        prepare(made)
        yield made


def has_records(connection: Connection, *hosts: str) -> None:
    for host in hosts:
        claim(connection, host, f"the file of {host}")
        add(connection, host, 1, [row(1, 4)])


def test_the_longest_time_wins_whoever_starts_last(connection: Connection) -> None:
    has_records(connection, "one", "two")
    assert agree(connection, "one", 3000).days == 0  # two has not said what it asks for
    assert agree(connection, "two", 4000)[:2] == (4000, {"one": 3000, "two": 4000})
    again = agree(connection, "one", 3000)
    assert (again.days, again.has_changed, again.longest) == (4000, False, ["two"])
    assert agree(connection, "three", 0).days == 0  # for ever
    assert (kept_for(connection), ClickHouseRecords(connection).kept_from()) == (0, None)


def test_a_host_can_shorten_its_own_time_and_has_no_say_without_records(connection: Connection) -> None:
    has_records(connection, "one")
    assert agree(connection, "gone", 0).days == 0
    assert agree(connection, "one", 4000).days == 4000
    shorter = agree(connection, "one", 3000)
    assert (shorter.days, shorter.has_changed, kept_for(connection)) == (3000, True, 3000)


def test_a_host_of_an_older_program_asks_for_what_the_rule_is(connection: Connection) -> None:
    has_records(connection, "one", "older")
    keep_for(connection, 5000)
    assert agree(connection, "one", 3000)[:2] == (5000, {"one": 3000, "older": 5000})
    assert kept(connection).days == 5000


def test_records_that_were_copied_in_have_no_say(connection: Connection) -> None:
    add(connection, "", 1, [row(1, 4)])
    keep_for(connection, 5000)
    assert agree(connection, "one", 3000).days == 3000


def test_a_host_that_asks_for_less_is_told_when_it_starts_and_by_doctor(
    connection: Connection, clickhouse_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    has_records(connection, "two")
    agree(connection, "two", 5000)
    caplog.set_level(logging.INFO)
    one = ClickHouseStore(tmp_path / "one.db", access(clickhouse_url), host="one", retention_days=3000, interval_s=0.05)
    with closing(one):
        one.positions()
        one.append(IngestBatch(rows=[tuple(row(1, 4))]))
        wait_until(lambda: one.shipping().waiting_records == 0, "the record is stored")
    assert "retention_days is 3000 here, but ClickHouse keeps records for 5000 days: two asks for that" in caplog.text
    assert kept_for(connection) == 5000
    assert report(connection.access).asked_days == {"one": 3000, "two": 5000}
    found = checked(Settings(store=clickhouse_url, db_path=tmp_path / "one.db"))
    assert found.status is CheckStatus.WARNING
    assert "it keeps records 5000 days, the longest that a host asks for (days: one 3000, two 5000)" in found.found
    agree(connection, "two", 3000)
    assert "the longest that a host asks for" not in checked(Settings(store=clickhouse_url)).found


def test_a_change_of_the_rule_comes_to_its_end_and_doctor_tells_of_one_that_does_not(
    connection: Connection, clickhouse_url: str
) -> None:
    for number in range(1, 6):
        add(connection, "one", number, [row(number, month) for month in (1, 2, 3, 4)])
    agree(connection, "one", 3000)
    of_table = "database = currentDatabase() AND table = 'completion_requests' AND NOT is_done"
    wait_until(lambda: not connection.query(f"SELECT 1 FROM system.mutations WHERE {of_table}"), "the rule holds", 60)
    connection.command(
        "ALTER TABLE completion_requests UPDATE model = throwIf(arrival > 0, 'a reason') WHERE 1",
        settings={"mutations_sync": 0, "allow_nondeterministic_mutations": 1},
    )

    def told() -> bool:
        found = checked(Settings(store=clickhouse_url))
        return found.status is CheckStatus.WARNING and "a reason" in found.found

    wait_until(told, "doctor tells why", 60)
