"""What a server says of itself and of the records in it."""

import time
from contextlib import closing

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.prepare import check, place_of
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.engines.report import HostReport, StoreReport
from llm_metrics_proxy.store_address import StoreAccess

_PATIENCE_S = 10.0
_PARTS = (
    "SELECT sum(bytes_on_disk), count() FROM {} WHERE active AND database = {{database:String}} "
    "AND table = {{table:String}}"
)
_THERE = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {table:String}"


def report(access: StoreAccess) -> StoreReport:
    """Raises ``StoreError`` if the server is away, too old, or not ours to write to."""
    with closing(Connection(access, timeout_s=_PATIENCE_S)) as connection:
        check(connection)
        before = time.time()
        server = connection.server()
        ahead = server.unix_s - (before + time.time()) / 2
        place = place_of(connection)
        of = {"database": place.database, "table": place.records}
        ((size, parts),) = connection.query(_PARTS.format(connection.everywhere("system.parts")), of)
        hosts: list[HostReport] = []
        if connection.query(_THERE, of)[0][0]:
            by_host = f"SELECT host, count(), max(arrival) FROM {TABLE} GROUP BY host ORDER BY host"  # noqa: S608
            hosts = [HostReport(*row) for row in connection.query(by_host)]
        free = int(connection.value("SELECT min(free_space) FROM system.disks"))
    return StoreReport(server.version_text, server.name, ahead, int(size), int(parts), hosts, free)
