"""What a server says of itself and of the records in it."""

import time
from contextlib import closing

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.prepare import check, kept_for, place_of
from llm_metrics_proxy.engines.clickhouse.retention import Kept, kept
from llm_metrics_proxy.engines.clickhouse.table import RETENTION, TABLE
from llm_metrics_proxy.engines.report import HostReport, StoreReport
from llm_metrics_proxy.store_address import StoreAccess

_PATIENCE_S = 10.0
_PARTS = (
    "SELECT sum(bytes_on_disk), count() FROM {} WHERE active AND database = {{database:String}} "
    "AND table = {{table:String}}"
)
_CHANGING = (
    "SELECT command, parts_to_do, latest_fail_reason FROM system.mutations WHERE NOT is_done "
    "AND database = {database:String} AND table = {table:String} ORDER BY create_time"
)
_MOST_CHARACTERS = 120
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
        held, changing, failing = Kept(0, {}), list[str](), list[str]()
        if hosts:
            prepared = connection.query(_THERE, of | {"table": RETENTION})[0][0]
            held = kept(connection) if prepared else Kept(kept_for(connection), {})
            for command, parts_left, reason in connection.query(_CHANGING, of):
                words = f"{str(command)[:_MOST_CHARACTERS]} ({parts_left:,} parts to do)"
                (failing if reason else changing).append(f"{words}: {reason[:_MOST_CHARACTERS]}" if reason else words)
        free = int(connection.value("SELECT min(free_space) FROM system.disks"))
    about = (server.version_text, server.name, ahead, int(size), int(parts), hosts, free)
    return StoreReport(*about, held.days, held.asked, tuple(changing), tuple(failing))
