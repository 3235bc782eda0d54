import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.engines.clickhouse import claim as claims
from llm_metrics_proxy.engines.clickhouse import prepare
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.outbox import OpenOutbox
from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.errors import RecordsRefusedError, StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import ROW_COLUMNS
from llm_metrics_proxy.storage.base import IngestBatch, SegmentPosition
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.clickhouse.server import clickhouse_server, free_port
from tests.journal_parts import an_ended_record
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def access(url: str) -> StoreAccess:
    address = store_address(url)
    assert address is not None
    return StoreAccess(address)


def rows(*indexes: int) -> list[Any]:
    return [to_row(an_ended_record(index)) for index in indexes]


class Steps(ClickHouseStore):
    """Nothing is sent but by ``ship``."""

    def positions(self) -> list[SegmentPosition]:
        return super(ClickHouseStore, self).positions()

    def ship(self) -> int:
        return self._shipper.ship()

    def fail(self) -> None:
        """As after any failure."""
        self._shipper._failed("it was to fail", is_busy=True)


@pytest.fixture
def connection(clickhouse_url: str) -> Iterator[Connection]:
    connection = Connection(access(clickhouse_url))
    yield connection
    connection.close()


def stored(connection: Connection) -> list[tuple[str, int, int]]:
    found = connection.query("SELECT host, arrival, request_id FROM completion_requests ORDER BY host, arrival")
    return [(host, arrival, int(request_id, 16)) for host, arrival, request_id in found]


def waiting(path: Path) -> list[tuple[int, int]]:
    control = apsw.Connection(str(path))
    found = list(control.execute("SELECT first_arrival, records FROM outbox ORDER BY first_arrival"))
    control.close()
    return found


def test_a_batch_is_safe_before_it_is_sent_and_leaves_when_it_is_there(
    tmp_path: Path, clickhouse_url: str, connection: Connection
) -> None:
    path = tmp_path / "metrics.db"
    store = Steps(path, access(clickhouse_url), host="a")
    store.append(IngestBatch(rows=rows(1, 2, 3), positions=[SegmentPosition("w", 1, 10)]))
    store.append(IngestBatch(rows=rows(4)))
    assert waiting(path) == [(1, 3), (4, 1)]
    assert store.shipping().waiting_records == 4
    assert store.ship() == 4
    assert waiting(path) == []
    assert store.shipping().waiting_records == store.shipping().waiting_bytes == 0
    assert stored(connection) == [("a", index, index) for index in range(1, 5)]
    assert store.ship() == 0
    store.close()


def test_records_whose_insert_was_not_answered_are_not_sent_again(
    tmp_path: Path, clickhouse_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.db"
    store = Steps(path, access(clickhouse_url), host="a")
    store.append(IngestBatch(rows=rows(1, 2, 3)))

    def cut_off(*_: object) -> None:
        raise StoreError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(OpenOutbox, "drop", cut_off)
        with pytest.raises(StoreError, match="cut off"):
            store.ship()
    store.append(IngestBatch(rows=rows(4, 5)))
    store.fail()
    assert store.ship() == 2
    assert stored(connection) == [("a", index, index) for index in range(1, 6)]
    store.close()


def test_of_a_range_that_is_there_in_part_only_the_rest_is_sent(
    tmp_path: Path, clickhouse_url: str, connection: Connection
) -> None:
    store = Steps(tmp_path / "metrics.db", access(clickhouse_url), host="a")
    store.append(IngestBatch(rows=rows(1)))
    store.ship()
    store.append(IngestBatch(rows=rows(2, 3, 4)))
    columns = "host, arrival, request_id, timestamp, app_version"
    connection.command(f"INSERT INTO completion_requests ({columns}) SELECT 'a', 3, '{3:032x}', now64(6), '5.0.0'")
    store.fail()
    store.ship()
    assert stored(connection) == [("a", index, index) for index in range(1, 5)]
    store.close()


def test_a_control_store_from_a_backup_gives_new_numbers(
    tmp_path: Path, clickhouse_url: str, connection: Connection
) -> None:
    path, copy = tmp_path / "metrics.db", tmp_path / "copy.db"
    store = Steps(path, access(clickhouse_url), host="a")
    store.append(IngestBatch(rows=rows(1)))
    store.ship()
    store.append(IngestBatch(rows=rows(2, 3)))  # waits in the backup, too
    with (
        apsw.Connection(str(copy)) as target,
        apsw.Connection(str(path)) as source,
        target.backup("main", source, "main") as backup,
    ):
        backup.step()
    store.ship()
    store.append(IngestBatch(rows=rows(4, 5)))
    store.ship()
    store.close()
    restored = Steps(copy, access(clickhouse_url), host="a")
    restored.append(IngestBatch(rows=rows(6, 7, 8)))  # takes numbers that 4 and 5 have
    restored.ship()
    restored.append(IngestBatch(rows=rows(9)))
    restored.ship()
    assert waiting(copy) == []
    assert sorted(index for _, _, index in stored(connection)) == list(range(1, 10))
    assert len({arrival for _, arrival, _ in stored(connection)}) == 9
    restored.close()


def test_a_host_belongs_to_one_control_store(tmp_path: Path, clickhouse_url: str, connection: Connection) -> None:
    first = Steps(tmp_path / "first.db", access(clickhouse_url), host="a")
    first.append(IngestBatch(rows=rows(1)))
    first.ship()
    second = Steps(tmp_path / "second.db", access(clickhouse_url), host="a")
    second.append(IngestBatch(rows=rows(2)))
    with pytest.raises(StoreError, match=r"'a'.*another process.*--host-name"):
        second.ship()
    second.close()
    other = Steps(tmp_path / "second.db", access(clickhouse_url), host="b")
    other.append(IngestBatch(rows=rows(3)))
    with pytest.raises(StoreError, match=r"'a'.*another process.*--host-name"):
        other.ship()  # a record that waits under the old name
    other.close()
    assert stored(connection) == [("a", 1, 1)]


def test_a_late_insert_of_an_earlier_process_is_refused(
    tmp_path: Path, clickhouse_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = Steps(tmp_path / "metrics.db", access(clickhouse_url), host="a")
    earlier.append(IngestBatch(rows=rows(1)))
    earlier.ship()
    later = Steps(tmp_path / "metrics.db", access(clickhouse_url), host="a")
    later.append(IngestBatch(rows=rows(2, 3)))
    later.ship()
    later.append(IngestBatch(rows=rows(4)))
    with pytest.raises(StoreError, match="a later process has claimed"):
        earlier.ship()
    assert stored(connection) == [("a", index, index) for index in range(1, 4)]
    later.ship()
    assert stored(connection) == [("a", index, index) for index in range(1, 5)]
    earlier.close()
    later.close()


def test_waits_for_what_an_earlier_process_began(
    clickhouse_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "WAIT_S", 0.2)
    prepare.prepare(connection)
    made = claims.claim(connection, "a", "control")
    slow = Connection(access(clickhouse_url))
    running = threading.Thread(
        target=slow.query,
        args=("SELECT sleepEachRow(1) FROM numbers(2) SETTINGS max_block_size = 1",),
        kwargs={"query_id": made.query_id()},
    )
    running.start()
    is_running = f"SELECT count() FROM system.processes WHERE query_id LIKE '{made.query_id()[:-32]}%'"
    wait_until(lambda: connection.value(is_running), "the statement runs")
    with pytest.raises(StoreBusyError, match="an earlier process began"):
        claims.claim(connection, "a", "control")
    running.join()
    slow.close()
    assert claims.claim(connection, "a", "control").generation == made.generation + 2


def test_what_it_could_not_hold_is_refused_by_row(tmp_path: Path, clickhouse_url: str) -> None:
    path = tmp_path / "metrics.db"
    store = Steps(path, access(clickhouse_url), host="a")
    batch = [list(row) for row in rows(1, 2, 3, 4, 5, 6)]
    at = ROW_COLUMNS.index
    batch[1][at("max_tokens")] = 2**63
    batch[2][at("model")] = "lone \ud800 surrogate"
    batch[3][at("prompt_tokens")] = "many"
    batch[4][at("timestamp")] = "2025-13-01T00:00:00.000000Z"
    with pytest.raises(RecordsRefusedError) as caught:
        store.append(IngestBatch(rows=batch))
    assert [index for index, _ in caught.value.refused] == [1, 2, 3, 4]
    assert waiting(path) == []
    store.close()


def test_a_server_that_is_away_fills_the_outbox_and_then_the_journal(tmp_path: Path) -> None:
    address = store_address(f"clickhouse+http://default@127.0.0.1:{free_port()}/default")
    assert address is not None
    store = Steps(tmp_path / "metrics.db", StoreAccess(address), host="a", outbox_bytes=500)
    with pytest.raises(StoreBusyError, match="cannot be reached: Connection refused"):
        store.ship()
    store.append(IngestBatch(rows=rows(*range(1, 200))))
    with pytest.raises(StoreBusyError, match=r"199 records wait for ClickHouse already.*store_outbox_bytes"):
        store.append(IngestBatch(rows=rows(200)))
    store.append(IngestBatch(positions=[SegmentPosition("w", 1, 10)]))  # no records: it may
    assert store.shipping().waiting_records == 199
    store.close()


def test_comes_back_by_itself(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with clickhouse_server(tmp_path_factory.mktemp("away")) as server:
        server.kill()
        store = ClickHouseStore(tmp_path / "metrics.db", access(server.url()), host="a", interval_s=0.01)
        store.positions()
        store.append(IngestBatch(rows=rows(1, 2)))
        wait_until(lambda: store.shipping().error, "the failure is shown")
        assert store.shipping().away_since_unix_ms is not None
        server.start()
        wait_until(lambda: store.shipping().waiting_records == 0, "they are sent")
        assert store.shipping().error is None
        connection = Connection(access(server.url()))
        assert stored(connection) == [("a", 1, 1), ("a", 2, 2)]
        connection.close()
        store.close()
