"""Which of many metrics processes does what only one may do: alerts, objectives and migrations.

No clock is compared with another one, so clocks may differ and may be set: each process only measures how long
something takes, with a clock that nobody sets and that goes on while the machine sleeps.

* A claim has a generation, one above the newest. Its INSERT is refused unless the claim that it follows is the newest
  still. Then the claimant waits for INSERTs of claims that run: whoever looked before it is among those, and whoever
  looks later is refused. Of several claims of one generation the greatest token is the newest.
* The newest claim's process adds heartbeats, each refused once there is a newer claim. It believes that it holds the
  lease for ``lifetime_s`` from before the last one that succeeded was sent.
* A claim is made only after the newest one has had no heartbeat for longer than that; and the claimant waits so long
  once more before it believes that it holds, because a heartbeat may have been on its way. Where the holder gave the
  lease back, or nobody ever had it, there is nothing to wait for.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final, NamedTuple

from llm_metrics_proxy.engines.clickhouse.claim import literal
from llm_metrics_proxy.engines.clickhouse.connection import Connection, Settings
from llm_metrics_proxy.engines.clickhouse.prepare import prepare
from llm_metrics_proxy.engines.clickhouse.table import LEASES
from llm_metrics_proxy.errors import LeaseLostError, LlmMetricsProxyError, MigrationRefusedError, StoreBusyError
from llm_metrics_proxy.store_address import StoreAccess

LIFETIME_S: Final = 10.0
UPKEEP: Final = "upkeep"
CHANGES: Final = "migration"  # of stored records; not that of alerts: a verb may change them while processes go on
_BEATS: Final = 4  # in a lifetime
# For the claims of a holder that was killed to run out, and for one's own.
_PATIENCE: Final = 4  # lifetimes
_LONGER: Final = 1.25  # than a lifetime: what clocks may differ in rate, many times over
_DRAIN_S: Final = 30.0
_LOOK_S: Final = 0.02
_GIVEN_BACK: Final = 2**64 - 1  # in place of a heartbeat's number
_LOST: Final = "another process holds this lease"
_RUNNING: Final = "SELECT count() FROM {} WHERE startsWith(initial_query_id, {{prefix:String}})"
# On a cluster: a claim that was answered is on most replicas, and is seen by whoever reads afterwards.
_QUORUM: Final[Settings] = {"insert_quorum": "auto", "insert_quorum_parallel": 0, "select_sequential_consistency": 1}

log = logging.getLogger(__name__)


def clock() -> float:
    """Seconds since some moment; nobody sets it, and it counts the time that the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class _Newest(NamedTuple):
    generation: int
    token: str
    beat: int


class Term(NamedTuple):
    """A holder's time: from when to when it holds, by ``clock``."""

    generation: int
    token: str
    begins: float
    ends: float


class Lease:
    """``held`` and ``check`` from any thread. ``start`` begins to claim it, ``close`` gives it back."""

    def __init__(
        self,
        access: StoreAccess,
        name: str = UPKEEP,
        *,
        lifetime_s: float = LIFETIME_S,
        clock: Callable[[], float] = clock,
    ) -> None:
        """All claimants of one ``name`` must have the same ``lifetime_s``: see above for what it decides."""
        self.name, self._lifetime_s, self._clock = name, lifetime_s, clock
        settings: Settings = {"async_insert": 0, "insert_deduplicate": 0, **(_QUORUM if access.cluster else {})}
        self._connection = Connection(access, timeout_s=max(1.0, lifetime_s), settings=settings)
        self._of = f"FROM {LEASES} WHERE name = {literal(name)}"
        self._is_prepared = False
        self._seen: tuple[_Newest, float] | None = None  # the newest heartbeat of another one, and since when
        self._term: Term | None = None
        self._beat = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; a server that is away is asked again and again."""
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self._thread.start()

    def held(self) -> bool:
        """Whether this process holds it now. True of one process at a time."""
        term = self._term
        return term is not None and term.begins <= self._clock() < term.ends

    def term(self) -> Term | None:
        """This process's claim, if it has the newest one that it knows of."""
        return self._term

    def check(self) -> Term:
        """Its term. Raises ``LeaseLostError`` unless it is held; before each step that another may not do too."""
        term = self._term
        if term is None or not self.held():
            raise LeaseLostError("Another process has taken over this work, or ClickHouse has been away for too long.")
        return term

    def condition(self) -> str:
        """SQL that is true, or raises once another process has made a claim. Raises ``LeaseLostError``."""
        term = self.check()
        return self._is_newest(term.generation, term.token)

    def still_newest(self) -> str:
        """As ``condition``, but false in place of an error: for a mutation, which is tried again after an error."""
        term = self.check()
        return f"(SELECT max((generation, token)) {self._of}) = ({term.generation}, {literal(term.token)})"

    def wait(self, timeout_s: float) -> bool:
        """Wait up to so long until it is held; whether it is."""
        deadline = time.monotonic() + timeout_s
        while not self.held() and time.monotonic() < deadline and not self._stop.is_set():
            time.sleep(_LOOK_S)
        return self.held()

    def hold(self) -> None:
        """Wait until it is held. Raises ``MigrationRefusedError`` if another process keeps it."""
        if not self.wait(_PATIENCE * self._lifetime_s):
            raise MigrationRefusedError(
                f"Another process migrates or reprices the records at {self._connection.address}. Wait for it, or "
                "stop it, and try again."
            )

    def close(self) -> None:
        """Give it back and release the connection."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        term, self._term = self._term, None
        # one that never held may have followed one that still believes it does
        if term is not None and term.begins <= self._clock():
            try:
                self._insert(term.generation, term.token, _GIVEN_BACK, self._is_newest(term.generation, term.token))
            except LlmMetricsProxyError as error:
                log.debug("the lease %s is not given back, and ends by itself: %s", self.name, error)
        self._connection.close()

    def prepare(self) -> None:
        """The tables are there. Raises ``StoreError``: also at once, if the server is away."""
        if not self._is_prepared:
            prepare(self._connection)
            self._is_prepared = True

    def step(self) -> None:
        """Send a heartbeat, or look whether the lease can be claimed. Raises ``StoreError``."""
        self.prepare()
        newest = self._newest()
        term = self._term
        if term is not None:
            if newest is not None and (newest.generation, newest.token) == (term.generation, term.token):
                self._send_beat(term)
                return
            self._term = None
        at = self._clock()  # after the heartbeat that was found had been sent
        if newest is None or newest.beat == _GIVEN_BACK:
            self._claim(newest, waits=False)
        elif self._seen is None or self._seen[0] != newest:
            self._seen = (newest, at)
        elif at - self._seen[1] > _LONGER * self._lifetime_s:
            self._claim(newest, waits=True)

    # -- its own thread

    def _run(self) -> None:
        failed = ""
        while not self._stop.is_set():
            was_held = self.held()
            try:
                self.step()
                failed = ""
            except LlmMetricsProxyError as error:  # the term ends by itself
                self._is_prepared = False
                if str(error) != failed:
                    log.info("the lease %s cannot be had at the moment: %s", self.name, error)
                failed = str(error)
            except Exception:
                log.exception("the lease %s met a bug", self.name)
            if self.held() != was_held:
                log.info("this process %s the lease %s", "holds" if self.held() else "has lost", self.name)
            self._stop.wait(self._lifetime_s / _BEATS)

    def _newest(self) -> _Newest | None:
        found = self._connection.query(
            f"SELECT generation, token, beat {self._of} ORDER BY 1 DESC, 2 DESC, 3 DESC LIMIT 1"
        )
        return _Newest(int(found[0][0]), str(found[0][1]), int(found[0][2])) if found else None

    def _is_newest(self, generation: int, token: str) -> str:
        """Of no claim, a token that is empty."""
        newest = f"SELECT max((generation, token)) {self._of}"
        return f"throwIf(({newest}) != ({generation}, {literal(token)}), '{_LOST}') = 0"

    def _insert(self, generation: int, token: str, beat: int, condition: str, query_id: str | None = None) -> None:
        values = f"{literal(self.name)}, {generation}, {literal(token)}, {beat}"
        self._connection.command(
            f"INSERT INTO {LEASES} (name, generation, token, beat) SELECT {values} WHERE {condition}",
            query_id=query_id,
        )

    def _send_beat(self, term: Term) -> None:
        self._beat += 1
        sent = self._clock()
        self._insert(term.generation, term.token, self._beat, self._is_newest(term.generation, term.token))
        self._term = term._replace(ends=sent + self._lifetime_s)

    def _claim(self, newest: _Newest | None, *, waits: bool) -> None:
        generation, token = (newest.generation if newest else 0) + 1, secrets.token_hex(16)
        followed = self._is_newest(*(newest[:2] if newest else (0, "")))
        self._seen, self._beat = None, 0
        sent = self._clock()
        self._insert(generation, token, 0, followed, f"{self._prefix}{token}")
        self._drain()
        now = self._newest()
        if now is None or (now.generation, now.token) != (generation, token):
            return
        established = self._clock()
        begins = established + _LONGER * self._lifetime_s if waits else established
        self._term = Term(generation, token, begins, sent + self._lifetime_s)

    @property
    def _prefix(self) -> str:
        return f"llm-metrics-proxy:lease:{self.name}:"

    def _drain(self) -> None:
        """Claims that were sent before ours was there have come to nothing, or are there too."""
        running = _RUNNING.format(self._connection.everywhere("system.processes"))
        deadline = time.monotonic() + _DRAIN_S
        while self._connection.query(running, {"prefix": self._prefix})[0][0]:
            if time.monotonic() > deadline:
                raise StoreBusyError("ClickHouse is not ready for more: a claim of the lease still runs.")
            time.sleep(_LOOK_S)


@contextmanager
def claiming(access: StoreAccess, name: str) -> Iterator[Lease]:
    """A lease that is claimed meanwhile, and given back. Raises ``StoreError`` at once if the server is away."""
    with closing(Lease(access, name)) as lease:
        lease.prepare()
        lease.start()
        yield lease
