"""ClickHouse's tables: that of the records, made of the rows of ``record.py``, and five small ones. Pure: text.

What is NULL in SQLite is NULL here, but for the three columns of the order and the version, since a nullable column in
a key costs every question: a record without a time has ``NO_TIME``, one without a host ``NO_HOST``. The order is that
of pages, (timestamp, host, arrival). A column of any kind has SQL literals: ``1``, ``1.0``, ``'text'``, ``X'00'``.

On a cluster (``cluster``) each table is replicated by Keeper, and ``completion_requests`` is a view of all shards over
``completion_requests_local``.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.record import APP_VERSION_COLUMN, REGISTRY

TABLE: Final = "completion_requests"
LOCAL: Final = f"{TABLE}_local"  # of one server, on a cluster
HOSTS: Final = "record_hosts"  # which process stores the records of a host: ``shipper``
LEASES: Final = "record_leases"  # which process does what only one may do: ``lease``
NOTES: Final = "record_notes"  # what processes on one database share, by name: ``notes``
RETENTION: Final = "record_retention"  # for how long each host asks that records be kept: ``retention``
LAYOUTS: Final = "record_layouts"  # which layouts the tables have had; the last one counts
# Counts changes that an older program could not write to. A column that a MINOR adds is none: it gets NULL.
LAYOUT: Final = 1
NO_TIME: Final = "1900-01-01 00:00:00.000000"
NO_TIME_SQL: Final = f"toDateTime64('{NO_TIME}', 6, 'UTC')"
NO_HOST: Final = ""
BY_ARRIVAL: Final = "by_arrival"  # the projection: (host, arrival) and the time, by which the record is then found
NEWEST: Final = "newest"  # the projection: the last number and the count of each host, which a live tail asks for
# Words that have another value in nearly every record: a dictionary of them would be as long as the column.
UNIQUE_TEXTS: Final = frozenset(
    {
        "request_id", "trace_id", "parent_span_id", "response_id", "session_id", "agent_id", "parent_agent_id",
        "client_address", "error_message", "usage_reported", "unfit_values",
    }
)  # fmt: skip
_FOUND_BY: Final = ("request_id", "trace_id", "session_id")  # ids that people look for
_NEVER_NULL: Final = {
    "timestamp": "DateTime64(6, 'UTC')",
    "arrival": "Int64",
    "host": "LowCardinality(String)",
    APP_VERSION_COLUMN: "LowCardinality(String)",
}
_TYPES: Final = {
    "integer": "Nullable(Int64)",
    "number": "Nullable(Float64)",
    "flag": "Nullable(UInt8)",
    "text": "LowCardinality(Nullable(String))",
    "any": "Nullable(String)",
}
# Measured over a million records of 107 columns: 113 bytes each. T64 for whole numbers and Gorilla for others: 124.
_CODECS: Final = {"timestamp": "Delta, ZSTD(1)", "arrival": "Delta, ZSTD(1)"}
_CODEC: Final = "ZSTD(1)"
# An answer to an INSERT means that the server's disk has the rows; and it never takes rows for others that it had.
_SETTINGS: Final = "fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 0"
_SMALL: Final = "fsync_after_insert = 1, fsync_part_directory = 1"


class TablePlace(NamedTuple):
    """Where the tables are. ``cluster``: its name on the servers; ``None``: one server alone."""

    database: str
    cluster: str | None = None

    @property
    def records(self) -> str:
        """The table that holds the records on a server."""
        return TABLE if self.cluster is None else LOCAL

    @property
    def on_cluster(self) -> str:
        """Of a statement that changes tables."""
        return "" if self.cluster is None else f" ON CLUSTER {self.cluster}"


def column_type(column: Column) -> str:
    """As ClickHouse declares it."""
    if column.name in _NEVER_NULL:
        return _NEVER_NULL[column.name]
    return "Nullable(String)" if column.name in UNIQUE_TEXTS else _TYPES[column.kind.holds]


def records_table(place: TablePlace, name: str, uuid: str | None = None) -> str:
    """The statement that makes the table of records, without ``projections``, under that name and UUID, if it is not
    there."""
    columns = ",\n".join(f"    {_declared(column)}" for column in REGISTRY.values())
    indexes = ",\n".join(f"    INDEX by_{name} {name} TYPE bloom_filter(0.001) GRANULARITY 1" for name in _FOUND_BY)
    known_as = "" if uuid is None else f" UUID '{uuid}'"
    return (
        f"CREATE TABLE IF NOT EXISTS {name}{known_as}{place.on_cluster} (\n{columns},\n{indexes},\n"
        f"    PROJECTION {BY_ARRIVAL} (SELECT host, arrival, timestamp ORDER BY host, arrival),\n"
        f"    PROJECTION {NEWEST} (SELECT host, max(arrival), count() GROUP BY host)\n) "
        f"ENGINE = {_engine(place, place.records)}\n"
        "PARTITION BY toYYYYMM(timestamp)\nORDER BY (timestamp, host, arrival)\n"
        f"SETTINGS {_SETTINGS}"
    )


def tables(place: TablePlace) -> list[str]:
    """The statements that make all that is not there yet, without ``projections``; each may be run by several processes
    at once."""
    head = f"CREATE TABLE IF NOT EXISTS {{}}{place.on_cluster}"
    records = records_table(place, place.records)
    hosts = (
        f"{head.format(HOSTS)} (host String, generation UInt64, claim String, control String, "
        f"app_version String, at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = {_engine(place, HOSTS)} "
        f"ORDER BY (host, generation, claim) SETTINGS {_SMALL}"
    )
    layouts = (
        f"{head.format(LAYOUTS)} (layout UInt32, app_version String, at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        f"ENGINE = {_engine(place, LAYOUTS)} ORDER BY layout SETTINGS {_SMALL}"
    )
    leases = (
        f"{head.format(LEASES)} (name String, generation UInt64, token String, beat UInt64, "
        f"at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = {_engine(place, LEASES, 'Replacing', 'beat')} "
        f"ORDER BY (name, generation, token) SETTINGS {_SMALL}"
    )
    notes = (
        f"{head.format(NOTES)} (name String, version UInt64, body String, at DateTime64(3, 'UTC') DEFAULT now64(3)) "
        f"ENGINE = {_engine(place, NOTES, 'Replacing', 'version')} ORDER BY name SETTINGS {_SMALL}"
    )
    asked = (
        f"{head.format(RETENTION)} (host String, days UInt32, at DateTime64(6, 'UTC') DEFAULT now64(6)) "
        f"ENGINE = {_engine(place, RETENTION, 'Replacing', 'at')} ORDER BY host SETTINGS {_SMALL}"
    )
    # Whoever finds no table of layouts finds no table of ours: it is made first.
    return [layouts, hosts, leases, notes, asked, records, *_all_shards(place)]


def added_columns(place: TablePlace, there: Collection[str]) -> list[str]:
    """The statements that add the columns of later MINORs, which are not among those ``there``."""
    missing = [column for column in REGISTRY.values() if column.name not in there]
    names = [place.records] if place.cluster is None else [LOCAL, TABLE]
    return [
        f"ALTER TABLE {name}{place.on_cluster} "
        + ", ".join(f"ADD COLUMN IF NOT EXISTS {_declared(column)}" for column in missing)
        for name in names
        if missing
    ]


def retention(place: TablePlace, days: int) -> str:
    """The statement that makes the server delete records whose day (UTC) is over for so many whole days; 0: none."""
    alter = f"ALTER TABLE {place.records}{place.on_cluster}"
    return f"{alter} MODIFY TTL {retention_rule(days)}" if days else f"{alter} REMOVE TTL"


def retention_rule(days: int) -> str:
    """The rule as the server shows it. Records without a time stay."""
    return f"toStartOfDay(timestamp) + toIntervalDay({days + 1}) WHERE timestamp > {NO_TIME_SQL}"


def _declared(column: Column) -> str:
    return f"`{column.name}` {column_type(column)} CODEC({_CODECS.get(column.name, _CODEC)})"


def _engine(place: TablePlace, name: str, kind: str = "", version: str = "") -> str:
    """``kind`` Replacing: of rows with the same key the one with the greatest ``version`` stays."""
    if place.cluster is None:
        return f"{kind}MergeTree" + (f"({version})" if version else "")
    # The small tables are the same on every server, whatever its shard.
    shard = "{shard}" if name == LOCAL else "all"
    replica = "{replica}" if name == LOCAL else "{shard}-{replica}"
    more = f", {version}" if version else ""
    return f"Replicated{kind}MergeTree('/clickhouse/tables/{shard}/{place.database}/{name}', '{replica}'{more})"


def _all_shards(place: TablePlace) -> list[str]:
    """A host's records are spread in runs of 65,536, so that an INSERT makes one part."""
    if place.cluster is None:
        return []
    key = "cityHash64(host, bitShiftRight(arrival, 16))"
    engine = f"Distributed({place.cluster}, {place.database}, {LOCAL}, {key})"
    return [f"CREATE TABLE IF NOT EXISTS {TABLE}{place.on_cluster} AS {place.database}.{LOCAL} ENGINE = {engine}"]
