"""From the options of the metrics process to the poller of servers: who is asked how, and what is open where."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from llm_metrics_proxy.processes.asking import Manners, ask, manners_of
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.proxy.routing import parse_backend
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.servers.local import is_this_machine
from llm_metrics_proxy.servers.poller import Answered, Ask, PollerOptions, ServerPoller
from llm_metrics_proxy.servers.targets import AskedServer, target
from llm_metrics_proxy.storage.disk_space import DiskWatch
from llm_metrics_proxy.storage.sampled import ServerSample
from llm_metrics_proxy.storage.server_samples import SampleStore, read_samples
from llm_metrics_proxy.storage.sqlite import SqliteReader

LIMIT_S: Final = 3.0  # for one question
MOST_BYTES: Final = 2 * 1024 * 1024  # a vLLM with all of its histograms shows a third of a megabyte
_ALIVE_MS: Final = 5_000
_ACCEPT: Final = "text/plain;version=0.0.4, application/json;q=0.9, */*;q=0.1"


def poller_options(options: MetricsOptions) -> PollerOptions:
    """As the settings say now."""
    backends = options.backends or (
        [BackendOptions(name=single_name(options), url=options.found_backend)] if options.found_backend else []
    )
    targets = tuple(
        target(each.name, each.url, each.metrics_url, each.server_metrics, options.server_metrics) for each in backends
    )
    local = any(is_this_machine(each.url) for each in targets)
    return PollerOptions(
        targets=targets,
        interval_s=options.server_metrics_interval_s,
        gpus=options.gpu_metrics == "on" or (options.gpu_metrics == "auto" and local),
        ask=_asking({each.name: manners_of(each, each.api_key, options) for each in backends}),
    )


def single_name(options: MetricsOptions) -> str:
    """What the only backend is called where it has no name: its host and port, as records have it."""
    return parse_backend(options.found_backend).label


def open_requests(
    scoreboard: Scoreboard | None, options: Callable[[], MetricsOptions]
) -> Callable[[], Mapping[str, int]]:
    """Requests that workers have open, by backend."""

    def counted() -> Mapping[str, int]:
        if scoreboard is None:
            return {}
        now_ms = time.time() * 1000
        alive = {
            worker.slot: worker.values["open_requests"]
            for worker in scoreboard.workers()
            if now_ms - worker.values["heartbeat_unix_ms"] < _ALIVE_MS
        }
        if not options().backends:
            return {single_name(options()): sum(alive.values())} if options().found_backend else {}
        found: Counter[str] = Counter()
        for row in scoreboard.backends():
            if row.slot in alive:
                found[row.name] += row.values["open_requests"]
        return found

    return counted


def make_poller(
    options: MetricsOptions,
    newest: Callable[[], MetricsOptions],
    path: Path,
    *,
    scoreboard: Scoreboard | None,
    admit: Callable[[], None],
    disk: DiskWatch,
) -> ServerPoller:
    """The poller, not started yet. ``admit`` raises while the file must not be written."""
    store = SampleStore(path)

    def keep(samples: Sequence[ServerSample]) -> None:
        admit()
        if disk.has():  # else what servers say is given up: records come first
            store.add(samples)

    return ServerPoller(poller_options(options), keep, open_requests(scoreboard, newest))


def samples_of(reader: SqliteReader, poller: ServerPoller, start_s: float, end_s: float) -> list[ServerSample]:
    """Those stored, and those of the poller that are not yet: its last minute. Raises ``StoreError``."""
    found = {one[:4]: one for one in read_samples(reader, start_s, end_s)}
    for one in poller.recent():
        stored = found.get(one[:4])
        if start_s - one.grain_s < one.at < end_s and (stored is None or stored.asked < one.asked):
            found[one[:4]] = one
    return sorted(found.values(), key=lambda one: one.at)


def _asking(manners: Mapping[str, Manners]) -> Ask:
    async def asked(it: AskedServer, path: str) -> Answered:
        url = path if urlsplit(path).scheme else it.url + path
        how = manners[it.name]._replace(accept=_ACCEPT)
        answer = await ask(url, LIMIT_S, how, MOST_BYTES)
        return Answered(answer.status, answer.body)

    return asked
