"""Mixed traffic for a while leaves the workers as large as they were: nothing is kept per request.

``SYSTEM_SOAK_S`` sets how long; 14 s by default, of which the first quarter warms up caches and pools.
"""

import statistics
import time
from typing import Final

import psutil  # type: ignore[import-untyped]
import pytest

from tests.system.house import SOAK_S, House
from tests.system.kinds import MIXED
from tests.system.load import Seen
from tests.system.truth import compare

pytestmark = pytest.mark.system

# One kept kilobyte per request would show: a worker serves thousands of requests within the measured time.
MOST_GROWTH_BYTES: Final = 3 * 1024 * 1024
_QUICK: Final = ("plain", "stream", "zipped", "error", "fat")
_SAMPLE_S: Final = 0.25


def test_workers_do_not_grow_under_mixed_traffic(house: House) -> None:
    with house.live() as stack, house.load(*MIXED, *_QUICK * 4, clients=16, pause_s=0.004) as load:
        pids = stack.worker_pids()
        time.sleep(SOAK_S / 4)
        warm = load.count(Seen.WHOLE)
        samples: list[list[int]] = []
        until_s = time.monotonic() + SOAK_S * 3 / 4
        while time.monotonic() < until_s:
            samples.append([psutil.Process(pid).memory_info().rss for pid in pids])
            time.sleep(_SAMPLE_S)
        measured = load.count(Seen.WHOLE) - warm
        assert stack.worker_pids() == pids  # none of them died and began anew
        (metrics_pid,) = stack.metrics_pids()
        metrics_mib = psutil.Process(metrics_pid).memory_info().rss / 1024**2
        notes = load.stop()
        verdict = compare(notes, house.settle(stack))
    fifth = max(1, len(samples) // 5)
    growth = [statistics.median(last) - statistics.median(first) for first, last in _ends(samples, fifth)]
    print(
        f"\n{measured} requests; workers of {[rss // 1024 for rss in samples[-1]]} KiB grew by "
        f"{[int(each) // 1024 for each in growth]} KiB; metrics process {metrics_mib:.0f} MiB; {verdict}"
    )
    assert measured > 100 * SOAK_S
    assert max(growth) < MOST_GROWTH_BYTES
    assert metrics_mib < 200


def _ends(samples: list[list[int]], count: int) -> list[tuple[list[int], list[int]]]:
    """Per worker its first and its last ``count`` samples."""
    return [(list(each[:count]), list(each[-count:])) for each in zip(*samples, strict=True)]
