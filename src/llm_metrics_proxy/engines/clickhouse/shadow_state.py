"""Migrations on the server, as they are noted before each step: every process reads them, the lease's holder writes."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.notes import Note, read_note, write_note
from llm_metrics_proxy.migration.model import Run, RunState

NAME: Final = "migrations"
PREFIX: Final = "llm-metrics-proxy:migration:"  # of the ids of its statements


class RecordsPart(msgspec.Struct, frozen=True):
    """A partition of the table that is read: a month. ``newest``: the time of its last record, as Unix microseconds."""

    id: str
    records: int
    newest: int
    stamps: tuple[str, ...]


class ShadowWork(msgspec.Struct, frozen=True, kw_only=True):
    """The tables of a run, and how far it is. Tables are known by their UUIDs, since they change names.

    ``made``: the table of the newest layout; ``old``: the one from before. Records with ``after`` < arrival <=
    ``through``, by host, and the ``late`` ones are carried from one to the other, part by part.
    """

    old: str
    made: str
    has_moved: bool = False  # the table that is to answer has the name, and what goes to the other one has ended
    after: dict[str, int] = {}
    through: dict[str, int] = {}
    late: tuple[tuple[str, int], ...] = ()
    parts: tuple[RecordsPart, ...] | None = None  # not counted yet
    done: int = 0  # parts
    publishes: bool = False  # the next part may be in the table, or some of it
    query_id: str = ""  # of the statement that was sent last


class Migrations(msgspec.Struct, frozen=True):
    """All runs, the oldest first, each with its tables; the last one may be unfinished."""

    runs: tuple[Run, ...] = ()
    work: tuple[ShadowWork, ...] = ()

    @property
    def last(self) -> tuple[Run, ShadowWork] | None:
        """The last run."""
        return (self.runs[-1], self.work[-1]) if self.runs else None

    @property
    def in_use(self) -> tuple[str, ...]:
        """UUIDs of the tables that may each have records which are not in the other; none where all are in one."""
        if not self.runs or self.runs[-1].state in (RunState.DONE, RunState.UNDONE):
            return ()
        return self.work[-1].old, self.work[-1].made

    def with_last(self, run: Run, work: ShadowWork) -> "Migrations":
        """The last run in its present state."""
        return Migrations((*self.runs[:-1], run), (*self.work[:-1], work))


def read(connection: Connection) -> Migrations:
    """As it is noted. Raises ``StoreError``."""
    return decoded(read_note(connection, NAME))


def decoded(note: Note) -> Migrations:
    """What a note says."""
    return msgspec.json.decode(note.body, type=Migrations) if note.body else Migrations()


class Notebook:
    """The holder's own: what was noted last, and the next note. Raises ``LeaseLostError`` and ``StoreError``."""

    def __init__(self, connection: Connection, lease: Lease) -> None:
        self._connection, self._lease = connection, lease
        self._note = read_note(connection, NAME)
        self.all = decoded(self._note)

    def add(self, run: Run, work: ShadowWork) -> None:
        """A new run."""
        run = msgspec.structs.replace(run, id=1 + max((each.id for each in self.all.runs), default=0))
        self._write(Migrations((*self.all.runs, run), (*self.all.work, work)))

    def change(self, run: dict[str, Any] | None = None, **work: Any) -> tuple[Run, ShadowWork]:
        """Fields of the last run, and of its work; what it is then."""
        before = self.all.last
        assert before is not None
        changed = msgspec.structs.replace(before[0], **(run or {})), msgspec.structs.replace(before[1], **work)
        self._write(self.all.with_last(*changed))
        return changed

    def replace(self, run: Run, by: Run) -> None:
        """One of the runs, in place."""
        self._write(Migrations(tuple(by if each.id == run.id else each for each in self.all.runs), self.all.work))

    def _write(self, new: Migrations) -> None:
        note = Note(self._note.version + 1, msgspec.json.encode(new).decode())
        write_note(self._connection, self._lease, NAME, note, new_query_id())
        self._note, self.all = note, new


def new_query_id() -> str:
    """By which a statement is known to be of a migration."""
    return f"{PREFIX}{uuid.uuid4().hex}"


def stamps_of(parts: Sequence[RecordsPart]) -> set[str]:
    """All stamps in them."""
    return {stamp for part in parts for stamp in part.stamps}
