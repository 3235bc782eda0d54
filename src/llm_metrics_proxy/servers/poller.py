"""The thread that asks servers and GPUs for their numbers, one question at a time each, and keeps what they say.

It harms nobody: every question has a limit of time and bytes, nothing is followed, a server that does not answer is
asked at growing distances, and what cannot be stored at the moment waits in memory, up to a bound.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.servers.commands import GpuProgram
from llm_metrics_proxy.servers.gpus import GpuReading
from llm_metrics_proxy.servers.minutes import Minutes, minutes_of_gpu
from llm_metrics_proxy.servers.pages import ServerPage, pages_at
from llm_metrics_proxy.servers.readings import ServerReading, together
from llm_metrics_proxy.servers.schedule import AskingSchedule, Heard
from llm_metrics_proxy.servers.seen import AskingState, GpuSeen, Seen, ServerSeen
from llm_metrics_proxy.servers.targets import AskedServer
from llm_metrics_proxy.servers.verdict import advice_for
from llm_metrics_proxy.storage.sampled import SERVER, ServerSample

MOST_WAITING: Final = 2_000  # samples in memory while they cannot be stored; the oldest give way
_STORE_S: Final = 2.0
_NO_GPUS_S: Final = 300.0  # until a box without GPUs is looked at again
_STOP_S: Final = 8.0
_TROUBLE: Final = frozenset({429, 502, 503, 504})
_REFUSED: Final = frozenset({401, 403})

log = logging.getLogger(__name__)


class Answered(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


# A target, and a path or a whole URL. OSError, TimeoutError: no answer; ValueError: an odd one.
Ask = Callable[[AskedServer, str], Awaitable[Answered]]


class PollerOptions(NamedTuple):
    """What a reload replaces."""

    targets: tuple[AskedServer, ...]
    interval_s: float
    gpus: bool
    ask: Ask


class ServerPoller:
    """``start`` begins the thread, ``stop`` ends it and stores what is left. Others may ask it from any thread."""

    def __init__(
        self,
        options: PollerOptions,
        keep: Callable[[Sequence[ServerSample]], None],
        open_requests: Callable[[], Mapping[str, int]] = dict,
        *,
        gpu_program: GpuProgram | None = None,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        """``keep`` stores samples, and raises ``StoreError`` while that cannot be; ``open_requests``: by backend."""
        self._options, self._keep, self._open_requests = options, keep, open_requests
        self._gpu_program = gpu_program or GpuProgram()
        self._unix_s = unix_s
        self._servers: dict[str, ServerSeen] = {}
        self._gpus: dict[str, GpuSeen] = {}
        self._minutes: dict[tuple[str, str], Minutes] = {}
        self._waiting: list[ServerSample] = []
        self._problem = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(self._loop,), name="servers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, whatever is under way."""
        if self._thread is not None:
            self._stopping = True
            self._wake()
            self._thread.join(_STOP_S)
            self._thread = None

    def use(self, options: PollerOptions) -> None:
        """From now on; what is known of servers that stay is kept."""
        if options != self._options:
            self._options = options
            self._wake()

    def seen(self) -> Seen:
        """As it is now."""
        servers = dict(self._servers)
        known = tuple(servers.get(one.name) or _unasked(one) for one in self._options.targets)
        return Seen(known, tuple(dict(self._gpus).values()) if self._options.gpus else ())

    def recent(self) -> list[ServerSample]:
        """What is not stored yet, the minute under way included."""
        begun = filter(None, (one.so_far() for one in tuple(self._minutes.values())))
        return [*self._waiting, *begun]

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._changed.set)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve())
        except Exception:
            # The thread's boundary: storing and answering go on without what servers say.
            log.exception("asking servers for their numbers met a bug; please report it")
        finally:
            loop.close()

    async def _serve(self) -> None:
        while not self._stopping:
            self._changed.clear()
            options = self._options
            work = [self._watch(one, options) for one in options.targets] + [self._store()]
            if options.gpus:
                work.append(self._watch_gpus(options.interval_s))
            tasks = [asyncio.ensure_future(each) for each in work]
            changed = asyncio.ensure_future(self._changed.wait())
            done, _ = await asyncio.wait([changed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in (changed, *tasks):
                task.cancel()
            await asyncio.gather(changed, *tasks, return_exceptions=True)
            for task in done - {changed}:
                task.result()
        await self._gpu_program.close()
        self._waiting += filter(None, (one.finish() for one in self._minutes.values()))
        self._flush()

    async def _watch(self, target: AskedServer, options: PollerOptions) -> None:
        minutes = self._minutes.setdefault((SERVER, target.name), Minutes(SERVER, target.name))
        watched = _Watched(target, options, minutes)
        while True:
            begun = time.monotonic()
            reading, answered = await watched.ask() if target.asked else (None, None)
            now = self._unix_s()
            opened = self._open_requests().get(target.name)
            gauges = {} if opened is None else {"open_requests": float(opened)}
            self._add(
                watched.minutes.add(
                    now,
                    {**gauges, **(reading.gauges if reading else {})},
                    reading.counters if reading and reading.counters else None,
                    tuple(model.name for model in reading.models) if reading else (),
                    answered=answered,
                )
            )
            before = self._servers.get(target.name)
            if before is not None and answered is None and target.asked:
                self._servers[target.name] = before._replace(open_requests=opened)
            else:
                self._servers[target.name] = watched.seen(reading, now, opened, before)
            await asyncio.sleep(max(0.02, options.interval_s - (time.monotonic() - begun)))

    async def _watch_gpus(self, interval_s: float) -> None:
        while True:
            begun = time.monotonic()
            found = await self._gpu_program.read()
            self._gpus = {} if found is None else self._gpus_read(found)
            pause_s = interval_s - (time.monotonic() - begun) if found else _NO_GPUS_S
            await asyncio.sleep(max(0.02, pause_s))

    def _gpus_read(self, found: Sequence[GpuReading]) -> dict[str, GpuSeen]:
        now, seen = self._unix_s(), {}
        for gpu in found:
            fresh = minutes_of_gpu(gpu.number, gpu.name)
            minutes = self._minutes.setdefault((fresh.kind, fresh.name), fresh)
            self._add(minutes.add(now, gpu.gauges, answered=True))
            seen[minutes.name] = GpuSeen(minutes.name, gpu, now)
        return seen

    def _add(self, finished: ServerSample | None) -> None:
        if finished is not None:
            self._waiting.append(finished)
            del self._waiting[:-MOST_WAITING]

    async def _store(self) -> None:
        while True:
            await asyncio.sleep(_STORE_S)
            if self._waiting:
                await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        samples = tuple(self._waiting)
        if not samples:
            return
        try:
            self._keep(samples)
        except StoreError as error:
            if str(error) != self._problem:
                log.warning("what servers said waits in memory: %s", error)
            self._problem = str(error)
            return
        self._problem = ""
        stored = set(map(id, samples))
        self._waiting[:] = [sample for sample in self._waiting if id(sample) not in stored]


class _Watched:
    """One server: its schedule, and what its pages said last."""

    def __init__(self, target: AskedServer, options: PollerOptions, minutes: Minutes) -> None:
        self._target, self._ask, self.minutes = target, options.ask, minutes
        self._pages = pages_at(target.metrics_url)
        self._schedule = AskingSchedule(self._pages, options.interval_s)
        self._rare: dict[str, ServerReading] = {}

    async def ask(self) -> tuple[ServerReading | None, bool | None]:
        """What is due. What it says together, and whether it answered; ``None``: it was not asked."""
        heard: dict[str, ServerReading] = {}
        asked: ServerPage | None = None
        for page in self._schedule.due(time.monotonic()):
            if asked is not None and not self._schedule.wants(page, time.monotonic()):
                continue
            asked, begun = page, time.monotonic()
            outcome, reading = await self._asked(page)
            self._schedule.heard(page, outcome, reading.program if reading else "", begun)
            if outcome is Heard.BROKEN:
                self._rare.clear()
                return None, False
            if reading is not None:
                (self._rare if page.rarely else heard)[page.path] = reading
        if asked is None:
            return None, None
        rare = [one for one in self._rare.values() if one.program == self._schedule.program]
        return (together([*heard.values(), *rare]) if heard else None), True

    async def _asked(self, page: ServerPage) -> tuple[Heard, ServerReading | None]:
        try:
            answer = await self._ask(self._target, page.path)
        except (OSError, TimeoutError):  # first: an odd certificate is a ValueError too
            return Heard.BROKEN, None
        except ValueError:  # it is there, and says what cannot be read
            return Heard.ABSENT, None
        if answer.status in _REFUSED:
            return Heard.REFUSED, None
        if answer.status in _TROUBLE:
            return Heard.TROUBLE, None
        reading = page.read(answer.body) if answer.status == 200 else None
        return (Heard.ABSENT if reading is None else Heard.TOLD), reading

    def seen(
        self, reading: ServerReading | None, now: float, opened: int | None, before: ServerSeen | None
    ) -> ServerSeen:
        """As others may see it, after a round of questions."""
        if not self._target.asked:
            return _unasked(self._target)._replace(open_requests=opened)
        schedule = self._schedule
        state = (
            AskingState.TELLS if reading is not None
            else AskingState.SILENT if schedule.is_silent
            else AskingState.WANTS_KEY if schedule.wants_key
            else AskingState.TELLS_NOTHING
        )  # fmt: skip
        told_at = now if reading is not None else before and before.told_at
        program = schedule.program or (before.program if before is not None else "")
        advice = None if state is AskingState.SILENT else advice_for(program, state, self._page_outcomes())
        return ServerSeen(self._target.name, state, program, now, told_at, reading, opened, advice)

    def _page_outcomes(self) -> dict[str, bool]:
        """By path, whether a page that was asked told anything."""
        outcomes = {page.path: self._schedule.outcome(page.path) for page in self._pages}
        return {path: outcome is Heard.TOLD for path, outcome in outcomes.items() if outcome is not None}


def _unasked(target: AskedServer) -> ServerSeen:
    state = AskingState.NOT_ASKED if target.asked else AskingState.REMOTE if target.why == "remote" else AskingState.OFF
    return ServerSeen(target.name, state, advice=target.why)
