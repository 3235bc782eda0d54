"""The only module that speaks to a ClickHouse server, over its HTTP interface; its errors become ours, with words.

The client library sends an INSERT again when the connection breaks, since a broken connection mostly means that nothing
was done; ours may have been. So ``insert`` takes a way on which the library repeats nothing, and no connection to a
server is made before it is needed: a server that is away is an error of each use, not of the start.
"""

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_metrics_proxy import extras
from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.store_address import StoreAccess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clickhouse_connect.driver.client import Client

CONNECT_TIMEOUT_S: Final = 5
TIMEOUT_S: Final = 60.0
LEAST_VERSION: Final = (25, 8)  # the oldest whose statements are those that we use
Settings = Mapping[str, str | int | float]
# By ClickHouse's own numbers: what goes away by itself, or by a person's work on the server.
_TEMPORARY: Final = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        999,  # KEEPER_EXCEPTION
    }
)
_WHAT_TO_DO: Final = {
    60: "The table is gone: start the metrics process, which makes it.",
    81: "Make the database there: CREATE DATABASE {database}.",
    194: "Set the password: LLM_METRICS_PROXY_STORE_PASSWORD or store_password_file.",
    243: "Make room on the server's disk.",
    252: "The server does not merge as fast as records come: look at system.merges and its disk.",
    497: "Grant {user} what is missing there; docs/topics/clickhouse.md has the list.",
    516: "Check the user in --store and the password in LLM_METRICS_PROXY_STORE_PASSWORD or store_password_file.",
}
_MOST_CHARACTERS: Final = 500  # of the server's words
_AROUND: Final = re.compile(  # what the library and the server put around them
    r"Received ClickHouse exception, code: \d+, server response: Code: \d+\. DB::Exception: |"
    r"\(version [^()]*(\([^()]*\))?\)|\(for url [^()]*\)"
)

log = logging.getLogger(__name__)
for name in ("clickhouse_connect", "urllib3.connectionpool"):  # what they warn of is raised, and told by us
    logging.getLogger(name).setLevel(logging.CRITICAL)


class ServerInfo(NamedTuple):
    """What a server says of itself. ``unix_s``: its clock at the question."""

    version: tuple[int, int]
    version_text: str
    name: str
    unix_s: float


class Connection:
    """Statements to one server. Safe in several threads, which each have a connection of the library's pool.

    Every method raises ``StoreBusyError`` if the server is away or too busy, so that trying again later is right, else
    ``StoreError``; both say what to do.
    """

    def __init__(self, access: StoreAccess, *, timeout_s: float = TIMEOUT_S, settings: Settings | None = None) -> None:
        """``timeout_s`` bounds the wait for an answer; ``settings`` of the server go with every statement.

        Raises ``MissingExtraError``.
        """
        extras.need("clickhouse", f"ClickHouse at {access.address}")
        self.access, self.address, self.cluster = access, access.address, access.cluster
        self._timeout_s, self._settings = timeout_s, dict(settings or {})
        self._lock = threading.Lock()
        self._client: Client | None = None

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        settings: Settings | None = None,
        query_id: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """All rows of a statement that changes nothing; ``{name:Type}`` in it is a parameter."""
        with self._said(sql):
            given = _with_id(settings, query_id)
            result = self._opened().query(sql, parameters=dict(parameters or {}), settings=given)
            return [tuple(row) for row in result.result_rows]

    def text(self, sql: str) -> bytes:
        """The answer of a statement that changes nothing, in the format that it names: parsed by whoever asks."""
        with self._said(sql):
            return self._opened().raw_query(sql)

    def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The only value of the only row."""
        ((value,),) = self.query(sql, parameters)
        return value

    def command(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        settings: Settings | None = None,
        query_id: str | None = None,
    ) -> None:
        """A statement that changes something. It is sent once."""
        with self._said(sql):
            self._opened().command(sql, parameters=dict(parameters or {}), settings=_with_id(settings, query_id))

    def insert(
        self,
        sql: str,
        payload: bytes,
        *,
        coding: str = "",
        settings: Settings | None = None,
        query_id: str | None = None,
    ) -> None:
        """``INSERT … FORMAT …`` of rows in that format, compressed by the HTTP coding ``coding``. It is sent once."""
        with self._said(sql):
            self._opened().command(
                sql,
                data=payload,
                settings=_with_id(settings, query_id),
                transport_settings={"Content-Encoding": coding} if coding else {},
            )

    def server(self) -> ServerInfo:
        """What it says of itself."""
        ((version, name, unix_s),) = self.query("SELECT version(), hostName(), toFloat64(now64(6))")
        major, minor, *_ = str(version).split(".")
        return ServerInfo((int(major), int(minor)), str(version), str(name), float(unix_s))

    def everywhere(self, table: str) -> str:
        """SQL of a table's rows on every server of the cluster; without a cluster, of the table."""
        if self.cluster is None:
            return table
        database = "" if "." in table else f"{self.address.database}, "
        return f"clusterAllReplicas({self.cluster}, {database}{table})"

    def close(self) -> None:
        """Release every connection; the next use makes one again."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _opened(self) -> "Client":
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> "Client":
        from clickhouse_connect import get_client  # noqa: PLC0415 -- 0.4 s that users of SQLite do not wait

        address = self.address
        client = get_client(
            interface="https" if address.is_tls else "http",
            host=address.host,
            port=address.port,
            username=address.user,
            password=self.access.password,
            database=address.database,
            compress=not address.is_loopback,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=self._timeout_s,
            verify=True,
            ca_cert=None if self.access.ca_file is None else str(self.access.ca_file),
            client_name="llm-metrics-proxy",
            autogenerate_session_id=False,
            dedicated_pool=self.access.ca_file is None,
            settings=self._settings,
        )
        client.http_retries = 0  # type: ignore[attr-defined]  # the pool's own; what may be repeated, the library knows
        return client

    @contextmanager
    def _said(self, sql: str) -> "Iterator[None]":
        """The library's errors become ours."""
        from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415 -- as above
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            yield
        except (ClickHouseError, HTTPError, OSError) as error:
            if log.isEnabledFor(logging.DEBUG):
                log.debug("clickhouse: %s: %s", " ".join(sql.split())[:_MOST_CHARACTERS], error)
            raise self._error(error) from error

    def _error(self, error: Exception) -> StoreError:
        code = getattr(error, "code", None)
        if code is None:
            with suppress(Exception):
                self.close()  # a server that was started again has other settings, and perhaps another version
            reason = _innermost(error)
            if "certificate" in reason.lower():
                return StoreError(
                    f"The certificate of ClickHouse at {self.address} is not trusted: {reason}. Name the authority's "
                    "file with --store-ca-file."
                )
            advice = " Is that the port for TLS?" if "WRONG_VERSION_NUMBER" in reason else ""
            return StoreBusyError(f"ClickHouse at {self.address} cannot be reached: {reason.rstrip('.')}.{advice}")
        words = " ".join(_AROUND.sub("", " ".join(str(error).split())).split())[:_MOST_CHARACTERS]
        advice = _WHAT_TO_DO.get(code, "").format(database=self.address.database, user=self.address.user)
        kind = StoreBusyError if code in _TEMPORARY else StoreError
        return kind(f"ClickHouse at {self.address} refused: {words}. {advice}".rstrip())


def _with_id(settings: Settings | None, query_id: str | None) -> dict[str, Any]:
    given: dict[str, Any] = dict(settings or {})
    return given if query_id is None else given | {"query_id": query_id}


def _innermost(error: BaseException) -> str:
    """The reason below what libraries have wrapped around it."""
    seen: BaseException = error
    for _ in range(10):
        reason = getattr(seen, "reason", None)
        below = reason if isinstance(reason, BaseException) else seen.__cause__
        if below is None:
            break
        seen = below
    return str(getattr(seen, "strerror", None) or seen) or type(seen).__name__


def names(columns: Sequence[str]) -> str:
    """Columns for SQL, none of which is taken for a word of it."""
    return ", ".join(f"`{column}`" for column in columns)
