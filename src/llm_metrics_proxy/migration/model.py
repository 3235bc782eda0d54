"""The values that the parts of the migration engine pass to each other. Nothing here touches a file or a clock.

A ``Migration`` is data: SQL expressions over one record's columns as they were before, and an oracle in Python that
was written independently and must agree with them on every record. The engine alone knows how records are walked,
kept for the undo, verified and stamped.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.migration.formula import Formula, sqlite
from llm_metrics_proxy.storage.base import SqlValue

REASON_COLUMN: Final = "recompute_reason"

Oracle = Callable[..., tuple[SqlValue, ...]]


class ColumnChange(NamedTuple):
    """One column that a migration writes.

    ``expression``: a formula, or SQL, over the record's columns before the migration. ``original``: the column that
    then keeps the value from before, wherever ``keep_when`` holds, which must be so at least where the value changes.
    ``only_if_added``: write it only in files that had no such column before this program migrated them.
    """

    column: str
    expression: Formula | str
    original: str | None = None
    keep_when: Formula | str = "1"
    only_if_added: bool = False

    @property
    def sql(self) -> str:
        """The expression as SQLite's SQL."""
        return sqlite(self.expression)


class Gap(NamedTuple):
    """Why a record cannot be recomputed: the first gap whose SQL ``condition`` holds is stored as its reason."""

    code: str
    condition: Formula | str
    meaning: str


class SharedExpressions(NamedTuple):
    """Values that are calculated once for each record, under names that the migration's other SQL may use.

    ``layers``: each names SQL over the record's columns and the names of the layers before it. ``seen``: the names that
    are visible outside, each with its SQL for records of which ``plain`` (SQL) holds; for those, which should be nearly
    all, no layer is evaluated.
    """

    layers: tuple[tuple[tuple[str, str], ...], ...]
    seen: tuple[tuple[str, str], ...]
    plain: str

    @property
    def sql(self) -> str:
        """One row of the names seen, for FROM in a subquery whose statement has the record."""
        below = self.below(f"({self.plain}) IS NOT TRUE")
        names = ", ".join(name for name, _expression in self.seen)
        return f"(SELECT {_named(self.seen)} WHERE {self.plain} UNION ALL SELECT {names} FROM {below})"  # noqa: S608

    def below(self, where: str = "1") -> str:
        """One row of the names of all layers, for a record of which ``where`` (SQL) holds."""
        below = f"(SELECT {_named(self.layers[0])} WHERE {where}{_APART})"
        for layer in self.layers[1:]:
            below = f"(SELECT *, {_named(layer)} FROM {below}{_APART})"  # noqa: S608 -- ours
        return below


class Usual(NamedTuple):
    """A short way to what a migration gives for usual records. ``where``: SQL over the record before, true of these;
    ``given``: SQL of what ``shared`` names, and ``values``: of columns, all of which fit, in place of the migration's.
    """

    where: str
    given: Mapping[str, str]
    values: Mapping[str, str]


# Else SQLite merges a layer into the next, and works out every name as often as it stands there.
_APART: Final = " LIMIT -1 OFFSET 0"


def _named(layer: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in layer)


# What classes were called when their text went into the first checksums.
_RELEASED_AS: Final = {"ColumnChange(column=": "Change(column=", "SharedExpressions(layers=": "Given(layers="}


class Migration(NamedTuple):
    """How records of every older version become records of ``version``. Frozen with that version.

    ``oracle`` takes the values of ``inputs`` from before, in that order, and returns the values of ``changes``, in that
    order, and last the reason code or None.
    ``distrusted``: SQL for files of other programs; finds records whose stamp claims this version but whose values do
    not follow it.
    ``shown``: the metrics that ``migrate plan`` compares before and after.
    ``keeps_reason``: where no gap holds, the reason of an earlier migration stays, and is among the inputs.
    ``repeatable``: the oracle returns its own results unchanged (and a reason where there was one), so that records can
    be verified at any time although inputs were overwritten.
    ``shared``: what several expressions rest on; all SQL of the migration but ``keep_when`` may use its names.
    ``oracle_key``: for an oracle to which many records look the same. One SQL template for each input, with ``{}`` for
    the input, whose value the oracle cannot distinguish from it, in one storage class where that matters. Records with
    equal keys are verified once. None: each record by itself, as is each for which ``oracle_key_where``, SQL with
    ``{name}`` for the input of that name, is not true.
    ``leaves``: SQL over ``inputs``, true for records of which it changes nothing but the stamp; they are compared with
    what was there before, without asking the oracle.
    ``oracle_at``: the oracle for records that a later version calculated, which may know more than this one.
    """

    version: str
    summary: str
    changes: tuple[ColumnChange, ...]
    gaps: tuple[Gap, ...]
    inputs: tuple[str, ...]
    oracle: Oracle
    distrusted: Formula | str = "0"
    shown: tuple[str, ...] = ("tokens_per_second",)
    keeps_reason: bool = False
    repeatable: bool = False
    shared: SharedExpressions | None = None
    oracle_key: tuple[str, ...] | None = None
    oracle_key_where: str = "1"
    oracle_at: Callable[[str], Oracle] | None = None
    leaves: str = "0"

    @property
    def checksum(self) -> str:
        """SHA-256 over everything that decides what is written, hex: an edit of an applied migration shows.

        The oracle writes nothing and is left out: its source may be missing, or replaced while this program runs.
        """
        parts: tuple[object, ...] = (self.version, self.changes, self.gaps, self.inputs, self.distrusted)
        parts += () if self.shared is None else (self.shared,)  # what was released without has its checksum without
        text = repr(parts)
        for now, released in _RELEASED_AS.items():
            text = text.replace(now, released)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def reason_expression(self) -> str:
        """SQL of a record's reason code, or NULL."""
        if not self.gaps:
            return REASON_COLUMN if self.keeps_reason else "NULL"
        otherwise = f" ELSE {REASON_COLUMN}" if self.keeps_reason else ""
        whens = " ".join(f"WHEN {sqlite(gap.condition)} THEN '{gap.code}'" for gap in self.gaps)
        return f"CASE {whens}{otherwise} END"

    def evaluated(self, *expressions: Formula | str) -> str:
        """SQL of a value, or of a row of several for SET, that may use the names of ``shared``."""
        listed = ", ".join(map(sqlite, expressions))
        return f"({listed})" if self.shared is None else f"(SELECT {listed} FROM {self.shared.sql})"  # noqa: S608


class RunState(StrEnum):
    """Of one run, as stored. The unfinished ones go on by themselves."""

    MIGRATING = "migrating"
    VERIFYING = "verifying"
    TAKING_BACK = "taking_back"  # the engine: what was carried over is removed again
    UNDOING = "undoing"  # a person wants the layout from before
    DONE = "done"
    UNDONE = "undone"  # a person took it back: it is not run again unless asked for
    ROLLED_BACK = "rolled_back"  # the engine took it back, because verification failed or a formula raised


UNFINISHED: Final = frozenset({RunState.MIGRATING, RunState.VERIFYING, RunState.TAKING_BACK, RunState.UNDOING})


class WorkPhase(StrEnum):
    """What the engine does at the moment."""

    IDLE = "idle"
    WAITING = "waiting"  # another process holds the lock
    CHECKING = "checking"
    BACKING_UP = "backing_up"
    SETTING_ASIDE = "setting_aside"  # the old table is set aside, and the new one made
    MIGRATING = "migrating"
    PAUSED = "paused"  # outside the window that the setting allows
    VERIFYING = "verifying"
    UNDOING = "undoing"
    COMPACTING = "compacting"  # no migration: `compact` shows itself in the same way
    COPYING = "copying"  # nor is this: `store copy`


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One look at long work. ``done`` of ``total`` are records, pages while backing up, bytes while compacting;
    ``total`` 0: not known."""

    phase: WorkPhase = WorkPhase.IDLE
    done: int = 0
    total: int = 0
    per_s: float | None = None
    eta_s: float | None = None
    detail: str = ""  # for people: what it waits for or checks


Report = Callable[[Progress], None]


def quiet(_progress: Progress) -> None:
    """A ``Report`` that does nothing."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One migration, as it is stored; what has a default is so when a run begins.

    Runs of 2.0.0 to 4.5.0 changed records in place: they have no ``old_table``, and stay in the table ``migrations``.
    """

    id: int = 0
    state: RunState = RunState.MIGRATING
    from_versions: dict[str, int]  # records by stamp when it began; NULL is the key "(none)"
    to_version: str
    checksums: dict[str, str]  # of each migration in it, by version, in order
    app_version: str  # of the program that ran it
    distrusts_stamps: bool  # the file came from another program: stamps are checked against the values
    old_table: str | None = None  # has the records from before; None: it has its own name again, or is gone
    bound_id: int  # records with a greater arrival came later
    records_total: int  # in the old table
    records_changed: int = 0  # that were carried over; by a run of 4.x: changes, one for each migration and record
    gaps: dict[str, int] = {}  # records that could not be recomputed, by reason code
    unfit: dict[str, int] = {}  # values that did not fit their column, by column
    cursor_id: int  # what has a greater arrival, up to ``bound_id``, is carried over
    backup: str | None  # name of the backup's file
    started_at: str
    finished_at: str | None = None
    busy_ms: float = 0.0  # time spent working, pauses left out
    largest_lock_ms: float = 0.0
    error: str | None = None
    dismissed_at: str | None = None


class Fault(NamedTuple):
    """What verification found: which check, which record, and both values where there are two."""

    check: str
    record_id: int | None
    message: str


class Ended(StrEnum):
    """How a call of the engine ended."""

    NOTHING_TO_DO = "nothing_to_do"
    DONE = "done"
    STOPPED = "stopped"  # by the stop event, or by max_seconds: the next call goes on
    ROLLED_BACK = "rolled_back"
    UNDONE = "undone"
    HELD = "held"  # an automatic call found a run that was taken back, and leaves it so


class MigrationResult(NamedTuple):
    """``run`` is the run that was worked on; ``conflicts``: arrivals, up to 100, of newer records that an undo could
    not put into the old table, and that are in the table kept beside it alone."""

    ended: Ended
    run: Run | None
    faults: tuple[Fault, ...] = ()
    conflicts: tuple[int, ...] = ()
    message: str = ""


def describe_stamp(stamp: Any) -> str:
    """A stamp as people and JSON see it; in another program's file, ``app_version`` can be anything."""
    if stamp is None:
        return "(none)"
    return stamp if isinstance(stamp, str) else repr(bytes(stamp) if isinstance(stamp, bytes) else stamp)


def chain_checksum(migrations: Sequence[Migration]) -> dict[str, str]:
    """Checksum by version, in the order in which they run."""
    return {migration.version: migration.checksum for migration in migrations}
