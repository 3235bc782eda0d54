"""Makes the tables and adds what later versions have; refuses what is not ours or is a newer program's."""

import re

from llm_metrics_proxy.engines.clickhouse.connection import LEAST_VERSION, Connection
from llm_metrics_proxy.engines.clickhouse.projections import added_projections, dropped_projections
from llm_metrics_proxy.engines.clickhouse.table import (
    LAYOUT,
    LAYOUTS,
    TablePlace,
    added_columns,
    retention,
    retention_rule,
    tables,
)
from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION

_THERE = "SELECT name FROM system.tables WHERE database = {database:String}"
_COLUMNS = "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}"
_PROJECTIONS = "SELECT name FROM system.projections WHERE database = {database:String} AND table = {table:String}"
# Those that every part has: a process that was killed may have left one half made.
_OURS = "database = {database:String} AND table = {table:String}"
_WHOLE = (
    "SELECT name FROM system.projections LEFT JOIN (SELECT name, sum(parent_rows) AS summed FROM "  # noqa: S608
    f"system.projection_parts WHERE active AND {_OURS} GROUP BY name) AS kept USING name WHERE {_OURS} "
    f"AND summed >= (SELECT sum(rows) FROM system.parts WHERE active AND {_OURS})"
)
_TTL_DAYS = re.compile(r"TTL .*toIntervalDay\((\d+)\)")
_RULE = "SELECT create_table_query FROM system.tables WHERE database = {database:String} AND name = {table:String}"


def place_of(connection: Connection) -> TablePlace:
    """Where its tables are."""
    return TablePlace(connection.address.database, connection.cluster)


def prepare(connection: Connection) -> None:
    """Afterwards the tables can be written to by this program. Several processes may do it at once.

    Raises ``NewerDatabaseError``, ``ForeignDatabaseError``, ``StoreBusyError`` or ``StoreError``.
    """
    place = place_of(connection)
    check(connection)
    for statement in tables(place):
        connection.command(statement)
    there = {name for (name,) in connection.query(_COLUMNS, _of(place))}
    whole = {name for (name,) in connection.query(_WHOLE, _of(place))}
    kept = {name for (name,) in connection.query(_PROJECTIONS, _of(place))}
    for statement in (
        *added_columns(place, there),
        *dropped_projections(place, kept),
        *added_projections(place, whole),
    ):
        connection.command(statement)
    if _newest_layout(connection) != LAYOUT:
        connection.command(
            f"INSERT INTO {LAYOUTS} (layout, app_version) SELECT {LAYOUT}, {{version:String}}",
            {"version": APP_VERSION},
        )


def check(connection: Connection) -> None:
    """Nothing, if this program may write to what is there. Changes nothing."""
    server, place = connection.server(), place_of(connection)
    if server.version < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise StoreError(
            f"ClickHouse at {connection.address} has version {server.version_text}; {least} or newer is needed."
        )
    there = {name for (name,) in connection.query(_THERE, {"database": place.database})}
    if LAYOUTS not in there:
        if place.records in there:
            raise ForeignDatabaseError(
                f"The database {place.database} at {connection.address} has a table {place.records} that this program "
                "did not make. It was left untouched. Name another database with --store."
            )
        return
    layout = _newest_layout(connection)
    if layout > LAYOUT:
        raise NewerDatabaseError(
            f"The tables at {connection.address} have layout {layout}, which a newer program made; this is "
            f"{APP_VERSION}, which knows layouts up to {LAYOUT}. Start a newer version; nothing was changed."
        )


def keep_for(connection: Connection, days: int) -> bool:
    """Let the server delete records that are older than so many whole days in UTC; 0: keep all. Whether it did not do
    so before."""
    place = place_of(connection)
    query = connection.query(_RULE, _of(place))
    shown = " ".join(str(query[0][0]).split()) if query else ""
    has_rule = f" TTL {retention_rule(days)}" in shown if days else " TTL " not in shown
    if not has_rule:
        # The server calculates anew in the background what each part has to delete; with a great table that takes long.
        connection.command(retention(place, days), settings={"alter_sync": 0, "mutations_sync": 0})
    return not has_rule


def kept_for(connection: Connection) -> int:
    """For how many whole days the server keeps records now; 0: for ever."""
    query = connection.query(_RULE, _of(place_of(connection)))
    days = _TTL_DAYS.search(" ".join(str(query[0][0]).split())) if query else None
    return 0 if days is None else int(days[1]) - 1


def _newest_layout(connection: Connection) -> int:
    return int(connection.value(f"SELECT max(layout) FROM {LAYOUTS}"))  # noqa: S608


def _of(place: TablePlace) -> dict[str, str]:
    return {"database": place.database, "table": place.records}
