"""The store whose records go to ClickHouse.

A batch is one transaction of the control store, which puts the records into its outbox; a thread sends them, see
``shipper``.
"""

from pathlib import Path
from typing import Final

import apsw

from llm_metrics_proxy.engines.clickhouse import outbox
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.payload import encoded
from llm_metrics_proxy.engines.clickhouse.shipper import INTERVAL_S, Shipper
from llm_metrics_proxy.errors import StoreBusyError
from llm_metrics_proxy.storage.base import IngestBatch, SegmentPosition, ShippingStatus
from llm_metrics_proxy.storage.control import Admit, ControlStore, Rows
from llm_metrics_proxy.store_address import StoreAccess

OUTBOX_BYTES: Final = 256 * 1024**2
DRAIN_S: Final = 3.0


class ClickHouseStore(ControlStore):
    """``storage.base.Store``. ``append`` returns when the records are safe in the control store.

    While ClickHouse is away they wait there, up to ``outbox_bytes``; beyond that ``append`` raises ``StoreBusyError``
    and they wait in the journal.
    """

    def __init__(
        self,
        path: Path | str,
        access: StoreAccess,
        *,
        host: str,
        admit: Admit | None = None,
        outbox_bytes: int = OUTBOX_BYTES,
        retention_days: int = 0,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """``path`` and ``admit``: as ``ControlStore`` takes them. ``host``: whose records these are.

        Nothing is sent before the journal's reader asks for its positions: another process may hold the journal.
        """
        self._host, self._most_bytes = host, outbox_bytes
        self._outbox = outbox.Outbox(Path(path))
        self._kept = (0, 0)
        self._shipper = Shipper(
            Connection(access), self._outbox, host=host, retention_days=retention_days, interval_s=interval_s
        )
        super().__init__(path, admit=admit)

    def _opened(self, connection: apsw.Connection) -> None:
        self._outbox.count(connection)

    def _keep(self, connection: apsw.Connection, first: int, rows: Rows) -> None:
        if self._outbox.waiting.size >= self._most_bytes:
            raise StoreBusyError(
                f"{self._outbox.waiting.records:,} records wait for ClickHouse already, as many as store_outbox_bytes "
                f"allows ({self._shipper.status().error or 'they are being sent'})."
            )
        new = outbox.Range(first, self._host, len(rows), encoded(first, list(rows)))
        outbox.put(connection, new)
        self._kept = (new.records, new.size)

    def append(self, batch: IngestBatch) -> None:
        """As ``ControlStore`` does. Raises ``StoreBusyError`` too if the outbox is full."""
        super().append(batch)
        if batch.rows:
            self._outbox.changed(*self._kept)
            self._shipper.wake()

    def positions(self) -> list[SegmentPosition]:
        """Every stored position. The journal's reader asks first of all, so from here on records are sent."""
        positions = super().positions()
        self._shipper.start()
        return positions

    def shipping(self) -> ShippingStatus:
        """How records get to ClickHouse; from any thread."""
        return self._shipper.status()

    def close(self) -> None:
        """Send what waits if that is quick, and release the file and the connections."""
        self._shipper.stop(drain_s=DRAIN_S)
        super().close()
