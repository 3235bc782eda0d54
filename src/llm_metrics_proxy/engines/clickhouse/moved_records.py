"""Records of a ClickHouse store that are moved from or to a SQLite file: exactly once, as the shipper sends them.

Each INSERT carries the claim of the copy that sends it, and before each the server is asked which records of the range
it has. So whatever was killed before, and wherever, only what is missing is sent.
"""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import msgspec

from llm_metrics_proxy.engines.clickhouse.claim import Claim, claim
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.payload import CODING, READ_SETTINGS
from llm_metrics_proxy.engines.clickhouse.prepare import place_of, prepare
from llm_metrics_proxy.engines.clickhouse.records import ClickHouseRecords, refuse_unfinished
from llm_metrics_proxy.engines.clickhouse.rows import decoded, shown
from llm_metrics_proxy.engines.clickhouse.table import HOSTS, NO_TIME, TABLE, column_type
from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from llm_metrics_proxy.storage.moved_records import ARRIVAL, HOST, NO_HOST, REQUEST_ID, Row, Span
from llm_metrics_proxy.zstandard import zstd

_TRIES: Final = 8  # while the server is away or busy: about a minute
_PAUSE_S: Final = 0.25
_TIME, _TIME_BEFORE = ALL_COLUMNS.index("timestamp"), ALL_COLUMNS.index("timestamp_original")
_ANY: Final = [place for place, name in enumerate(ALL_COLUMNS) if REGISTRY[name].kind.holds == "any"]
# The calendar of DateTime64; a time beyond it stands in ``timestamp_original`` alone.
_HAS_TIME: Final = re.compile(r"(19[1-9]|2[0-2][0-9])[0-9]-")
_STORED_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_names: Final = ", ".join(f"`{name}`" for name in ALL_COLUMNS)
_input: Final = ", ".join(f"`{name}` {column_type(REGISTRY[name])}" for name in ALL_COLUMNS).replace("'", "\\'")
_encoder: Final = msgspec.json.Encoder()
_WITHIN: Final = "host = {host:String} AND arrival > {after:Int64} AND arrival <= {through:Int64}"
_TIMES: Final = "timestamp BETWEEN toDateTime64({from:String}, 6, 'UTC') AND toDateTime64({to:String}, 6, 'UTC')"


class ClickHouseMoved:
    """For one thread. Every method raises ``StoreError``."""

    def __init__(self, connection: Connection) -> None:
        """``connection`` is closed with it. Makes the tables if they are missing."""
        self._connection = connection
        prepare(connection)
        self._claim: Claim | None = None
        self._owner = ""
        refuse_unfinished(connection)
        self._uuid = str(connection.value(_UUID))
        self._kept_from = ClickHouseRecords(connection).kept_from()

    @property
    def name(self) -> str:
        """Of the table: another one that stands there later is another store."""
        return f"{self._connection.address} {self._uuid}"

    def spans(self) -> dict[str, Span]:
        """By host, by the projection that has them."""
        sql = f"SELECT host, min(arrival), max(arrival), count() FROM {TABLE} GROUP BY host"  # noqa: S608 -- names are ours
        return {host: Span(*span) for host, *span in self._connection.query(sql)}

    def shared_numbers(self, hosts: Sequence[str]) -> int:
        """How many numbers records of several of these hosts have."""
        spans = sorted(span for host, span in self.spans().items() if host in hosts)
        if all(before.last < after.first for before, after in pairwise(spans)):
            return 0
        sql = (
            f"SELECT count() FROM (SELECT arrival FROM {TABLE} WHERE host IN {{hosts:Array(String)}} "  # noqa: S608
            "GROUP BY arrival HAVING uniqExact(host) > 1)"
        )
        return int(self._connection.value(sql, {"hosts": list(hosts)}))

    def read(self, host: str, after: int, through: int, limit: int) -> list[Row]:
        """The first so many of a host, in the order of arrival."""
        sql = (
            f"SELECT {shown(ALL_COLUMNS)} FROM {TABLE} WHERE {_found(host, after, through)} "  # noqa: S608
            f"ORDER BY arrival LIMIT {limit}"
        )
        return [_restored(row) for row in decoded(ALL_COLUMNS, self._connection.query(sql))]

    def expired(self, row: Row) -> bool:
        """Whether the server's retention deletes it, now or soon."""
        stored = row[_TIME]
        return self._kept_from is not None and stored is not None and datetime.fromisoformat(stored) < self._kept_from

    def owners(self, hosts: Sequence[str], control: str) -> None:
        """Raises if records of one of the hosts come from another database file: both would give the same numbers."""
        sql = f"SELECT control FROM {HOSTS} WHERE host = {{host:String}} ORDER BY generation DESC, claim DESC LIMIT 1"  # noqa: S608
        for host in hosts:
            for (owner,) in self._connection.query(sql, {"host": host}):
                if owner != control:
                    raise StoreError(
                        f"Records of the host {host!r} come to {self._connection.address} from another database file, "
                        f"which gives the same numbers. Give these a name of their own: --rename {host}=NAME."
                    )

    def begin(self, control: str) -> None:
        """``control``: the name of the file that records come from. One copy of it at a time can send."""
        self._owner = control

    def there(self, host: str, after: int, through: int) -> dict[int, str]:
        """Ids of requests by number, of what the server has; its keys are found by the projection along numbers."""
        records = self._connection.everywhere(place_of(self._connection).records)
        about: dict[str, Any] = {"host": host, "after": after, "through": through}
        ends = "count(), toString(min(timestamp)), toString(max(timestamp))"
        count = f"SELECT {ends} FROM {records} WHERE {_WITHIN}"  # noqa: S608 -- names are ours and the settings'
        ((found, first, last),) = self._connection.query(count, about)
        if not found:
            return {}
        ids = f"SELECT arrival, ifNull(request_id, '') FROM {records} WHERE {_TIMES} AND {_WITHIN}"  # noqa: S608
        return dict(self._connection.query(ids, about | {"from": first, "to": last}))

    def put(self, host: str, rows: Sequence[Row], after: int, through: int) -> int:
        """Send those that are not there yet, of all that the file has of a host in that range; how many were there.

        Raises ``StoreError`` for other records with the same numbers, and if the server stays away.
        """
        for attempt in range(_TRIES):
            try:
                return self._put(host, rows, after, through)
            except StoreBusyError:
                self._claim = None
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE_S * 2**attempt)
        raise AssertionError

    def _put(self, host: str, rows: Sequence[Row], after: int, through: int) -> int:
        if self._claim is None:
            self._claim = claim(self._connection, f"a copy of {self._owner}", self._owner)
        there = self.there(host, after, through)
        new = []
        for row in rows:
            known = there.get(row[ARRIVAL])
            if known is None:
                new.append(row)
            elif known != (row[REQUEST_ID] or ""):
                whose = f"of the host {host!r}" if host else "without a host"
                raise StoreError(
                    f"{self._connection.address} has another record {whose} with the number {row[ARRIVAL]}. Give these "
                    f"a name of their own: --rename {host}=NAME."
                )
        if new:
            lines = b"".join(_line(row) for row in new)
            self._connection.insert(
                f"INSERT INTO {TABLE} ({_names}) SELECT {_names} FROM input('{_input}') "  # noqa: S608 -- names are ours
                f"WHERE {self._claim.condition} AND {self._same_table()} FORMAT JSONCompactEachRow",
                zstd.compress(lines, 1),
                coding=CODING,
                settings=READ_SETTINGS,
                query_id=self._claim.query_id(),
            )
        return len(rows) - len(new)

    def _same_table(self) -> str:
        """SQL that is true, or raises once a migration or a restore has put another table there: ask that one anew."""
        return f"throwIf(({_UUID}) != '{self._uuid}', 'another table has taken the place of this one') = 0"

    def close(self) -> None:
        """The connection too."""
        with suppress(StoreError):
            self._connection.close()


_UUID: Final = f"SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'"  # noqa: S608


def _found(host: str, after: int, through: int) -> str:
    """The projection along numbers tells the times, by which the table is sorted."""
    escaped = host.replace("\\", "\\\\").replace("'", "\\'")
    keys = f"host = '{escaped}' AND arrival > {after} AND arrival <= {through}"
    return keys if through - after > _FEW else f"timestamp IN (SELECT timestamp FROM {TABLE} WHERE {keys}) AND {keys}"  # noqa: S608


_FEW: Final = 200_000


def _line(row: Row) -> bytes:
    values = list(row)
    stored = values[_TIME]
    if stored is not None and not _HAS_TIME.match(stored):
        if values[_TIME_BEFORE] is not None:
            raise StoreError(
                f"Record {row[ARRIVAL]} has a time that ClickHouse cannot hold, {stored!r}; it knows the years 1910 to "
                "2299. Nothing of its range was copied."
            )
        values[_TIME], values[_TIME_BEFORE] = None, stored
    values[_TIME] = values[_TIME] or NO_TIME
    values[HOST] = values[HOST] or NO_HOST
    for place in _ANY:
        values[place] = _literal(values[place])
    return _encoder.encode(values) + b"\n"


def _restored(row: Row) -> Row:
    """As the file has it."""
    before = row[_TIME_BEFORE]
    if (
        row[_TIME] is None
        and isinstance(before, str)
        and _STORED_TIME.fullmatch(before)
        and not _HAS_TIME.match(before)
    ):
        values = list(row)
        values[_TIME], values[_TIME_BEFORE] = before, None
        return tuple(values)
    return row


def _is_stored_time(value: Any) -> bool:
    return isinstance(value, str) and _STORED_TIME.fullmatch(value) is not None


def _literal(value: Any) -> str | None:
    """SQL of a value of any kind; ``rows`` reads it."""
    if value is None:
        return None
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"X'{value.hex()}'" if isinstance(value, bytes) else repr(value)
