"""Records on their way: ranges of arrivals in the control store, each with its payload, in the order of arrival.

A range is made in the transaction that takes its numbers and moves the journal's positions, and goes when the server
has all of it. In between it is fixed: whatever is sent again is the same records under the same numbers.
"""

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.engines.clickhouse.payload import renumbered, request_ids
from llm_metrics_proxy.storage.arrivals import begin_above, take_arrivals
from llm_metrics_proxy.storage.connection import Access, connect, transaction
from llm_metrics_proxy.storage.sqlite_schema import store_error

_BUSY_MS: Final = 10_000  # the shipper waits for the ingester, whose transactions take milliseconds
_RANGES: Final = "SELECT first_arrival, host, records, payload FROM outbox ORDER BY first_arrival"
_INSERT: Final = "INSERT INTO outbox (first_arrival, host, records, bytes, payload) VALUES (?, ?, ?, ?, ?)"


class Range(NamedTuple):
    """Records of one host; their arrivals are within ``records`` of ``first``."""

    first: int
    host: str
    records: int
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.payload)

    @property
    def last(self) -> int:
        """The greatest number that one of them can have."""
        return self.first + self.records - 1


class Waiting(NamedTuple):
    """What is in the outbox."""

    records: int = 0
    size: int = 0  # bytes


class Outbox:
    """The outbox of one control store. Its counts are in memory, safe to read from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._waiting = Waiting()

    @property
    def waiting(self) -> Waiting:
        """How much is there, of what was committed."""
        return self._waiting

    def count(self, connection: apsw.Connection) -> None:
        """Look how much is there."""
        ((records, size),) = connection.execute("SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM outbox")
        with self._lock:
            self._waiting = Waiting(int(records), int(size))

    def changed(self, records: int, size: int) -> None:
        """So much more, or less, was committed."""
        with self._lock:
            self._waiting = Waiting(self._waiting.records + records, self._waiting.size + size)

    @contextmanager
    def opened(self) -> Iterator["OpenOutbox"]:
        """The shipper's own connection. Raises ``StoreError``."""
        try:
            with closing(connect(self._path, Access.WRITE, busy_ms=_BUSY_MS)) as connection:
                yield OpenOutbox(self, connection)
        except apsw.Error as error:
            raise store_error(self._path, "looking for records to send", error) from error


class OpenOutbox:
    """The outbox as the shipper has it."""

    def __init__(self, outbox: Outbox, connection: apsw.Connection) -> None:
        self._outbox, self._connection = outbox, connection

    def identity(self) -> str:
        """The control store's own name, made at its first use."""
        with transaction(self._connection):
            self._connection.execute("INSERT OR IGNORE INTO control_identity VALUES (1, ?)", (secrets.token_hex(16),))
        return str(self._connection.execute("SELECT id FROM control_identity").get)

    def first(self, records: int) -> list[Range]:
        """The oldest ranges of one host: at least one, and no more than hold so many records; none if nothing waits."""
        found: list[Range] = []
        for row in self._connection.execute(_RANGES):
            each = Range(*row)
            if found and (each.host != found[0].host or sum(one.records for one in found) + each.records > records):
                break
            found.append(each)
        return found

    def span(self, host: str) -> tuple[int, int] | None:
        """The least and the greatest arrival of a host's ranges."""
        sql = "SELECT min(first_arrival), max(first_arrival + records - 1) FROM outbox WHERE host = ?"
        ((least, greatest),) = self._connection.execute(sql, (host,))
        return None if least is None else (int(least), int(greatest))

    def ranges(self, host: str, least: int, greatest: int) -> list[Range]:
        """Those of a host that may have some of these arrivals."""
        return [
            each
            for each in (Range(*row) for row in self._connection.execute(_RANGES))
            if each.host == host and each.first <= greatest and each.last >= least
        ]

    def make_durable(self) -> None:
        """Everything that was committed is on the disk: numbers that the server may see are never given again."""
        self._connection.execute("PRAGMA synchronous = FULL")
        with transaction(self._connection):
            self._connection.execute("UPDATE arrivals SET next = next")
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def drop(self, ranges: Sequence[Range]) -> None:
        """The server has all of them."""
        with transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM outbox WHERE first_arrival = ?", [(each.first,) for each in ranges]
            )
        self._outbox.changed(-sum(each.records for each in ranges), -sum(each.size for each in ranges))

    def begin_above(self, arrival: int) -> None:
        """No number up to this one is given any more."""
        with transaction(self._connection):
            begin_above(self._connection, arrival)

    def settle(self, old: Range, there: Mapping[int, str]) -> None:
        """Only what the server does not have stays. ``there``: ids of requests by arrival, of records that it has.

        A number that another record has there was given before this file was restored from a backup, so those records
        get new ones.
        """
        ours = request_ids(old.payload)
        left = [arrival for arrival, request_id in ours.items() if there.get(arrival) != (request_id or "")]
        new: Range | None = None
        with transaction(self._connection):
            if left:
                numbers = dict(zip(left, left, strict=True))
                first, span = old.first, old.records
                if not there.keys().isdisjoint(left):
                    first, span = take_arrivals(self._connection, len(left)), len(left)
                    numbers = dict(zip(left, range(first, first + span), strict=True))
                payload = renumbered(old.payload, numbers)
                new = Range(first, old.host, span, payload)
            self._connection.execute("DELETE FROM outbox WHERE first_arrival = ?", (old.first,))
            if new is not None:
                put(self._connection, new)
        records, size = (new.records, new.size) if new is not None else (0, 0)
        self._outbox.changed(records - old.records, size - old.size)


def put(connection: apsw.Connection, new: Range) -> None:
    """A new range, in the caller's transaction."""
    connection.execute(_INSERT, (new.first, new.host, new.records, new.size, new.payload))
