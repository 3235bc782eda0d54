"""CPU time per forwarded event: many streams at a fixed pace, every byte checked at the client.

Small events (about 200 bytes, one token) are what streams are made of; large ones (64 KiB) are pictures, sound and the
whole answer that some APIs send once more at the end. Then bytes count, and who looks into them pays for each.

What counts is the CPU time of the proxy's processes over the whole run, connections, heads and records included,
divided by the number of events. The pace leaves the core mostly idle, as it is in front of a GPU: chunks come one by
one, and a proxy cannot save work by handling many at once.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from bench import subjects
from bench.figures import Figure, against
from bench.processes import LOAD_CORE, cpu_s, free_port, pinned, running, settle
from bench.run import Run
from bench.stream_client import read_streams
from bench.streamer import KINDS
from bench.subjects import Subject

INTERVAL_MS: Final = 40.0


class Load(NamedTuple):
    """One kind of streams; ``key`` begins the keys of its figures."""

    key: str
    kind: str  # of ``streamer.KINDS``
    streams: int
    what: str


LOADS: Final = (
    Load("chunk_cpu", "paced", 256, "CPU per chunk, 256 streams"),
    Load("chunk_cpu.large", "large", 16, "CPU per event of 64 KiB, 16 streams"),
)


def measure(run: Run, folder: Path) -> list[Figure]:
    """Microseconds of CPU per event against each peer, for each load."""
    seen: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        port = free_port()
        command = [sys.executable, "-m", "bench.streamer", str(port), str(INTERVAL_MS)]
        stack.enter_context(running(command, LOAD_CORE, port=port, log=folder / "streamer.log"))
        found = run.start(stack, folder, port, subjects.ours, subjects.nginx_streaming, subjects.aiohttp)
        subject_list = [subject for subject in found if subject is not None]
        for _ in range(run.pairs):
            for load in LOADS:
                for subject in subject_list:
                    run.say(f"{load.what}: {subject.name}")
                    seen.setdefault((load.key, subject.name), []).append(_event_us(subject, load))
                    settle(subject.recorder_pids)
    return [
        against(
            f"{load.key}.{peer}", load.what, "µs",
            ours=seen[load.key, "ours"], peer=peer, theirs=seen[load.key, peer],
        )
        for load in LOADS
        for peer in ("nginx", "aiohttp")
        if (load.key, peer) in seen
    ]  # fmt: skip


def _event_us(subject: Subject, load: Load) -> float:
    interval_s = INTERVAL_MS / 1000
    limit_s = interval_s * len(KINDS[load.kind].events) * 5 + 10
    before_s = cpu_s(subject.pids)
    with pinned(LOAD_CORE):
        events = uvloop.run(read_streams(subject.port, load.streams, interval_s, limit_s, load.kind))
    return (cpu_s(subject.pids) - before_s) / events * 1e6
