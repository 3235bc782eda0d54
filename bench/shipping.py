"""How much of a core it takes to bring records to ClickHouse, beside what SQLite takes.

    python -m bench.shipping [RECORDS]

The server is the engine of the tests, a process of its own; CPU time is that of our process alone, of all its threads.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.clickhouse.server import ClickHouseServer, clickhouse_server, new_database, statement

from bench.ingestion import close_record, measure, opened_record, write_journal
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.metrics_service import settle, to_row
from llm_metrics_proxy.pricing import Pricer, PriceRow
from llm_metrics_proxy.proxy.identity import RequestIds
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.store_address import StoreAccess, store_address

_BATCH = 10_000
_PRICES = (PriceRow(model="*", input_usd_per_mtok=0.5, output_usd_per_mtok=1.5),)


class Rate(NamedTuple):
    """Records for each second of CPU time, and of wall time."""

    per_cpu_s: float
    per_s: float

    def __str__(self) -> str:
        return f"{self.per_cpu_s:,.0f} records for each second of CPU time, {self.per_s:,.0f} records/s"


def _store(server: ClickHouseServer, folder: Path) -> ClickHouseStore:
    database = new_database()
    statement(server, f"CREATE DATABASE {database}")
    address = store_address(server.url(database))
    assert address is not None
    return ClickHouseStore(folder / f"{database}.db", StoreAccess(address), host="bench", interval_s=0.0)


def _until_shipped(store: ClickHouseStore, records: int) -> None:
    while (status := store.shipping()).shipped_records < records:
        if status.error:
            raise RuntimeError(status.error)
        time.sleep(0.005)


def shipper(server: ClickHouseServer, folder: Path, records: int) -> Rate:
    """Rows that are ready: encoding, the control store's transaction, sending."""
    ids = RequestIds()
    ended = [close_record(opened_record(index, ids.next()), index) for index in range(_BATCH)]
    for record in ended:
        settle(record)
    rows = [to_row(record) for record in ended]
    store = _store(server, folder)
    store.positions()
    cpu, begun = time.process_time(), time.perf_counter()
    for _ in range(records // _BATCH):
        store.append(IngestBatch(rows=rows))
    _until_shipped(store, records // _BATCH * _BATCH)
    rate = _rate(records // _BATCH * _BATCH, cpu, begun)
    store.close()
    return rate


def whole(server: ClickHouseServer, folder: Path, records: int) -> Rate:
    """From the journal: read, settled, priced, counted, and then all of ``shipper``."""
    write_journal(folder / "journal", records)
    store = _store(server, folder)
    ingestor = Ingestor(store, folder / "journal", CounterBook(), pricer=Pricer(_PRICES))
    cpu, begun = time.process_time(), time.perf_counter()
    while ingestor.step():
        pass
    _until_shipped(store, records)
    rate = _rate(records, cpu, begun)
    ingestor.stop(drain=False)
    store.close()
    return rate


def _rate(records: int, cpu: float, begun: float) -> Rate:
    return Rate(records / (time.process_time() - cpu), records / (time.perf_counter() - begun))


def main() -> None:
    """Print the three rates."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as scratch, clickhouse_server(Path(scratch) / "server") as server:
        folder = Path(scratch)
        print(f"the shipper: {shipper(server, folder, records)}")
        print(f"from the journal to ClickHouse: {whole(server, folder, records)}")
        (folder / "sqlite").mkdir()
        per_cpu_s = measure(records, folder / "sqlite")
        print(f"from the journal into SQLite: {per_cpu_s:,.0f} records for each second of CPU time")


if __name__ == "__main__":
    main()
