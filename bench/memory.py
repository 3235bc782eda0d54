"""Memory per open stream: what 2,000 streams that began and went silent add to a proxy's proportional set size."""

import asyncio
import resource
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench import subjects
from bench.figures import Figure, alone
from bench.processes import LOAD_CORE, free_port, pinned, pss_kib, running
from bench.run import Run
from bench.stream_client import hold_idle_streams
from bench.subjects import Subject

STREAMS: Final = 2_000
_WARM_STREAMS: Final = 50
_FILES: Final = 16_384


def measure(run: Run, folder: Path) -> list[Figure]:
    """KiB per open stream, for ours and its peers."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))  # children inherit it
    figures = []
    with ExitStack() as stack:
        port = free_port()
        command = [sys.executable, "-m", "bench.streamer", str(port), "1000"]
        stack.enter_context(running(command, LOAD_CORE, port=port, log=folder / "streamer.log"))
        found = run.start(stack, folder, port, subjects.ours, subjects.nginx_streaming, subjects.aiohttp)
        for subject in found:
            if subject is not None:
                run.say(f"memory per stream: {subject.name}")
                with pinned(LOAD_CORE):
                    kib = uvloop.run(_kib_per_stream(subject))
                what = f"memory per open stream, {STREAMS:,} streams: {subject.name}"
                figures.append(alone(f"memory.{subject.name}", what, "KiB", [kib]))
    return figures


async def _kib_per_stream(subject: Subject) -> float:
    warm = await hold_idle_streams(subject.port, _WARM_STREAMS, limit_s=30)
    before = pss_kib(subject.pids)
    held = await hold_idle_streams(subject.port, STREAMS, limit_s=60)
    await asyncio.sleep(0.5)
    grown = pss_kib(subject.pids) - before
    for stream in (*warm, *held):
        stream.transport.abort()
    return grown / STREAMS
