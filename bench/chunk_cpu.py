"""CPU time per forwarded chunk: 256 streams of 100 events at a fixed pace, every byte checked at the client.

What counts is the CPU time of the proxy's processes over the whole run, connections, heads and records included,
divided by the number of events. The pace leaves the core mostly idle, as it is in front of a GPU: chunks come one by
one, and a proxy cannot save work by handling many at once.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench import subjects
from bench.figures import Figure, against
from bench.processes import LOAD_CORE, cpu_s, free_port, pinned, running, settle
from bench.run import Run
from bench.stream_client import read_streams
from bench.streamer import CHUNKS
from bench.subjects import Subject

STREAMS: Final = 256
INTERVAL_MS: Final = 40.0


def measure(run: Run, folder: Path) -> list[Figure]:
    """Microseconds of CPU per chunk against each peer."""
    seen: dict[str, list[float]] = {}
    with ExitStack() as stack:
        port = free_port()
        command = [sys.executable, "-m", "bench.streamer", str(port), str(INTERVAL_MS)]
        stack.enter_context(running(command, LOAD_CORE, port=port, log=folder / "streamer.log"))
        found = run.start(stack, folder, port, subjects.ours, subjects.nginx_streaming, subjects.aiohttp)
        subject_list = [subject for subject in found if subject is not None]
        for _ in range(run.pairs):
            for subject in subject_list:
                run.say(f"CPU per chunk: {subject.name}")
                seen.setdefault(subject.name, []).append(_chunk_us(subject))
                settle(subject.recorder_pids)
    what = f"CPU per chunk, {STREAMS} streams"
    return [
        against(f"chunk_cpu.{peer}", what, "µs", ours=seen["ours"], peer=peer, theirs=seen[peer])
        for peer in ("nginx", "aiohttp")
        if peer in seen
    ]


def _chunk_us(subject: Subject) -> float:
    interval_s = INTERVAL_MS / 1000
    before_s = cpu_s(subject.pids)
    with pinned(LOAD_CORE):
        chunks = uvloop.run(read_streams(subject.port, STREAMS, interval_s, limit_s=interval_s * CHUNKS * 5 + 10))
    return (cpu_s(subject.pids) - before_s) / chunks * 1e6
