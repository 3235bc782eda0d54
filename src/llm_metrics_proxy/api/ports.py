"""What the composition root hands to the API."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from llm_metrics_proxy.analytics import MigrationRun
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.api.session import Sessions
from llm_metrics_proxy.api.site import Asset
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.ingestion import IngestionStatus
from llm_metrics_proxy.quotas import LimitWindow
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.servers.report import NO_SERVERS, ServersPort
from llm_metrics_proxy.storage.base import ShippingStatus
from llm_metrics_proxy.watch.budgets import BudgetReport
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport


class MigrationProgress(Protocol):
    """One look at a migration's work. ``done`` of ``total`` are records, pages while backing up; 0: not known."""

    @property
    def phase(self) -> str:
        """What is done: idle, waiting, checking, backing_up, setting_aside, migrating, paused, verifying, taking_back,
        undoing."""

    @property
    def done(self) -> int:
        """How much of ``total`` this phase has done."""

    @property
    def total(self) -> int:
        """How much there is to do in this phase; 0 while that is not known."""

    @property
    def per_s(self) -> float | None:
        """How fast ``done`` grows."""

    @property
    def eta_s(self) -> float | None:
        """How long this phase still takes."""

    @property
    def detail(self) -> str:
        """What is being waited for, or checked; for people."""


class MigrationPorts(Protocol):
    """What this process knows of migrations without asking the database.

    Methods answer from memory, at once: /health calls them on the event loop.
    Only ``lock_holder`` and ``runs`` look at files, where runs of the command line show too.
    """

    def progress(self) -> MigrationProgress:
        """What this process's own migration does now; the phase is ``idle`` if it does nothing."""

    def run_id(self) -> int | None:
        """Number of the run that ``progress`` is about, if it has one yet."""

    def paused_until(self) -> datetime | None:
        """While ``progress`` is paused: when it goes on, aware."""

    def lock_holder(self) -> int | None:
        """Id of the process that migrates this database now, this one included; ``None``: no process does."""

    def blocks_store(self) -> bool:
        """The table of records is of an older layout still: nothing can be read from or stored in it."""

    def problem(self) -> str | None:
        """Why there are older records and nothing is done about them at the moment (held, rolled back, refused: no
        space), and what to do, in one sentence for people; ``None`` while all is well or work goes on."""

    def runs(self) -> Sequence[MigrationRun]:
        """Every run on this database, newest first, those of older versions too. Reads it; raises ``StoreError``."""


class DiskStatus(Protocol):
    """What is free on one disk."""

    @property
    def free_bytes(self) -> int:
        """That this user may still write."""

    @property
    def reserve_bytes(self) -> int:
        """Of them, how many are kept for storing records."""

    @property
    def device(self) -> int:
        """Folders with the same number share this space."""

    def in_words(self) -> str:
        """What is wrong where less than the reserve is free."""


class WatchPorts(Protocol):
    """What is watched, from memory, at once."""

    def slos(self) -> list[SloReport]:
        """Every objective, in the order of the file."""

    def alerts(self) -> list[AlertReport]:
        """Every alert, in the order of the file."""

    def budgets(self) -> list[BudgetReport]:
        """Every budget, in the order of the file."""


class Telemetry(Protocol):
    """How sending telemetry fares."""

    @property
    def sends_traces(self) -> bool:
        """Whether each request is sent as a span; it does not change while the process runs."""

    @property
    def spans_sent(self) -> int:
        """That the receiver took."""

    @property
    def events_sent(self) -> int:
        """Log records that it took."""

    @property
    def dropped(self) -> int:
        """Records, spans and log records that it did not get."""


class TurnedAway(NamedTuple):
    """Readers that got 503 or had to wait to be accepted, and whether one did in the last minute."""

    readers: int = 0
    lately: bool = False


class GuardedNames(NamedTuple):
    """Settings of the guard that can be read again."""

    allowed_hosts: frozenset[str]
    trusted_proxies: tuple[str, ...]


@dataclass(frozen=True)
class ApiPorts:
    """``sessions``: know the token that every path but /health and /ready needs; none: no token is needed.
    ``allowed_hosts``: without a token, the names that Host may have besides IP addresses and localhost; see ``guard``.

    ``service_status`` gives ``None`` until ingestion runs and after it has stopped. ``scoreboard`` is ``None`` where
    the workers run on another host. ``versions``: others to show, such as Python's and SQLite's.
    """

    records: Records
    book: CounterBook
    service_status: Callable[[], IngestionStatus | None]
    scoreboard: Scoreboard | None = None
    sessions: Sessions | None = None
    allowed_hosts: frozenset[str] = frozenset()
    trusted_proxies: tuple[str, ...] = ()  # networks of peers whose forwarding headers are believed
    newest_names: Callable[[], GuardedNames] | None = None  # of both, once they were read again
    versions: Callable[[], Mapping[str, str]] = dict
    ingests: bool = True  # false: other processes store what is recorded
    answers: bool = True  # false: other processes answer questions; this one says how it fares
    migrations: MigrationPorts | None = None  # none: nothing migrates here
    # name, group, value, origin, meaning of each; secrets are hidden already
    settings: Callable[[], Sequence[Mapping[str, str]]] = tuple
    site: Mapping[str, Asset] = field(default_factory=dict)  # the dashboard's files by path; none: it was not built
    help_pages: Mapping[str, Path] = field(default_factory=dict)  # files of the documentation by path, from its root
    watch: WatchPorts | None = None  # none: nothing is watched here
    windows: Callable[[], list[tuple[LimitWindow, ...]]] | None = None  # of servers' limits; none: those of ``book``
    reader: ReadToken | None = None  # whose part of the records this is; none: all of them
    servers: ServersPort = NO_SERVERS
    proxy_url: str = ""  # where clients reach the proxy; empty: not known
    simulated: Callable[[], bool] = lambda: False  # the backend is the simulated one
    telemetry: Callable[[], Telemetry] | None = None  # none: none is sent
    disks: Callable[[], Mapping[str, DiskStatus]] = dict  # those of the database and the journal
    low_disks: Callable[[], Mapping[str, DiskStatus]] = dict  # of them, those whose last room is kept for storing
    upkeep_problem: Callable[[], str | None] = lambda: None  # why nothing is rolled up or pruned
    shipping: Callable[[], ShippingStatus] | None = None  # none: records stay where they are stored first
    turned_away: Callable[[], TurnedAway] = TurnedAway
    clock: Callable[[], float] = time.time  # Unix seconds
    stopping: Callable[[], bool] = lambda: False  # true: answers without an end are to end now
