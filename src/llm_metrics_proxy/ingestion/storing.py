"""One batch into the store: settled, priced and counted. What no database can hold goes to a file for a person."""

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from llm_metrics_proxy.errors import RecordsRefusedError
from llm_metrics_proxy.ingestion.batch import Batch
from llm_metrics_proxy.ingestion.counted_answers import CountedAnswers
from llm_metrics_proxy.journal.frames import encode, storable
from llm_metrics_proxy.metrics_service import NOT_PRICED, Priced, settle, to_columns
from llm_metrics_proxy.ownership import give_back
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import ByColumn, IngestBatch, OpenRequest, Store, StoredWindow, WindowChanges

if TYPE_CHECKING:
    from llm_metrics_proxy.ingestion.busy_time import BusyTime

REJECTED_NAME: Final = "rejected.jsonl"

_log = logging.getLogger(__name__)


class Counters(Protocol):
    """What the ingester needs of ``counters.CounterBook``."""

    def load(self, rows: list[tuple[str, bytes]], windows: list[StoredWindow]) -> None:
        """Replace the content with what is stored."""

    def observe(
        self,
        record: RequestRecord,
        error_category: str | None,
        cost_usd: float | None,
        *,
        savings_usd: float | None,
        busy_ms: float | None,
    ) -> None:
        """Count one record that is settled and priced; ``busy_ms``: its share of its server's busy time."""

    def take_changes(self) -> list[tuple[str, bytes]]:
        """(series, state) of all that changed since the last call."""

    def take_windows(self) -> WindowChanges:
        """The same of windows of servers' limits."""

    def confirm(self) -> None:
        """Those changes are committed, and may be shown."""


class RecordPricer(Protocol):
    """What the ingester needs of ``pricing.Pricer``."""

    def price(self, record: RequestRecord, busy_ms: float | None) -> Priced:
        """Cost in US dollars, who said so, and savings by caches; None for what is unknown."""


class StoredBatch(NamedTuple):
    """``costs`` in US dollars, of the batch's records; ``rejected``: how many were not stored."""

    costs: list[float | None]
    rejected: int


class Storing:
    """Commits batches to one store."""

    def __init__(self, store: Store, counters: Counters, folder: Path, *, keeps_reports: bool = True) -> None:
        self._store, self._counters, self._folder = store, counters, folder
        self.keeps_reports = keeps_reports
        self._answers = CountedAnswers(store)

    @cached_property
    def _busy(self) -> "BusyTime":
        from llm_metrics_proxy.ingestion.busy_time import BusyTime  # noqa: PLC0415 -- numpy, with the first records

        return BusyTime()

    def forget(self) -> None:
        """Memory may not agree with the store."""
        self._answers.forget()

    def store(
        self,
        batch: Batch,
        opened: Sequence[OpenRequest],
        still_open: Iterable[OpenRequest],
        pricer: RecordPricer | None,
    ) -> StoredBatch:
        """One transaction. ``batch.records`` are those that it has stored. Behind it, ``opened`` and ``still_open`` are
        open, the first since it."""
        for reason, body in batch.undecodable:
            self._reject(reason, body)
        rejected, answers = len(batch.undecodable), self._answers
        closed, open_behind = batch.closed(), [*still_open, *opened]
        while True:
            prices: list[Priced] = []
            answers.new.clear()
            records = batch.records
            busy = self._busy.shares(records, open_behind)
            for record, busy_ms in zip(records, busy, strict=True):
                verdict = settle(record)
                answers.judge(record)
                priced = NOT_PRICED if pricer is None else pricer.price(record, busy_ms)
                if not self.keeps_reports:
                    record.usage_reported = None
                self._counters.observe(record, verdict.category, priced[0], savings_usd=priced[2], busy_ms=busy_ms)
                prices.append(priced)
            try:
                self._store.append(
                    IngestBatch(
                        rows=ByColumn(to_columns(records, prices, busy)) if records else (),
                        opened=opened,
                        closed=closed,
                        positions=list(batch.positions.values()),
                        counters=self._counters.take_changes(),
                        losses=list(batch.losses.items()),
                        answers=list(answers.new.values()),
                        windows=self._counters.take_windows(),
                    )
                )
            except RecordsRefusedError as error:
                kept = self._without(records, dict(error.refused))
                rejected += len(records) - len(kept)
                batch.records = kept
                self._counters.load(self._store.counters(), self._store.windows())
            else:
                self._counters.confirm()
                answers.confirm()
                self._busy.confirm()
                return StoredBatch([priced[0] for priced in prices], rejected)

    def _without(self, records: list[RequestRecord], refused: dict[int, str]) -> list[RequestRecord]:
        """The batch again: of refused records what can be stored in part; the rest goes to the file."""
        kept = []
        for index, record in enumerate(records):
            lesser = storable(record) if index in refused else record
            if index in refused and lesser == record:
                self._reject(refused[index], encode(record), record)
            else:
                kept.append(lesser)
        return kept

    def _reject(self, reason: str, body: bytes, record: RequestRecord | None = None) -> None:
        """Written before the commit: twice is better than never."""
        _log.error("a record was refused (%s) and is kept in %s", reason, REJECTED_NAME)
        line = msgspec.json.encode(
            {"reason": reason, "record": record and msgspec.structs.asdict(record), "frame_hex": body.hex()}
        )
        with (self._folder / REJECTED_NAME).open("ab") as file:
            give_back(file.fileno(), self._folder)
            file.write(line + b"\n")
