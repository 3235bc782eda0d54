"""How other values get into records on a server: by one mutation for each batch, which looks them up in a table.

A mutation replaces each part of the table as a whole, with the sums by the hour that the part has, and it leaves parts
alone that were inserted after it. So no record is lost, doubled, or counted with one value here and another one there;
a server that is killed goes on with it when it starts. Lightweight updates were tried too (ClickHouse 26.9): right, and
20 times as fast, but from then on no question is answered by the sums by the hour.

Statements have the ids of migrations, and their lease: whoever has it next ends what still runs of them.
"""
# ruff: noqa: S608 -- names are ours

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.engines.clickhouse.connection import Settings, names
from llm_metrics_proxy.engines.clickhouse.expressions import literal
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.payload import CODING, READ_SETTINGS
from llm_metrics_proxy.engines.clickhouse.prepare import kept_for
from llm_metrics_proxy.engines.clickhouse.repricing_state import ChangeBatch, RepricingRun
from llm_metrics_proxy.engines.clickhouse.shadow_state import new_query_id
from llm_metrics_proxy.engines.clickhouse.shadow_tables import Tables
from llm_metrics_proxy.engines.clickhouse.table import NO_HOST, NO_TIME, TABLE, column_type, retention_rule
from llm_metrics_proxy.errors import StoreBusyError
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.storage.repricing import REPRICED_COLUMNS, PriceChange
from llm_metrics_proxy.zstandard import zstd

CHANGES: Final = "record_repricings"  # what each run found in a record, and what it put there
COLUMNS: Final = REPRICED_COLUMNS  # never the share of the time, by which own machines are priced
_LOOKED_UP: Final = "record_repricing_"  # and the generation of the lease: of one batch, while it becomes visible
_LOOK_S: Final = 0.1
_FAILING_S: Final = 60.0  # a mutation that fails is tried again by the server, for ever
_KEYS: Final = ("timestamp", "host", "arrival")
_NOT_WAITING: Final[Settings] = {"mutations_sync": 0, "max_execution_time": 0}
_encoder: Final = msgspec.json.Encoder()


class FoundValues(NamedTuple):
    """Records of a batch: how many have what they are to get, and how many something else that is no concern of it."""

    right: int
    others: int


class Repriceable:
    """The records' table and what is kept about its repricings, for the lease's holder. Raises ``StoreError``."""

    def __init__(self, tables: Tables, lease: Lease) -> None:
        self._tables, self._lease, self._connection = tables, lease, tables.connection

    def prepare(self) -> None:
        """The table of changes is there, keeps them as long as records are kept, and nothing earlier runs any more."""
        self._tables.end_earlier()
        for (name,) in self._connection.query(
            f"SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '{_LOOKED_UP}')"
        ):
            self._tables.do(f"DROP TABLE IF EXISTS {name} SYNC")
        both = {f"{time_}_{name}": name for name in COLUMNS for time_ in ("old", "new")}
        of_values = {new: column_type(REGISTRY[name]) for new, name in both.items()}
        keys = ", ".join(f"{name} {column_type(REGISTRY[name])}" for name in _KEYS)
        values = ", ".join(f"{name} {kind}" for name, kind in of_values.items())
        self._tables.do(
            f"CREATE TABLE IF NOT EXISTS {CHANGES} (repricing UInt64, batch UInt32, {keys}, {values}) "
            "ENGINE = MergeTree PARTITION BY repricing ORDER BY (repricing, batch, host, arrival) "
            "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
        )
        adding = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {kind}" for name, kind in of_values.items())
        self._tables.do(f"ALTER TABLE {CHANGES} {adding}")
        days = kept_for(self._connection)
        has_rule = " TTL " in str(self._connection.value(f"SHOW CREATE TABLE {CHANGES}")).replace("\n", " ")
        if days:
            self._tables.do(f"ALTER TABLE {CHANGES} MODIFY TTL {retention_rule(days)}")
        elif has_rule:
            self._tables.do(f"ALTER TABLE {CHANGES} REMOVE TTL")

    def keep(self, run: RepricingRun, batch: int, changes: Sequence[PriceChange]) -> None:
        """Note what changes; the key of a change is (timestamp, host, arrival), as answers have them."""
        lines = []
        for change in changes:
            timestamp, host, arrival = change.record
            values = [value for pair in zip(change.old, change.new, strict=True) for value in pair]
            lines.append([run.id, batch, timestamp or NO_TIME, host or NO_HOST, arrival, *values])
        kinds = {"repricing": "UInt64", "batch": "UInt32"} | {name: column_type(REGISTRY[name]) for name in _KEYS}
        for name in COLUMNS:
            kinds |= {f"old_{name}": column_type(REGISTRY[name]), f"new_{name}": column_type(REGISTRY[name])}
        structure = literal(", ".join(f"{name} {kind}" for name, kind in kinds.items()))
        self._connection.insert(
            f"INSERT INTO {CHANGES} ({names(tuple(kinds))}) SELECT {names(tuple(kinds))} FROM input({structure}) "
            f"WHERE {self._lease.condition()} FORMAT JSONCompactEachRow",
            zstd.compress(b"".join(_encoder.encode(line) + b"\n" for line in lines), 1),
            coding=CODING,
            settings=READ_SETTINGS,
            query_id=new_query_id(),
        )

    def drop_beyond(self, run: RepricingRun) -> None:
        """Changes that were noted and never made."""
        self._tables.do(
            f"ALTER TABLE {CHANGES} DELETE WHERE repricing = {run.id} AND batch >= {len(run.batches)} "
            f"AND {self._lease.still_newest()}"
        )

    def put(self, run: RepricingRun, batch: ChangeBatch) -> FoundValues:
        """Each record of the batch gets its new values. Done twice, it is the same."""
        with self._looked_up(run, batch) as table:
            self._mutate(table, batch, _values_of(run, table, "new"), "1")
            return self._count(table, batch, _are(run, table, "new"))

    def put_back(self, run: RepricingRun, batch: ChangeBatch, *, begun: bool) -> FoundValues:
        """Each record that has its new values still gets those from before. ``begun``: some may have them by now."""
        with self._looked_up(run, batch) as table:
            is_new = _are(run, table, "new")
            found = self._count(table, batch, f"({is_new} OR {_are(run, table, 'old')})" if begun else is_new)
            self._mutate(table, batch, _values_of(run, table, "old"), is_new)
            return FoundValues(found.right, batch.records - found.right)

    @contextmanager
    def _looked_up(self, run: RepricingRun, batch: ChangeBatch) -> Iterator[str]:
        """A table in the server's memory from which values are taken by (host, arrival): about 170 bytes a record."""
        database = self._connection.address.database  # a mutation has none of its own
        table = f"{database}.{_LOOKED_UP}{self._lease.check().generation}_{run.id}_{batch.number}"
        both = [f"{time_}_{name}" for name in run.columns for time_ in ("old", "new")]
        of = {name: column_type(REGISTRY[name]) for name in ("host", "arrival")}
        of |= {name: column_type(REGISTRY[name.partition("_")[2]]) for name in both}
        declared = ", ".join(f"{name} {kind}" for name, kind in of.items())
        self._tables.do(f"DROP TABLE IF EXISTS {table} SYNC")
        self._tables.do(f"CREATE TABLE {table} ({declared}, is_there UInt8) ENGINE = Join(ANY, LEFT, host, arrival)")
        self._tables.do(
            f"INSERT INTO {table} SELECT {names(tuple(of))}, 1 FROM {CHANGES} "
            f"WHERE repricing = {run.id} AND batch = {batch.number}"
        )
        yield table
        self._tables.do(f"DROP TABLE {table} SYNC")  # not after an error: the mutation would fail for want of it

    def _mutate(self, table: str, batch: ChangeBatch, values: str, where: str) -> None:
        self._lease.check()
        sql = (
            f"ALTER TABLE {TABLE} UPDATE {values} IN PARTITION ID {literal(batch.part)} "
            f"WHERE {_got(table, 'is_there')} = 1 AND {where} AND {self._lease.still_newest()}"
        )
        self._connection.command(sql, settings=_NOT_WAITING, query_id=new_query_id())
        ours = f"database = currentDatabase() AND table = '{TABLE}' AND position(command, {literal(table)}) > 0"
        failing_since: float | None = None
        while True:
            found = self._connection.query(
                f"SELECT mutation_id, latest_fail_reason FROM system.mutations WHERE {ours} AND NOT is_done"
            )
            if not found:
                return
            self._lease.check()
            reason = next((str(reason) for _id, reason in found if reason), "")
            failing_since = (failing_since or time.monotonic()) if reason else None
            if failing_since is not None and time.monotonic() > failing_since + _FAILING_S:
                self._tables.do(f"KILL MUTATION WHERE {ours} AND NOT is_done")
                raise StoreBusyError(
                    f"ClickHouse at {self._connection.address} could not change {batch.records:,} records: "
                    f"{reason[:300]}. What was changed until then stays; run it again to go on."
                )
            time.sleep(_LOOK_S)

    def _count(self, table: str, batch: ChangeBatch, is_right: str) -> FoundValues:
        sql = (
            f"SELECT count(), countIf({is_right}) FROM {TABLE} "
            f"WHERE _partition_id = {literal(batch.part)} AND {_got(table, 'is_there')} = 1"
        )
        ((there, right),) = self._connection.query(sql)
        return FoundValues(int(right), int(there) - int(right))


def _got(table: str, name: str) -> str:
    return f"joinGet({literal(table)}, '{name}', host, arrival)"


def _values_of(run: RepricingRun, table: str, when: str) -> str:
    return ", ".join(f"`{name}` = {_got(table, f'{when}_{name}')}" for name in run.columns)


def _are(run: RepricingRun, table: str, when: str) -> str:
    """SQL of whether a record has those values: NULL is equal to NULL here."""
    same = [
        f"ifNull(`{name}` = {got}, isNull(`{name}`) AND isNull({got}))"
        for name in run.columns
        for got in [_got(table, f"{when}_{name}")]
    ]
    return f"({' AND '.join(same)})"
