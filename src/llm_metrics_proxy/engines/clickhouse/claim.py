"""Who may store the records of a host. Each INSERT carries the claim of the process that sends it.

A process that was killed may have left an INSERT on its way, perhaps still unread in the server's socket. So the next
one first makes a later claim, then waits for what runs: an INSERT that looks for its claim afterwards is refused, and
one that looked before is among what runs. Then it asks which records are there.
"""

import time
import uuid
from typing import Final, NamedTuple

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.table import HOSTS
from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION

WAIT_S: Final = 30.0  # for INSERTs of an earlier process
_LOOK_S: Final = 0.05
_FENCED: Final = "a later process has claimed the records of this host"
_RUNNING: Final = "SELECT count() FROM {} WHERE startsWith(initial_query_id, {{prefix:String}})"
_NEWEST: Final = (
    f"SELECT generation, claim, control FROM {HOSTS} WHERE host = {{host:String}} "  # noqa: S608
    "ORDER BY generation DESC, claim DESC LIMIT 1"
)
_ADD: Final = (
    f"INSERT INTO {HOSTS} (host, generation, claim, control, app_version) "
    "SELECT {host:String}, {generation:UInt64}, {claim:String}, {control:String}, {version:String}"
)
_SEEN: Final = (
    "SELECT count() FROM (SELECT hostName() AS name, max(generation) AS newest FROM {} WHERE host = {{host:String}} "
    "GROUP BY name) WHERE newest >= {{generation:UInt64}}"
)
_REPLICAS: Final = "SELECT count() FROM system.clusters WHERE cluster = {cluster:String}"


class Claim(NamedTuple):
    """The right to send records of ``host``, until somebody makes a later claim."""

    host: str
    generation: int
    token: str

    @property
    def condition(self) -> str:
        """SQL that is true, or raises once there is a later claim."""
        newest = f"SELECT max((generation, claim)) FROM {HOSTS} WHERE host = {literal(self.host)}"  # noqa: S608
        return f"throwIf(({newest}) != ({self.generation}, '{self.token}'), '{_FENCED}') = 0"

    def query_id(self) -> str:
        """A new one, by which the statement is known to come from this host."""
        return f"{_prefix(self.host)}{uuid.uuid4().hex}"


def claim(connection: Connection, host: str, control: str) -> Claim:
    """Take over the records of ``host``. ``control``: the identity of the control store that has them.

    Returns when no INSERT of an earlier claim can change anything any more. Raises ``StoreError`` if the host belongs
    to another control store, ``StoreBusyError`` if an INSERT of an earlier claim does not end.
    """
    newest = connection.query(_NEWEST, {"host": host})
    generation, owner = (int(newest[0][0]), str(newest[0][2])) if newest else (0, control)
    if owner != control:
        raise StoreError(
            f"Records of the host {host!r} are stored at {connection.address} by another process, which has another "
            "database file (--db-path). Give this one a name of its own with --host-name; if the other one is gone for "
            "good, that is right too, and its records stay."
        )
    made = Claim(host, generation + 1, uuid.uuid4().hex)
    connection.command(
        _ADD,
        {
            "host": host,
            "generation": made.generation,
            "claim": made.token,
            "control": control,
            "version": APP_VERSION,
        },
        settings={"async_insert": 0, "insert_deduplicate": 0},
    )
    deadline = time.monotonic() + WAIT_S
    _wait_for_replicas(connection, made, deadline)
    running = _RUNNING.format(connection.everywhere("system.processes"))
    while connection.query(running, {"prefix": _prefix(host)})[0][0]:
        _pause(deadline, f"an INSERT of {host!r} that an earlier process began still runs")
    return made


def _wait_for_replicas(connection: Connection, made: Claim, deadline: float) -> None:
    """On a cluster, an INSERT is refused by the server that it is sent to: every one must know of the claim."""
    if connection.cluster is None:
        return
    ((servers,),) = connection.query(_REPLICAS, {"cluster": connection.cluster})
    seen = _SEEN.format(connection.everywhere(HOSTS))
    while connection.query(seen, {"host": made.host, "generation": made.generation})[0][0] < servers:
        _pause(deadline, "not every server of the cluster knows yet who stores the records of this host")


def _pause(deadline: float, why: str) -> None:
    if time.monotonic() > deadline:
        raise StoreBusyError(f"ClickHouse is not ready for more: {why}.")
    time.sleep(_LOOK_S)


def _prefix(host: str) -> str:
    return f"llm-metrics-proxy:{host}:"


def literal(text: str) -> str:
    """A text for SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
