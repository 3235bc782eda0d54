"""What a migration does to tables, each step once: names say which holder of the lease made them.

A statement of a process that was stopped may reach the server long after another one has taken over. So that it does
nothing then, tables that it would change have other names by that time, and mutations look for the lease.
"""
# ruff: noqa: S608 -- names are ours

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from llm_metrics_proxy.engines.clickhouse.connection import Connection, Settings
from llm_metrics_proxy.engines.clickhouse.expressions import literal
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.prepare import place_of
from llm_metrics_proxy.engines.clickhouse.projections import added_projections
from llm_metrics_proxy.engines.clickhouse.shadow_state import PREFIX, ShadowWork, new_query_id
from llm_metrics_proxy.engines.clickhouse.table import TABLE, records_table
from llm_metrics_proxy.errors import StoreBusyError
from llm_metrics_proxy.migration.verify import StoppedError
from llm_metrics_proxy.store_address import StoreAccess

STAGING: Final = f"{TABLE}_carrying_"
# An INSERT that was cut short may leave a host's records to be sent again, no more than so many numbers below its last.
MARGIN: Final = 1_000_000
_LONGEST_S: Final = 24 * 3600.0  # of one statement: a month of records
_PATIENCE_S: Final = 600.0
_LOOK_S: Final = 0.1
_TTL: Final = re.compile(r" TTL (.+?)(?: SETTINGS |$)")
_SETTINGS: Final[Settings] = {
    "prefer_column_name_to_alias": 1,
    "insert_deduplicate": 0,
    "mutations_sync": 2,
    "materialize_ttl_after_modify": 0,
    "max_execution_time": 0,
    "max_insert_threads": 2,
}


class Tables:
    """The tables of one database, for the lease's holder. Every method raises ``StoreError``."""

    def __init__(self, access: StoreAccess, lease: Lease, stopped: Callable[[], bool]) -> None:
        self.connection, self._lease, self._stopped = Connection(access, timeout_s=_LONGEST_S), lease, stopped
        self._watching = Connection(access)

    def close(self) -> None:
        """Release the connections."""
        self.connection.close()
        self._watching.close()

    # -- looking

    def uuid_of(self, name: str) -> str | None:
        """Of a table, if it is there."""
        return self._one("toString(uuid)", f"name = {literal(name)}")

    def name_of(self, uuid: str) -> str | None:
        """The present name of a table, if it is there."""
        return self._one("name", f"uuid = {literal(uuid)}")

    def count(self, table: str, where: str) -> int:
        """Records."""
        return int(self.connection.value(f"SELECT count() FROM {table} WHERE {where}"))

    def greatest(self, table: str) -> dict[str, int]:
        """The last number of each host."""
        return dict(self.connection.query(f"SELECT host, max(arrival) FROM {table} GROUP BY host"))

    def _one(self, what: str, where: str) -> str | None:
        sql = f"SELECT {what} FROM system.tables WHERE database = currentDatabase() AND {where}"
        found = self.connection.query(sql)
        return str(found[0][0]) if found else None

    # -- changing

    def do(self, sql: str) -> None:
        """One statement, if the lease is held."""
        self._lease.check()
        self.connection.command(sql, settings=_SETTINGS, query_id=new_query_id())

    def long(self, sql: str, query_id: str, heard: Callable[[int], None]) -> None:
        """One that takes long: it is killed if the lease is lost, or this is to stop. ``heard`` gets rows written."""
        self._lease.check()
        with ThreadPoolExecutor(1, thread_name_prefix="statement") as pool:
            running = pool.submit(self.connection.command, sql, settings=_SETTINGS, query_id=query_id)
            is_over = threading.Event()
            running.add_done_callback(lambda _: is_over.set())
            while not is_over.wait(_LOOK_S):
                if self._stopped() or not self._lease.held():
                    self._kill(f"query_id = {literal(query_id)}")
                    break
                rows = f"SELECT max(written_rows) FROM system.processes WHERE query_id = {literal(query_id)}"
                heard(int(self._watching.value(rows)))
            failed = running.exception()
        if failed is not None:
            if self._stopped():
                raise StoppedError
            self._lease.check()
            raise failed

    def end_earlier(self) -> None:
        """What an earlier holder or an earlier start has sent is over, and cannot do anything any more.

        The parts that it was carrying are gone; what had been made whole stays.
        """
        mine = f"startsWith(query_id, {literal(PREFIX)}) AND query_kind != 'KillQuery'"
        self._kill(f"startsWith(query_id, {literal(PREFIX)})")
        self._wait(f"SELECT count() FROM system.processes WHERE {mine}", "a statement of an earlier migration runs")
        self.drop_staging()
        self._wait(
            "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done "
            f"AND startsWith(table, '{TABLE}')",
            "records are still being changed or deleted",
        )

    def drop_staging(self) -> None:
        """Tables of parts that are not in any answer."""
        sql = f"SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '{STAGING}')"
        for (name,) in self.connection.query(sql):
            self.do(f"DROP TABLE IF EXISTS {name} SYNC")

    def stage(self, number: int) -> str:
        """An empty table like the one that answers; its name."""
        name = f"{STAGING}{self._lease.check().generation}_{number}"
        self.drop_staging()
        self.do(f"CREATE TABLE {name} AS {TABLE}")
        if " TTL " in self._shown(name):
            self.do(f"SYSTEM STOP TTL MERGES {name}")  # parts know when their records are too old, and keep them
        return name

    def make(self, uuid: str, name: str) -> None:
        """A table of the newest layout, if it is not there."""
        if self.name_of(uuid) is None:
            place, own = place_of(self.connection), self._own(name)
            self.do(records_table(place, own, uuid))
            for sql in added_projections(place, table=own):
                self.do(sql)

    def give_name(self, uuid: str, other: str) -> None:
        """The table with that UUID is the one that answers from now on; the other one has a name like ``other``.

        Then every INSERT into the other one has ended, and only the first one deletes what is too old.
        """
        if self.uuid_of(TABLE) != uuid:
            name, own = self.name_of(uuid), self._own(other)
            if name is None:
                raise StoreBusyError(f"The table {uuid} is gone: somebody has deleted it.")
            if name != own:
                self.do(f"RENAME TABLE {name} TO {own}")
            self.do(f"EXCHANGE TABLES {TABLE} AND {own}")

    def settle(self, other_uuid: str) -> None:
        """Wait for INSERTs into the other table; its rule of retention goes to the one that answers."""
        running = self.connection.query("SELECT query_id FROM system.processes WHERE query_kind = 'Insert'")
        ids = ", ".join(literal(query_id) for (query_id,) in running)
        if ids:
            self._wait(f"SELECT count() FROM system.processes WHERE query_id IN ({ids})", "an INSERT does not end")
        other = self.name_of(other_uuid)
        rule = None if other is None else _TTL.search(self._shown(other))
        if rule is not None:
            self.do(f"ALTER TABLE {TABLE} MODIFY TTL {rule[1]}")
            self.do(f"ALTER TABLE {other} REMOVE TTL")

    def publish(self, staging: str, part: str) -> None:
        """A part is in the table that answers, and not in the other one any more."""
        self.do(f"ALTER TABLE {staging} MOVE PARTITION ID {literal(part)} TO TABLE {TABLE}")
        self.do(f"DROP TABLE IF EXISTS {staging} SYNC")

    def delete(self, part: str, where: str) -> None:
        """Records of a part go from the table that answers."""
        fence = self._lease.still_newest()
        self.do(f"ALTER TABLE {TABLE} DELETE IN PARTITION ID {literal(part)} WHERE ({where}) AND {fence}")

    def _own(self, name: str) -> str:
        return f"{name}_{self._lease.check().generation}"

    def _shown(self, name: str) -> str:
        return " ".join((self._one("create_table_query", f"name = {literal(name)}") or "").split())

    def _kill(self, where: str) -> None:
        self._watching.command(f"KILL QUERY WHERE {where} ASYNC")

    def _wait(self, count: str, why: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self._watching.value(count):
            if self._stopped():
                raise StoppedError
            if time.monotonic() > deadline:
                raise StoreBusyError(f"ClickHouse is not ready for more: {why}.")
            self._lease.check()
            time.sleep(_LOOK_S)


def of_run(work: ShadowWork, source: str) -> str:
    """SQL that is true of records that were carried, in the table that answers. ``source``: the table that they are
    from: near a host's last number only what is there was carried, since others may have been sent again."""
    conditions = []
    for host, through in work.through.items():
        of_host = f"host = {literal(host)}" + _above(work.after, host)
        surely = through - MARGIN
        there = f"SELECT arrival FROM {source} WHERE host = {literal(host)} AND arrival > {surely}"
        conditions.append(f"({of_host} AND arrival <= {through} AND (arrival <= {surely} OR arrival IN ({there})))")
    return " OR ".join([*conditions, *_late(work)]) or "0"


def to_carry(work: ShadowWork) -> str:
    """SQL that is true of records that are to be carried, in the table that they are from."""
    if not work.after:
        return "1"
    new = [f"(host = {literal(host)}{_above(work.after, host)})" for host in work.through]
    return f"({' OR '.join([*new, *_late(work)]) or '0'})"


def _above(after: Mapping[str, int], host: str) -> str:
    return f" AND arrival > {after[host]}" if host in after else ""


def _late(work: ShadowWork) -> list[str]:
    pairs = ", ".join(f"({literal(host)}, {arrival})" for host, arrival in work.late)
    return [f"(host, arrival) IN ({pairs})"] if pairs else []


def late_in(connection: Connection, new: str, old: str, bounds: Mapping[str, int]) -> list[Any]:
    """Records of the table ``new`` with numbers up to the ``bounds`` that the table ``old`` does not have."""
    found: list[Any] = []
    for host, bound in bounds.items():
        of_host = f"host = {literal(host)} AND arrival BETWEEN {bound - MARGIN} AND {bound}"
        sql = (
            f"SELECT host, arrival FROM {new} WHERE {of_host} "
            f"AND arrival NOT IN (SELECT arrival FROM {old} WHERE {of_host})"
        )
        found += [(str(each[0]), int(each[1])) for each in connection.query(sql)]
    return found
