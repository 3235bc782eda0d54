"""Where ``top`` has its records from: a database file, or the stream of a running metrics API."""

import http.client
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import parse_time
from llm_metrics_proxy.analytics.live import arrived, earlier
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.errors import ApiUnreachableError, QueryError, StoreError
from llm_metrics_proxy.storage.base import Reader

REPLAY: Final = 500  # records to begin with; those that ended within the window count
MAX_PER_POLL: Final = 2_000
_CONNECT_S: Final = 5.0
_SILENCE_S: Final = 30.0  # the stream says something every 10 s
_AGAIN_S: Final = 1.0
_BROKEN: Final = "broken"  # instead of an event: why there is none for now; the API has no event of this name


class Update(NamedTuple):
    """``requests`` that ended ``age_s`` ago, and the ``records`` of them that are known."""

    records: list[dict[str, Any]]
    requests: int
    age_s: float = 0.0


class Feed(Protocol):
    """``name``: for people. ``open_requests``, ``problem``: as of the last poll."""

    name: str
    open_requests: int | None
    problem: str | None

    def first(self, within_s: float) -> list[Update]:
        """What ended within the last seconds. Raises if it cannot be read."""

    def poll(self) -> list[Update]:
        """What came since; ``problem`` says what went wrong."""

    def close(self) -> None:
        """Let go."""


def recent(records: list[dict[str, Any]], now: datetime, within_s: float) -> list[Update]:
    """Records that ended within the last seconds, the oldest first."""
    updates = []
    for record in records:
        ended = _ended(record)
        if ended is not None and (age_s := max(0.0, (now - ended).total_seconds())) < within_s:
            updates.append(Update([record], 1, age_s))
    return sorted(updates, key=lambda update: -update.age_s)


def _ended(record: dict[str, Any]) -> datetime | None:
    try:
        began = parse_time(record["timestamp"] or "", "timestamp")
        return began + timedelta(milliseconds=record["response_time_ms"] or 0)
    except (QueryError, OverflowError):
        return None


class DatabaseFeed:
    """Looks for records that arrived since."""

    def __init__(self, records: Records, count_open: Callable[[], int], name: str, selection: RequestFilter) -> None:
        self.name = name
        self.open_requests: int | None = None
        self.problem: str | None = None
        self._records = records
        self._count_open = count_open
        self._selection = selection
        self._through = Arrivals()

    def first(self, within_s: float) -> list[Update]:
        """Raises ``StoreError``."""
        self._through = self._records.newest()
        self.open_requests = self._count_open()
        before = earlier(self._records, self._selection, self._through, REPLAY)
        return recent(before, datetime.now(UTC), within_s)

    def poll(self) -> list[Update]:
        """Of very many new records, only the newest are read one by one."""
        try:
            newest = self._records.newest()
            found = arrived(self._records, self._selection, ArrivalRange(self._through, newest), MAX_PER_POLL)
            self.open_requests = self._count_open()
        except StoreError as error:
            self.problem = str(error)
            return []
        self._through, self.problem = newest, None
        return [Update(found.records, found.sums.requests)] if found.sums.requests else []

    def close(self) -> None:
        """The records are their owner's."""


def open_requests(control: Reader) -> int:
    """Being served now, as of the last batch. Raises ``StoreError``."""
    return int(control.query("SELECT count(*) FROM open_requests")[0][0])


class ApiFeed:
    """Listens to /api/v1/live in a thread of its own, and comes back where the connection breaks off."""

    def __init__(self, url: str, token: str | None, parameters: str) -> None:
        """``parameters``: the filter, as a query string. Raises ``ApiUnreachableError`` if ``url`` is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ApiUnreachableError(
                f"--url: {url} is not the address of a metrics API, such as http://127.0.0.1:8002"
            )
        self.name = f"{parts.scheme}://{parts.netloc}"
        self.open_requests: int | None = None
        self.problem: str | None = None
        self._secure, self._netloc = parts.scheme == "https", parts.netloc
        self._path = f"{parts.path.rstrip('/')}/api/v1/live?{parameters}"
        self._token = token
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._last_id: str | None = None

    def first(self, within_s: float) -> list[Update]:
        """Raises ``ApiUnreachableError``."""
        response = self._connect()
        self._thread = threading.Thread(target=self._listen, args=(response,), name="live", daemon=True)
        self._thread.start()
        records = []
        while True:
            try:
                name, data = self._events.get(timeout=_SILENCE_S)
            except queue.Empty:
                raise ApiUnreachableError(f"{self.name} says nothing") from None
            if name == _BROKEN:
                raise ApiUnreachableError(data["message"])
            if name == "record":
                records.append(data)
            elif name == "totals":  # comes first, after what is replayed
                self.open_requests = data["open_requests"]
                return recent(records, datetime.now(UTC), within_s)

    def poll(self) -> list[Update]:
        """What has come in meanwhile."""
        records, requests = [], 0
        while not self._events.empty():
            name, data = self._events.get()
            self.problem = data["message"] if name in {_BROKEN, "problem"} else None
            if name == "record":
                records.append(data)
            elif name == "skipped":
                requests += data["records"] or 0
            elif name == "totals":
                self.open_requests = data["open_requests"]
        requests += len(records)
        return [Update(records, requests)] if requests else []

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        if self._socket is not None:
            with suppress(OSError):  # it may be gone already
                self._socket.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(_CONNECT_S)

    def _connect(self) -> http.client.HTTPResponse:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        headers = {"Accept": "text/event-stream"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._last_id is not None:
            headers["Last-Event-ID"] = self._last_id
        connection = kind(self._netloc, timeout=_CONNECT_S)
        try:
            connection.request("GET", self._path, headers=headers)
            self._socket = connection.sock
            response = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            raise ApiUnreachableError(f"{self.name} does not answer: {error or type(error).__name__}") from error
        if response.status != http.client.OK:
            with closing(connection), response:
                raise ApiUnreachableError(f"{self.name} refuses: {_reason(response)}")
        self._socket.settimeout(_SILENCE_S)
        self._connection = connection
        return response

    def _listen(self, response: http.client.HTTPResponse | None) -> None:
        while not self._closed.is_set():
            try:
                response = response or self._connect()
                if self._closed.is_set():
                    return  # closed while it connected: ``close`` shut another socket, or none
                for event in self._read(response):
                    self._events.put(event)
                message = f"{self.name} has ended the stream"
            except ApiUnreachableError as error:
                message = str(error)
            except (OSError, http.client.HTTPException, ValueError):
                message = f"the connection to {self.name} broke off"
            finally:
                if response is not None and self._connection is not None:
                    response.close()
                    self._connection.close()
            response = None
            self._events.put((_BROKEN, {"message": message}))
            self._closed.wait(_AGAIN_S)

    def _read(self, response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
        """Events as our own API writes them: one line of data each."""
        fields: dict[str, str] = {}
        while line := response.readline():
            name, _, value = line.rstrip(b"\n").decode().partition(": ")
            if name:
                fields[name] = value
                continue
            if "event" in fields and "data" in fields:
                self._last_id = fields.get("id", self._last_id)
                yield fields["event"], msgspec.json.decode(fields["data"])
            fields = {}


def _reason(response: http.client.HTTPResponse) -> str:
    try:
        return str(msgspec.json.decode(response.read(65536))["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError, OSError, http.client.HTTPException):
        return f"status {response.status}"
