"""What one ingestion transaction will do, gathered from frames. Pure: no files, no clock, no database."""

from collections.abc import Iterable

import msgspec

from llm_metrics_proxy.journal.frames import CLOSED, LOST, OPENED, Frame, decode_lost, decode_record, request_id
from llm_metrics_proxy.record import Outcome, RequestRecord
from llm_metrics_proxy.storage.base import Loss, OpenRequest, SegmentPosition


class Batch:
    """``take`` is fed each worker's frames in the order they were written; ``finish`` ends a dead worker's.

    ``stored_open`` has the requests that the database holds as open, by id; those that end here are taken out of it.
    """

    def __init__(self, stored_open: dict[bytes, OpenRequest]) -> None:
        self.records: list[RequestRecord] = []
        self.positions: dict[str, SegmentPosition] = {}
        self.undecodable: list[tuple[str, bytes]] = []  # reason, body
        self.losses: dict[str, Loss] = {}  # of workers that are done
        self.problems: list[str] = []  # segments that cannot be read now
        self.damaged_bytes = self.torn_frames = self.unknown_frames = 0
        self._opened: dict[bytes, tuple[str, bytes]] = {}  # id → worker, body
        self._closed: list[bytes] = []  # ids taken out of stored_open
        self._stored_open = stored_open

    @property
    def size(self) -> int:
        """Rows it will change."""
        return len(self.records) + len(self._opened)

    def take(self, worker_id: str, frames: Iterable[Frame]) -> None:
        """Opened and closed frames of one request cancel out here; the opened one is then never decoded."""
        opened, stored_open, append = self._opened, self._stored_open, self.records.append
        for kind, body in frames:
            try:
                if kind == OPENED:
                    opened[request_id(body)] = (worker_id, body)
                elif kind == CLOSED:
                    append(decode_record(body))
                    key = request_id(body)
                    if opened.pop(key, None) is None and key in stored_open:
                        self._strike(key)
                elif kind == LOST:
                    for stub in decode_lost(body):
                        append(self._lost(stub))
                else:
                    self.unknown_frames += 1
            except msgspec.MsgspecError as error:  # the CRC is right: not damage, but a fault of the writer
                self.undecodable.append((str(error), body))

    def finish(self, worker_id: str) -> None:
        """The worker is dead and read to its end: what it left open has crashed with it."""
        left = [key for key, request in self._stored_open.items() if request.worker_id == worker_id]
        left += [key for key, (worker, _) in self._opened.items() if worker == worker_id]
        for key in left:
            body = self._strike(key)
            try:
                record = decode_record(body)
            except msgspec.MsgspecError as error:
                self.undecodable.append((str(error), body))
            else:
                record.outcome, record.success, record.error_type = Outcome.PROXY_CRASHED, False, "crashed"
                self.records.append(record)

    def opened(self) -> list[OpenRequest]:
        """Requests that the database must remember as open."""
        return [
            OpenRequest(key.decode(errors="replace"), worker_id, bytes((OPENED,)) + body)
            for key, (worker_id, body) in self._opened.items()
        ]

    def closed(self) -> list[str]:
        """Requests that the database must no longer hold as open."""
        return [key.decode(errors="replace") for key in self._closed]

    def _strike(self, key: bytes) -> bytes:
        """The request is open no longer; returns its opened frame's body, empty if there was none."""
        if fresh := self._opened.pop(key, None):
            return fresh[1]
        if stored := self._stored_open.pop(key, None):
            self._closed.append(key)
            return stored.frame[1:]
        return b""

    def _lost(self, stub: RequestRecord) -> RequestRecord:
        """The record of a request whose end was not written: as it was opened, if that much is known."""
        record = stub
        if body := self._strike(stub.request_id.encode()):
            record = decode_record(body)
        record.outcome, record.success, record.error_type = Outcome.RECORD_LOST, False, "record_lost"
        return record
