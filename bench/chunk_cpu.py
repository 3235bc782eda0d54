"""CPU time per forwarded event: many streams at a fixed pace, every byte checked at the client.

Small events (about 200 bytes, one token) are what streams are made of; large ones (64 KiB) are pictures, sound and the
whole answer that some APIs send once more at the end. Then bytes count, and who looks into them pays for each.

What counts is the CPU time of the proxy's processes over the whole run, connections, heads and records included,
divided by the number of events. The pace leaves the core mostly idle, as it is in front of a GPU: chunks come one by
one, and a proxy cannot save work by handling many at once.
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from bench import streamer
from bench.figures import Figure, beside
from bench.peers.peer import Subject
from bench.processes import LOAD_CORE, cpu_s, pinned, settle
from bench.run import Run
from bench.stream_client import read_streams

INTERVAL_MS: Final = 40.0


class Load(NamedTuple):
    """One kind of streams; ``key`` begins the keys of its figures."""

    key: str
    kind: str  # of ``streamer.KINDS``
    streams: int
    what: str


LOADS: Final = (
    Load("chunk_cpu", "paced", 256, "CPU a chunk, 256 streams"),
    Load("chunk_cpu.large", "large", 16, "CPU an event of 64 KiB, 16 streams"),
)


def measure(run: Run, folder: Path) -> list[Figure]:
    """Microseconds of CPU per event against each peer, for each load."""
    figures = []
    with ExitStack() as stack:
        upstream = stack.enter_context(streamer.running_at(INTERVAL_MS, folder))
        subjects = run.start(stack, folder, upstream, streams=True)
        for load in LOADS:
            figures += beside(load.key, load.what, "µs", run.turns(load.what, subjects, partial(_event_us, load)))
    return figures


def _event_us(load: Load, subject: Subject) -> float:
    interval_s = INTERVAL_MS / 1000
    limit_s = interval_s * len(streamer.KINDS[load.kind].events) * 5 + 10
    before_s = cpu_s(subject.pids)
    with pinned(LOAD_CORE):
        events = uvloop.run(read_streams(subject.port, load.streams, interval_s, limit_s, load.kind))
    cost_us = (cpu_s(subject.pids) - before_s) / events * 1e6
    settle(subject.recorder_pids)
    return cost_us
