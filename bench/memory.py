"""Memory per open stream: what 2,000 streams that began and went silent add to a proxy's proportional set size."""

import asyncio
import resource
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench import streamer
from bench.figures import Figure, alone, beside
from bench.peers.peer import Subject
from bench.processes import LOAD_CORE, pinned, pss_kib
from bench.run import Run
from bench.stream_client import hold_idle_streams

STREAMS: Final = 2_000
_WARM_STREAMS: Final = 50
_FILES: Final = 16_384


def measure(run: Run, folder: Path) -> list[Figure]:
    """KiB per open stream, for ours and its peers."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))  # children inherit it
    with ExitStack() as stack:
        upstream = stack.enter_context(streamer.running_at(1000, folder))
        subjects = run.start(stack, folder, upstream, streams=True)
        what = f"memory per open stream, {STREAMS:,} streams"
        seen = run.turns(what, subjects, _measure, pairs=1)
        ours = [kib for kib in seen["ours"] if kib is not None]
        return [alone("memory.ours", what, "KiB", ours), *beside("memory", what, "KiB", seen)]


def _measure(subject: Subject) -> float:
    with pinned(LOAD_CORE):
        return uvloop.run(_kib_per_stream(subject))


async def _kib_per_stream(subject: Subject) -> float:
    warm = await hold_idle_streams(subject.port, _WARM_STREAMS, limit_s=30)
    before = pss_kib(subject.pids)
    held = await hold_idle_streams(subject.port, STREAMS, limit_s=60)
    await asyncio.sleep(0.5)
    grown = pss_kib(subject.pids) - before
    for stream in (*warm, *held):
        stream.transport.abort()
    return grown / STREAMS
