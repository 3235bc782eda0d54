"""What a store must do: take batches exactly once, and answer read-only SQL.

The metrics process is the only writer. One ``IngestBatch`` is one transaction: rows, the requests still open, the
journal position that was read up to, and the counters of Prometheus stand or fall together.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Protocol

import msgspec

SqlValue = str | int | float | bytes | None
# Columns that hold fewer bytes than they mean (``report_shapes``), and the SQL that reads them. Nothing else is handed
# to Python: text of other programs may be no Unicode.
SHORTENED: Final = {
    "usage_reported": "iif({0} GLOB '~[0-9]*' AND {0} NOT GLOB '*[^-0-9.,:~eE+]*', report_text({0}), {0})"
}


class SegmentPosition(msgspec.Struct, frozen=True):
    """How far one worker's journal has been ingested. ``done``: the worker is gone and everything is in."""

    worker_id: str
    segment: int
    offset_bytes: int
    done: bool = False


class OpenRequest(msgspec.Struct, frozen=True):
    """A request that was opened and not yet closed at the end of a batch; ``frame`` is its opened frame's payload."""

    request_id: str
    worker_id: str
    frame: bytes


class Loss(NamedTuple):
    """Requests of one worker, or of all, that were served without a record; when, and why."""

    records: int
    first_unix_ms: int
    last_unix_ms: int
    reason: str


class CountedAnswer(NamedTuple):
    """An answer whose tokens a record counted. ``answer``: 64 bits of its id; ``timestamp``: the record's."""

    answer: int
    timestamp: str
    by_fetch: bool  # the record fetched an answer that another request made


class StoredWindow(NamedTuple):
    """A window of a server's limit. Times are Unix seconds; ``samples`` is for ``quotas``, which wrote it."""

    backend: str
    api_key_id: str
    limit: str
    first_at: float
    last_at: float
    resets_at: float | None
    window_s: float | None
    samples: bytes


class WindowChanges(NamedTuple):
    """``changed``: windows to be kept as they are now. ``forgotten``: of a backend, key and limit, those first heard of
    before that moment."""

    changed: Sequence[StoredWindow] = ()
    forgotten: Sequence[tuple[str, str, str, float]] = ()


class ByColumn(Sequence[Sequence[SqlValue]]):
    """Rows that are kept by column, which is how they are stored, counted and compared; there is one at least."""

    def __init__(self, columns: Sequence[tuple[SqlValue, ...]]) -> None:
        self.columns = columns

    @classmethod
    def of(cls, rows: Sequence[Sequence[SqlValue]]) -> "ByColumn":
        """Any rows."""
        return rows if isinstance(rows, cls) else cls(list(zip(*rows, strict=True)))

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[tuple[SqlValue, ...]]:
        return zip(*self.columns, strict=True)

    def __getitem__(self, at: Any) -> Any:
        return list(self)[at]


class IngestBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction. ``rows`` hold values in the order of ``record.ROW_COLUMNS``."""

    rows: Sequence[Sequence[SqlValue]] = ()
    opened: Sequence[OpenRequest] = ()  # newly open at the end of this batch
    closed: Sequence[str] = ()  # request ids to strike from the open ones (they were stored by an earlier batch)
    positions: Sequence[SegmentPosition] = ()
    counters: Sequence[tuple[str, bytes]] = ()  # series key, state; replaces the stored state
    losses: Sequence[tuple[str, Loss]] = ()  # of workers that are done, by worker id
    answers: Sequence[CountedAnswer] = ()
    windows: WindowChanges = WindowChanges()


class ShippingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How records get from the control store to a store on the network. ``error``: why not, at the moment."""

    waiting_records: int
    waiting_bytes: int
    shipped_records: int  # since the start
    error: str | None
    away_since_unix_ms: int | None  # when the first of the failures in a row was
    last_shipped_unix_ms: int | None


class Store(Protocol):
    """The writing side; used by one thread of the metrics process."""

    def append(self, batch: IngestBatch) -> None:
        """Commit the batch or nothing. Raises ``StoreBusyError`` if locked by others, else ``StoreError``."""

    def positions(self) -> list[SegmentPosition]:
        """Every stored position."""

    def forget_worker(self, worker_id: str) -> None:
        """Drop a finished worker's position once its segments are deleted."""

    def open_requests(self) -> list[OpenRequest]:
        """Requests that were open when the last batch was committed."""

    def counters(self) -> list[tuple[str, bytes]]:
        """Stored counter states by series key."""

    def windows(self) -> list[StoredWindow]:
        """Every stored window of servers' limits."""

    def losses(self) -> list[Loss]:
        """Losses of all workers that are done."""

    def is_answer_counted(self, answer: int, timestamp: str) -> bool:
        """Whether a record of the days before that time counted it."""

    def fetched_answers(self, most: int) -> list[tuple[int, str]]:
        """The newest that were counted when they were fetched, with that time."""

    def close(self) -> None:
        """Checkpoint and release the file."""


class StoredAlert(NamedTuple):
    """Where an alert is; times are Unix seconds."""

    phase: str
    since: float | None
    well_since: float | None


class AlertDelivery(NamedTuple):
    """A message to a webhook. ``event_id`` is the same in every attempt."""

    id: int
    event_id: str
    name: str
    body: str
    created_at: float
    attempts: int
    last_error: str | None


class AlertMemory(Protocol):
    """States of alerts and their pending deliveries; for one thread. Every method raises ``StoreError``."""

    def states(self) -> dict[str, StoredAlert]:
        """Every alert's state by its name."""

    def keep(
        self, states: Mapping[str, StoredAlert], events: Mapping[str, tuple[str, str]], now: float, forget: set[str]
    ) -> None:
        """One transaction: states by name, new deliveries as (name, body) by event id, and names to forget."""

    def deliveries(self) -> list[AlertDelivery]:
        """Pending deliveries, the oldest first."""

    def failed(self, delivery: AlertDelivery, error: str) -> None:
        """One more attempt failed."""

    def done(self, delivery: AlertDelivery) -> None:
        """It was delivered, or is not wanted any more."""

    def close(self) -> None:
        """Release the file."""


class Snapshot(Protocol):
    """A database at one moment; used by one thread."""

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement."""


class Reader(Protocol):
    """The reading side; safe to use from several threads."""

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        """All rows of one read-only statement, from one consistent snapshot."""

    def snapshot(self) -> AbstractContextManager["Snapshot"]:
        """Several statements from one consistent snapshot."""

    def close(self) -> None:
        """Release every connection."""
