"""A store that is opened as soon as possible, perhaps after the program's start.

The metrics process must not end because the database is locked, or its disk full, when it starts: it says so on its
port, and the ingester tries again, as it does with later trouble. The same holds for an older program's database, which
takes no records before it was backed up and adopted.
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
            pass  # the first use raises it again, and reports it

    @property
    def is_open(self) -> bool:
        """It was opened; from then on the store reports its own trouble."""
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

    def is_answer_counted(self, answer: int, timestamp: str) -> bool:
        """As the store does, once it is open."""
        return self._opened().is_answer_counted(answer, timestamp)

    def fetched_answers(self, most: int) -> list[tuple[int, str]]:
        """As the store does, once it is open."""
        return self._opened().fetched_answers(most)

    def close(self) -> None:
        """Close what was opened."""
        if self._store is not None:
            self._store.close()

    def _opened(self) -> Store:
        if self._store is None:
            self._store = self._open_store()
        return self._store
