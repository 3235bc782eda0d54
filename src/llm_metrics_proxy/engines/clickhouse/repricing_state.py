"""Repricings on the server, as they are noted before each step: the lease's holder writes, anybody reads."""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.notes import Note, read_note, write_note
from llm_metrics_proxy.engines.clickhouse.shadow_state import new_query_id

NAME: Final = "repricings"
RUNNING, DONE, STOPPED, UNDOING, TAKEN_BACK = "running", "done", "stopped", "undoing", "taken_back"


class ChangeBatch(msgspec.Struct, frozen=True):
    """Changes of one part of the table, a month, that become visible together. ``number``: by which they are kept."""

    number: int
    part: str
    records: int


class RepricingRun(msgspec.Struct, frozen=True, kw_only=True):
    """``columns``: what it wrote. Of its ``batches`` the first ``whole`` ones are in the records, all of them; the next
    one may be, in part. An undo has taken the first ``back`` ones back."""

    id: int
    state: str
    started_at: str
    app_version: str
    selection: str
    price_lists: str
    columns: tuple[str, ...]
    finished_at: str | None = None
    looked_at: int = 0
    changed: int = 0
    batches: tuple[ChangeBatch, ...] = ()
    whole: int = 0
    back: int = 0
    restored: int = 0
    conflicts: int = 0
    begun: bool = False  # taking the next batch back: some records may have been given back already


class Repricings:
    """All runs, the oldest first. Raises ``LeaseLostError`` and ``StoreError``."""

    def __init__(self, connection: Connection, lease: Lease) -> None:
        self._connection, self._lease = connection, lease
        self._note = read_note(connection, NAME)
        body = self._note.body
        self.runs = msgspec.json.decode(body, type=tuple[RepricingRun, ...]) if body else ()

    def add(self, run: RepricingRun) -> RepricingRun:
        """A new one; its number is the next."""
        run = msgspec.structs.replace(run, id=1 + max((each.id for each in self.runs), default=0))
        self._write((*self.runs, run))
        return run

    def change(self, run: RepricingRun, **changes: Any) -> RepricingRun:
        """What it is then."""
        changed = msgspec.structs.replace(run, **changes)
        self._write(tuple(changed if each.id == run.id else each for each in self.runs))
        return changed

    def _write(self, runs: tuple[RepricingRun, ...]) -> None:
        note = Note(self._note.version + 1, msgspec.json.encode(runs).decode())
        write_note(self._connection, self._lease, NAME, note, new_query_id())
        self._note, self.runs = note, runs
