"""What was promised. A figure without a line here is shown for information."""

from collections.abc import Callable
from operator import ge, le, lt
from typing import Final, NamedTuple


class Target(NamedTuple):
    """``words`` is ``compared`` related to ``bound``; in a figure's own unit, or a ratio."""

    words: str
    holds: Callable[[float, float], bool]
    bound: float


TARGETS: Final = {
    "throughput.64.nginx": Target("at least 0.65", ge, 0.65),
    "throughput.64.one_core.nginx": Target("at least 0.40", ge, 0.40),
    "throughput.64.litellm": Target("at least 100", ge, 100),
    "cpu.64.nginx": Target("at most 1.6", le, 1.6),
    "chunk_cpu.nginx": Target("at most 1.25", le, 1.25),
    "latency.200.p50.nginx": Target("at most 1.5", le, 1.5),
    "memory.ours": Target("under 24 KiB", lt, 24),
    "ingestion.ours": Target("at least 40,000", ge, 40_000),
    "migration.ratio": Target("at most 8", le, 8),
    "migration.day": Target("at most 10 s", le, 10),
    "migration.memory": Target("under 200 MiB", lt, 200),
    "migration.lock": Target("at most 100 ms", le, 100),
    "migration.p99": Target("at most 1.1", le, 1.1),
}


def reached(key: str, compared: float) -> bool | None:
    """Whether the target holds; none if there is no target."""
    target = TARGETS.get(key)
    return None if target is None else target.holds(compared, target.bound)
