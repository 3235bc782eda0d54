"""Latency that a proxy adds, at 200 requests/s in an open loop: through it, minus straight to the upstream.

The core is nearly idle at this rate, so this is the price of one more hop and not of queueing. Ours, nginx and the
direct way take turns; what is compared is the median (or 99th percentile) of each turn minus that of the direct turn.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench import subjects
from bench.figures import Figure, against, percentile
from bench.processes import LOAD_CORE, pinned, settle
from bench.rate_client import latencies_us
from bench.run import Run

RATE_PER_S: Final = 200
SHARES: Final = {"p50": 0.5, "p99": 0.99}


def measure(run: Run, folder: Path) -> list[Figure]:
    """Added latency at the median and the 99th percentile against each peer."""
    turns: dict[str, list[list[float]]] = {}
    with ExitStack() as stack:
        upstream = stack.enter_context(subjects.nginx_upstream(folder))
        found = run.start(stack, folder, upstream, subjects.ours, subjects.nginx, subjects.aiohttp)
        proxies = {subject.name: subject for subject in found if subject is not None}
        ports = {"direct": upstream, **{name: subject.port for name, subject in proxies.items()}}
        for _ in range(run.pairs):
            for name, port in ports.items():
                run.say(f"latency: {name}")
                with pinned(LOAD_CORE):
                    turns.setdefault(name, []).append(uvloop.run(latencies_us(port, RATE_PER_S, run.seconds)))
                settle(proxies["ours"].recorder_pids)
    return [figure for label in SHARES for figure in _figures(label, turns)]


def _figures(label: str, turns: dict[str, list[list[float]]]) -> list[Figure]:
    level = {name: [percentile(turn, SHARES[label]) for turn in of_name] for name, of_name in turns.items()}
    direct = level.pop("direct")
    figures = []
    for peer in ("nginx", "aiohttp"):
        added = [
            (mine - base, theirs - base)
            for mine, theirs, base in zip(level["ours"], level.get(peer, ()), direct, strict=False)
            if mine > base and theirs > base  # else something disturbed the direct turn, and a ratio means nothing
        ]
        if added:
            ours, theirs_added = zip(*added, strict=True)
            what = f"latency added at {RATE_PER_S} requests/s, {label}"
            figures.append(against(f"latency.{label}.{peer}", what, "µs", ours=ours, peer=peer, theirs=theirs_added))
    return figures
