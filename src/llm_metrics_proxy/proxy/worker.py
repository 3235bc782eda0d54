"""One worker process: an event loop, its listeners, a few timers, and an orderly end.

One line of JSON on standard input says what to do, and the input stays open. Another line brings new settings, which
requests in progress do not notice. The end of the input means that the supervisor is gone (even by ``kill -9``), and
the worker drains as on SIGTERM: it stops listening, finishes what it is answering for up to ``drain_timeout_s``,
records what it had to cut off, and exits with 0. A second SIGTERM ends the waiting.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from time import monotonic, monotonic_ns, time
from typing import Any, Final

import msgspec
import uvloop

from llm_metrics_proxy import logs
from llm_metrics_proxy.doors import is_loopback
from llm_metrics_proxy.errors import JournalError, SettingsError
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.process_memory import give_back_large_blocks
from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.admission import Admission
from llm_metrics_proxy.proxy.asker import COLUMNS, Askers
from llm_metrics_proxy.proxy.body_memory import BodyMemory
from llm_metrics_proxy.proxy.capacity import ClientCapacity, ListeningSockets
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.downstream import Downstream
from llm_metrics_proxy.proxy.fleet import Fleet
from llm_metrics_proxy.proxy.health import report
from llm_metrics_proxy.proxy.identity import KeyIds
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.proxy.plans import Plans
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.proxy.recorder import Recorder
from llm_metrics_proxy.proxy.routing import backends_of
from llm_metrics_proxy.scoreboard import Scoreboard

log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_SLOWEST_CHECK_S: Final = 0.5
_LAST_WORDS_S: Final = 0.5  # for the answers to what was cut off at the end of draining


class Worker:
    """Owns the loop's timers and the worker's life; everything about requests is in ``Context``'s parts."""

    def __init__(self, options: ProxyOptions, loop: asyncio.AbstractEventLoop) -> None:
        self._options = options
        self._loop = loop
        self._board = Scoreboard.create() if options.scoreboard_fd is None else Scoreboard(options.scoreboard_fd)
        self._slot = self._board.slot(options.worker_index)
        for gauge in ("open_connections", "open_requests", "draining"):
            self._slot.set(gauge, 0)  # a predecessor that died cannot have counted down
        writer = JournalWriter(
            Path(options.journal_dir),
            os.urandom(8).hex(),
            segment_bytes=options.journal_segment_bytes,
            max_bytes=options.journal_max_bytes,
        )
        writer.prepare()
        self._sockets = [socket.socket(fileno=fd) for fd in options.listen_fds]
        self._on_loopback = all(is_loopback(sock.getsockname()[0]) for sock in self._sockets)
        self._secret = Path(options.secret_file).read_bytes()
        askers = self._askers()
        self._ctx = Context(
            loop=loop,
            options=options,
            fleet=Fleet(loop, backends_of(options)),
            recorder=Recorder(loop, writer, self._slot, options.journal_fsync),
            slot=self._slot,
            policy=self._policy(askers),
            admission=self._admission(),
            key_ids=KeyIds(self._secret),
            askers=askers,
            health=self._health,
            bodies=BodyMemory(self._slot, options.max_buffered_bytes),
            capacity=ClientCapacity(self._slot, options.max_connections),
        )
        self._ended = asyncio.Event()
        self._drain_task: asyncio.Task[None] | None = None
        self._hurry = False  # a second signal to stop
        self._told = b""  # the beginning of a line from the supervisor

    async def run(self) -> None:
        """Serve until a signal to stop, then drain."""
        loop, options = self._loop, self._options
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_reader(sys.stdin.fileno(), self._supervisor_spoke)
        listeners = self._ctx.listeners = ListeningSockets(loop, self._sockets, lambda: Downstream(self._ctx))
        await listeners.open()
        self._settle()
        self._slot.set("pid", os.getpid())
        tasks = [loop.create_task(self._tick()), loop.create_task(self._check())]
        if options.journal_fsync == "interval":
            tasks.append(loop.create_task(self._sync()))
        gc.freeze()  # what exists now lives forever; collections need not look at it again
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._ctx.fleet.close()
        self._ctx.recorder.tick(monotonic())
        self._ctx.recorder.close()

    def _supervisor_spoke(self) -> None:
        data = os.read(sys.stdin.fileno(), 65536)
        if data:
            self._told += data
            *lines, self._told = self._told.split(b"\n")
            for line in lines:
                self._reload(line)
        else:
            self._loop.remove_reader(sys.stdin.fileno())
            log.warning("the supervisor is gone; draining")
            self._stop()

    def _reload(self, line: bytes) -> None:
        """New settings, already checked by their reader; if one is unusable after all, the old ones stay."""
        ctx = self._ctx
        try:
            options = msgspec.json.decode(line, type=ProxyOptions)
            ctx.fleet.replace(backends_of(options))
        except (msgspec.MsgspecError, SettingsError, OSError) as error:
            log.error("the new settings cannot be used, and the old ones stay: %s", error)  # noqa: TRY400
            return
        if options.log_level != self._options.log_level:
            logs.set_level(options.log_level)
            stations.follow_log_level()
        ctx.options = self._options = options
        ctx.bodies.limit_bytes = options.max_buffered_bytes
        ctx.askers = self._askers()
        ctx.policy = self._policy(ctx.askers)
        ctx.admission = self._admission()
        ctx.plans = Plans()  # a plan holds what followed from the old settings
        for connection in ctx.connections:
            connection.forget_plans()
        try:
            self._settle()
        except SettingsError as error:  # as before, then: what is served already goes on
            log.error("%s", error)  # noqa: TRY400
        self._show_backends()
        names = ", ".join(server.backend.shown_name for server in ctx.fleet.servers)
        log.info("new settings are in use; backends: %s", names)

    def _askers(self) -> Askers:
        options = self._options
        mapped = {column: getattr(options, f"identity_{column}") for column in COLUMNS}
        return Askers(self._secret, mapped, options.identity_hash, options.identity_not_stored)

    def _policy(self, askers: Askers) -> PathPolicy:
        options = self._options
        return PathPolicy(options.allow_paths, allow_all=options.allow_all_paths, members=askers.members)

    def _admission(self) -> Admission:
        options = self._options
        return Admission(
            host=options.host,
            on_loopback=self._on_loopback,
            allowed_hosts=options.allowed_hosts,
            allowed_origins=options.allowed_origins,
        )

    def _settle(self) -> None:
        """Share out descriptors between clients and servers."""
        ctx = self._ctx
        shares = ctx.capacity.settle(
            self._options.max_connections,
            len(ctx.connections) + ctx.fleet.allowance.descriptors,
            through_tls=ctx.fleet.through_tls,
        )
        ctx.fleet.allowance.limit = shares.upstreams

    def _stop(self) -> None:
        if self._drain_task is None:
            self._drain_task = self._loop.create_task(self._drain())
        else:
            self._hurry = True

    async def _drain(self) -> None:
        ctx = self._ctx
        ctx.draining = True
        self._slot.set("draining", 1)
        if ctx.listeners is not None:
            ctx.listeners.close()
        for connection in list(ctx.connections):
            connection.drain()
        deadline = monotonic() + self._options.drain_timeout_s
        while ctx.connections and monotonic() < deadline and not self._hurry:
            await asyncio.sleep(0.02)
        for connection in list(ctx.connections):
            connection.abandon()
        deadline = monotonic() + _LAST_WORDS_S
        while ctx.connections and monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._ended.set()

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(self._check_interval_s())
            now = monotonic_ns()
            for connection in list(self._ctx.connections):
                connection.check(now)
            self._ctx.fleet.sweep(now)

    def _check_interval_s(self) -> float:
        options = self._options
        limits = [
            options.header_timeout_s,
            options.body_timeout_s,
            options.keepalive_timeout_s,
            options.send_timeout_s,
            options.upstream_keepalive_s,
            options.probe_interval_s,
        ]
        for server in self._ctx.fleet.servers:
            each = server.backend.limits
            limits += [each.connect_timeout_s, each.first_byte_timeout_s, each.idle_timeout_s]
        return min(_SLOWEST_CHECK_S, min(limits) / 4)

    async def _tick(self) -> None:
        while True:
            self._slot.set("heartbeat_unix_ms", int(time() * 1000))
            self._ctx.recorder.tick(monotonic())
            self._ctx.bodies.publish()
            self._show_backends()
            await asyncio.sleep(_TICK_S)

    def _show_backends(self) -> None:
        """Those that have names: a single one without has none to be compared with."""
        named = [server for server in self._ctx.fleet.servers if server.backend.rule.name is not None]
        shown = [(server.backend.shown_name, server.counts()) for server in named]
        self._board.show_backends(self._options.worker_index, shown)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self._options.journal_fsync_interval_s)
            await self._loop.run_in_executor(None, self._ctx.recorder.sync)

    def _health(self) -> dict[str, Any]:
        self._ctx.recorder.tick(monotonic())
        self._ctx.bodies.publish()
        return report(self._ctx, self._board.workers(), monotonic_ns(), int(time() * 1000))


def main() -> int:
    """Run a worker with the options on standard input; the exit status."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as unbuffered:
        line = unbuffered.readline()  # nothing after the line is taken: its end must stay visible to the loop
    try:
        options = msgspec.json.decode(line, type=ProxyOptions)
    except msgspec.DecodeError as error:
        sys.stderr.write(f"a worker is started by `llm-metrics-proxy serve` or `proxy`, not by hand ({error})\n")
        return 2
    logs.setup(options.log_level, options.log_format, f"worker-{options.worker_index}")
    stations.follow_log_level()
    give_back_large_blocks()  # else bodies that grow are copied again and again, and what they leave stays ours

    async def serve() -> None:
        await Worker(options, asyncio.get_running_loop()).run()

    try:
        uvloop.run(serve())
    except (JournalError, SettingsError) as error:
        log.error("%s", error)  # noqa: TRY400 -- one line for people; the traceback would say nothing more
        return error.exit_code
    return 0
