"""States of alerts and their pending deliveries on the server, so that whoever holds the lease next goes on with them.

All of it is one note, written whole: changed together or not at all.
"""

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.notes import Note, read_note, write_note
from llm_metrics_proxy.storage.base import AlertDelivery, StoredAlert
from llm_metrics_proxy.store_address import StoreAccess

NAME: Final = "alerts"
MOST_WAITING: Final = 1000  # deliveries; the oldest give way


class _KeptAlerts(msgspec.Struct, frozen=True):
    states: dict[str, StoredAlert] = {}
    deliveries: tuple[AlertDelivery, ...] = ()
    next_id: int = 1


def _decoded(note: Note) -> _KeptAlerts:
    return msgspec.json.decode(note.body, type=_KeptAlerts) if note.body else _KeptAlerts()


class SharedAlerts:
    """``storage.base.AlertMemory``, for all threads of a process. Others than the holder only read."""

    def __init__(self, access: StoreAccess, lease: Lease) -> None:
        self._connection, self._lease = Connection(access), lease
        self._lock = threading.Lock()
        self._known: tuple[str, Note] | None = None  # what this holder read or wrote last, and in which term

    def states(self) -> dict[str, StoredAlert]:
        """Every alert's state by its name."""
        return self._read()[1].states

    def keep(
        self, states: Mapping[str, StoredAlert], events: Mapping[str, tuple[str, str]], now: float, forget: set[str]
    ) -> None:
        """All of it, or nothing."""

        def kept(before: _KeptAlerts) -> _KeptAlerts:
            known, number, new = {each.event_id for each in before.deliveries}, before.next_id, []
            for event_id, (name, body) in events.items():
                if event_id not in known:
                    new.append(AlertDelivery(number, event_id, name, body, now, 0, None))
                    number += 1
            after = {name: each for name, each in before.states.items() if name not in forget} | dict(states)
            return _KeptAlerts(after, (*before.deliveries, *new)[-MOST_WAITING:], number)

        self._change(kept)

    def deliveries(self) -> list[AlertDelivery]:
        """Pending ones, the oldest first."""
        return list(self._read()[1].deliveries)

    def failed(self, delivery: AlertDelivery, error: str) -> None:
        """One more attempt failed."""
        self._change(
            lambda before: msgspec.structs.replace(
                before,
                deliveries=tuple(
                    one._replace(attempts=one.attempts + 1, last_error=error) if one.id == delivery.id else one
                    for one in before.deliveries
                ),
            )
        )

    def done(self, delivery: AlertDelivery) -> None:
        """It was delivered, or is not wanted any more."""
        self._change(
            lambda before: msgspec.structs.replace(
                before, deliveries=tuple(one for one in before.deliveries if one.id != delivery.id)
            )
        )

    def close(self) -> None:
        """Release the connections; the next use makes them again."""
        self._connection.close()

    def _read(self) -> tuple[Note, _KeptAlerts]:
        with self._lock:
            note = self._note()
        return note, _decoded(note)

    def _note(self) -> Note:
        term = self._lease.term() if self._lease.held() else None
        if term is not None and self._known is not None and self._known[0] == term.token:
            return self._known[1]  # nobody else writes
        note = read_note(self._connection, NAME)
        self._known = None if term is None else (term.token, note)
        return note

    def _change(self, change: Callable[[_KeptAlerts], _KeptAlerts]) -> None:
        with self._lock:
            term, note = self._lease.check(), self._note()
            body = msgspec.json.encode(change(_decoded(note)))
            self._known = None  # until it is known to be there
            query_id = f"llm-metrics-proxy:alerts:{uuid.uuid4().hex}"
            written = Note(note.version + 1, body.decode())
            write_note(self._connection, self._lease, NAME, written, query_id)
            self._known = (term.token, written)
