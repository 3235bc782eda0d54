"""Samples of one server or GPU over a range: totals, and a value for each bucket. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.servers.readings import COUNTED_S
from llm_metrics_proxy.storage.sampled import GPU, SERVER, ServerSample, merged

Numbers = dict[str, float | None]
_RATES: Final = ("prompt_tokens", "generation_tokens")
# What is drawn over time.
SERIES: Final = {
    SERVER: (
        "open_requests_mean", "open_requests_max", "running_mean", "running_max", "waiting_mean", "waiting_max",
        "kv_cache_ratio_mean", "kv_cache_ratio_max", "vram_bytes_max", "models_loaded_max", "prefix_cache_ratio",
        "prompt_tokens_per_second", "generation_tokens_per_second", "queue_ms", "preemptions", "answered_ratio",
    ),
    GPU: (
        "utilisation_ratio_mean", "utilisation_ratio_max", "memory_used_bytes_max", "memory_bytes_max", "power_w_mean",
        "power_w_max", "temperature_c_max",
    ),
}  # fmt: skip


def totals(samples: Sequence[ServerSample]) -> Numbers:
    """Of all of them together; what none says is not there."""
    if not samples:
        return {}
    one = merged(samples, 0, 0)
    found: Numbers = {"answered_ratio": one.answered / one.asked if one.asked else None}
    for name, gauge in one.gauges.items():
        found |= {
            f"{name}_mean": gauge.mean,
            f"{name}_min": gauge.least,
            f"{name}_max": gauge.greatest,
            f"{name}_high_share": gauge.high / gauge.n,
        }
    sums = one.sums
    counted_s = sums.get(COUNTED_S, 0.0)
    if counted_s > 0:
        found |= {f"{name}_per_second": sums[name] / counted_s for name in _RATES if name in sums}
    if "preemptions" in sums:
        found["preemptions"] = sums["preemptions"]
    if sums.get("queued"):
        found["queue_ms"] = sums.get("queue_s", 0.0) * 1000 / sums["queued"]
    if sums.get("prefix_queries"):
        found["prefix_cache_ratio"] = min(1.0, sums.get("prefix_hits", 0.0) / sums["prefix_queries"])
    elif "prefix_cache_ratio" in one.gauges:
        found["prefix_cache_ratio"] = one.gauges["prefix_cache_ratio"].mean
    busy = one.gauges.get("open_requests") or one.gauges.get("running")
    if busy is not None:
        found["busy_share"] = busy.high / busy.n
    return found


def over_time(samples: Sequence[ServerSample], begins: Sequence[float], kind: str) -> dict[str, list[float | None]]:
    """A value of each of ``SERIES`` for each bucket, which begin at these Unix seconds; those that all samples are
    silent about are left out. A sample counts to the bucket that its first second is in."""
    by_bucket: dict[int, list[ServerSample]] = {}
    for sample in samples:
        by_bucket.setdefault(max(0, bisect_right(begins, sample.at) - 1), []).append(sample)
    found: dict[str, list[float | None]] = {}
    for place, several in by_bucket.items():
        numbers = totals(several)
        for name in SERIES[kind]:
            if (value := numbers.get(name)) is not None:
                found.setdefault(name, [None] * len(begins))[place] = value
    return found
