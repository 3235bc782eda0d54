"""What ClickHouse's sums by the hour cost and give, in the server's CPU time, which other work on the machine changes
little.

    python -m bench.clickhouse_sums [RECORDS]

Cost: INSERTs of two sizes into a table without them, with each, and with all. Gain: everyday questions, answered by
them and by the records. Also a page of records and single ones.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]
from tests.clickhouse.server import ClickHouseServer, clickhouse_server, new_database, statement

from bench import clickhouse_data
from bench.analytics import QUESTIONS
from bench.analytics_data import DAYS, END
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.requests import get_request, list_requests
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.hourly_source import HourlySource
from llm_metrics_proxy.engines.clickhouse.prepare import prepare
from llm_metrics_proxy.engines.clickhouse.projections import PROJECTIONS, Projection
from llm_metrics_proxy.engines.clickhouse.records import READING, ClickHouseRecords
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.store_address import StoreAccess, store_address

_BATCHES: Final = ((2_000, 20), (20_000, 5))  # records, INSERTs
_TURNS: Final = 5


class Bench:
    """A server with ``records`` records."""

    def __init__(self, server: ClickHouseServer, records: int) -> None:
        self._server, self._process, self._records = server, psutil.Process(server.pid), records
        self.source = self._database()
        for _ in clickhouse_data.make(self.source, records):
            pass

    def _database(self) -> Connection:
        database = new_database()
        statement(self._server, f"CREATE DATABASE {database}")
        address = store_address(self._server.url(database))
        assert address is not None
        connection = Connection(StoreAccess(address), timeout_s=600, settings=READING | {"readonly": 0})
        prepare(connection)
        return connection

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def ms(self, question: Callable[[], object]) -> str:
        """CPU time of the server, and the shortest and the median wait."""
        question()
        begun, waits = self._cpu_s(), []
        for _ in range(_TURNS):
            asked = time.perf_counter()
            question()
            waits.append((time.perf_counter() - asked) * 1000)
        cpu = (self._cpu_s() - begun) / _TURNS * 1000
        return f"{cpu:,.0f} ms of CPU time (least {min(waits):,.0f} ms, median {statistics.median(waits):,.0f} ms)"

    def insertion(self, kept: Sequence[Projection], size: int, count: int) -> str:
        """CPU time a record, with merges until there are none, and bytes a record."""
        table = self._database()
        names = {one.name for one in kept}
        dropped = ", ".join(f"DROP PROJECTION {one.name}" for one in PROJECTIONS if one.name not in names)
        if dropped:
            table.command(f"ALTER TABLE {TABLE} {dropped}")
        begun = self._cpu_s()
        for at in range(count):
            first = self._records // 2 + at * size
            chosen = (
                f"FROM {self.source.address.database}.{TABLE} WHERE arrival > {first} AND arrival <= {first + size}"
            )
            times = f"timestamp IN (SELECT timestamp {chosen})"
            table.command(f"INSERT INTO {TABLE} SELECT * {chosen} AND {times}")
        while table.value("SELECT count() FROM system.merges WHERE database = currentDatabase()"):
            time.sleep(0.1)
        cpu = self._cpu_s() - begun
        parts = "system.parts WHERE active AND database = currentDatabase()"
        size_there = table.value(f"SELECT sum(bytes_on_disk) FROM {parts} AND table = '{TABLE}'")
        statement(self._server, f"DROP DATABASE {table.address.database}")
        table.close()
        return f"{cpu / count * 1000:,.0f} ms of CPU time an INSERT, {size_there / size / count:,.0f} bytes a record"


def main() -> None:
    """Print all of it."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    with tempfile.TemporaryDirectory() as scratch, clickhouse_server(Path(scratch)) as server:
        bench = Bench(server, records)
        for size, count in _BATCHES:
            for kept in ((), *((one,) for one in PROJECTIONS), PROJECTIONS):
                names = ", ".join(one.name for one in kept) or "no sums"
                print(f"INSERT of {size:,}, {names}: {bench.insertion(kept, size, count)}")
        found = ClickHouseRecords(bench.source)
        hours, of_records = HourlySource(bench.source), found.sources()[-1]
        for name, (asked, _, _) in QUESTIONS.items():
            for days in (1, 7, DAYS):
                query = Query(
                    metrics=tuple(asked["metrics"].split(",")),
                    group_by=tuple(asked["group_by"].split(",")) if "group_by" in asked else (),
                    filter=RequestFilter(
                        start=END - timedelta(days=days, seconds=7), end=END, model=asked.get("model")
                    ),
                )
                plans = plan(query, PlanningContext(of_records.span(), END)).plans
                for title, source in (("sums", hours), ("records", of_records)):
                    if all(map(source.can_answer, plans)):
                        took = bench.ms(lambda source=source, plans=plans: list(source.read(plans)))  # type: ignore[misc]
                        print(f"{name}, {days} days, from {title}: {took}")
        page = list_requests(found, RequestFilter(), 100)
        record = page.items[50]
        print(f"a page: {bench.ms(lambda: list_requests(found, RequestFilter(), 100))}")
        print(f"the next page: {bench.ms(lambda: list_requests(found, RequestFilter(), 100, page.next_cursor))}")
        print(f"one by request_id: {bench.ms(lambda: get_request(found, record['request_id']))}")
        print(f"one by arrival: {bench.ms(lambda: get_request(found, record['arrival']))}")
        found.close()


if __name__ == "__main__":
    main()
