"""One batch from all workers' segments, beginning with another worker each time."""

import msgspec

from llm_metrics_proxy.errors import JournalError
from llm_metrics_proxy.ingestion.batch import Batch
from llm_metrics_proxy.ingestion.losses import LossBook
from llm_metrics_proxy.journal.reader import JournalFolder
from llm_metrics_proxy.storage.base import OpenRequest, SegmentPosition

Positions = dict[str, SegmentPosition]  # by worker


class Collector:
    """Reads pieces of the journal (1 MiB each) into a batch until it has ``batch_rows`` or nothing is left."""

    def __init__(self, folder: JournalFolder, losses: LossBook, batch_rows: int) -> None:
        self.is_behind = False  # the last batch was full
        self._folder, self._losses, self.batch_rows = folder, losses, batch_rows
        self._turn = 0

    def collect(self, positions: Positions, stored_open: dict[bytes, OpenRequest]) -> Batch:
        """Read on from ``positions``. A segment that cannot be read does not hold up the other workers."""
        batch = Batch(stored_open)
        self.is_behind = False
        # A worker whose files were deleted by hand, so that only its rows are left, is read to its end as well.
        names = {*self._folder.workers(), *positions, *(request.worker_id for request in stored_open.values())}
        alive = {worker_id for worker_id in names if self._folder.is_alive(worker_id)}
        listing = self._folder.workers()  # again: it has what a worker wrote before it was found dead
        self._turn += 1
        first = self._turn % max(len(names), 1)
        order = sorted(names)
        for worker_id in order[first:] + order[:first]:
            segments = listing.get(worker_id, [])
            start = positions.get(worker_id) or SegmentPosition(worker_id, segments[0] if segments else 0, 0)
            try:
                self._read_worker(start, segments, worker_id in alive, batch)
            except (JournalError, OSError) as error:
                batch.problems.append(str(error))
            if self.is_behind:
                break
        return batch

    def _read_worker(self, position: SegmentPosition, segments: list[int], alive: bool, batch: Batch) -> None:
        worker_id, more = position.worker_id, True
        while more:
            following = next((segment for segment in segments if segment > position.segment), None)
            final = following is not None or not alive
            piece = self._folder.read(worker_id, position.segment, position.offset_bytes, final=final)
            batch.take(worker_id, piece.frames)
            batch.damaged_bytes += piece.skipped_bytes
            batch.torn_frames += piece.torn
            more, end = piece.more, SegmentPosition(worker_id, position.segment, piece.end_bytes)
            if not more and following is not None:
                end, more = SegmentPosition(worker_id, following, 0), True
            elif not more and final:
                batch.finish(worker_id)
                if lost := self._losses.of_the_dead(worker_id):
                    batch.losses[worker_id] = lost
                end = msgspec.structs.replace(end, done=True)
            if end != position:
                batch.positions[worker_id] = position = end
            if more and batch.size >= self.batch_rows:
                self.is_behind = True
                return
