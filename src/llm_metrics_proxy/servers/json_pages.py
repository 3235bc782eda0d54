"""Readers of the JSON pages by which servers tell of themselves, one small function each. Pure.

A page of another program, or of none, is ``None``: servers that know a path not may still answer 200 with an error.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from llm_metrics_proxy.servers.readings import LoadedModel, ServerReading, with_models
from llm_metrics_proxy.storage.sampled import MOST_MODELS

_MOST_NAME_CHARS: Final = 200
_MOST_BYTES: Final = 2**50
# `owned_by` of the first model of /v1/models: who it is that tells nothing else.
_OWNERS: Final = {
    "vllm": "vLLM", "llamacpp": "llama.cpp", "sglang": "SGLang", "organization_owner": "LM Studio",
    "library": "Ollama", "koboldcpp": "KoboldCpp", "tabbyapi": "TabbyAPI", "llama-swap": "llama-swap",
    "trtllm": "TensorRT-LLM", "tensorrt_llm": "TensorRT-LLM", "mlx_lm": "MLX",
}  # fmt: skip


def ollama_ps(body: bytes) -> ServerReading | None:
    """``/api/ps``: models in memory, how much of each is on GPUs, and when it is unloaded."""
    rows = _rows(_object(body), "models")
    if rows is None or any("name" not in row and "model" not in row for row in rows):
        return None
    models = [
        LoadedModel(
            _text(row.get("name")) or _text(row.get("model")) or "",
            _whole(row.get("size")),
            _whole(row.get("size_vram")) if "size_vram" in row else 0,
            _whole(row.get("context_length")),
            _text(row.get("expires_at")),
        )
        for row in rows[:MOST_MODELS]
    ]
    return with_models(ServerReading("Ollama", models=tuple(models), tells_models=True))


def llama_slots(body: bytes) -> ServerReading | None:
    """``/slots`` of llama.cpp: which are busy. Older releases say ``state``: 1 is busy."""
    document = _json(body)
    if not isinstance(document, list) or not document:
        return None
    if not all(
        isinstance(row, dict) and "id" in row and ("is_processing" in row or "state" in row) for row in document
    ):
        return None
    busy = sum(1 for row in document if row.get("is_processing", row.get("state") == 1) is True)
    return ServerReading("llama.cpp", gauges={"running": busy, "slots": len(document)})


def llama_props(body: bytes) -> ServerReading | None:
    """``/props`` of llama.cpp: how many slots, which model, how long its context is."""
    document = _object(body)
    slots = _whole(document.get("total_slots"))
    if slots is None:
        return None
    path = _text(document.get("model_alias")) or _text(document.get("model_path")) or ""
    defaults = document.get("default_generation_settings")
    context = _whole(defaults.get("n_ctx")) if isinstance(defaults, dict) else None
    name = path.replace("\\", "/").rpartition("/")[2]
    models = (LoadedModel(name, context_tokens=context),) if name else ()
    return ServerReading("llama.cpp", gauges={"slots": slots}, models=models)


def lm_studio_v1(body: bytes) -> ServerReading | None:
    """``/api/v1/models`` of LM Studio: models, each with its instances in memory."""
    rows = _rows(_object(body), "models")
    if not rows or any("loaded_instances" not in row for row in rows):
        return None
    models = []
    for row in rows:
        instances = row["loaded_instances"]
        for instance in instances if isinstance(instances, list) else ():
            config = instance.get("config") if isinstance(instance, dict) else None
            context = _whole(config.get("context_length")) if isinstance(config, dict) else None
            name = (_text(instance.get("id")) if isinstance(instance, dict) else None) or _text(row.get("key")) or ""
            models.append(LoadedModel(name, _whole(row.get("size_bytes")), None, context))
    return with_models(ServerReading("LM Studio", models=tuple(models[:MOST_MODELS]), tells_models=True))


def lm_studio_v0(body: bytes) -> ServerReading | None:
    """``/api/v0/models`` of LM Studio: models, each with its state."""
    rows = _rows(_object(body), "data")
    if not rows or any("state" not in row for row in rows):
        return None
    models = [
        LoadedModel(_text(row.get("id")) or "", context_tokens=_whole(row.get("loaded_context_length")))
        for row in rows
        if row["state"] == "loaded"
    ]
    return with_models(ServerReading("LM Studio", models=tuple(models[:MOST_MODELS]), tells_models=True))


def koboldcpp_perf(body: bytes) -> ServerReading | None:
    """``/api/extra/perf`` of KoboldCpp: its queue, and whether it is idle."""
    document = _object(body)
    queue, idle = _whole(document.get("queue")), _whole(document.get("idle"))
    if queue is None or idle is None:
        return None
    return ServerReading("KoboldCpp", gauges={"running": 0 if idle else 1, "waiting": queue})


def llama_swap_running(body: bytes) -> ServerReading | None:
    """``/running`` of llama-swap: models that run."""
    rows = _rows(_object(body), "running")
    if rows is None or any("model" not in row for row in rows):
        return None
    models = [LoadedModel(_text(row["model"]) or "") for row in rows if row.get("state", "ready") != "stopped"]
    return with_models(ServerReading("llama-swap", models=tuple(models[:MOST_MODELS]), tells_models=True))


def localai_system(body: bytes) -> ServerReading | None:
    """``/system`` of LocalAI: models in memory."""
    document = _object(body)
    rows = _rows(document, "loaded_models")
    if rows is None or "backends" not in document:
        return None
    models = [LoadedModel(_text(row.get("id")) or "") for row in rows]
    return with_models(ServerReading("LocalAI", models=tuple(models[:MOST_MODELS]), tells_models=True))


def owner(body: bytes) -> ServerReading | None:
    """``/v1/models``: which program it is, where its models say so."""
    rows = _rows(_object(body), "data")
    program = _OWNERS.get(str(rows[0].get("owned_by")).lower()) if rows else None
    return None if program is None else ServerReading(program)


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _object(body: bytes) -> Mapping[str, Any]:
    document = _json(body)
    return document if isinstance(document, dict) else {}


def _rows(document: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    """A list of objects; none of them: Go writes null."""
    if key not in document:
        return None
    rows = [] if document[key] is None else document[key]
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _text(value: object) -> str | None:
    return value[:_MOST_NAME_CHARS] if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_BYTES else None
