"""Which names servers give their numbers in Prometheus' text: a table of programs, and the reader made of it. Pure.

Names are those of the programs' own documentation. The same measure has several names over the years: the first one
that a page has counts. vLLM's V0 said ``gpu_cache_usage_perc``, V1 says ``kv_cache_usage_perc``; Ray replaces the colon
by an underscore and puts its own name in front; NVIDIA NIM leaves the prefix out.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from llm_metrics_proxy.servers.exposition import MetricsLine, read
from llm_metrics_proxy.servers.readings import COUNTERS, GAUGES, LoadedModel, ServerReading
from llm_metrics_proxy.storage.sampled import MOST_MODELS

_MOST_NAME_CHARS: Final = 200
# Each rank of a server that is spread over GPUs may show the same request: the first speaks for all. Ranks of data
# parallelism have requests of their own, and add up.
_RANKS: Final = ("tp_rank", "pp_rank", "moe_ep_rank", "attn_cp_rank")
_MODEL_LABELS: Final = ("model_name", "model", "model_id")


class Name(NamedTuple):
    """A series' name; only with this label, if there is one. ``unit``: what one of it is in the measure's unit."""

    name: str
    label: tuple[str, str] | None = None
    unit: float = 1.0


class ServerProgram(NamedTuple):
    """``names`` by measure, the preferred first. It is known by any of them."""

    program: str
    names: Mapping[str, tuple[Name, ...]]


def _names(**by_measure: str) -> dict[str, tuple[Name, ...]]:
    return {measure: tuple(map(Name, names.split())) for measure, names in by_measure.items()}


def _prefixed(program: str, prefixes: Iterable[str], **by_measure: str) -> ServerProgram:
    names = {
        measure: tuple(Name(prefix + name) for name in names.split() for prefix in prefixes)
        for measure, names in by_measure.items()
    }
    return ServerProgram(program, names)


# The words of vLLM, which others took over.
_VLLM: Final = {
    "running": "num_requests_running",
    "waiting": "num_requests_waiting",
    "kv_cache_ratio": "kv_cache_usage_perc gpu_cache_usage_perc",
    "prefix_cache_ratio": "gpu_prefix_cache_hit_rate",
    "prefix_queries": "prefix_cache_queries_total gpu_prefix_cache_queries_total prefix_cache_queries",
    "prefix_hits": "prefix_cache_hits_total gpu_prefix_cache_hits_total prefix_cache_hits",
    "preemptions": "num_preemptions_total num_preemptions",
    "prompt_tokens": "prompt_tokens_total",
    "generation_tokens": "generation_tokens_total",
    "queue_s": "request_queue_time_seconds_sum",
    "queued": "request_queue_time_seconds_count",
}
_SGLANG: Final = {
    "running": "num_running_reqs",
    "waiting": "num_queue_reqs",
    "kv_cache_ratio": "token_usage",
    "prefix_cache_ratio": "cache_hit_rate",
    "preemptions": "num_retracted_reqs_total num_retracted_requests_total",
    "prompt_tokens": "prompt_tokens_total",
    "generation_tokens": "generation_tokens_total",
    "queue_s": "queue_time_seconds_sum",
    "queued": "queue_time_seconds_count",
}
PROGRAMS: Final = (
    _prefixed("vLLM", ("vllm:", "vllm_", "ray_vllm_", "ray_vllm:"), **_VLLM),
    _prefixed("SGLang", ("sglang:", "sglang_"), **_SGLANG),
    _prefixed("LMDeploy", ("lmdeploy:", "lmdeploy_"), **_VLLM),
    _prefixed("Aphrodite", ("aphrodite:", "aphrodite_"), **_VLLM),
    _prefixed(
        "llama.cpp", ("llamacpp:", "llamacpp_"),
        running="requests_processing", waiting="requests_deferred", kv_cache_ratio="kv_cache_usage_ratio",
        prompt_tokens="prompt_tokens_total", generation_tokens="tokens_predicted_total",
    ),
    ServerProgram("TGI", _names(
        running="tgi_batch_current_size", waiting="tgi_queue_size",
        prompt_tokens="tgi_request_input_length_sum", generation_tokens="tgi_request_generated_tokens_sum",
        queue_s="tgi_request_queue_duration_sum", queued="tgi_request_queue_duration_count",
    )),
    ServerProgram("TEI", _names(
        waiting="te_queue_size", queue_s="te_request_queue_duration_sum", queued="te_request_queue_duration_count",
    )),
    _prefixed(
        "TensorRT-LLM", ("trtllm_", "trtllm:"),
        running="num_requests_running", waiting="num_requests_waiting", kv_cache_ratio="kv_cache_utilization",
        prefix_cache_ratio="kv_cache_hit_rate", queue_s="request_queue_time_seconds_sum",
        queued="request_queue_time_seconds_count",
    ),
    ServerProgram("Triton", {
        "running": (Name("nv_trt_llm_request_metrics", ("request_type", "scheduled")),),
        "waiting": (
            Name("nv_trt_llm_request_metrics", ("request_type", "waiting")), Name("nv_inference_pending_request_count"),
        ),
        "kv_cache_ratio": (Name("nv_trt_llm_kv_cache_block_metrics", ("kv_cache_block_type", "fraction")),),
        "queue_s": (Name("nv_inference_queue_duration_us", unit=1e-6),),
        "queued": (Name("nv_inference_request_success"),),
    }),
    _prefixed("NIM", ("",), **_VLLM),  # last: names without a prefix
)  # fmt: skip
_WANTED: Final = frozenset(name.name for program in PROGRAMS for names in program.names.values() for name in names)


def read_metrics(page: bytes) -> ServerReading | None:
    """What a page in Prometheus' text says; ``None`` if it has no name of the table. Never raises."""
    series: dict[str, list[MetricsLine]] = {}
    for one in read(page, _WANTED):
        if all(one.labels.get(rank, "0") == "0" for rank in _RANKS):
            series.setdefault(one.name, []).append(one)
    found = [reading for program in PROGRAMS if (reading := _reading(program, series)) is not None]
    # Triton hands on what its vLLM says: who says most speaks.
    return max(found, key=lambda reading: len(reading.gauges) + len(reading.counters), default=None)


def _reading(program: ServerProgram, series: Mapping[str, list[MetricsLine]]) -> ServerReading | None:
    gauges: dict[str, float] = {}
    counters: dict[str, float] = {}
    models: dict[str, None] = {}
    for measure, names in program.names.items():
        for name in names:
            rows = [row for row in series.get(name.name, ()) if name.label is None or _has(row, name.label)]
            if rows:
                values = [row.value * name.unit for row in rows]
                if measure in COUNTERS:
                    counters[measure] = sum(values)
                elif (value := _gauge(measure, values)) is not None:
                    gauges[measure] = value
                models.update(dict.fromkeys(filter(None, map(_model, rows))))
                break
    if not gauges and not counters:
        return None
    return ServerReading(program.program, gauges, counters, tuple(map(LoadedModel, tuple(models)[:MOST_MODELS])))


def _gauge(measure: str, values: list[float]) -> float | None:
    """Several models or engines: all of them, or the fullest. Shares outside 0 to 1 and less than nothing are refused:
    servers say -1 for what they do not know."""
    kind = GAUGES[measure]
    known = [value for value in values if value >= 0 and (kind.total or value <= 1.0)]
    if not known:
        return None
    return sum(known) if kind.total else max(known)


def _has(row: MetricsLine, label: tuple[str, str]) -> bool:
    return row.labels.get(label[0]) == label[1]


def _model(row: MetricsLine) -> str | None:
    return next((row.labels[label][:_MOST_NAME_CHARS] for label in _MODEL_LABELS if row.labels.get(label)), None)
