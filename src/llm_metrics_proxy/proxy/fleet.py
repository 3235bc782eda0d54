"""The LLM servers as one worker sees them: connections, health and open requests of each. Decides nothing by itself:
who is chosen says ``choice``, who is well ``backend_health``, what each one is ``routing``.
"""

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any, Final

from llm_metrics_proxy.proxy.allowance import Allowance
from llm_metrics_proxy.proxy.backend_health import AWAY_CAUSES, AWAY_STATUSES, HealthTracker
from llm_metrics_proxy.proxy.choice import Load, choose, eligible, lists_models
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.fetch import fetch
from llm_metrics_proxy.proxy.headers import VIA
from llm_metrics_proxy.proxy.pool import Pool
from llm_metrics_proxy.proxy.routing import Backend
from llm_metrics_proxy.wire.endpoints import family_of

log = logging.getLogger(__name__)

_MOST_REMEMBERED: Final = 4096  # models are named by clients
_PROBE_ANSWER_BYTES: Final = 4 * 1024 * 1024


class Server:
    """One backend and what this worker knows of it."""

    __slots__ = ("backend", "credit", "health", "in_trouble", "open_requests", "pool", "probing")

    def __init__(self, loop: asyncio.AbstractEventLoop, backend: Backend, allowance: Allowance) -> None:
        self.backend = backend
        self.pool = Pool(loop, backend, allowance)
        self.health = HealthTracker(backend.eject_after, int(backend.probe_interval_s * 1e9))
        self.in_trouble = False  # its newest request or probe failed; checked for every answer
        self.open_requests = 0
        self.probing = False
        self.credit = 0  # see ``choice.choose``

    def __repr__(self) -> str:
        return f"<Server {self.backend.shown_name} open={self.open_requests} ejected={self.health.ejected}>"

    def failed(self, cause: Cause) -> None:
        """A request to it ended so."""
        if cause in AWAY_CAUSES:
            self._failed(cause.value)

    def answered(self, status: int) -> None:
        """An answer began; called for those that may mean something, see ``Transaction``."""
        if status in AWAY_STATUSES:
            self._failed(f"status_{status}")
            return
        self.in_trouble = False
        if self.health.answered():
            log.info("backend %s answers again and is taken again", self.backend.shown_name)

    def _failed(self, error: str) -> None:
        self.in_trouble = True
        if self.health.failed(error, monotonic_ns()):
            log.warning(
                "backend %s failed %d times in a row (%s): passed over until it answers",
                self.backend.shown_name, self.health.failures, self.pool.last_error or error,
            )  # fmt: skip

    async def probe(self) -> None:
        """Ask an ejected one whether it is back."""
        backend = self.backend
        request = b"GET %b%b HTTP/1.1\r\n%b%bAccept: application/json\r\n%b\r\n" % (
            backend.address.path_prefix, backend.probe_path, backend.address.host_line, backend.added, VIA,
        )  # fmt: skip
        self.probing = True
        try:
            answer = await fetch(self.pool, request, backend.probe_timeout_s, _PROBE_ANSWER_BYTES)
        finally:
            self.probing = False
        if answer.error is None:
            self.answered(answer.status)
        else:
            self._failed(answer.error)

    def counts(self) -> dict[str, int]:
        """For the scoreboard, by its ``BACKEND_FIELDS``."""
        return {
            "up": int(not self.health.ejected),
            "open_requests": self.open_requests,
            "failures_in_a_row": self.health.failures,
            "ejections": self.health.ejections,
        }

    def report(self, now: int) -> dict[str, Any]:
        """For ``/health``."""
        health = self.health
        return {
            "name": self.backend.rule.name,
            "backend": self.backend.address.label,
            **self.counts(),
            "up": not health.ejected,
            "ejected_for_s": round((now - health.ejected_ns) / 1e9, 1) if health.ejected else None,
            "last_error": health.last_error,
            "connect_error": self.pool.last_error,
        }


class Fleet:
    """Every server that requests may go to, and those that still answer requests from before a reload."""

    def __init__(self, loop: asyncio.AbstractEventLoop, backends: Sequence[Backend]) -> None:
        """Raises ``OSError`` if a backend's certificates cannot be loaded."""
        self._loop = loop
        self.allowance = Allowance()
        self._retired: list[Server] = []
        self._probing: set[asyncio.Task[None]] = set()
        self._arrange([Server(loop, backend, self.allowance) for backend in backends])

    def _arrange(self, servers: list[Server]) -> None:
        self.servers = servers
        self.by_name = {
            server.backend.rule.name.encode(): server for server in servers if server.backend.rule.name is not None
        }
        self.names = frozenset(self.by_name)
        self.listing = [server for server in servers if lists_models(server.backend.rule)]
        self._rules = [server.backend.rule for server in servers]
        unconditional = len(servers) == 1 and not self._rules[0].models and self._rules[0].dialect is None
        self.only = servers[0] if unconditional else None  # this one answers every request
        self._serving: dict[tuple[str | None, str], list[Server]] = {}

    @property
    def through_tls(self) -> bool:
        """Some server is."""
        return any(server.backend.address.tls for server in self.servers)

    def replace(self, backends: Sequence[Backend]) -> None:
        """From now on these. One that stays as it is keeps its connections and its health; one that goes finishes what
        it has begun. Raises ``OSError`` and changes nothing if a backend's certificates cannot be loaded.
        """
        left = list(self.servers)
        servers = []
        for backend in backends:
            kept = next((server for server in left if server.backend == backend), None)
            if kept is not None:
                left.remove(kept)
            servers.append(kept or Server(self._loop, backend, self.allowance))
        for server in left:
            server.pool.retire()
        self._retired += left
        self._arrange(servers)

    def serving(self, model: str | None, path: str) -> list[Server]:
        """Those that may answer a request for a model at a path."""
        key = (model, path)
        found = self._serving.get(key)
        if found is None:
            found = [self.servers[index] for index in eligible(self._rules, model, family_of(path))]
            if len(self._serving) >= _MOST_REMEMBERED:
                self._serving.clear()
            self._serving[key] = found
        return found

    def choose(
        self, model: str | None, path: str, tried: Sequence[Server] = (), *, connected: bool = False
    ) -> Server | None:
        """The one to ask next, of those that were not tried yet.

        ``connected``: only if it has an idle connection. If it has none, nobody is chosen and nothing has changed, so
        that another call chooses the same one.
        """
        servers = self.serving(model, path)
        if tried:
            servers = [server for server in servers if server not in tried]
        if len(servers) < 2:
            return servers[0] if servers else None
        loads = [
            Load(
                server.backend.rule.weight,
                server.open_requests,
                server.health.ejected,
                server.health.failures,
                server.health.failed_ns,
                server.credit,
            )
            for server in servers
        ]
        index, credited = choose(loads)
        chosen = servers[index]
        if connected and not chosen.pool.has_idle:
            return None
        for server, credit in zip(servers, credited, strict=True):
            server.credit = credit
        return chosen

    def sweep(self, now: int) -> None:
        """Called a few times a second: idle connections, probes that are due, retired servers that are done."""
        for server in self.servers:
            server.pool.sweep(now)
            if not server.probing and server.health.probe_due(now):
                task = self._loop.create_task(server.probe())
                self._probing.add(task)
                task.add_done_callback(self._probing.discard)
        for server in self._retired:
            server.pool.sweep(now)
        for server in [server for server in self._retired if not server.open_requests and server.pool.is_empty]:
            server.pool.done()
            self._retired.remove(server)

    async def trouble(self, timeout_s: float) -> str | None:
        """``None`` if any server can be connected to, else why none can."""
        troubles = await asyncio.gather(*(server.pool.probe(timeout_s) for server in self.servers))
        if None in troubles:
            return None
        return " ".join(trouble for trouble in troubles if trouble is not None)

    def close(self) -> None:
        """Close every idle connection and give up connecting."""
        for task in self._probing:
            task.cancel()
        for server in (*self.servers, *self._retired):
            server.pool.close()
