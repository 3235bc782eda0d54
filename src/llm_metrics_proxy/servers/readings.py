"""What a server or a GPU says at one moment, and the measures that there are. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class LoadedModel(NamedTuple):
    """A model in memory. ``vram_bytes``: of ``size_bytes``, what is on GPUs; ``expires_at`` as the server wrote it."""

    name: str
    size_bytes: int | None = None
    vram_bytes: int | None = None
    context_tokens: int | None = None
    expires_at: str | None = None


class ServerReading(NamedTuple):
    """One answer. ``gauges`` are values of now, ``counters`` only grow while the server runs."""

    program: str
    gauges: Mapping[str, float] = {}
    counters: Mapping[str, float] = {}
    models: tuple[LoadedModel, ...] = ()
    tells_models: bool = False  # no models: none is loaded; else: it does not say


class SaidMeasure(NamedTuple):
    """``high``: readings above it are counted; ``total``: several series (models, engines) are added up, else the
    greatest counts, for the fullest is where requests wait first."""

    unit: str
    meaning: str
    high: float = 0.0
    total: bool = True


GAUGES: Final[Mapping[str, SaidMeasure]] = {
    "open_requests": SaidMeasure("requests", "Requests that the proxy has sent and that are not answered to the end."),
    "running": SaidMeasure("requests", "Requests that the server works on."),
    "waiting": SaidMeasure("requests", "Requests that wait in the server's queue."),
    "kv_cache_ratio": SaidMeasure("", "Share of the KV cache that is in use.", 0.9, total=False),
    "prefix_cache_ratio": SaidMeasure("", "Share of prompt tokens found in the prefix cache.", 0.9, total=False),
    "slots": SaidMeasure("requests", "Requests that the server can work on at once."),
    "slots_ratio": SaidMeasure("", "Share of the slots that are busy.", 0.999, total=False),
    "vram_bytes": SaidMeasure("bytes", "Memory of GPUs that loaded models take."),
    "model_bytes": SaidMeasure("bytes", "Memory that loaded models take, on GPUs or not."),
    "models_loaded": SaidMeasure("models", "Models in memory."),
}
COUNTERS: Final[Mapping[str, SaidMeasure]] = {
    "prompt_tokens": SaidMeasure("tokens", "Prompt tokens that the server processed, whoever asked."),
    "generation_tokens": SaidMeasure("tokens", "Tokens that the server wrote, whoever asked."),
    "preemptions": SaidMeasure("requests", "Requests put back because the KV cache was full."),
    "prefix_queries": SaidMeasure("tokens", "Tokens looked up in the prefix cache."),
    "prefix_hits": SaidMeasure("tokens", "Of them, those found."),
    "queue_s": SaidMeasure("s", "Time that requests waited in the server's queue."),
    "queued": SaidMeasure("requests", "Requests whose wait was measured."),
}
GPU_GAUGES: Final[Mapping[str, SaidMeasure]] = {
    "utilisation_ratio": SaidMeasure("", "Share of the time in which the GPU worked.", 0.9),
    "memory_used_bytes": SaidMeasure("bytes", "Memory in use."),
    "memory_bytes": SaidMeasure("bytes", "Memory that there is."),
    "power_w": SaidMeasure("W", "Power drawn."),
    "temperature_c": SaidMeasure("°C", "Temperature."),
}
COUNTED_S: Final = "counted_s"  # among sums: over how many seconds counters were compared


def with_models(reading: ServerReading) -> ServerReading:
    """Its models as gauges, too, where it tells them."""
    if not reading.tells_models:
        return reading
    more: dict[str, float] = {"models_loaded": len(reading.models)}
    for name, of in (("vram_bytes", "vram_bytes"), ("model_bytes", "size_bytes")):
        known = [value for model in reading.models if (value := getattr(model, of)) is not None]
        if known or not reading.models:
            more[name] = sum(known)
    return reading._replace(gauges={**reading.gauges, **more})


def together(readings: list[ServerReading]) -> ServerReading:
    """Several pages of one server in one; the first that says something counts. At least one."""
    models = next((one for one in readings if one.tells_models), next((o for o in readings if o.models), readings[0]))
    gauges: dict[str, float] = {}
    counters: dict[str, float] = {}
    for one in reversed(readings):
        gauges.update(one.gauges)
        counters.update(one.counters)
    program = next((one.program for one in readings if one.program), "")
    if gauges.get("slots") and "running" in gauges:
        gauges["slots_ratio"] = min(1.0, gauges["running"] / gauges["slots"])
    return ServerReading(program, gauges, counters, models.models, models.tells_models)
