"""A store that is opened as soon as that is possible, which may be later than the program's start.

A database that is locked, or whose disk is full, at the moment when the metrics process starts is no reason for it to
end: it can say so on its port, and the ingester tries again, as it does with one that gets into trouble later. The same
holds for one of an older program, which takes no records of ours before it has been backed up and adopted.
"""

from collections.abc import Callable

from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreError
from llm_metrics_proxy.storage.base import IngestBatch, Loss, OpenRequest, SegmentPosition, Store


class LazyStore:
    """``storage.base.Store`` around one that ``open_store`` opens: now if it can be, else at the next use.

    Each use raises what ``open_store`` raised last until it succeeds. Only a newer program's database and a foreign one
    are refused at once, by ``NewerDatabaseError`` and ``ForeignDatabaseError``, because waiting cannot help.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._store: Store | None = None
        try:
            self._opened()
        except (NewerDatabaseError, ForeignDatabaseError):
            raise
        except StoreError:
            pass  # whoever uses the store first meets it again, and is there to tell

    @property
    def is_open(self) -> bool:
        """It was opened; from then on trouble is the store's own to tell."""
        return self._store is not None

    def append(self, batch: IngestBatch) -> None:
        """As the store does, once it is open."""
        self._opened().append(batch)

    def positions(self) -> list[SegmentPosition]:
        """As the store does, once it is open."""
        return self._opened().positions()

    def forget_worker(self, worker_id: str) -> None:
        """As the store does, once it is open."""
        self._opened().forget_worker(worker_id)

    def open_requests(self) -> list[OpenRequest]:
        """As the store does, once it is open."""
        return self._opened().open_requests()

    def counters(self) -> list[tuple[str, bytes]]:
        """As the store does, once it is open."""
        return self._opened().counters()

    def losses(self) -> list[Loss]:
        """As the store does, once it is open."""
        return self._opened().losses()

    def close(self) -> None:
        """Close what was opened."""
        if self._store is not None:
            self._store.close()

    def _opened(self) -> Store:
        if self._store is None:
            self._store = self._open_store()
        return self._store
