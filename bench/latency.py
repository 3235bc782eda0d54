"""Latency that a proxy adds at 50, 200 and 1,000 requests/s in an open loop: through it, less directly to the upstream.

The core is nearly idle at these rates, so this is the price of one more hop and not of queueing: the slower the rate,
the colder is the code. What is compared is the median (or 99th percentile) of each turn minus that of the direct turn.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from bench.figures import Figure, beside, percentile
from bench.peers import nginx
from bench.peers.peer import Subject
from bench.processes import LOAD_CORE, cpu_s, pinned, settle
from bench.rate_client import latencies_us
from bench.run import Run

RATES_PER_S: Final = (50, 200, 1_000)
SHARES: Final = {"p50": 0.5, "p99": 0.99}


class Measured(NamedTuple):
    """One turn of one subject."""

    latencies_us: list[float]
    cpu_us: float  # a request


def measure(run: Run, folder: Path) -> list[Figure]:
    """Added latency at the median and the 99th percentile against each peer, and CPU a request, for each rate."""
    figures = []
    with ExitStack() as stack:
        upstream = stack.enter_context(nginx.upstream(folder))
        subjects = (Subject("direct", upstream), *run.start(stack, folder, upstream))
        for rate in RATES_PER_S:
            where = f"at {rate:,} requests/s"
            seen = run.turns(f"latency {where}", subjects, partial(_measure, rate, run.seconds))
            for label, share in SHARES.items():
                levels = {
                    name: [None if turn is None else percentile(turn.latencies_us, share) for turn in turns]
                    for name, turns in seen.items()
                }
                figures += beside(f"latency.{rate}.{label}", f"latency added {where}, {label}", "µs", added(levels))
            costs = {name: [None if turn is None else turn.cpu_us for turn in turns] for name, turns in seen.items()}
            figures += beside(f"cpu.at_{rate}", f"CPU a request {where}", "µs", costs)
    return figures


def _measure(rate: int, seconds: float, subject: Subject) -> Measured:
    before_s = cpu_s(subject.pids)
    with pinned(LOAD_CORE):
        latencies = uvloop.run(latencies_us(subject.port, rate, seconds))
    cost_us = (cpu_s(subject.pids) - before_s) / len(latencies) * 1e6
    settle(subject.recorder_pids)
    return Measured(latencies, cost_us)


def added(levels: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    """By name, what each turn added to the direct one; none where that was disturbed, as a ratio means nothing."""
    return {
        name: [
            through - base if through and base and through > base else None
            for through, base in zip(turns, levels["direct"], strict=True)
        ]
        for name, turns in levels.items()
        if name != "direct"
    }
