"""Sends the outbox to ClickHouse: every record once, whatever is killed.

In order, one INSERT at a time. After the start and after every error nothing is known of what was sent last, so the
host is claimed anew (``claim``), the server is asked which of the waiting records it has, and only the others are sent.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from llm_metrics_proxy.engines.clickhouse import prepare
from llm_metrics_proxy.engines.clickhouse.claim import Claim, claim, literal
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.outbox import OpenOutbox, Outbox, Range
from llm_metrics_proxy.engines.clickhouse.payload import CODING, READ_SETTINGS, insertion, joined
from llm_metrics_proxy.engines.clickhouse.retention import agree, in_words
from llm_metrics_proxy.engines.clickhouse.shadow_state import read as read_migrations
from llm_metrics_proxy.errors import LlmMetricsProxyError, StoreBusyError
from llm_metrics_proxy.storage.base import ShippingStatus

INTERVAL_S: Final = 1.0  # between two INSERTs: each makes a part, and the server has to merge parts
MOST_RECORDS: Final = 20_000  # in one INSERT: several ranges are in memory as a whole, about a kilobyte a record
_RETRY_FIRST_S, _RETRY_LONGEST_S = 0.25, 5.0
_PATIENCE_S: Final = 2.0  # for an INSERT that runs when the thread is to end
_TOLD_AFTER: Final = 3  # failures in a row
_OF_HOST: Final = "host = {host:String} AND arrival BETWEEN {least:Int64} AND {greatest:Int64}"
_WITHIN: Final = "timestamp BETWEEN toDateTime64({from:String}, 6, 'UTC') AND toDateTime64({to:String}, 6, 'UTC')"

log = logging.getLogger(__name__)


class Shipper:
    """A thread of the process that owns the outbox."""

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        *,
        host: str,
        retention_days: int = 0,
        interval_s: float = INTERVAL_S,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """``host`` and ``retention_days``: as the settings say."""
        self._host = host
        self._connection, self._outbox = connection, outbox
        self._retention_days, self._interval_s, self._unix_ms = retention_days, interval_s, unix_ms
        self._claims: dict[str, Claim] = {}
        self._is_prepared = False
        self._failures = 0
        self._shipped, self._error = 0, ""
        self._away_since: int | None = None
        self._last_shipped: int | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._drain_until = 0.0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send. Failures never end it: they are shown in ``status`` and tried again."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def stop(self, *, drain_s: float = 0.0) -> None:
        """End the thread, after sending what waits if that takes no longer than ``drain_s``."""
        self._drain_until = time.monotonic() + drain_s
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(drain_s + _PATIENCE_S)  # what hangs ends with the process, as by a kill
        self._connection.close()

    def status(self) -> ShippingStatus:
        """The current status; from any thread."""
        waiting = self._outbox.waiting
        return ShippingStatus(
            waiting_records=waiting.records,
            waiting_bytes=waiting.size,
            shipped_records=self._shipped,
            error=self._error or None,
            away_since_unix_ms=self._away_since,
            last_shipped_unix_ms=self._last_shipped,
        )

    def ship(self) -> int:
        """Send what waits, up to one INSERT; returns how many records it had. Raises ``StoreError``."""
        with self._outbox.opened() as outbox:
            if not self._is_prepared:
                self._prepare()
            ranges = outbox.first(MOST_RECORDS)
            if not ranges:
                return 0
            host = ranges[0].host
            if host not in self._claims:
                self._claims[host] = self._take_over(outbox, host)
                ranges = outbox.first(MOST_RECORDS)
                if not ranges or ranges[0].host != host:
                    return 0
            self._send(self._claims[host], outbox, ranges)
        return sum(each.records for each in ranges)

    def _prepare(self) -> None:
        prepare.prepare(self._connection)
        found = agree(self._connection, self._host, self._retention_days)
        if found.has_changed:
            log.info("ClickHouse keeps records %s now", in_words(found.days))
        if found.days != self._retention_days:
            log.warning(
                "retention_days is %d here, but ClickHouse keeps records %s: %s asks for that, and the longest wins",
                self._retention_days, in_words(found.days), ", ".join(found.longest),
            )  # fmt: skip
        self._is_prepared = True

    def _send(self, held: Claim, outbox: OpenOutbox, ranges: list[Range]) -> None:
        outbox.make_durable()
        self._connection.insert(
            insertion(literal(held.host), held.condition),
            joined([each.payload for each in ranges]),
            coding=CODING,
            settings=READ_SETTINGS,
            query_id=held.query_id(),
        )
        outbox.drop(ranges)

    def _take_over(self, outbox: OpenOutbox, host: str) -> Claim:
        """Claim the host and leave in the outbox only what the server does not have."""
        made = claim(self._connection, host, outbox.identity())
        while True:  # a migration may change the tables' names just then
            before = self._tables()
            self._keep_what_is_missing(outbox, host, before[1])
            if self._tables() == before:
                return made

    def _tables(self) -> tuple[str | None, str]:
        """Which table answers; and SQL of all records, while a migration has some of them in another table."""
        records = prepare.place_of(self._connection).records
        uuid = "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = {name:String}"
        found = self._connection.query(uuid, {"name": records})
        names = [records]
        for other in read_migrations(self._connection).in_use:
            by = "SELECT name FROM system.tables WHERE database = currentDatabase() AND uuid = {uuid:UUID}"
            names += [str(name) for (name,) in self._connection.query(by, {"uuid": other}) if name != records]
        columns = "host, arrival, timestamp, request_id"
        parts = [f"SELECT {columns} FROM {self._connection.everywhere(name)}" for name in names]  # noqa: S608
        return (str(found[0][0]) if found else None), f"({' UNION ALL '.join(parts)})"

    def _keep_what_is_missing(self, outbox: OpenOutbox, host: str, records: str) -> None:
        query = self._connection.query
        # names are ours and the settings', which have letters, digits and _ only
        newest = f"SELECT max(arrival) FROM {records} WHERE host = {{host:String}}"  # noqa: S608
        ((greatest,),) = query(newest, {"host": host})
        outbox.begin_above(int(greatest))
        span = outbox.span(host)
        if span is None:
            return
        about = {"host": host, "least": span[0], "greatest": span[1]}
        times = "count(), toString(min(timestamp)), toString(max(timestamp))"
        there_are = f"SELECT {times} FROM {records} WHERE {_OF_HOST}"  # noqa: S608
        ((found, earliest, latest),) = query(there_are, about)
        if found:
            ids = f"SELECT arrival, ifNull(request_id, '') FROM {records} WHERE {_WITHIN} AND {_OF_HOST}"  # noqa: S608
            there = dict(query(ids, about | {"from": earliest, "to": latest}))
            for each in outbox.ranges(host, min(there), max(there)):
                outbox.settle(each, there)
            log.info("of the records that wait, ClickHouse had %d already", len(there))

    # -- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            shipped = self._attempt()
            if shipped is None:
                self._stop.wait(min(_RETRY_FIRST_S * 2 ** min(self._failures - 1, 10), _RETRY_LONGEST_S))
            elif shipped < MOST_RECORDS // 2:
                self._stop.wait(max(0.0, begun + self._interval_s - time.monotonic()))
                if not self._outbox.waiting.records:
                    self._wake.wait()
            self._wake.clear()
        while time.monotonic() < self._drain_until and self._attempt():
            pass

    def _attempt(self) -> int | None:
        """One INSERT; how many records it had, ``None`` if it failed."""
        try:
            shipped = self.ship()
        except LlmMetricsProxyError as error:
            self._failed(str(error), is_busy=isinstance(error, StoreBusyError))
            return None
        except Exception as error:
            # The thread's boundary: nothing is lost while records wait, and it is logged, shown and tried again.
            log.exception("sending records to ClickHouse met a bug")
            self._failed(f"{type(error).__name__}: {error}", is_busy=False)
            return None
        if self._failures:
            log.info("records are sent to ClickHouse again")
        self._failures, self._error, self._away_since = 0, "", None
        if shipped:
            self._shipped += shipped
            self._last_shipped = self._unix_ms()
        return shipped

    def _failed(self, reason: str, *, is_busy: bool) -> None:
        self._claims.clear()
        self._is_prepared = self._is_prepared and is_busy  # the tables may be gone
        self._failures += 1
        if self._away_since is None:
            self._away_since = self._unix_ms()
        if self._failures == _TOLD_AFTER if is_busy else reason != self._error:
            log.warning("%d records wait for ClickHouse: %s", self._outbox.waiting.records, reason)
        self._error = reason
