"""Requests that were served without a record: what the database has, and what workers have written down since."""

import logging
from datetime import UTC, datetime
from typing import Any

from llm_metrics_proxy.journal.ledger import Losses
from llm_metrics_proxy.journal.reader import JournalFolder
from llm_metrics_proxy.storage.base import Loss, SegmentPosition

_log = logging.getLogger(__name__)


class LossBook:
    """Adds up losses. ``stored``: those of workers that are done; ``None`` until the database was read."""

    def __init__(self, folder: JournalFolder) -> None:
        self.stored: list[Loss] | None = None
        self._folder = folder
        self._logged: set[str] = set()  # ids of workers

    def of_the_dead(self, worker_id: str) -> Loss | None:
        """What a dead worker has left written down; in the log once."""
        losses = self._folder.losses(worker_id).of_the_dead()
        if not losses.dropped:
            return None
        loss = _loss(losses)
        if worker_id not in self._logged:
            self._logged.add(worker_id)
            _log.error(
                "%d requests were served without a record between %s and %s (%s), by a worker that is gone",
                *(loss.records, _moment(loss.first_unix_ms), _moment(loss.last_unix_ms), loss.reason),
            )
        return loss

    def status(self, positions: dict[str, SegmentPosition]) -> dict[str, Any]:
        """Everything that was lost, as fields of ``IngestionStatus``."""
        found = list(self.stored or [])
        for worker_id in self._folder.workers():
            if (position := positions.get(worker_id)) is not None and position.done:
                continue  # it is stored, and the file about to go
            if self._folder.is_alive(worker_id):
                losses = self._folder.losses(worker_id)
                found += [_loss(losses)] if losses.dropped else []
            elif lost := self.of_the_dead(worker_id):
                found.append(lost)
        if self.stored is None and not found:
            return {}
        last = max(found, key=lambda loss: loss.last_unix_ms, default=None)
        return {
            "records_lost": None if self.stored is None else sum(loss.records for loss in found),
            "lost_first_unix_ms": min((loss.first_unix_ms for loss in found), default=None),
            "lost_last_unix_ms": None if last is None else last.last_unix_ms,
            "lost_reason": None if last is None else last.reason,
        }


def _loss(losses: Losses) -> Loss:
    return Loss(losses.dropped, losses.first_unix_ms, losses.last_unix_ms, losses.reason)


def _moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
